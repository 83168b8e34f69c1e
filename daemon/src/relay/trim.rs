//! Trims a stream: what is applied and older than `--retain` goes. Only right after a look that
//! found the stream to be the one that was read: of another one in its place the position says
//! nothing.

use std::time::{Duration, Instant};

use bindery_core::stream_id::StreamId;
use redis::RedisError;
use redis::aio::ConnectionLike;
use tracing::debug;

use super::Relay;

/// Often enough for any retention worth setting; a shorter one is kept as often as it lasts.
const EVERY: Duration = Duration::from_secs(30);

/// When to trim next.
#[derive(Debug, Default)]
pub struct Trim(Option<Instant>);

impl Trim {
    /// Trims if it is time to; does nothing where nothing is to be trimmed.
    pub async fn turn(&mut self, relay: &Relay, redis: &mut impl ConnectionLike) {
        let now = Instant::now();
        let Some(retain) = relay.retain.filter(|_| self.0.is_none_or(|next| now >= next)) else {
            return;
        };
        self.0 = Some(now + EVERY.min(retain));
        if let Err(error) = trim(relay, retain, redis).await {
            // The relay itself tells when Redis is away; the next turn makes up for this one.
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
    // Ids are in Redis's time, so its clock is the one to ask.
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

/// The lowest id to keep: nothing past the position goes, and nothing younger than `retain`.
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
