//! Server-sent events: one book, or all that the caller may see.
//!
//! A stream is a task that reads a book when it is marked as changed and there is room for the
//! answer. Postgres reads as the caller at that moment, so row-level security holds for each event.
//! The first event of one book is its whole status; each later one holds only the substeps that
//! changed since the event before. A reader that sends the revision it has (`Last-Event-ID`) gets
//! the changes since then. At most one answer waits for a reader, and no answer of Postgres exceeds
//! 256 KiB. Streams about all books share their queries (`board`).

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Frame;
use postgres_types::Type;
use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::debug;
use uuid::Uuid;

use super::api::Api;
use super::auth::{Caller, expired};
use super::board::Reader;
use super::books::BookId;
use super::error::ApiError;
use super::hub::Subscription;
use super::live::CHECK_EVERY;
use super::pool::{Intent, begin};
use super::query::{ask, text};
use super::sse::{AT_MOST_EVERY, event, with_since};

/// A comment that keeps the connection open.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

const LAST_EVENT_ID: &str = "last-event-id";

/// A book's status, as it is sent.
struct Status {
    /// The event's id.
    revision: i64,
    /// Can change without a new revision, as time passes.
    health: Option<String>,
    /// As `bindery.get_book_status` or, with `since_revision`, `bindery.get_book_changes` returns
    /// it.
    json: String,
}

/// `GET /api/books/{id}/events`.
pub async fn of_book(
    State(api): State<Api>,
    caller: Caller,
    BookId(book): BookId,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    // Subscribe before the first read: later changes leave a mark.
    let subscription = api.live.hub.subscribe(Some(book));
    let known = headers
        .get(LAST_EVENT_ID)
        .and_then(|id| id.to_str().ok())
        .and_then(|id| id.trim().parse::<i64>().ok());
    let first = read_status(&api, &caller, book, known).await?;
    let mut opening = String::from("retry: 2000\n\n");
    if known != Some(first.revision) {
        opening.push_str(&event(first.revision, &first.json));
    }
    let seen = (first.revision, first.health);
    Ok(stream(api, caller, Watched::Book(Watch { book, subscription, seen }), opening))
}

/// What `GET /api/events` may be asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventsQuery {
    owner_id: Option<Uuid>,
}

/// `GET /api/events`: sends `ready`, then each change of a book that the caller may see, optionally
/// of one owner.
pub async fn of_all(
    State(api): State<Api>,
    caller: Caller,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(asked) = query
        .map_err(|problem| ApiError::bad_request(problem.body_text(), "It takes owner_id."))?;
    let reader = api.boards.join(&api.live, &caller, asked.owner_id).await?;
    let opening = "retry: 2000\n\nevent: ready\ndata: {}\n\n".to_owned();
    Ok(stream(api, caller, Watched::All(reader), opening))
}

/// The books of a stream.
enum Watched {
    Book(Watch),
    All(Reader),
}

/// One book, with the revision and health that were sent last.
struct Watch {
    book: Uuid,
    subscription: Subscription,
    seen: (i64, Option<String>),
}

/// Reads one book as the caller: its changes since a revision, or the whole status.
async fn read_status(
    api: &Api,
    caller: &Caller,
    book: Uuid,
    since: Option<i64>,
) -> Result<Status, ApiError> {
    let mut client = api.live.pool.get().await?;
    let transaction = begin(&mut client, caller, Intent::Read).await?;
    // `offset 0`: the function is called once, not at each use of its result.
    let query = format!(
        "select ({})::text, (s ->> 'revision')::bigint, s ->> 'health' from ( \
           select case when $2::bigint is null then bindery.get_book_status($1) \
             else bindery.get_book_changes($1, $2) end offset 0) b(s)",
        with_since("s", "$2")
    );
    let rows =
        ask(&transaction, caller, &query, &[(&book, Type::UUID), (&since, Type::INT8)]).await?;
    let row = rows.first().ok_or_else(ApiError::unavailable)?;
    let failed = |error: tokio_postgres::Error| ApiError::from_postgres(&error, true);
    Ok(Status {
        json: text(row, 0)?.to_owned(),
        revision: row.try_get(1).map_err(failed)?,
        health: row.try_get(2).map_err(failed)?,
    })
}

fn stream(api: Api, caller: Caller, watched: Watched, opening: String) -> Response {
    let (sender, events) = mpsc::channel(1);
    let (wants, wanted) = watch::channel(false);
    let mut out = Out { sender, wanted };
    tokio::spawn(async move {
        ::metrics::gauge!(crate::metrics::STREAMS).increment(1.0);
        let ended = feed(&api, &caller, watched, opening, &mut out).await;
        ::metrics::gauge!(crate::metrics::STREAMS).decrement(1.0);
        if let Err(reason) = ended {
            debug!(reason = reason.to_json(), "a stream of events ended");
            // A reader that has not taken the last event gets the end without a reason.
            let _ = out.sender.send_timeout(error_event(&reason).into(), CHECK_EVERY).await;
        }
    });
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, NOT_KEPT), (ACCEL, "no")];
    (headers, Body::new(Events { events, wants })).into_response()
}

