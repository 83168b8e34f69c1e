//! The sweeper: asks `bindery.sweep` now and then to fail what has gone silent and to resume what is due.
//!
//! All of it is decided in the database, in one call, and by one caller at a time; so each daemon may have a sweeper, and any of
//! them may die.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::database::{self, DatabaseError, DatabaseUrl};
use crate::metrics;
use crate::pauses::{MAX_PAUSE, pauses};
use crate::repeats::Repeats;

/// Sweeps.
#[derive(Debug, Clone)]
pub struct Sweeper {
    /// How often.
    pub every: Duration,
    /// Where.
    pub database: DatabaseUrl,
}

/// What a sweep came to.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Swept {
    /// Books that had been silent for too long, and are FAILED now.
    stalled: u64,
    /// FAILED books that go on.
    resumed: u64,
    /// Streams that have to be caught up with before a book of theirs can be called silent.
    waiting_for: Vec<String>,
}

impl Sweeper {
    /// Sweeps until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut pauses = pauses();
        let mut troubles = Repeats::default();
        ::metrics::counter!(metrics::SWEEP_FAILURES).increment(0);
        count(&Swept::default());
        while !stop.is_cancelled() {
            let mut swept_something = false;
            let Err(error) = self.sweep_on(&stop, &mut swept_something, &mut troubles).await else { break };
            ::metrics::counter!(metrics::SWEEP_FAILURES).increment(1);
            if swept_something {
                pauses = crate::pauses::pauses();
            }
            if let Some(unsaid) = troubles.say(&error.to_string(), Instant::now()) {
                warn!(error = %error, remedy = error.remedy(), unsaid, "sweeping failed; it goes on as soon as it can");
            }
            tokio::select! {
                () = tokio::time::sleep(pauses.next().unwrap_or(MAX_PAUSE)) => (),
                () = stop.cancelled() => (),
            }
        }
    }

    /// Sweeps until `stop` (then `Ok`) or until something fails. `swept` is set once a sweep came to its end.
    async fn sweep_on(
        &self,
        stop: &CancellationToken,
        swept: &mut bool,
        troubles: &mut Repeats,
    ) -> Result<(), DatabaseError> {
        let client = database::connect(&self.database).await?;
        let mut turn = interval(self.every);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = turn.tick() => (),
                () = stop.cancelled() => return Ok(()),
            }
            // Not given up in the middle: the daemon's stop waits for it.
            tell(&sweep(&client).await?);
            *swept = true;
            if troubles.over() {
                info!("sweeping goes on");
            }
        }
    }
}

async fn sweep(client: &Client) -> Result<Swept, DatabaseError> {
    let row = client.query_typed_one("select bindery.sweep()", &[]).await?;
    let answer: postgres_types::Json<Swept> = row.try_get(0)?;
    Ok(answer.0)
}

fn tell(swept: &Swept) {
    count(swept);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ::metrics::gauge!(metrics::SWEEP_LAST).set(now.as_secs_f64());
    if swept.stalled > 0 || swept.resumed > 0 {
        info!(stalled = swept.stalled, resumed = swept.resumed, "swept");
    }
}

fn count(swept: &Swept) {
    for (outcome, books) in [("stalled", swept.stalled), ("resumed", swept.resumed)] {
        ::metrics::counter!(metrics::SWEPT, "outcome" => outcome).increment(books);
    }
    #[allow(clippy::cast_precision_loss, reason = "there are far fewer streams than 2^52")]
    ::metrics::gauge!(metrics::SWEEP_WAITING).set(swept.waiting_for.len() as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_read_and_may_grow() {
        let answer = r#"{"stalled": 2, "resumed": 0, "waiting_for": ["s"], "another": null}"#;
        let swept = Swept { stalled: 2, resumed: 0, waiting_for: vec!["s".to_owned()] };
        assert_eq!(serde_json::from_str::<Swept>(answer).unwrap(), swept);
        assert_eq!(serde_json::from_str::<Swept>("{}").unwrap(), Swept::default());
    }
}
