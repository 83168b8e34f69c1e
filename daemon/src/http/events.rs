//! Server-sent events: one book, or all that the caller may see.
//!
//! A stream is a task that reads a book's status when it is marked as changed and the reader has taken what came before. What is
//! sent was read as the caller a moment ago, so row-level security holds for each event. Revisions order what is sent: a reader
//! that names the last one it has (`Last-Event-ID`) gets the present one at once where it is another.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

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
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::debug;
use uuid::Uuid;

use super::auth::{Caller, expired};
use super::books::{BookId, ask, text};
use super::error::ApiError;
use super::hub::{Marks, Subscription};
use super::listing::Listing;
use super::pool::{Intent, begin};
use super::router::Api;

/// A comment this often keeps the connection up; and the token, the rights and the book are looked at again.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How often where no change is heard of.
const LOOK_WHERE_DEAF: Duration = Duration::from_secs(2);
/// Changes that come faster are sent as one.
const AT_MOST_EVERY: Duration = Duration::from_millis(50);

const LAST_EVENT_ID: &str = "last-event-id";

/// A book's status, as it is sent.
pub struct Status {
    /// The event's id.
    pub revision: i64,
    /// It changes with time alone, too.
    pub health: Option<String>,
    /// The same as `bindery.get_book_status` gives.
    pub json: String,
}

/// `GET /api/books/{id}/events`.
pub async fn of_book(
    State(api): State<Api>,
    caller: Caller,
    BookId(book): BookId,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    // Before the first look: what changes after it leaves a mark.
    let subscription = api.hub.subscribe(Some(book));
    let first = look(&api, &caller, book).await?;
    let known = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).and_then(|id| id.trim().parse::<i64>().ok());
    let mut opening = String::from("retry: 2000\n\n");
    if known != Some(first.revision) {
        opening.push_str(&event(&first));
    }
    let seen = (first.revision, first.health);
    Ok(stream(api, caller, subscription, Watched::Book { book, seen }, opening))
}

/// What `GET /api/events` may be asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventsQuery {
    owner_id: Option<Uuid>,
}

/// `GET /api/events`: `ready` first, then each change of a book that the caller may see, of one owner where that is asked for.
pub async fn of_all(
    State(api): State<Api>,
    caller: Caller,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(asked) = query.map_err(|problem| ApiError::bad_request(problem.body_text(), "It takes owner_id."))?;
    let subscription = api.hub.subscribe(None);
    let listing = Listing::begin(&api, &caller, asked.owner_id).await?;
    let opening = "retry: 2000\n\nevent: ready\ndata: {}\n\n".to_owned();
    Ok(stream(api, caller, subscription, Watched::All(listing), opening))
}

/// What a stream is about, and what of it was sent.
enum Watched {
    Book { book: Uuid, seen: (i64, Option<String>) },
    All(Listing),
}

impl Watched {
    /// Looks at what was marked; the events to send, and whether there is more to look at.
    async fn look(&mut self, api: &Api, caller: &Caller, marks: Marks) -> Result<(String, bool), ApiError> {
        match self {
            Self::Book { book, seen } => {
                let status = look(api, caller, *book).await?;
                if (status.revision, &status.health) == (seen.0, &seen.1) {
                    return Ok((String::new(), false));
                }
                let event = event(&status);
                *seen = (status.revision, status.health);
                Ok((event, false))
            }
            Self::All(listing) => listing.look(api, caller, marks).await,
        }
    }
}

/// Reads one book's status as the caller.
async fn look(api: &Api, caller: &Caller, book: Uuid) -> Result<Status, ApiError> {
    let mut client = api.pool.get().await?;
    let transaction = begin(&mut client, caller, Intent::Read).await?;
    let query = "select s::text, (s ->> 'revision')::bigint, s ->> 'health' from bindery.get_book_status($1) s";
    let rows = ask(&transaction, caller, query, &[(&book, Type::UUID)]).await?;
    rows.first().map(|row| Status::from_row(row, 0)).ok_or_else(ApiError::unavailable)?
}

