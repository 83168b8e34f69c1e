//! The port: the limit of connections, the time limits, and the stop.
//!
//! Health checks work at the limit of connections: a few more are accepted for `/healthz`,
//! `/readyz` and `/metrics` only, and a new one replaces the oldest of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::bounded::Connection;
use crate::metrics;
use crate::retry::Repeats;

/// The time limit for a request's head; also that of a connection without a request.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// The same for a connection beyond the limit.
const HEAD_BEYOND_WITHIN: Duration = Duration::from_secs(2);
/// The number of connections beyond the limit.
pub const BEYOND: usize = 32;
/// The size of the buffers: a head with a large token fits, and a stream may have this much unsent
/// before its next event is read.
const BUFFER: usize = 32 * 1024;
/// The size of the kernel's send buffer; Linux doubles it.
const SEND_BUFFER: usize = 64 * 1024;
/// A connection whose client reads nothing for this long is closed.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// The routers of the port.
pub struct Routers {
    /// For connections within the limit: all routes.
    pub all: Router,
    /// For connections beyond it: health, readiness and metrics; other routes are refused.
    pub beyond: Router,
}

/// Serves until `stop`; after it, serves open connections until it is dropped.
pub async fn serve(
    listener: TcpListener,
    routers: Routers,
    connections: usize,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(connections));
    let mut beyond = Beyond::default();
    let mut served = JoinSet::new();
    let mut failures = Repeats::default();
    ::metrics::counter!(metrics::TURNED_AWAY).increment(0);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _from)) => match places.clone().try_acquire_owned() {
                    Ok(place) => {
                        let router = routers.all.clone();
                        served.spawn(within(stream, router, place, stop.clone()));
                    }
                    Err(_full) => {
                        let place = beyond.place().await;
                        let router = routers.beyond.clone();
                        beyond.add(served.spawn(further(stream, router, place, stop.clone())));
                    }
                },
                // For example, the limit of open files is reached; each closed connection frees
                // one.
                Err(error) => {
                    if let Some(unlogged) = failures.record(&error.to_string(), Instant::now()) {
                        warn!(error = %error, unlogged, "a connection could not be accepted");
                    }
                    tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                }
            },
            Some(_ended) = served.join_next() => (),
            () = stop.cancelled() => break,
        }
    }
    drop(listener);
    while served.join_next().await.is_some() {}
}

/// Connections beyond the limit, the oldest first.
struct Beyond {
    places: Arc<Semaphore>,
    connections: VecDeque<AbortHandle>,
}

impl Default for Beyond {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(BEYOND)), connections: VecDeque::new() }
    }
}

impl Beyond {
    /// Makes room for one more connection. Without room, it closes the oldest one and waits until
    /// it is closed, so that the number of files stays bounded.
    async fn place(&mut self) -> Option<OwnedSemaphorePermit> {
        self.connections.retain(|other| !other.is_finished());
        if self.places.available_permits() == 0
            && let Some(oldest) = self.connections.pop_front()
        {
            oldest.abort();
            ::metrics::counter!(metrics::TURNED_AWAY).increment(1);
        }
        // The semaphore is never closed.
        self.places.clone().acquire_owned().await.ok()
    }

    fn add(&mut self, connection: AbortHandle) {
        self.connections.push_back(connection);
    }
}

async fn further(
    stream: TcpStream,
    router: Router,
    _place: Option<OwnedSemaphorePermit>,
    stop: CancellationToken,
) {
    connection(stream, router, HEAD_BEYOND_WITHIN, stop).await;
}

async fn within(
    stream: TcpStream,
    router: Router,
    _place: OwnedSemaphorePermit,
    stop: CancellationToken,
) {
    let _counted = Counted::begin();
    connection(stream, router, HEAD_WITHIN, stop).await;
}

async fn connection(
    stream: TcpStream,
    router: Router,
    head_within: Duration,
    stop: CancellationToken,
) {
    // Send events without delay. Errors of these settings are harmless.
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(&stream);
    let _ = socket.set_tcp_user_timeout(Some(TAKEN_WITHIN));
    let _ = socket.set_send_buffer_size(SEND_BUFFER);
    let taken = CancellationToken::new();
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(Connection(taken.clone()));
        router.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_within)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        // The client did not read an answer in time.
        () = taken.cancelled() => return,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        debug!(error = %error, "a connection ended");
    }
}

/// Counts a connection in the metrics until it is dropped.
struct Counted;

impl Counted {
    fn begin() -> Self {
        ::metrics::gauge!(metrics::CONNECTIONS).increment(1.0);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        ::metrics::gauge!(metrics::CONNECTIONS).decrement(1.0);
    }
}
