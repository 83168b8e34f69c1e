//! One session of a relay: from acquiring the lease to losing it or to a clean stop.

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
use super::log::RelayLog;
use super::{Origin, Relay, probe};
use crate::database::{self, Applied, DatabaseError, Lease, is_too_much};
use crate::metrics::{self, Times};
use crate::source::Entry;
use crate::state::Phase;

/// The maximum size of a batch's texts and JSON, in bytes.
const MAX_BATCH_BYTES: usize = 5 * 1024 * 1024;
/// The maximum number of segments. Each one takes a few statements, so this bounds the transaction.
const MAX_SEGMENTS: u32 = 32;
/// How long a batch grows while the stream has more entries. Coalescing more events reduces the
/// load on Postgres, and the delay is small beside the backlog's.
const CATCH_UP: Duration = Duration::from_millis(250);

type Applying<'a> =
    Pin<Box<dyn Future<Output = (Sent, Result<Applied, DatabaseError>)> + Send + 'a>>;

/// A batch that is being applied.
struct Sent {
    position: StreamId,
    skipped: u64,
    work: usize,
    times: Times,
}

/// Why a session failed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A call to Postgres failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The reading task panicked.
    #[error("reading from Redis ended")]
    Feed,
    /// The position has moved: read on from there.
    #[error("the stream is not what it was, and is read on from {0}")]
    Moved(StreamId),
}

/// Relays until `stop` (`Ok`) or a failure. Sets `progressed` once a batch is applied, or once a
/// batch was too large and the limit is lower.
pub async fn run(
    relay: &Relay,
    seen: &Memory,
    stop: &CancellationToken,
    limit: &mut Limit,
    progressed: &mut bool,
    log: &mut RelayLog,
) -> Result<(), SessionError> {
    let client = database::connect(&relay.database).await?;
    let lease = Lease::acquire(&client, &relay.stream, &relay.holder, relay.lease).await?;
    log.holding(&lease);
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
    let _probing = probe::start(relay);
    let mut renewal = interval(relay.renewal());
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Batch::new();
    let mut times = Times::default();
    // The entries of a chunk that did not fit into the batch.
    let mut rest = Vec::new().into_iter();
    // When the batch got its first entry, and whether the stream has unread entries.
    let mut since: Option<Deadline> = None;
    let mut behind = false;
    let mut applying: Option<Applying<'_>> = None;
    let mut caught_up = CaughtUp::<Proof>::default();
    // When the jobs that wait in the queue were last listed.
    let mut listed: Option<SystemTime> = None;
    // The latest known moment, of any session.
    let mut caught_up_at = lease.caught_up_at;
    let mut renewal_due = false;
    // A finding about the stream, recorded once all entries read before it are applied.
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
            // Also between two batches: the renewal reports to Postgres how far the relay has
            // caught up.
            if std::mem::take(&mut renewal_due) {
                let proven = caught_up.take();
                let silence = proven.and_then(|proof| proof.silence);
                let moment = lease.renew(&client, silence).await?;
                feed.set_moment(moment);
                caught_up_at = proven.map(|proof| proof.read).or(caught_up_at);
                report_lag(relay, moment, caught_up_at);
                log.report_rejected_if_due();
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
                record_finding(&client, &lease, found, log).await?;
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
                            log.smaller_batches(&error.to_string(), limit.get());
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
                    log.add_rejected(&rejected(relay, &client, &lease, before, outcome.rejected).await);
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
                            state.record_progress();
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

/// Records a finding about the stream. All entries read before it are applied.
async fn record_finding(
    client: &tokio_postgres::Client,
    lease: &Lease,
    found: Finding,
    log: &mut RelayLog,
) -> Result<(), SessionError> {
    let Finding { loss, lost, entries, position } = found;
    lease.note(client, entries, loss.map(Loss::name), lost, position).await?;
    if let Some(loss) = loss {
        metrics::lost(&lease.stream, loss.name(), lost);
        log.loss(loss, lost, position);
    }
    match position {
        Some(position) => Err(SessionError::Moved(position)),
        None => Ok(()),
    }
}

/// Moves entries into the batch; returns whether the batch is full.
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
        let Some((id, decoded)) = entries.next() else { return false };
        match decoded {
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

/// Reports the relay's lag.
fn report_lag(relay: &Relay, moment: SystemTime, caught_up_at: Option<SystemTime>) {
    let lag = caught_up_at.map(|at| moment.duration_since(at).unwrap_or_default());
    relay.state.update(&relay.stream, |state| state.set_lag(lag));
}

/// Counts a batch's outcome; returns the position before it.
fn count(relay: &Relay, sent: &Sent, outcome: Applied) -> StreamId {
    let (mut before, mut clock) = (StreamId::default(), None);
    relay.state.update(&relay.stream, |state| {
        before = std::mem::replace(&mut state.position, sent.position);
        state.record_progress();
        state.events += outcome.settled().unsigned_abs() + sent.skipped;
        clock = state.redis_clock;
    });
    metrics::settled(&relay.stream, outcome);
    metrics::committed(&relay.stream, &sent.times, clock.unwrap_or_default());
    before
}

/// The number of rejected events of the batch that was just applied, by reason.
async fn rejected(
    relay: &Relay,
    client: &tokio_postgres::Client,
    lease: &Lease,
    after: StreamId,
    rejected: i64,
) -> Vec<(String, u64)> {
    let reasons = lease.reasons(client, after, rejected).await.unwrap_or_else(|error| {
        // Not fatal: the batch is applied. If the error persists, the next call returns it.
        tracing::debug!(stream = relay.stream, error = %error, "the rejection reasons could not be read");
        vec![("unknown".to_owned(), rejected.unsigned_abs())]
    });
    metrics::rejected(&relay.stream, &reasons);
    reasons
}
