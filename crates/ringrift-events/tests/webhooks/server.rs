//! A web server of the test's own, plain or over TLS, that says what it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::PATIENCE;

/// What it says to one request.
#[derive(Clone, Copy)]
pub(crate) enum Says {
    /// `200 OK`.
    Yes,
    /// This status line, and further header lines.
    Status(&'static str),
    /// Nothing; the connection stays open.
    Nothing,
    /// One byte of a header after another, without an end.
    Drops,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Came {
    pub(crate) path: String,
    /// Its `Idempotency-Key`.
    pub(crate) key: String,
    pub(crate) body: serde_json::Value,
}

/// The server; it ends with the value.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    came: Arc<Mutex<Vec<Came>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A file beside this one.
pub(crate) fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/webhooks")
        .join(name)
}

impl Server {
    /// Says to its n-th request, from 0, what `says` gives.
    pub(crate) fn plain(says: impl Fn(usize) -> Says + Send + 'static) -> Server {
        Server::start(None, says)
    }

    /// The same over TLS, as 127.0.0.1, with a certificate of the authority beside this file.
    pub(crate) fn tls(says: impl Fn(usize) -> Says + Send + 'static) -> Server {
        let certificate = CertificateDer::from_pem_file(beside("server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(beside("server.key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Server::start(Some(Arc::new(config)), says)
    }

    fn start(
        tls: Option<Arc<ServerConfig>>,
        says: impl Fn(usize) -> Says + Send + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (came, over) = (
            Arc::new(Mutex::new(Vec::new())),
            Arc::new(AtomicBool::new(false)),
        );
        let (noted, ended) = (Arc::clone(&came), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                held.push(stream.try_clone().unwrap());
                match &tls {
                    None => serve(stream, &says, &noted, &ended),
                    Some(config) => {
                        let connection = ServerConnection::new(Arc::clone(config)).unwrap();
                        serve(StreamOwned::new(connection, stream), &says, &noted, &ended);
                    }
                }
            }
        });
        Server {
            address,
            came,
            over,
            thread: Some(thread),
        }
    }

    pub(crate) fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Reads one request, if it comes whole, and answers it.
fn serve(
    stream: impl Read + Write,
    says: &impl Fn(usize) -> Says,
    noted: &Mutex<Vec<Came>>,
    ended: &AtomicBool,
) {
    let mut reader = BufReader::new(stream);
    let Some(request) = read(&mut reader) else {
        return;
    };
    let number = {
        let mut noted = noted.lock().unwrap();
        noted.push(request);
        noted.len() - 1
    };
    let stream = reader.get_mut();
    // Whoever asked may be gone.
    drop(match says(number) {
        Says::Yes => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        }
        Says::Status(lines) => stream.write_all(
            format!("HTTP/1.1 {lines}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .as_bytes(),
        ),
        Says::Nothing => Ok(()),
        Says::Drops => {
            let mut written = stream.write_all(b"HTTP/1.1 200 OK\r\nslow: ");
            while written.is_ok() && !ended.load(Ordering::SeqCst) {
                std::thread::park_timeout(Duration::from_millis(20));
                written = stream.write_all(b"y").and_then(|()| stream.flush());
            }
            written
        }
    });
    drop(stream.flush());
}

/// A request; `None` if the connection ends before it does, as where a certificate is refused.
fn read(reader: &mut impl BufRead) -> Option<Came> {
    let (mut path, mut key, mut length) = (String::new(), String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(' ')?;
        match name.to_ascii_lowercase().as_str() {
            "post" => path = value.split(' ').next()?.to_owned(),
            "idempotency-key:" => key = value.to_owned(),
            "content-length:" => length = value.trim().parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).ok()?;
    Some(Came { path, key, body })
}
