//! One lease's worth of relaying: from acquiring the stream to losing it, or to a clean stop.

use std::future::{Future, pending};
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime};
use std::vec::IntoIter;

use bindery_core::batch::Batch;
use bindery_core::stream_id::StreamId;
use tokio::time::{Instant as Deadline, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::caught_up::{CaughtUp, Proof};
use super::feed::{Fed, Feed, Memory, Read, Waiting};
use super::health::{Finding, Loss};
use super::limit::Limit;
use super::voice::Voice;
use super::{Origin, Relay, look};
use crate::database::{self, Applied, DatabaseError, Lease, is_too_much};
use crate::metrics::{self, Times};
use crate::source::Entry;
use crate::state::Phase;

/// The most bytes of texts and JSON in a batch.
const MAX_BATCH_BYTES: usize = 5 * 1024 * 1024;
/// The most segments: each is a few statements of its own, so more would make a long transaction.
const MAX_SEGMENTS: u32 = 32;
/// How long a batch may grow while the stream has more: the more events are coalesced, the less
/// Postgres has to do, and an event that waits in a backlog does not notice.
const CATCH_UP: Duration = Duration::from_millis(250);

type Applying<'a> =
    Pin<Box<dyn Future<Output = (Sent, Result<Applied, DatabaseError>)> + Send + 'a>>;

/// What is being applied.
struct Sent {
    position: StreamId,
    skipped: u64,
    work: usize,
    times: Times,
}

/// What ends a session before its time.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Postgres failed, or refused.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The reading task panicked.
    #[error("reading from Redis ended")]
    Feed,
    /// The stream is read on from elsewhere.
    #[error("the stream is not what it was, and is read on from {0}")]
    Moved(StreamId),
}

/// Relays until `stop` (then `Ok`) or until something fails. `progressed` is set once a batch took
/// effect, or was too much and the next ones are smaller.
pub async fn run(
    relay: &Relay,
    seen: &Memory,
    stop: &CancellationToken,
    limit: &mut Limit,
    progressed: &mut bool,
    voice: &mut Voice,
) -> Result<(), SessionError> {
    let client = database::connect(&relay.database).await?;
    let lease = Lease::acquire(&client, &relay.stream, &relay.holder, relay.lease).await?;
    voice.holding(&lease);
    relay.state.update(&relay.stream, |state| {
        (state.phase, state.position) = (Phase::Holding, lease.position);
        if !state.stuck {
            state.problem = None;
        }
        if std::mem::take(&mut state.failed) {
            metrics::reconnected(&relay.stream, "postgres");
        }
    });

    let mut feed = Feed::start(relay, &lease, seen).await;
    let _looking = look::start(relay);
    let mut renewal = interval(relay.renewal());
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Batch::new();
    let mut times = Times::default();
    // What of a chunk did not fit into the batch.
    let mut rest = Vec::new().into_iter();
    // When the batch got its first entry, and whether the stream has more than we have read.
    let mut since: Option<Deadline> = None;
    let mut behind = false;
    let mut applying: Option<Applying<'_>> = None;
    let mut caught_up = CaughtUp::<Proof>::default();
    // When the jobs that wait in the queue were last listed.
    let mut listed: Option<SystemTime> = None;
    // The latest moment that is known of, in whichever session.
    let mut caught_up_at = lease.caught_up_at;
    let mut renewal_due = false;
    // What was found behind all that was read: to be noted once that is applied.
    let mut found: Option<Finding> = None;

    loop {
        let stopping = stop.is_cancelled();
        let full = fill(limit.get(), &mut batch, &mut times, &mut rest);
        if rest.as_slice().is_empty() {
            caught_up.batched();
        }
        if applying.is_none() {
            if batch.is_empty() {
                caught_up.idle();
            }
            // Also where one batch follows the other: only so does Postgres hear how far this has
            // caught up.
            if std::mem::take(&mut renewal_due) {
                let proven = caught_up.take();
                let silence = proven.and_then(|proof| proof.silence);
                let moment = lease.renew(&client, silence).await?;
                feed.tell(moment);
                caught_up_at = proven.map(|proof| proof.read).or(caught_up_at);
                tell_lag(relay, moment, caught_up_at);
                voice.say_rejected();
            }
        }
        if since.is_none() && !batch.is_empty() {
            since = Some(Deadline::now());
        }
        let due = since.map(|since| since + if behind { CATCH_UP } else { relay.linger });
        let lingering =
            due.is_some_and(|due| due > Deadline::now()) && !full && !stopping && found.is_none();
        if applying.is_none() && !lingering {
            if let Some(position) = batch.last_id() {
                let sent = Sent {
                    position,
                    skipped: batch.skipped(),
                    work: batch.work(),
                    times: std::mem::take(&mut times),
                };
                applying = Some(apply(relay, &client, &lease, std::mem::take(&mut batch), sent));
                caught_up.sent();
                since = None;
                continue;
            }
            if stopping {
                break;
            }
            if let Some(found) = found.take() {
                note(&client, &lease, found, voice).await?;
                continue;
            }
        }
        tokio::select! {
            (sent, outcome) = finished(&mut applying) => {
                applying = None;
                let outcome = match outcome {
                    Ok(outcome) => outcome,
                    Err(error) => {
                        if is_too_much(&error) && limit.halve(sent.work, Instant::now()) {
                            voice.too_much(&error.to_string(), limit.get());
                            *progressed = true;
                        }
                        return Err(error.into());
                    }
                };
                limit.grow(Instant::now());
                let before = count(relay, &sent, outcome);
                *progressed = true;
                caught_up.applied();
                if outcome.rejected > 0 {
                    voice.rejected(&rejected(relay, &client, &lease, before, outcome.rejected).await);
                }
            }
            fed = feed.next(), if !full && !stopping && found.is_none() => match fed.ok_or(SessionError::Feed)? {
                Fed::Read(Read { chunk, moment, waiting }) => {
                    match waiting {
                        Waiting::Never => listed = Some(moment),
                        Waiting::Unknown => (),
                        Waiting::Books(books) => {
                            if let Origin::BullMq(queue) = &relay.origin {
                                lease.note_waiting(&client, &queue.stage, &books).await?;
                            }
                            listed = Some(moment);
                        }
                    }
                    caught_up.read(Proof { read: moment, silence: listed }, chunk.more);
                    let idle = chunk.entries.is_empty()
                        && !chunk.more
                        && batch.is_empty()
                        && applying.is_none();
                    // An empty read comes about twice a renewal.
                    let until = idle.then(|| Instant::now() + relay.renewal());
                    relay.state.update(&relay.stream, |state| {
                        state.idle_until = until;
                        if idle {
                            state.gets_on();
                        }
                    });
                    (rest, behind) = (chunk.entries.into_iter(), chunk.more);
                }
                Fed::Found(finding) => found = Some(finding),
            },
            () = sleep_until(due.unwrap_or_else(Deadline::now)), if lingering && applying.is_none() => (),
            _ = renewal.tick() => renewal_due = true,
            () = stop.cancelled(), if !stopping => (),
        }
    }
    drop(applying);
    lease.release(&client).await?;
    info!(stream = relay.stream, "released the stream");
    Ok(())
}

