//! The transports of events, one module for each kind of URL.
//!
//! | module | URL |
//! |---|---|
//! | `stream` | `redis://`: entries of a stream, which `binderyd` relays, without answers |
//! | `postgres` | `postgresql://`: the SQL function `bindery.report_events` |
//! | `http` | `https://`: the same through `binderyd` or PostgREST |

mod http;
mod postgres;
mod stream;

use bindery_core::event::Event;
use serde::Deserialize;
use uuid::Uuid;

pub use stream::append;

use crate::Error;
use crate::resume::{Page, ResumePoint};
use http::Http;
use postgres::Postgres;
use stream::Stream;

/// A batch, which is applied once even if it is sent several times.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    /// The batch's unique key.
    pub key: &'a str,
    pub events: &'a [&'a Event],
}

/// The outcome of an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The event is in the stream, with this entry id.
    Entry(String),
    Applied,
    /// The book has left the attempt or the stage.
    Stale,
    /// The event waits in Bindery.
    Early,
    Rejected {
        code: String,
        message: String,
    },
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The server is unreachable or unavailable; the same call may succeed later.
    Away(String),
    /// The server refused the call; a retry would be refused, too.
    Refused { code: String, message: String },
}

/// The way to report events.
pub(crate) enum Transport {
    Stream(Stream),
    Calls(Box<Calls>),
}

/// The way to call Bindery's functions.
pub(crate) enum Calls {
    Postgres(Box<Postgres>),
    Http(Http),
}

impl Transport {
    /// The transport for a URL.
    pub fn to(url: &str, stream: &str, key: Option<&str>) -> Result<Self, Error> {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        if scheme.starts_with("redis") || scheme.starts_with("valkey") {
            let url = url.parse().map_err(Error::Setup)?;
            return Ok(Self::Stream(Stream::new(url, stream)));
        }
        Ok(Self::Calls(Box::new(Calls::to(url, key)?)))
    }

    /// Whether the outcome of a `begin` comes back.
    pub fn answers(&self) -> bool {
        matches!(self, Self::Calls(_))
    }

    /// Sends a batch; returns one outcome for each event.
    pub async fn send(&mut self, batch: &Batch<'_>) -> Result<Vec<Outcome>, Problem> {
        let outcomes = match self {
            Self::Stream(stream) => return stream.send(batch.events).await,
            Self::Calls(calls) => calls.report(batch).await?,
        };
        if outcomes.len() == batch.events.len() {
            return Ok(outcomes);
        }
        let (found, sent) = (outcomes.len(), batch.events.len());
        Err(Problem::Away(format!("the server has given {found} outcomes for {sent} events")))
    }
}

impl Calls {
    /// The way to call the functions at a URL.
    pub fn to(url: &str, key: Option<&str>) -> Result<Self, Error> {
        match url.split_once("://").map_or("", |(scheme, _)| scheme) {
            "postgresql" | "postgres" => {
                let url = url.parse().map_err(Error::Setup)?;
                Ok(Self::Postgres(Box::new(Postgres::new(url))))
            }
            "http" | "https" => Ok(Self::Http(Http::new(url, key)?)),
            _ => Err(Error::Setup(
                "the URL has none of the schemes redis, rediss, postgresql, https and http"
                    .to_owned(),
            )),
        }
    }

    async fn report(&mut self, batch: &Batch<'_>) -> Result<Vec<Outcome>, Problem> {
        let answer = match self {
            Self::Postgres(postgres) => postgres.report(batch).await?,
            Self::Http(http) => http.report(batch).await?,
        };
        let answer: Answer = read(&answer)?;
        Ok(answer.outcomes.into_iter().map(Outcome::from).collect())
    }

