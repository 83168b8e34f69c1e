//! Notifies systemd (`Type=notify`) of readiness, status, watchdog and stop. Without systemd it
//! does nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

use crate::state::{Phase, State};

/// The longest interval between two status notifications; a watchdog may shorten it.
const EVERY: Duration = Duration::from_secs(10);

/// Notifies that the port is open and all tasks run. Postgres and Redis may still be unreachable:
/// the tasks wait for them.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Notifies that the daemon stops and finishes what is in flight.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Sends the status and the watchdog signal periodically, until it is dropped.
pub async fn live(state: State) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return std::future::pending().await;
    }
    // Twice within the watchdog's timeout.
    let every = sd_notify::watchdog_enabled().map_or(EVERY, |within| (within / 2).min(EVERY));
    loop {
        let status = status(&state);
        notify(&[NotifyState::Watchdog, NotifyState::Status(&status)]);
        tokio::time::sleep(every).await;
    }
}

fn status(state: &State) -> String {
    let streams = state.snapshot();
    let count = |phase| streams.values().filter(|stream| stream.phase == phase).count();
    let (held, standing_by) = (count(Phase::Holding), count(Phase::StandingBy));
    let trouble = streams.iter().find_map(|(name, stream)| Some((name, stream.problem.as_ref()?)));
    let trouble =
        trouble.map_or_else(String::new, |(name, problem)| format!("; {name}: {problem}"));
    format!("of {} streams {held} held, {standing_by} standing by{trouble}", streams.len())
        .replace('\n', " ")
}

fn notify(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        debug!(error = %error, "systemd could not be notified");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_counts_streams_and_names_a_problem() {
        let state = State::default();
        state.update("a", |stream| stream.phase = Phase::Holding);
        state.update("b", |stream| stream.phase = Phase::StandingBy);
        assert_eq!(status(&state), "of 2 streams 1 held, 1 standing by");
        state.update("c", |stream| stream.problem = Some("no\nserver".to_owned()));
        assert_eq!(status(&state), "of 3 streams 1 held, 1 standing by; c: no server");
    }
}
