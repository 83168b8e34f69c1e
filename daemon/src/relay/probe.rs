//! Probes the stream periodically, beside the reading: the number of unread entries and the offset
//! of Redis's clock.
//!
//! Redis counts all entries ever added. Once the number of entries up to the position is known, the
//! lag is exact. Until then, with a backlog at the start, it is estimated from the times in the
//! ids.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bindery_core::stream_id::StreamId;
use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};
use tokio::task::JoinSet;
use tracing::debug;

use super::Relay;
use crate::metrics;
use crate::source::Info;

/// The interval between two probes.
const EVERY: Duration = Duration::from_secs(5);
/// Up to this many entries after the position are counted one by one.
const COUNTED: usize = 200;

/// Starts a task that probes the stream; the task ends when the returned set is dropped.
pub fn start(relay: &Relay) -> JoinSet<()> {
    let mut task = JoinSet::new();
    let relay = relay.clone();
    task.spawn(async move {
        let mut covered = None;
        loop {
            if let Err(error) = probe_on(&relay, &mut covered).await {
                // The relay itself logs failures of Redis. Without permission for these commands,
                // the two gauges are missing.
                debug!(stream = relay.stream, error = %error, "the stream could not be probed");
            }
            tokio::time::sleep(EVERY).await;
        }
    });
    task
}

/// How many entries were ever added up to the position, minus those that this daemon has applied
/// since its start.
type Covered = Option<i128>;

async fn probe_on(relay: &Relay, covered: &mut Covered) -> Result<(), RedisError> {
    let mut redis = relay.redis.connect(&relay.stream, EVERY).await?;
    loop {
        clock(relay, &mut redis).await?;
        entries(relay, &mut redis, covered).await?;
        tokio::time::sleep(EVERY).await;
    }
}

/// Measures the offset between Redis's clock and this host's, at the middle of the round trip.
async fn clock(relay: &Relay, redis: &mut MultiplexedConnection) -> Result<(), RedisError> {
    let (wall, start) = (SystemTime::now(), Instant::now());
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(redis).await?;
    let ours = wall.duration_since(UNIX_EPOCH).unwrap_or_default() + start.elapsed() / 2;
    let theirs = Duration::from_secs(seconds) + Duration::from_micros(micros);
    let offset = theirs.as_secs_f64() - ours.as_secs_f64();
    relay.state.update(&relay.stream, |state| state.redis_clock = Some(offset));
    ::metrics::gauge!(metrics::CLOCK_OFFSET, "stream" => relay.stream.clone()).set(offset);
    Ok(())
}

async fn entries(
    relay: &Relay,
    redis: &mut MultiplexedConnection,
    covered: &mut Covered,
) -> Result<(), RedisError> {
    let (mut position, mut events) = (StreamId::default(), 0);
    // Read these before asking Redis: a batch applied in between makes the number too large, never
    // too small.
    relay.state.update(&relay.stream, |state| (position, events) = (state.position, state.events));
    let waiting = if let Some(info) = Info::ask(redis, &relay.stream).await? {
        match info.certain(position) {
            Some(waiting) => {
                if let Some(added) = info.added {
                    *covered = Some(i128::from(added) - i128::from(waiting) - i128::from(events));
                }
                waiting
            }
            None => match (info.added, *covered) {
                (Some(added), Some(covered)) => {
                    let waiting = i128::from(added) - covered - i128::from(events);
                    u64::try_from(waiting).unwrap_or(0).min(info.length)
                }
                (added, _) => {
                    let few = few(relay, redis, position).await?;
                    if let (Some(few), Some(added)) = (few, added) {
                        *covered = Some(i128::from(added) - i128::from(few) - i128::from(events));
                    }
                    few.unwrap_or_else(|| info.guess(position))
                }
            },
        }
    } else {
        *covered = None;
        0
    };
    #[allow(clippy::cast_precision_loss, reason = "no stream has 2^52 entries")]
    ::metrics::gauge!(metrics::LAG_EVENTS, "stream" => relay.stream.clone()).set(waiting as f64);
    Ok(())
}

/// The number of entries after the position, if it is below `COUNTED`.
async fn few(
    relay: &Relay,
    redis: &mut MultiplexedConnection,
    position: StreamId,
) -> Result<Option<u64>, RedisError> {
    let found: Value = redis::cmd("XRANGE")
        .arg(&relay.stream)
        .arg(format!("({position}"))
        .arg("+")
        .arg("COUNT")
        .arg(COUNTED)
        .query_async(redis)
        .await?;
    let entries = found.as_sequence().map_or(0, <[Value]>::len);
    Ok((entries < COUNTED).then_some(u64::try_from(entries).unwrap_or(0)))
}
