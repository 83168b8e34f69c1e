//! With Supabase Realtime: sends deferred progress, and creates the policy that lets users join
//! private topics once Realtime has created its table. Without Realtime: notifies (`NOTIFY`) of
//! deferred changes.
//!
//! The database decides which changes are due. Every daemon may do this: the database skips a book
//! that another session has locked.

use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::database::{self, DatabaseError, DatabaseUrl};
use crate::metrics;
use crate::retry::{Failure, Repeats, Tries, Work, supervise};

/// The interval of checks whether Realtime is installed and its policy exists.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The minimum time between two calls, so that each call sends several books.
const SHORTEST: Duration = Duration::from_millis(30);

/// Sends deferred changes.
#[derive(Debug, Clone)]
pub struct Broadcaster {
    /// The database to call.
    pub database: DatabaseUrl,
    sending_failures: Repeats,
    policy_failures: Repeats,
}

impl Broadcaster {
    /// A broadcaster that has sent nothing yet.
    pub fn new(database: DatabaseUrl) -> Self {
        let (sending_failures, policy_failures) = <(Repeats, Repeats)>::default();
        Self { database, sending_failures, policy_failures }
    }

    /// Sends until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        ::metrics::counter!(metrics::BROADCASTS_HELD_BACK).increment(0);
        ::metrics::counter!(metrics::BROADCAST_FAILURES).increment(0);
        supervise(&stop, &mut self).await;
    }
}

impl Work for Broadcaster {
    type Error = DatabaseError;

    async fn work(
        &mut self,
        stop: &CancellationToken,
        tries: &mut Tries,
    ) -> Result<(), DatabaseError> {
        let client = database::connect(&self.database).await?;
        let mut looked: Option<Instant> = None;
        loop {
            if looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
                make_policy(&client, &mut self.policy_failures).await?;
                looked = Some(Instant::now());
            }
            let pause = send(&client, &mut self.sending_failures).await?;
            if tries.succeeded() {
                info!("broadcasts that were held back are sent again");
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => (),
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    fn failed(&mut self, error: &DatabaseError, failure: Failure) {
        ::metrics::counter!(metrics::BROADCAST_FAILURES).increment(1);
        if let Some(unlogged) = failure.unlogged {
            warn!(
                error = %error,
                remedy = error.remedy(),
                unlogged,
                "broadcasts that were held back wait for Postgres"
            );
        }
    }
}

/// Sends the changes that are due; returns the pause before the next call.
async fn send(client: &Client, failures: &mut Repeats) -> Result<Duration, DatabaseError> {
    let query = "select held_back, failed, problem, next_seconds \
        from bindery.send_held_broadcasts()";
    let row = client.query_typed_one(query, &[]).await?;
    let (held_back, failed): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let (problem, next): (Option<String>, f64) = (row.try_get(2)?, row.try_get(3)?);
    ::metrics::counter!(metrics::BROADCASTS_HELD_BACK).increment(held_back.unsigned_abs());
    if let Some(problem) = problem {
        ::metrics::counter!(metrics::BROADCAST_FAILURES).increment(1);
        if let Some(unlogged) = failures.record(&problem, Instant::now()) {
            warn!(
                books = failed,
                problem,
                remedy = "run binderyd doctor; they are tried again every second",
                unlogged,
                "broadcasts that were held back could not be sent"
            );
        }
    } else if failures.over() {
        info!("broadcasts that were held back are sent again");
    }
    Ok(pause(next))
}

/// The pause before the next call, from the result of the last one.
fn pause(next_seconds: f64) -> Duration {
    Duration::try_from_secs_f64(next_seconds).unwrap_or_default().clamp(SHORTEST, LOOK_EVERY)
}

/// Creates the policy if it is missing.
async fn make_policy(client: &Client, failures: &mut Repeats) -> Result<(), DatabaseError> {
    let query = "select state, problem from bindery.make_realtime_policy()";
    let row = client.query_typed_one(query, &[]).await?;
    let (state, problem): (String, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
    if let Some(problem) = problem {
        if let Some(unlogged) = failures.record(&problem, Instant::now()) {
            warn!(
                problem,
                remedy = "start Realtime, or run the SQL of docs/supabase.md as the owner of \
                          realtime.messages",
                unlogged,
                "users cannot join private topics: realtime.messages has no policy \
                 bindery_owner_joins"
            );
        }
    } else {
        failures.over();
        if state == "made" {
            info!("made the policy bindery_owner_joins on realtime.messages");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_is_until_the_next_broadcast_is_due_within_bounds() {
        assert_eq!(pause(0.4), Duration::from_millis(400));
        assert_eq!(pause(-3.0), SHORTEST);
        assert_eq!(pause(0.0), SHORTEST);
        assert_eq!(pause(f64::INFINITY), SHORTEST);
        assert_eq!(pause(60.0), LOOK_EVERY);
    }
}
