//! Checks at an interval that Postgres answers, for `/readyz` in a process without relays.

use std::pin::pin;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::database::{self, DatabaseError, DatabaseUrl};
use crate::pauses::{MAX_PAUSE, pauses};
use crate::process::Process;
use crate::repeats::Repeats;
use crate::state::State;

/// The interval between two checks.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// A check that takes longer counts as failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Starts the checks, which run until the process stops.
pub fn watch(database: &DatabaseUrl, process: &mut Process) {
    let (stop, state) = (process.stop.clone(), process.state.clone());
    state.set_database(Some("Postgres has not answered yet".to_owned()));
    process.tasks.spawn(ask(database.clone(), state, stop));
}

async fn ask(database: DatabaseUrl, state: State, stop: CancellationToken) {
    let mut waits = pauses();
    let mut failures = Repeats::default();
    loop {
        let mut answered = false;
        let asking = ask_on(&database, &state, &mut answered, &mut failures);
        let Some(Err(error)) = stop.run_until_cancelled(asking).await else { return };
        state.set_database(Some(error.to_string()));
        if answered {
            waits = pauses();
        }
        if let Some(unsaid) = failures.record(&error.to_string(), Instant::now()) {
            warn!(error = %error, remedy = error.remedy(), unsaid, "Postgres does not answer");
        }
        tokio::select! {
            () = tokio::time::sleep(waits.next().unwrap_or(MAX_PAUSE)) => (),
            () = stop.cancelled() => return,
        }
    }
}

/// Checks until a check fails. Sets `answered` once one succeeds.
async fn ask_on(
    database: &DatabaseUrl,
    state: &State,
    answered: &mut bool,
    failures: &mut Repeats,
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
        *answered = true;
        if failures.over() {
            info!("Postgres answers again");
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
