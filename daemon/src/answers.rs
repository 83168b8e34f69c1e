//! Checks at an interval that Postgres answers, for `/readyz` in a process without relays.

use std::pin::pin;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::database::{self, DatabaseError, DatabaseUrl};
use crate::process::Process;
use crate::retry::{Failure, Tries, Work, supervise};
use crate::state::State;

/// The interval between two checks.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// A check that takes longer counts as failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Starts the checks, which run until the process stops.
pub fn watch(database: &DatabaseUrl, process: &mut Process) {
    let (stop, state) = (process.stop.clone(), process.state.clone());
    state.set_database(Some("Postgres has not answered yet".to_owned()));
    let mut questions = Questions { database: database.clone(), state };
    process.tasks.spawn(async move { supervise(&stop, &mut questions).await });
}

struct Questions {
    database: DatabaseUrl,
    state: State,
}

impl Work for Questions {
    type Error = DatabaseError;

    async fn work(
        &mut self,
        stop: &CancellationToken,
        tries: &mut Tries,
    ) -> Result<(), DatabaseError> {
        stop.run_until_cancelled(ask(&self.database, &self.state, tries)).await.unwrap_or(Ok(()))
    }

    fn failed(&mut self, error: &DatabaseError, failure: Failure) {
        self.state.set_database(Some(error.to_string()));
        if let Some(unlogged) = failure.unlogged {
            warn!(error = %error, remedy = error.remedy(), unlogged, "Postgres does not answer");
        }
    }
}

/// Checks until a check fails.
async fn ask(
    database: &DatabaseUrl,
    state: &State,
    tries: &mut Tries,
) -> Result<(), DatabaseError> {
    let client = database::connect(database).await?;
    loop {
        let mut asked = pin!(client.query_typed_one("select 1", &[]));
        if let Ok(answer) = tokio::time::timeout(ANSWER_WITHIN, &mut asked).await {
            answer?;
        } else {
            state.set_database(Some(format!("Postgres has not answered for {ANSWER_WITHIN:?}")));
            asked.await?;
        }
        state.set_database(None);
        if tries.succeeded() {
            info!("Postgres answers again");
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
