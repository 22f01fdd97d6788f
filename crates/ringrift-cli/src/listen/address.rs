//! Where to listen, as people write it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::failure::{Error, Stop};

/// Reads `127.0.0.1:9187`, `[::1]:9187`, `localhost:9187`, `:9187` or `9187`; without a host it is
/// loopback.
pub(crate) fn address(text: &str) -> Result<SocketAddr, Stop> {
    let text = text.trim();
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    let port = text.strip_prefix("localhost:").or(text.strip_prefix(':'));
    match port.unwrap_or(text).parse::<u16>() {
        Ok(port) => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        Err(_) => Err(Stop::from(Error::Input {
            what: format!("address {text:?}"),
            why: "it is neither HOST:PORT with a number for the host, nor a port".to_owned(),
            next: "ringrift run --listen 127.0.0.1:9187",
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_host_it_is_loopback() {
        for (text, expected) in [
            ("9187", "127.0.0.1:9187"),
            (":0", "127.0.0.1:0"),
            ("localhost:80", "127.0.0.1:80"),
            ("0.0.0.0:9187", "0.0.0.0:9187"),
            ("[::1]:9187", "[::1]:9187"),
        ] {
            let read = address(text).expect(text);
            assert_eq!(read.to_string(), expected, "{text}");
        }
        for text in ["", "host:1", "127.0.0.1", "127.0.0.1:65536", "-1"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
