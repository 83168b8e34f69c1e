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

use super::caught_up::CaughtUp;
use super::feed::{Feed, Read};
use super::{Relay, trim};
use crate::database::{self, Applied, DatabaseError, Lease};
use crate::metrics;
use crate::source::Entry;
use crate::state::Phase;

/// The most that a batch's items may weigh in memory.
const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;
/// The most segments: each is a few statements of its own, so more would make a long transaction.
const MAX_SEGMENTS: u32 = 32;
/// How long a batch may grow while the stream has more: the more events are coalesced, the less Postgres has to do, and an
/// event that waits in a backlog does not notice.
const CATCH_UP: Duration = Duration::from_millis(250);

type Applying<'a> = Pin<Box<dyn Future<Output = (StreamId, Result<Applied, DatabaseError>)> + Send + 'a>>;

/// What ends a session before its time.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Postgres failed, or refused.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The reading task panicked.
    #[error("reading from Redis ended")]
    Feed,
}

/// Relays until `stop` (then `Ok`) or until something fails. `applied` is set once a batch took effect.
pub async fn run(relay: &Relay, stop: &CancellationToken, applied: &mut bool) -> Result<(), SessionError> {
    let client = database::connect(&relay.database).await?;
    let lease = Lease::acquire(&client, &relay.stream, &relay.holder, relay.lease).await?;
    info!(stream = relay.stream, epoch = lease.epoch, position = %lease.position, "holding the stream");
    ::metrics::gauge!(metrics::HELD, "stream" => relay.stream.clone()).set(1.0);
    relay.state.update(&relay.stream, |state| {
        (state.phase, state.position, state.problem) = (Phase::Holding, lease.position, None);
    });

    let mut feed = Feed::start(relay, lease.position, lease.since);
    let _trimming = trim::start(relay);
    let mut renewal = interval(relay.renewal());
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Batch::new();
    // What of a chunk did not fit into the batch.
    let mut rest = Vec::new().into_iter();
    // When the batch got its first entry, and whether the stream has more than we have read.
    let mut since: Option<Deadline> = None;
    let mut behind = false;
    let mut applying: Option<Applying<'_>> = None;
    let mut caught_up = CaughtUp::default();
    // The latest moment that it has said so of; before that the lag is counted from the lease's beginning.
    let mut caught_up_at = lease.since;
    let mut renewal_due = false;

    loop {
        let stopping = stop.is_cancelled();
        let full = fill(relay, &mut batch, &mut rest);
        if rest.as_slice().is_empty() {
            caught_up.batched();
        }
        if applying.is_none() {
            if batch.is_empty() {
                caught_up.idle();
            }
            // Also where one batch follows the other: only so does Postgres hear how far this has caught up.
            if std::mem::take(&mut renewal_due) {
                let proven = caught_up.take();
                let moment = lease.renew(&client, proven).await?;
                feed.tell(moment);
                caught_up_at = proven.unwrap_or(caught_up_at);
                tell_lag(relay, moment, caught_up_at);
            }
        }
        if since.is_none() && !batch.is_empty() {
            since = Some(Deadline::now());
        }
        let due = since.map(|since| since + if behind { CATCH_UP } else { relay.linger });
        let lingering = due.is_some_and(|due| due > Deadline::now()) && !full && !stopping;
        if applying.is_none() && !lingering {
            if let Some(position) = batch.last_id() {
                applying = Some(apply(relay, &client, &lease, std::mem::take(&mut batch), position));
                caught_up.sent();
                since = None;
                continue;
            }
            if stopping {
                break;
            }
        }
        tokio::select! {
            (position, outcome) = finished(&mut applying) => {
                applying = None;
                *applied |= count(relay, position, outcome?);
                caught_up.applied();
            }
            read = feed.next(), if !full && !stopping => {
                let Read { chunk, moment } = read.ok_or(SessionError::Feed)?;
                caught_up.read(moment, chunk.more);
                (rest, behind) = (chunk.entries.into_iter(), chunk.more);
            }
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

/// Moves entries into the batch; whether it is full then.
fn fill(relay: &Relay, batch: &mut Batch, entries: &mut IntoIter<Entry>) -> bool {
    loop {
        if batch.items() >= relay.max_batch || batch.bytes() >= MAX_BATCH_BYTES || batch.segments() >= MAX_SEGMENTS {
            return true;
        }
        let Some((id, parsed)) = entries.next() else { return false };
        batch.push(id, parsed);
    }
}

async fn finished(applying: &mut Option<Applying<'_>>) -> (StreamId, Result<Applied, DatabaseError>) {
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
    position: StreamId,
) -> Applying<'a> {
    Box::pin(async move {
        let start = Instant::now();
        let outcome = lease.apply(client, &batch, position).await;
        ::metrics::histogram!(metrics::APPLY_SECONDS, "stream" => relay.stream.clone()).record(start.elapsed());
        #[allow(clippy::cast_precision_loss, reason = "a batch has far fewer items than 2^52")]
        ::metrics::histogram!(metrics::BATCH_ITEMS, "stream" => relay.stream.clone()).record(batch.items() as f64);
        (position, outcome)
    })
}

/// Tells how far this is behind the stream.
fn tell_lag(relay: &Relay, moment: SystemTime, caught_up_at: SystemTime) {
    let lag = moment.duration_since(caught_up_at).unwrap_or_default().as_secs_f64();
    ::metrics::gauge!(metrics::LAG, "stream" => relay.stream.clone()).set(lag);
    relay.state.update(&relay.stream, |state| state.lag = Some(lag));
}

/// Counts what a batch came to.
fn count(relay: &Relay, position: StreamId, outcome: Applied) -> bool {
    for (name, events) in [("applied", outcome.applied), ("stale", outcome.stale), ("dead", outcome.dead)] {
        ::metrics::counter!(metrics::EVENTS, "stream" => relay.stream.clone(), "outcome" => name)
            .increment(events.unsigned_abs());
    }
    ::metrics::counter!(metrics::BATCHES, "stream" => relay.stream.clone()).increment(1);
    relay.state.update(&relay.stream, |state| state.position = position);
    if outcome.dead > 0 {
        tracing::warn!(stream = relay.stream, events = outcome.dead, "events went to bindery.dead_letters");
    }
    true
}
