//! The sweeper: calls `bindery.sweep` at an interval, which fails stalled books, resumes those that
//! are due and rejects early events that waited too long.
//!
//! The database does all of this in one call and runs one sweep at a time, so every daemon may have
//! a sweeper.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::database::{self, DatabaseError, DatabaseUrl};
use crate::metrics;
use crate::retry::{Failure, Tries, Work, supervise};
use crate::state::{State, Swept};

/// Sweeps.
#[derive(Debug, Clone)]
pub struct Sweeper {
    /// The interval between two sweeps.
    pub every: Duration,
    /// The database to call.
    pub database: DatabaseUrl,
    /// The state that the sweeper updates, for `/readyz`.
    pub state: State,
}

/// After this many sweeps in a row that find another one running, the other one counts as stuck: it
/// hangs, or its session is idle in a transaction.
const MOST_SKIPPED: u32 = 3;

impl Sweeper {
    /// Sweeps until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        ::metrics::counter!(metrics::SWEEP_FAILURES).increment(0);
        ::metrics::counter!(metrics::SWEEPS_SKIPPED).increment(0);
        count(&Swept::default());
        self.state.set_sweeper(self.every);
        supervise(&stop, &mut self).await;
    }
}

impl Work for Sweeper {
    type Error = DatabaseError;

    async fn work(
        &mut self,
        stop: &CancellationToken,
        tries: &mut Tries,
    ) -> Result<(), DatabaseError> {
        let client = database::connect(&self.database).await?;
        let mut skipped = 0;
        let mut turn = interval(self.every);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = turn.tick() => (),
                () = stop.cancelled() => return Ok(()),
            }
            // A stop waits for the end of a sweep.
            let outcome = sweep(&client).await?;
            report(&outcome);
            report_early_events(&client).await?;
            skipped = if outcome.ran { 0 } else { skipped + 1 };
            self.state.set_sweep((skipped >= MOST_SKIPPED).then(|| {
                format!(
                    "{skipped} sweeps in a row found another one running: see pg_stat_activity for \
                     a session that is idle in a transaction after bindery.sweep"
                )
            }));
            if outcome.ran {
                self.state.set_swept(outcome);
            }
            if tries.succeeded() {
                info!("sweeping continues");
            }
        }
    }

    fn failed(&mut self, error: &DatabaseError, failure: Failure) {
        ::metrics::counter!(metrics::SWEEP_FAILURES).increment(1);
        if let Some(unlogged) = failure.unlogged {
            warn!(error = %error, remedy = error.remedy(), unlogged, "sweeping failed; it continues as soon as it can");
        }
    }
}

async fn sweep(client: &Client) -> Result<Swept, DatabaseError> {
    let row = client.query_typed_one("select bindery.sweep()", &[]).await?;
    let answer: postgres_types::Json<Swept> = row.try_get(0)?;
    Ok(answer.0)
}

fn report(swept: &Swept) {
    if !swept.ran {
        ::metrics::counter!(metrics::SWEEPS_SKIPPED).increment(1);
        return;
    }
    count(swept);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ::metrics::gauge!(metrics::SWEEP_LAST).set(now.as_secs_f64());
    if swept.stalled > 0 || swept.resumed > 0 || swept.expired > 0 {
        let Swept { stalled, resumed, expired, .. } = swept;
        info!(stalled, resumed, expired, "swept");
    }
}

/// Reports the number of early events, and the age of the oldest.
async fn report_early_events(client: &Client) -> Result<(), DatabaseError> {
    let query =
        "select events::float8, extract(epoch from age)::float8 from bindery.early_backlog()";
    let row = client.query_typed_one(query, &[]).await?;
    ::metrics::gauge!(metrics::EARLY).set(row.try_get::<_, f64>(0)?);
    ::metrics::gauge!(metrics::EARLY_OLDEST).set(row.try_get::<_, f64>(1)?);
    Ok(())
}

fn count(swept: &Swept) {
    let outcomes =
        [("stalled", swept.stalled), ("resumed", swept.resumed), ("expired", swept.expired)];
    for (outcome, number) in outcomes {
        ::metrics::counter!(metrics::SWEPT, "outcome" => outcome).increment(number);
    }
    #[allow(clippy::cast_precision_loss, reason = "there are far fewer streams than 2^52")]
    ::metrics::gauge!(metrics::SWEEP_WAITING).set(swept.waiting_for.len() as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_read_and_may_grow() {
        let answer =
            r#"{"ran": true, "stalled": 2, "resumed": 0, "waiting_for": ["s"], "new": null}"#;
        let swept =
            Swept { ran: true, stalled: 2, waiting_for: vec!["s".to_owned()], ..Swept::default() };
        assert_eq!(serde_json::from_str::<Swept>(answer).unwrap(), swept);
        assert_eq!(serde_json::from_str::<Swept>("{}").unwrap(), Swept::default());
    }
}
