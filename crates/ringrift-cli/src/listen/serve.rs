//! Accepting connections and answering their one request, within bounds.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::Bounds;
use super::pages::{Page, Pages};

/// How long the head of a request may take to come.
const HEAD_LIMIT: Duration = Duration::from_secs(5);

/// Most bytes of a request's head: ours are a hundred.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Most header lines of a request.
const HEADERS_MAX: usize = 64;

/// How long a failing `accept` (no descriptors left) is waited out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How long a client that cannot be served is given to read that.
const REFUSAL_LIMIT: Duration = Duration::from_millis(500);

const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
    content-type: text/plain; charset=utf-8\r\ncontent-length: 37\r\nconnection: close\r\n\r\n\
    as many connections as there may be.\n";

/// Accepts until it is stopped.
pub(super) async fn accept(
    socket: &TcpListener,
    bounds: Bounds,
    pages: &Arc<Pages>,
    mut stopped: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(bounds.connections));
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = stopped.changed() => return,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, or a client that is gone already: stopping ends the pause.
            let pause = tokio::time::timeout(ACCEPT_PAUSE, stopped.changed());
            if pause.await.is_ok() {
                return;
            }
            continue;
        };
        match Arc::clone(&slots).try_acquire_owned() {
            Ok(slot) => {
                let pages = Arc::clone(pages);
                let connection = serve(stream, pages, Arc::new(slot));
                // Whoever takes longer is cut off.
                tokio::spawn(tokio::time::timeout(bounds.connection_limit, connection));
            }
            Err(_) => {
                // One at a time, and briefly: refusing must not become a queue of its own.
                drop(tokio::time::timeout(REFUSAL_LIMIT, refuse(stream)).await);
            }
        }
    }
}

async fn refuse(mut stream: TcpStream) {
    // Whether a client that is turned away still listens does not matter.
    if stream.write_all(BUSY).await.is_ok() {
        drop(stream.shutdown().await);
    }
}

async fn serve(stream: TcpStream, pages: Arc<Pages>, slot: Arc<OwnedSemaphorePermit>) {
    let service = service_fn(move |request| {
        let (pages, slot) = (Arc::clone(&pages), Arc::clone(&slot));
        async move { Ok::<_, Infallible>(respond(request, pages, slot).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // What a client did wrong was answered where it could be; nobody else is to be told.
    drop(connection.await);
}

async fn respond(
    request: Request<Incoming>,
    pages: Arc<Pages>,
    slot: Arc<OwnedSemaphorePermit>,
) -> Response<Full<Bytes>> {
    let Some(page) = Page::of(request.uri().path()) else {
        return plain(
            StatusCode::NOT_FOUND,
            "no such page; there are /metrics, /healthz and /readyz\n",
        );
    };
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        let allow = HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(ALLOW, allow);
        return refused;
    }
    // Reading blocks. The slot stays taken until the read has really ended, so that a store that
    // hangs cannot collect readers.
    let read = tokio::task::spawn_blocking(move || {
        let answer = pages.answer(page);
        drop(slot);
        answer
    });
    let Ok(answer) = read.await else {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "the page failed\n");
    };
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if answer.status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_says_how_long_it_is() {
        let text = std::str::from_utf8(BUSY).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{}",
            body.len()
        );
    }
}
