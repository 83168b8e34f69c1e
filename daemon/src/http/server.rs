//! The port itself: how many connections there are, how long a request may take, and the end.
//!
//! Health does not depend on who is connected. Beyond the limit of connections there are a few
//! more, for `/healthz`, `/readyz` and `/metrics` only, and the newest of them wins.

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
use crate::repeats::Repeats;

/// A request's head must be there by then; a connection without a request is closed then, too.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// The same for a connection beyond the limit.
const HEAD_BEYOND_WITHIN: Duration = Duration::from_secs(2);
/// Connections beyond the limit.
pub const BEYOND: usize = 32;
/// Enough for a head with a large token; and what a stream may have unsent before its next event
/// is read.
const BUFFER: usize = 32 * 1024;
/// What the kernel keeps of an answer that is not taken; Linux doubles it.
const SEND_BUFFER: usize = 64 * 1024;
/// A connection whose reader takes nothing for so long is closed.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// What the port answers.
pub struct Routers {
    /// On connections within the limit: everything.
    pub all: Router,
    /// On connections beyond it: health, readiness and metrics; the rest is refused.
    pub beyond: Router,
}

/// Serves until `stop`, and after it those who are still connected, until it is dropped.
pub async fn serve(
    listener: TcpListener,
    routers: Routers,
    connections: usize,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(connections));
    let mut beyond = Beyond::default();
    let mut served = JoinSet::new();
    let mut troubles = Repeats::default();
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
                // The process has no more files, for example: each connection that ends frees one.
                Err(error) => {
                    if let Some(unsaid) = troubles.record(&error.to_string(), Instant::now()) {
                        warn!(error = %error, unsaid, "a connection could not be accepted");
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
    /// Room for one more. Where there is none, the oldest is closed: it has had time to ask. Until
    /// it is really closed, no other is accepted, so that the files are never more.
    async fn place(&mut self) -> Option<OwnedSemaphorePermit> {
        self.connections.retain(|other| !other.is_finished());
        if self.places.available_permits() == 0
            && let Some(oldest) = self.connections.pop_front()
        {
            oldest.abort();
            ::metrics::counter!(metrics::TURNED_AWAY).increment(1);
        }
        // It is never closed, so there is always a place.
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
    // An event is sent when it happens. None of these settings is vital.
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
        // An answer was not taken.
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

/// A connection, in the metrics while this is there.
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
