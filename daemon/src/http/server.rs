//! The port itself: how many may come, how long they may take to ask, and the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::metrics;
use crate::repeats::Repeats;

/// A request's head must be there by then; a connection that asks nothing ends then, too.
const HEAD_WITHIN: Duration = Duration::from_secs(15);
/// Enough for a head with a large token; and what a stream may have unsent.
const BUFFER: usize = 32 * 1024;
/// Who takes nothing for so long is gone.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);
const FULL: &str = r#"{"code":"too_many_connections","message":"no more connections","details":null,"hint":"Wait."}"#;

/// Serves until `stop`, and after it those who are still connected, until it is dropped.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    connections: usize,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(connections));
    let mut served = JoinSet::new();
    let mut troubles = Repeats::default();
    ::metrics::counter!(metrics::TURNED_AWAY).increment(0);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _from)) => match places.clone().try_acquire_owned() {
                    Ok(place) => drop(served.spawn(connection(stream, router.clone(), place, stop.clone()))),
                    Err(_full) => {
                        ::metrics::counter!(metrics::TURNED_AWAY).increment(1);
                        drop(served.spawn(turn_away(stream)));
                    }
                },
                // No more files, say: whoever ends makes room.
                Err(error) => {
                    if let Some(unsaid) = troubles.say(&error.to_string(), Instant::now()) {
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

async fn connection(
    stream: TcpStream,
    router: Router,
    _place: OwnedSemaphorePermit,
    stop: CancellationToken,
) {
    let _counted = Counted::begin();
    // An event is sent when it happens. Neither setting is vital.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(TAKEN_WITHIN));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
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

/// Says why, and lets the other side read it: closed with its request unread, it would only see a reset.
async fn turn_away(mut stream: TcpStream) {
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 5\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{FULL}",
        FULL.len()
    );
    let polite = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    };
    // Who does not even take this gets nothing.
    let _ = tokio::time::timeout(Duration::from_secs(1), polite).await;
}
