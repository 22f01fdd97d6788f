//! `run --listen`: what monitoring asks a running process over HTTP/1.1.
//!
//! `/metrics`, `/healthz`, `/readyz` and nothing else; it reads and never writes. Connections,
//! their time and the size of what strangers send are bounded, and each connection serves one
//! request. It knows no passwords: it listens on loopback unless it is told otherwise, and then
//! says so.

mod address;
mod pages;
mod serve;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use crate::failure::{Error, Stop};

pub(crate) use address::address;
pub(crate) use pages::Pages;

/// The bounds of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Connections at once.
    pub(crate) connections: usize,
    /// How long one may last.
    pub(crate) connection_limit: Duration,
}

/// A listener with a thread of its own, until it is dropped.
pub(crate) struct Listener {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Listens; answers with `pages`. Port 0 takes any that is free.
    pub(crate) fn start(
        address: SocketAddr,
        bounds: Bounds,
        pages: Arc<Pages>,
    ) -> Result<Listener, Stop> {
        let failed = |source| Error::Listen { address, source };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Each connection reads at most once at a time.
            .max_blocking_threads(bounds.connections)
            .thread_name("rr-listen-read")
            .build()
            .map_err(failed)?;
        let socket = runtime
            .block_on(tokio::net::TcpListener::bind(address))
            .map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new()
            .name("rr-listen".to_owned())
            .spawn(move || {
                runtime.block_on(serve::accept(&socket, bounds, &pages, stopped));
                // A read that hangs with its store must not hold the process.
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        Ok(Listener {
            address,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // It panicked already, or it ends at once.
            drop(thread.join());
        }
    }
}
