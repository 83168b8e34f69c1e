//! Trims a stream: removes entries that are applied and older than `--retain`. It runs only right
//! after a probe without a finding: in another stream under the same key, the position would have
//! no meaning.

use std::time::{Duration, Instant};

use bindery_core::stream_id::StreamId;
use redis::RedisError;
use redis::aio::ConnectionLike;
use tracing::debug;

use super::Relay;

/// The interval between two trims; a shorter retention is its own interval.
const EVERY: Duration = Duration::from_secs(30);

/// When to trim next.
#[derive(Debug, Default)]
pub struct Trim(Option<Instant>);

impl Trim {
    /// Trims if a trim is due and a retention is set.
    pub async fn turn(&mut self, relay: &Relay, redis: &mut impl ConnectionLike) {
        let now = Instant::now();
        let Some(retain) = relay.retain.filter(|_| self.0.is_none_or(|next| now >= next)) else {
            return;
        };
        self.0 = Some(now + EVERY.min(retain));
        if let Err(error) = trim(relay, retain, redis).await {
            // The relay itself logs failures of Redis, and the next turn trims more.
            debug!(stream = relay.stream, error = %error, "not trimmed");
        }
    }
}

async fn trim(
    relay: &Relay,
    retain: Duration,
    redis: &mut impl ConnectionLike,
) -> Result<(), RedisError> {
    let Some(state) = relay.state.snapshot().remove(&relay.stream) else { return Ok(()) };
    // Ids carry the time of Redis's clock, so ask that one.
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(redis).await?;
    let now = seconds.saturating_mul(1000).saturating_add(micros / 1000);
    let from = first_kept(state.position, now, retain);
    redis::cmd("XTRIM")
        .arg(&relay.stream)
        .arg("MINID")
        .arg("~")
        .arg(from.to_string())
        .query_async::<u64>(redis)
        .await?;
    Ok(())
}

/// The lowest id to keep: entries after the position or younger than `retain` are kept.
fn first_kept(position: StreamId, now_ms: u64, retain: Duration) -> StreamId {
    let cutoff = now_ms.saturating_sub(u64::try_from(retain.as_millis()).unwrap_or(u64::MAX));
    position.min(StreamId { ms: cutoff, seq: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_past_the_position_is_trimmed() {
        let position = StreamId { ms: 1_000, seq: 7 };
        assert_eq!(first_kept(position, 1_000_000, Duration::from_secs(1)), position);
    }

    #[test]
    fn nothing_young_is_trimmed() {
        let position = StreamId { ms: 999_900, seq: 7 };
        assert_eq!(
            first_kept(position, 1_000_000, Duration::from_secs(1)),
            StreamId { ms: 999_000, seq: 0 }
        );
        assert_eq!(first_kept(position, 500, Duration::from_secs(1)), StreamId { ms: 0, seq: 0 });
    }
}
