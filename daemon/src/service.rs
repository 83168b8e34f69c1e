//! What systemd is told where it started this (`Type=notify`): that it runs, how it fares, that it
//! still lives, that it stops. Elsewhere nobody is told anything.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

use crate::state::{Phase, State};

/// How often it is said how it fares, where no watchdog wants to hear of it sooner.
const EVERY: Duration = Duration::from_secs(10);

/// The port is open and everything is under way. Postgres and Redis may still be away: that is
/// waited for, not failed on.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// What is in flight is being finished.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says how it fares, and by that that it lives; ends when it is dropped.
pub async fn live(state: State) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return std::future::pending().await;
    }
    // Twice within the watchdog's time.
    let every = sd_notify::watchdog_enabled().map_or(EVERY, |within| (within / 2).min(EVERY));
    loop {
        let status = status(&state);
        tell(&[NotifyState::Watchdog, NotifyState::Status(&status)]);
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

fn tell(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        debug!(error = %error, "systemd could not be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_counts_streams_and_names_a_trouble() {
        let state = State::default();
        state.update("a", |stream| stream.phase = Phase::Holding);
        state.update("b", |stream| stream.phase = Phase::StandingBy);
        assert_eq!(status(&state), "of 2 streams 1 held, 1 standing by");
        state.update("c", |stream| stream.problem = Some("no\nserver".to_owned()));
        assert_eq!(status(&state), "of 3 streams 1 held, 1 standing by; c: no server");
    }
}
