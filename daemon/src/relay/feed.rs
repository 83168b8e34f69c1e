//! Chunks of a stream, read ahead while a batch is being applied. Redis may come and go meanwhile.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bindery_core::stream_id::StreamId;
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, ServerErrorKind};
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::bridge::{Bridge, WaitingBooks};
use super::health::{self, Finding, Loss};
use super::trim::Trim;
use super::{Origin, Relay};
use crate::database::Lease;
use crate::metrics;
use crate::pauses::{MAX_PAUSE, Pauses, pauses};
use crate::source::{Chunk, Reader, Seen};
use bindery_client::cut;

/// Chunks that wait to be coalesced. One is enough to read the next while one is worked on, and
/// bounds the memory.
const CHUNKS_AHEAD: usize = 1;

/// The stream is looked at this often, or as often as the lease is renewed where that is more; and
/// after every reconnect.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A stream is deleted once it has not been there for so long: one that is renamed away and back is
/// the same, and would be applied once more from its beginning.
const ABSENT_FOR: Duration = Duration::from_secs(2);

/// Listing the jobs that wait in a queue, and noting their books, takes about one part in so many
/// of the time, at most.
const LIST_PART: u32 = 10;
/// What it takes Postgres to note a book.
const NOTE_BOOK: Duration = Duration::from_micros(20);

/// What a stream's relay remembers of what it read, from one session to the next.
pub type Memory = Arc<Mutex<Seen>>;

/// What the reading brought.
pub enum Fed {
    /// Entries.
    Read(Read),
    /// The stream is not what it was. What was read before this stands.
    Found(Finding),
}

/// What one read brought; empty where nothing came for a while.
pub struct Read {
    /// The entries.
    pub chunk: Chunk,
    /// The latest moment of Postgres's clock that was known before the read began, and before the
    /// waiting jobs were listed.
    pub moment: SystemTime,
    /// The jobs that wait in the queue.
    pub waiting: Waiting,
}

/// The jobs that wait in a BullMQ queue, as listed before a read.
pub enum Waiting {
    /// The stream is not that of a queue, or the login may not list them.
    Never,
    /// They were not listed before this read, or too many jobs wait.
    Unknown,
    /// The books that have such jobs.
    Books(WaitingBooks),
}

/// A task that reads; it ends when this is dropped.
pub struct Feed {
    fed: mpsc::Receiver<Fed>,
    moments: watch::Sender<SystemTime>,
    _task: JoinSet<()>,
}

impl Feed {
    /// Starts to read what comes after the lease's position.
    pub async fn start(relay: &Relay, lease: &Lease, seen: &Memory) -> Self {
        let (sender, fed) = mpsc::channel(CHUNKS_AHEAD);
        let (moments, known) = watch::channel(lease.since);
        let mut task = JoinSet::new();
        // The task of the session before this one is gone, or will be in a moment.
        let mut seen = Memory::clone(seen).lock_owned().await;
        seen.go_on_from(lease.position);
        let reading = Reading {
            position: lease.position,
            // Entries that say nothing are not counted, so what was counted in another lease is not
            // known.
            entries: lease.entries.filter(|_| matches!(relay.origin, Origin::Events)),
            seen,
            absent: None,
            trim: Trim::default(),
            blind: false,
            may_list_waiting: true,
            too_many_wait: false,
            known,
            fed: sender,
            relay: relay.clone(),
        };
        task.spawn(reading.read_on());
        Self { fed, moments, _task: task }
    }

    /// Postgres has told another moment: what is read from now on is read after it.
    pub fn tell(&self, moment: SystemTime) {
        self.moments.send_replace(moment);
    }

    /// What comes next; `None` where the reading task has ended, which only a panic in it can bring
    /// about.
    pub async fn next(&mut self) -> Option<Fed> {
        self.fed.recv().await
    }
}

/// The reading itself.
struct Reading {
    relay: Relay,
    /// What was read last.
    position: StreamId,
    /// How many entries Redis counted up to there.
    entries: Option<u64>,
    seen: OwnedMutexGuard<Seen>,
    /// Since when there has been no such stream, where there is none.
    absent: Option<Instant>,
    trim: Trim,
    /// Whether it was said that the login may not look.
    blind: bool,
    /// Whether the login may list the jobs that wait in the queue.
    may_list_waiting: bool,
    /// Whether it was logged that too many jobs wait.
    too_many_wait: bool,
    known: watch::Receiver<SystemTime>,
    fed: mpsc::Sender<Fed>,
}

/// Why the reading pauses.
enum Pause {
    /// Redis failed.
    Failure(RedisError),
    /// Nobody wants any more of it.
    End,
}

impl From<RedisError> for Pause {
    fn from(error: RedisError) -> Self {
        Self::Failure(error)
    }
}

impl Reading {
    /// Reads until nobody wants it any more; reconnects as often as it takes.
    async fn read_on(mut self) {
        let mut pauses = pauses();
        loop {
            let Err(Pause::Failure(failure)) = self.read_once_connected(&mut pauses).await else {
                return;
            };
            let (stream, failure) = (self.relay.stream.as_str(), cut(failure));
            ::metrics::counter!(metrics::FAILURES, "stream" => stream.to_owned(), "side" => "redis").increment(1);
            self.relay.state.update(stream, |state| {
                if let Some(unsaid) = state.redis_troubles.say(&failure, Instant::now()) {
                    warn!(
                        stream,
                        error = failure,
                        unsaid,
                        "reading from Redis failed; it goes on as soon as it can"
                    );
                }
                (state.redis, state.problem) = (false, Some(format!("Redis: {failure}")));
            });
            tokio::time::sleep(pauses.next().unwrap_or(MAX_PAUSE)).await;
        }
    }

