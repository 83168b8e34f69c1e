//! Reads chunks of a stream ahead while a batch is being applied, and reconnects to Redis.

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
use crate::retry::{MAX_PAUSE, Pauses, pauses};
use crate::source::{Chunk, Reader, Seen};
use bindery_client::cut;

/// How many chunks wait to be coalesced. One lets the reader work ahead and bounds the memory.
const CHUNKS_AHEAD: usize = 1;

/// The interval between two probes of the stream; at most the lease's renewal interval. Every
/// reconnect probes, too.
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// A stream counts as deleted once it has been absent for this long. A stream that is renamed away
/// and back is the same one, and must not be applied again from its beginning.
const ABSENT_FOR: Duration = Duration::from_secs(2);

/// Listing the jobs that wait in a queue and recording their books takes at most about one part in
/// this many of the time.
const LIST_PART: u32 = 10;
/// The time that Postgres takes to record a book.
const NOTE_BOOK: Duration = Duration::from_micros(20);

/// The entries that a relay remembers from one session to the next.
pub type Memory = Arc<Mutex<Seen>>;

/// A result of the reading task.
pub enum Fed {
    /// Entries.
    Read(Read),
    /// A finding about the stream. Entries read before it stay valid.
    Found(Finding),
}

/// The result of one read; empty if no entry came within the read's timeout.
pub struct Read {
    /// The entries.
    pub chunk: Chunk,
    /// The latest known moment of Postgres's clock before the read began and before the waiting
    /// jobs were listed.
    pub moment: SystemTime,
    /// The jobs that wait in the queue.
    pub waiting: Waiting,
}

/// The jobs that wait in a BullMQ queue, as listed before a read.
pub enum Waiting {
    /// The stream belongs to no queue, or the login may not list its jobs.
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
            // Postgres does not count entries without an event, so for a queue the count of an
            // earlier lease does not hold.
            entries: lease.entries.filter(|_| matches!(relay.origin, Origin::Events)),
            seen,
            absent: None,
            trim: Trim::default(),
            may_not_probe: false,
            may_list_waiting: true,
            too_many_wait: false,
            known,
            fed: sender,
            relay: relay.clone(),
        };
        task.spawn(reading.read_on());
        Self { fed, moments, _task: task }
    }

    /// Sets the latest moment of Postgres's clock: all later reads begin after it.
    pub fn set_moment(&self, moment: SystemTime) {
        self.moments.send_replace(moment);
    }

    /// The next result; `None` if the reading task has panicked.
    pub async fn next(&mut self) -> Option<Fed> {
        self.fed.recv().await
    }
}

/// The reading task.
struct Reading {
    relay: Relay,
    /// The id of the last entry that was read.
    position: StreamId,
    /// How many entries Redis counted up to `position`.
    entries: Option<u64>,
    seen: OwnedMutexGuard<Seen>,
    /// Since when the stream has been absent.
    absent: Option<Instant>,
    trim: Trim,
    /// Whether the login may not probe the stream, which is logged once.
    may_not_probe: bool,
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
    /// The receiver is gone.
    End,
}

impl From<RedisError> for Pause {
    fn from(error: RedisError) -> Self {
        Self::Failure(error)
    }
}

impl Reading {
    /// Reads until the receiver is gone; reconnects after every failure.
    async fn read_on(mut self) {
        let mut pauses = pauses();
        loop {
            let Err(Pause::Failure(failure)) = self.read_once_connected(&mut pauses).await else {
                return;
            };
            let (stream, failure) = (self.relay.stream.as_str(), cut(failure));
            ::metrics::counter!(metrics::FAILURES, "stream" => stream.to_owned(), "side" => "redis").increment(1);
            self.relay.state.update(stream, |state| {
                if let Some(unlogged) = state.redis_failures.record(&failure, Instant::now()) {
                    warn!(
                        stream,
                        error = failure,
                        unlogged,
                        "reading from Redis failed; it continues as soon as it can"
                    );
                }
                (state.redis, state.problem) = (false, Some(format!("Redis: {failure}")));
            });
            tokio::time::sleep(pauses.next().unwrap_or(MAX_PAUSE)).await;
        }
    }

    /// Connects and reads until a failure.
    async fn read_once_connected(&mut self, pauses: &mut Pauses) -> Result<Infallible, Pause> {
        let relay = self.relay.clone();
        // Half of the renewal interval, so that each renewal can report whether the stream was
        // read to its end.
        let mut reader =
            Reader::connect(&relay.redis, &relay.stream, self.position, relay.renewal() / 2)
                .await?;
        let mut probing = relay.redis.connect(&relay.stream, PROBE_EVERY).await?;
        let mut probe_at = Instant::now();
        let mut bridge = match &relay.origin {
            Origin::Events => None,
            Origin::BullMq(queue) => {
                Some(Bridge::connect(&relay, queue.clone(), self.position).await?)
            }
        };
        let mut list_at = Instant::now();
        loop {
            if reader.is_at_rest() && Instant::now() >= probe_at {
                self.probe(&mut reader, &mut probing).await?;
                self.record_answer();
                probe_at = Instant::now() + PROBE_EVERY.min(relay.renewal());
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
            self.record_answer();
            *pauses = crate::retry::pauses();
            self.position = chunk.entries.last().map_or(self.position, |&(last, _)| last);
            self.entries = self.entries.map(|entries| entries + chunk.entries.len() as u64);
            self.feed(Fed::Read(Read { chunk, moment, waiting })).await?;
        }
    }

    /// Probes the stream for losses.
    async fn probe(
        &mut self,
        reader: &mut Reader,
        redis: &mut MultiplexedConnection,
    ) -> Result<(), Pause> {
        let found = health::probe_stream(
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
                    // The session ends on this finding, and the next one starts a new task.
                    self.fed.closed().await;
                    return Err(Pause::End);
                }
                Ok(())
            }
            // Relay without the probe if the login lacks the permission.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => {
                if !std::mem::replace(&mut self.may_not_probe, true) {
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

    /// Lists the jobs that wait in the queue, if a listing is due.
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

    /// Records that Redis answers.
    fn record_answer(&self) {
        let stream = self.relay.stream.as_str();
        self.relay.state.update(stream, |state| {
            if !state.redis {
                if state.redis_failures.over() {
                    info!(stream, "reading from Redis continues");
                }
                metrics::reconnected(stream, "redis");
                (state.redis, state.problem) = (true, None);
            }
        });
    }
}
