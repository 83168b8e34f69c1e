//! Bounds the memory of buffered answers, for any number of clients and any speed.
//!
//! A request waits until there is memory for its largest possible answer, then keeps the memory of
//! its actual answer until that is sent. If the client does not read it in time, the connection is
//! closed.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::api::Api;
use super::auth::Caller;
use super::error::ApiError;

/// How long a request waits for memory.
const ROOM_WITHIN: Duration = Duration::from_secs(5);
/// The time limit for sending an answer; then the connection is closed.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// The size of an answer's chunks.
const CHUNK: usize = 32 * 1024;
const KIB: usize = 1024;

/// Ends the connection that a request came on.
#[derive(Debug, Clone)]
pub struct Connection(pub CancellationToken);

/// Memory for answers of one kind.
#[derive(Debug, Clone)]
pub struct Memory {
    free: Arc<Semaphore>,
    /// The memory of the largest answer while it is built, in KiB.
    largest: u32,
}

impl Memory {
    /// Memory for `answers` answers of up to `largest` KiB each.
    pub fn new(largest: u32, answers: u32) -> Self {
        let free = Arc::new(Semaphore::new((largest * answers) as usize));
        Self { free, largest }
    }
}

/// Runs a request within this memory.
pub async fn bounded(
    State((api, memory)): State<(Api, Memory)>,
    request: Request,
    next: Next,
) -> Response {
    // Check the token before reserving memory: the check may wait for a key server.
    let (mut parts, body) = request.into_parts();
    match Caller::from_request_parts(&mut parts, &api).await {
        Ok(caller) => drop(parts.extensions.insert(caller)),
        Err(refused) => return refused.into_response(),
    }
    let request = Request::from_parts(parts, body);
    let connection = request.extensions().get::<Connection>().cloned();
    let room = timeout(ROOM_WITHIN, memory.free.acquire_many_owned(memory.largest)).await;
    let Ok(Ok(room)) = room else { return full().into_response() };
    let (head, body) = next.run(request).await.into_parts();
    // The body is complete and within this limit.
    let Ok(text) = to_bytes(body, memory.largest as usize * KIB).await else {
        return ApiError::unavailable().into_response();
    };
    Response::from_parts(head, Body::new(Answer::new(text, room, connection, TAKEN_WITHIN)))
}

fn full() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "busy",
        "answers that are not taken yet fill the memory that they may have",
        "Try again shortly, and read answers to their end.",
    )
}

/// An answer that is being sent, with its memory.
struct Answer {
    rest: Bytes,
    _room: OwnedSemaphorePermit,
    _deadline: Option<AbortOnDropHandle<()>>,
}

impl Answer {
    fn new(
        text: Bytes,
        mut room: OwnedSemaphorePermit,
        connection: Option<Connection>,
        within: Duration,
    ) -> Self {
        let takes = text.len().div_ceil(KIB);
        // Release the memory that the answer does not need.
        drop(room.num_permits().checked_sub(takes).and_then(|rest| room.split(rest)));
        let deadline = connection.filter(|_| text.len() > CHUNK).map(|connection| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                sleep(within).await;
                connection.0.cancel();
            }))
        });
        Self { rest: text, _room: room, _deadline: deadline }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let chunk = self.rest.len().min(CHUNK);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(chunk)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_keeps_the_memory_that_it_takes_until_it_is_sent() {
        let memory = Memory::new(100, 2);
        let room = memory.free.clone().acquire_many_owned(memory.largest).await.unwrap();
        let text = Bytes::from(vec![b'x'; 70 * KIB]);
        let mut answer = Answer::new(text, room, None, TAKEN_WITHIN);
        assert_eq!(memory.free.available_permits(), 130);
        let mut sent = 0;
        let mut context = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Some(Ok(frame))) =
            http_body::Body::poll_frame(Pin::new(&mut answer), &mut context)
        {
            let bytes = frame.into_data().unwrap();
            assert!(bytes.len() <= CHUNK);
            sent += bytes.len();
        }
        assert_eq!(sent, 70 * KIB);
        drop(answer);
        assert_eq!(memory.free.available_permits(), 200);
    }

    #[tokio::test]
    async fn an_answer_that_is_not_taken_ends_its_connection() {
        let within = Duration::from_millis(50);
        let memory = Memory::new(100, 2);
        let answer = async || {
            let room = memory.free.clone().acquire_many_owned(memory.largest).await.unwrap();
            let connection = Connection(CancellationToken::new());
            let text = Bytes::from(vec![b'x'; 70 * KIB]);
            (connection.0.clone(), Answer::new(text, room, Some(connection), within))
        };
        let ((taken, answer), (not_taken, _kept)) = (answer().await, answer().await);
        drop(answer);
        not_taken.cancelled().await;
        assert!(!taken.is_cancelled());
    }
}