/// Says what was found of the stream, where all that was read before is applied.
async fn note(
    client: &tokio_postgres::Client,
    lease: &Lease,
    found: Finding,
    voice: &mut Voice,
) -> Result<(), SessionError> {
    let Finding { loss, lost, entries, position } = found;
    lease.note(client, entries, loss.map(Loss::name), lost, position).await?;
    if let Some(loss) = loss {
        metrics::lost(&lease.stream, loss.name(), lost);
        voice.lost(loss, lost, position);
    }
    match position {
        Some(position) => Err(SessionError::Moved(position)),
        None => Ok(()),
    }
}

/// Moves entries into the batch; whether it is full then.
fn fill(
    max_work: usize,
    batch: &mut Batch,
    times: &mut Times,
    entries: &mut IntoIter<Entry>,
) -> bool {
    loop {
        if batch.work() >= max_work
            || batch.bytes() >= MAX_BATCH_BYTES
            || batch.segments() >= MAX_SEGMENTS
        {
            return true;
        }
        let Some((id, said)) = entries.next() else { return false };
        match said {
            Some(parsed) => {
                times.push(id);
                batch.push(id, parsed);
            }
            None => batch.skip(id),
        }
    }
}

async fn finished(applying: &mut Option<Applying<'_>>) -> (Sent, Result<Applied, DatabaseError>) {
    match applying {
        Some(applying) => applying.await,
        None => pending().await,
    }
}

fn apply<'a>(
    relay: &'a Relay,
    client: &'a tokio_postgres::Client,
    lease: &'a Lease,
    batch: Batch,
    sent: Sent,
) -> Applying<'a> {
    Box::pin(async move {
        let (start, events, items) = (Instant::now(), batch.events(), batch.items());
        let outcome = lease.apply(client, batch, sent.position).await;
        if outcome.is_ok() {
            metrics::applied(&relay.stream, events, items, start.elapsed());
        }
        (sent, outcome)
    })
}

/// Tells how far this is behind the stream.
fn tell_lag(relay: &Relay, moment: SystemTime, caught_up_at: Option<SystemTime>) {
    let lag = caught_up_at.map(|at| moment.duration_since(at).unwrap_or_default());
    relay.state.update(&relay.stream, |state| state.set_lag(lag));
}

/// Counts a batch's outcome; gives the position before it.
fn count(relay: &Relay, sent: &Sent, outcome: Applied) -> StreamId {
    let (mut before, mut clock) = (StreamId::default(), None);
    relay.state.update(&relay.stream, |state| {
        before = std::mem::replace(&mut state.position, sent.position);
        state.gets_on();
        state.events += outcome.settled().unsigned_abs() + sent.skipped;
        clock = state.redis_clock;
    });
    metrics::settled(&relay.stream, outcome);
    metrics::committed(&relay.stream, &sent.times, clock.unwrap_or_default());
    before
}

/// Why events of the batch that was just applied were rejected, counted.
async fn rejected(
    relay: &Relay,
    client: &tokio_postgres::Client,
    lease: &Lease,
    after: StreamId,
    rejected: i64,
) -> Vec<(String, u64)> {
    let reasons = lease.reasons(client, after, rejected).await.unwrap_or_else(|error| {
        // The batch is applied; the next call meets the same error.
        tracing::debug!(stream = relay.stream, error = %error, "the rejection reasons could not be read");
        vec![("unknown".to_owned(), rejected.unsigned_abs())]
    });
    metrics::rejected(&relay.stream, &reasons);
    reasons
}