    /// The whole resume point of a book; `None` for an unknown book.
    pub async fn resume_point(&mut self, book_id: Uuid) -> Result<Option<ResumePoint>, Problem> {
        let Some(mut whole) = self.page(book_id, None).await? else { return Ok(None) };
        let mut cut = whole.cut;
        while cut {
            let Some(last) = whole.left.last().map(|left| left.substep.clone()) else { break };
            let Some(page) = self.page(book_id, Some(&last)).await? else { break };
            if page.revision != whole.revision || page.left.is_empty() {
                // The book has changed meanwhile; what is missing starts over.
                break;
            }
            cut = page.cut;
            whole.left.extend(page.left);
        }
        Ok(Some(whole.into()))
    }

    async fn page(&mut self, book_id: Uuid, after: Option<&str>) -> Result<Option<Page>, Problem> {
        let answer = match self {
            Self::Postgres(postgres) => postgres.resume_point(book_id, after).await,
            Self::Http(http) => http.resume_point(book_id, after).await,
        };
        match answer {
            Ok(answer) => read(&answer).map(Some),
            Err(Problem::Refused { code, .. }) if code == "unknown_book" => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// Whether a book is complete or in a later stage than this one.
    pub async fn has_passed(&mut self, book_id: Uuid, stage: &str) -> Result<bool, Problem> {
        let answer = match self {
            Self::Postgres(postgres) => postgres.status(book_id).await?,
            Self::Http(http) => http.status(book_id).await?,
        };
        let BookStatus { stages } = read(&answer)?;
        Ok(stages.iter().any(|known| known.name == stage && known.state == "done"))
    }

    /// The last entry of a stream that was applied, and whether early events of a book wait.
    pub async fn relayed(
        &mut self,
        stream: &str,
        book_id: Uuid,
    ) -> Result<(Option<String>, bool), Problem> {
        match self {
            Self::Postgres(postgres) => postgres.relayed(stream, book_id).await,
            Self::Http(http) => http.relayed(stream, book_id).await,
        }
    }
}

impl Problem {
    /// Converts a server's error: one of PostgreSQL, or one of Bindery with its detail.
    fn of(state: &str, message: String, detail: Option<&str>) -> Self {
        match detail.and_then(|detail| serde_json::from_str::<Detail>(detail).ok()) {
            Some(Detail { code }) => Self::Refused { code, message },
            None if may_pass(state) => Self::Away(message),
            None => Self::Refused { code: state.to_owned(), message },
        }
    }
}

/// Whether a call that failed with this SQLSTATE (or PostgREST's code) may succeed later:
/// connection and resource problems, conflicts between transactions, shutdown, a read-only standby.
/// Missing rights and a missing schema count, too: the events wait until an operator corrects them.
fn may_pass(state: &str) -> bool {
    const STATES: [&str; 14] = [
        "08", "25006", "28", "3D", "3F", "40", "42501", "42883", "42P01", "53", "55P03", "57",
        "58", "PGRST",
    ];
    STATES.iter().any(|known| state.starts_with(known))
}

fn read<'a, T: Deserialize<'a>>(answer: &'a str) -> Result<T, Problem> {
    serde_json::from_str(answer)
        .map_err(|error| Problem::Away(format!("the server's answer is not Bindery's: {error}")))
}

#[derive(Deserialize)]
struct Detail {
    code: String,
}

#[derive(Deserialize)]
struct BookStatus {
    stages: Vec<StageState>,
}

#[derive(Deserialize)]
struct StageState {
    name: String,
    state: String,
}

#[derive(Deserialize)]
struct Answer {
    outcomes: Vec<EventReply>,
}

#[derive(Deserialize)]
struct EventReply {
    outcome: Kind,
    code: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Applied,
    Stale,
    Early,
    Rejected,
}

impl From<EventReply> for Outcome {
    fn from(reply: EventReply) -> Self {
        match reply.outcome {
            Kind::Applied => Self::Applied,
            Kind::Stale => Self::Stale,
            Kind::Early => Self::Early,
            Kind::Rejected => {
                let code = reply.code.unwrap_or_else(|| "rejected".to_owned());
                Self::Rejected { message: reply.message.unwrap_or_else(|| code.clone()), code }
            }
        }
    }
}