    /// Reads until that fails.
    async fn read_once_connected(&mut self, pauses: &mut Pauses) -> Result<Infallible, Pause> {
        let relay = self.relay.clone();
        // Half of what is between two renewals, so that each can say of the one before that the
        // stream was at its end.
        let mut reader =
            Reader::connect(&relay.redis, &relay.stream, self.position, relay.renewal() / 2)
                .await?;
        let mut looking = relay.redis.connect(&relay.stream, LOOK_EVERY).await?;
        let mut look_at = Instant::now();
        let mut bridge = match &relay.origin {
            Origin::Events => None,
            Origin::BullMq(queue) => {
                Some(Bridge::connect(&relay, queue.clone(), self.position).await?)
            }
        };
        let mut list_at = Instant::now();
        loop {
            if reader.is_at_rest() && Instant::now() >= look_at {
                self.look(&mut reader, &mut looking).await?;
                self.goes_on();
                look_at = Instant::now() + LOOK_EVERY.min(relay.renewal());
            }
            let moment = *self.known.borrow();
            let waiting = match &mut bridge {
                Some(bridge) if self.may_list_waiting => {
                    self.waiting(bridge, reader.is_at_rest(), &mut list_at).await?
                }
                _ => Waiting::Never,
            };
            let chunk = match &mut bridge {
                None => reader.next(&mut self.seen).await?,
                Some(bridge) => {
                    let Chunk { entries, more } = reader.next_raw(&mut self.seen).await?;
                    Chunk { entries: bridge.translate(entries).await?, more }
                }
            };
            self.goes_on();
            *pauses = crate::pauses::pauses();
            self.position = chunk.entries.last().map_or(self.position, |&(last, _)| last);
            self.entries = self.entries.map(|entries| entries + chunk.entries.len() as u64);
            self.feed(Fed::Read(Read { chunk, moment, waiting })).await?;
        }
    }

    /// Looks whether the stream is still what it was.
    async fn look(
        &mut self,
        reader: &mut Reader,
        redis: &mut MultiplexedConnection,
    ) -> Result<(), Pause> {
        let found = health::look(
            reader,
            redis,
            &self.relay.stream,
            self.position,
            self.entries,
            &self.seen,
        )
        .await;
        let is_absent = matches!(found, Ok(Some(Finding { loss: Some(Loss::Deleted), .. })));
        self.absent = is_absent.then(|| self.absent.unwrap_or_else(Instant::now));
        match found {
            Ok(_) if self.absent.is_some_and(|since| since.elapsed() < ABSENT_FOR) => Ok(()),
            Ok(None) => {
                self.trim.turn(&self.relay, redis).await;
                Ok(())
            }
            Ok(Some(found)) => {
                self.entries = found.entries;
                self.feed(Fed::Found(found)).await?;
                if found.position.is_some() {
                    // Who takes that in begins anew.
                    self.fed.closed().await;
                    return Err(Pause::End);
                }
                Ok(())
            }
            // A login that may not ask relays all the same.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => {
                if !std::mem::replace(&mut self.blind, true) {
                    warn!(
                        stream = self.relay.stream, error = %error,
                        "the login may not look at the stream, so losses are not noticed: grant it +exists +xinfo|stream +xrevrange"
                    );
                }
                self.trim.turn(&self.relay, redis).await;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Lists the jobs that wait in the queue, where that is due.
    async fn waiting(
        &mut self,
        bridge: &mut Bridge,
        is_at_rest: bool,
        due: &mut Instant,
    ) -> Result<Waiting, Pause> {
        let start = Instant::now();
        if !is_at_rest || start < *due {
            return Ok(Waiting::Unknown);
        }
        let listed = bridge.waiting().await;
        let books = listed.iter().flatten().map(WaitingBooks::len).sum::<usize>();
        let took = start.elapsed() + NOTE_BOOK * u32::try_from(books).unwrap_or(u32::MAX);
        *due = start + (self.relay.renewal() / 2).max(took * LIST_PART);
        let stream = self.relay.stream.as_str();
        match listed {
            Ok(Some(books)) => {
                self.too_many_wait = false;
                Ok(Waiting::Books(books))
            }
            Ok(None) => {
                if !std::mem::replace(&mut self.too_many_wait, true) {
                    warn!(
                        stream,
                        "too many jobs wait in the queue: until fewer do, no silent book becomes FAILED"
                    );
                }
                Ok(Waiting::Unknown)
            }
            Err(error) => {
                if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) {
                    self.may_list_waiting = false;
                    warn!(
                        stream, error = %error,
                        "the login may not list the queue's waiting jobs, so they count as silence: grant it +lrange +zrange +multi +exec"
                    );
                }
                Err(error.into())
            }
        }
    }

    async fn feed(&self, fed: Fed) -> Result<(), Pause> {
        self.fed.send(fed).await.map_err(|_| Pause::End)
    }

    /// Redis answers.
    fn goes_on(&self) {
        let stream = self.relay.stream.as_str();
        self.relay.state.update(stream, |state| {
            if !state.redis {
                if state.redis_troubles.over() {
                    info!(stream, "reading from Redis goes on");
                }
                metrics::reconnected(stream, "redis");
                (state.redis, state.problem) = (true, None);
            }
        });
    }
}
