//! A sink that is a web address: one POST a message, bounded in time.

use std::path::Path;

use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use super::{Form, Letter, Means, NotSent};
use crate::alerts::rule::Refused;

/// Whether this is the `http` or `https` address of a web server.
#[must_use]
pub fn is_web_address(url: &str) -> bool {
    let uri: Option<Uri> = url.parse().ok();
    uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    })
}

/// Refuses what is no address of a web server.
pub(super) fn check(url: &str) -> Result<(), Refused> {
    if is_web_address(url) {
        return Ok(());
    }
    let nearest = url.split_once("//").map_or(url, |(_, rest)| rest);
    Err(Refused {
        key: "webhook",
        value: url.chars().take(200).collect(),
        expected: format!(
            "an address such as `https://HOST/PATH`; the nearest is `https://{nearest}`"
        ),
    })
}

/// The address without its path, which often is a secret.
pub(super) fn place(url: &str) -> String {
    let uri: Option<Uri> = url.parse().ok();
    let authority = uri.as_ref().and_then(|uri| {
        let scheme = uri.scheme_str()?;
        let port = uri.port_u16().map(|port| format!(":{port}"));
        Some(format!(
            "{scheme}://{}{}",
            uri.host()?,
            port.unwrap_or_default()
        ))
    });
    authority.unwrap_or_else(|| "an address that cannot be read".to_owned())
}

/// Posts the letter. A redirect is not followed: it would turn the POST into a GET. Whoever sends
/// it twice gives the same `Idempotency-Key`: a sender that died between the server's yes and its
/// own note is not told apart from one that never came through.
pub(super) fn post(
    (url, form): (&str, Form),
    ca: Option<&Path>,
    letter: &Letter,
    means: &Means<'_>,
) -> Result<(), NotSent> {
    let tls = match ca {
        Some(path) => TlsConfig::builder().root_certs(authorities(path)?).build(),
        None => TlsConfig::default(),
    };
    let config: Config = Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(means.timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(concat!("ringrift/", env!("CARGO_PKG_VERSION")))
        .build();
    let body = match form {
        Form::Json => letter.body.to_string(),
        Form::Slack => letter.slack().to_string(),
    };
    let answer = Agent::new_with_config(config)
        .post(url)
        .header("content-type", "application/json")
        .header("idempotency-key", &letter.id)
        .send(body);
    match answer {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => {
            let status = answer.status();
            let again = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
            Err(NotSent {
                why: format!("{} answered {status}", place(url)),
                for_good: !again,
            })
        }
        Err(error) => Err(NotSent::now(format!(
            "{} cannot be reached: {error}",
            place(url)
        ))),
    }
}

/// The authorities of a file of PEM certificates.
fn authorities(path: &Path) -> Result<RootCerts, NotSent> {
    let refused = |why: String| {
        NotSent::now(format!(
            "the certificates in {} cannot be used: {why}",
            path.display()
        ))
    };
    let pem = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
    let mut found = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(one) = item.map_err(|error| refused(error.to_string()))? {
            found.push(one);
        }
    }
    match found.is_empty() {
        true => Err(refused("there is none".to_owned())),
        false => Ok(RootCerts::new_with_certs(&found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_scheme_or_host_is_refused_with_the_nearest() {
        assert!(check("https://hooks.example.org/a/b").is_ok());
        assert!(check("http://127.0.0.1:9000/").is_ok());
        for (given, nearest) in [
            ("hooks.example.org/a", "`https://hooks.example.org/a`"),
            ("ftp://host/x", "`https://host/x`"),
        ] {
            let refused = check(given).unwrap_err();
            assert!(refused.expected.ends_with(nearest), "{}", refused.expected);
        }
    }

    #[test]
    fn the_place_keeps_the_secret_path_back() {
        let place = place("https://hooks.example.org:8443/services/T0/SECRET");
        assert_eq!(place, "https://hooks.example.org:8443");
    }
}