/// `no-transform`: a proxy that compresses would hold events back.
const NOT_KEPT: &str = "no-store, no-transform";

/// For nginx, which holds answers back otherwise.
const ACCEL: axum::http::HeaderName = axum::http::HeaderName::from_static("x-accel-buffering");

fn error_event(reason: &ApiError) -> String {
    format!("event: error\ndata: {}\n\n", reason.to_json())
}

/// Sends until the reader is gone (`Ok`) or the stream must end (the reason).
async fn feed(
    api: &Api,
    caller: &Caller,
    watched: Watched,
    opening: String,
    out: &mut Out,
) -> Result<(), ApiError> {
    if out.sender.send(opening.into()).await.is_err() {
        return Ok(());
    }
    let token_ends = async {
        match caller.expires_in() {
            Some(left) => sleep(left).await,
            None => std::future::pending().await,
        }
    };
    let sent = async {
        match watched {
            Watched::Book(watch) => of_one(api, caller, watch, out).await,
            Watched::All(reader) => of_many(api, caller, reader, out).await,
        }
    };
    tokio::select! {
        ended = sent => ended,
        () = token_ends => Err(expired()),
        () = api.stop.cancelled() => Err(stopping()),
    }
}

async fn of_one(
    api: &Api,
    caller: &Caller,
    mut watch: Watch,
    out: &mut Out,
) -> Result<(), ApiError> {
    let mut comment_at = Instant::now() + CHECK_EVERY;
    let mut poll_at = Instant::now() + api.live.poll_interval();
    let mut read_at = Instant::now();
    loop {
        // Wait for room first: do not query for a reader that does not take the event.
        if !out.has_room().await {
            return Ok(());
        }
        sleep_until(read_at).await;
        tokio::select! {
            _ = watch.subscription.marks() => (),
            () = sleep_until(poll_at) => (),
            () = sleep_until(comment_at) => {
                out.send(COMMENT).await;
                comment_at = Instant::now() + CHECK_EVERY;
                continue;
            }
            () = out.sender.closed() => return Ok(()),
        }
        if Instant::now() >= poll_at {
            api.access.recheck(caller).await?;
            poll_at = Instant::now() + api.live.poll_interval();
        }
        // Changes during the read leave a new mark.
        read_at = Instant::now() + AT_MOST_EVERY;
        let status = read_status(api, caller, watch.book, Some(watch.seen.0)).await?;
        if (status.revision, &status.health) != (watch.seen.0, &watch.seen.1) {
            out.send(event(status.revision, &status.json).into()).await;
            watch.seen = (status.revision, status.health);
        }
    }
}

async fn of_many(
    api: &Api,
    caller: &Caller,
    mut reader: Reader,
    out: &mut Out,
) -> Result<(), ApiError> {
    let mut comment_at = Instant::now() + CHECK_EVERY;
    let mut recheck_at = Instant::now() + CHECK_EVERY;
    loop {
        if !out.has_room().await {
            return Ok(());
        }
        tokio::select! {
            events = reader.next(&api.live, caller) => out.send(events?).await,
            () = sleep_until(comment_at) => {
                out.send(COMMENT).await;
                comment_at = Instant::now() + CHECK_EVERY;
            }
            () = out.sender.closed() => return Ok(()),
        }
        if Instant::now() >= recheck_at {
            api.access.recheck(caller).await?;
            recheck_at = Instant::now() + CHECK_EVERY;
        }
    }
}

fn stopping() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "stopping",
        "the daemon is stopping",
        "Connect again.",
    )
}

/// The output of a stream's events.
struct Out {
    sender: mpsc::Sender<Bytes>,
    wanted: watch::Receiver<bool>,
}

impl Out {
    /// Waits until the connection has room for an event; false if the reader is gone.
    async fn has_room(&mut self) -> bool {
        self.sender.reserve().await.is_ok() && self.wanted.wait_for(|wanted| *wanted).await.is_ok()
    }

    /// Sends; does not wait if there is room.
    async fn send(&self, events: Bytes) {
        // If the reader is gone, the next `has_room` returns false.
        let _ = self.sender.send(events).await;
    }
}

/// A body that reads from a channel. It is polled only while the connection has room, so no event
/// is built for a reader that has not taken the one before.
struct Events {
    events: mpsc::Receiver<Bytes>,
    wants: watch::Sender<bool>,
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // Before an event is taken, which makes room in the channel.
        self.wants.send_replace(false);
        let event = self.events.poll_recv(context);
        if event.is_pending() {
            self.wants.send_replace(true);
        }
        event.map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}