impl Status {
    /// From three columns: the JSON, the revision, the health.
    pub fn from_row(row: &tokio_postgres::Row, first: usize) -> Result<Self, ApiError> {
        let failed = |error: tokio_postgres::Error| ApiError::from_postgres(&error, true);
        Ok(Self {
            json: text(row, first)?.to_owned(),
            revision: row.try_get(first + 1).map_err(failed)?,
            health: row.try_get(first + 2).map_err(failed)?,
        })
    }
}

/// One event. JSON of Postgres's has no line ends but escaped ones.
pub fn event(status: &Status) -> String {
    format!("id: {}\nevent: book_status\ndata: {}\n\n", status.revision, status.json)
}

fn stream(api: Api, caller: Caller, subscription: Subscription, watched: Watched, opening: String) -> Response {
    // One waiting, one being made: no reader has more in memory, however slow.
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        ::metrics::gauge!(crate::metrics::STREAMS).increment(1.0);
        let ended = feed(&api, &caller, &subscription, watched, opening, &sender).await;
        ::metrics::gauge!(crate::metrics::STREAMS).decrement(1.0);
        if let Err(reason) = ended {
            debug!(reason = reason.to_json(), "a stream of events ended");
            // Where the reader has not even taken the last event, the end has to do.
            let _ = sender.send_timeout(error_event(&reason).into(), LOOK_EVERY).await;
        }
    });
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store"), (ACCEL, "no")];
    (headers, Body::new(Events(receiver))).into_response()
}

/// For nginx, which holds answers back otherwise.
const ACCEL: axum::http::HeaderName = axum::http::HeaderName::from_static("x-accel-buffering");

fn error_event(reason: &ApiError) -> String {
    format!("event: error\ndata: {}\n\n", reason.to_json())
}

/// Sends until the reader is gone (then `Ok`) or the stream has to end (then why).
async fn feed(
    api: &Api,
    caller: &Caller,
    subscription: &Subscription,
    mut watched: Watched,
    opening: String,
    sender: &mpsc::Sender<Bytes>,
) -> Result<(), ApiError> {
    let token_ends = async {
        match caller.expires_in() {
            Some(left) => sleep(left).await,
            None => std::future::pending().await,
        }
    };
    let mut token_ends = std::pin::pin!(token_ends);
    let (mut to_send, mut more) = (opening, false);
    let mut comment_at = Instant::now() + LOOK_EVERY;
    let mut look_at = Instant::now();
    loop {
        let sending = async {
            if !to_send.is_empty() {
                sender.send(std::mem::take(&mut to_send).into()).await.ok()?;
            }
            sleep_until(look_at).await;
            Some(())
        };
        tokio::select! {
            sent = sending => if sent.is_none() { return Ok(()) },
            () = token_ends.as_mut() => return Err(expired()),
            () = api.stop.cancelled() => return Err(stopping()),
            () = sender.closed() => return Ok(()),
        }
        let look_again = Instant::now() + if api.hub.hears() { LOOK_EVERY } else { LOOK_WHERE_DEAF };
        let marks = loop {
            if more {
                break Marks::default();
            }
            tokio::select! {
                marks = subscription.marks() => break marks,
                () = sleep_until(look_again) => {
                    api.access.recheck(caller).await?;
                    break Marks { unknown: true, ..Marks::default() };
                }
                () = sleep_until(comment_at) => {
                    // A reader that has not taken the last event needs no comment.
                    let _ = sender.try_send(Bytes::from_static(b":\n\n"));
                    comment_at = Instant::now() + LOOK_EVERY;
                }
                () = token_ends.as_mut() => return Err(expired()),
                () = api.stop.cancelled() => return Err(stopping()),
                () = sender.closed() => return Ok(()),
            }
        };
        // From here: what changes while we look leaves a new mark.
        look_at = Instant::now() + AT_MOST_EVERY;
        (to_send, more) = watched.look(api, caller, marks).await?;
    }
}

fn stopping() -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the daemon is stopping", "Connect again.")
}

/// A body that is what comes through a channel.
struct Events(mpsc::Receiver<Bytes>);

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|events| events.map(|events| Ok(Frame::data(events))))
    }
}
