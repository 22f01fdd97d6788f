//! Where spans go: OTLP over HTTP, in JSON.

use std::time::Duration;

use ringrift_events::alerts::is_web_address;
use ringrift_events::event::ProcessId;
use ringrift_events::metrics;
use serde_json::Value;
use ureq::Agent;
use ureq::http::Uri;

use crate::failure::{Error, Stop};

/// How long one request may take: the next look waits for it.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// A receiver of spans.
pub(crate) struct Receiver {
    url: String,
    agent: Agent,
    host: String,
}

/// Why a request was not taken.
#[derive(Debug)]
pub(super) struct NotTaken {
    pub(super) why: String,
    /// Sending it again would not help.
    pub(super) for_good: bool,
}

impl Receiver {
    /// The receiver at an address; without a path it is `/v1/traces`.
    pub(crate) fn at(url: &str) -> Result<Receiver, Stop> {
        let url = url.trim();
        let uri: Option<Uri> = url.parse().ok();
        let Some(uri) = uri.filter(|_| is_web_address(url)) else {
            return Err(Stop::from(Error::Input {
                what: format!("address {url:?}"),
                why: "it is no http:// or https:// address of a receiver".to_owned(),
                next: "ringrift run --otlp http://127.0.0.1:4318",
            }));
        };
        let url = match uri.path() {
            "" | "/" => format!("{}/v1/traces", url.trim_end_matches('/')),
            _ => url.to_owned(),
        };
        let config = Agent::config_builder()
            .timeout_global(Some(REQUEST_LIMIT))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("ringrift/", env!("CARGO_PKG_VERSION")))
            .build();
        let names = rustix::system::uname();
        Ok(Receiver {
            url,
            agent: Agent::new_with_config(config),
            host: names.nodename().to_string_lossy().into_owned(),
        })
    }

    /// Sends these spans; blocks at most [`REQUEST_LIMIT`].
    pub(super) fn post(&self, spans: &[Value], process: ProcessId) -> Result<(), NotTaken> {
        let version = env!("CARGO_PKG_VERSION");
        let body = metrics::request(spans, &self.host, process, version);
        let answer = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json")
            .send(body.to_string());
        match answer {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => {
                let status = answer.status();
                let again = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
                Err(NotTaken {
                    why: format!("to={} answered={status}", self.url),
                    for_good: !again,
                })
            }
            Err(error) => Err(NotTaken {
                why: format!("to={} error={error}", self.url),
                for_good: false,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_is_that_of_traces() {
        for (text, expected) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
            ("https://a.example/in", "https://a.example/in"),
        ] {
            let receiver = Receiver::at(text).expect(text);
            assert_eq!(receiver.url, expected);
        }
        for text in ["", "127.0.0.1:4318", "ftp://a", "http://"] {
            assert!(Receiver::at(text).is_err(), "{text}");
        }
    }
}
