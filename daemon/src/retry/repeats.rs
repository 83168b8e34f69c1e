//! Limits the rate of log lines about repeated events: the first one is logged at once, then one
//! line a minute with the number of occurrences it stands for.

use std::time::{Duration, Instant};

/// The interval between two lines about the same problem.
const EVERY: Duration = Duration::from_secs(60);
/// The interval before a line about another problem: short, but long enough to limit the lines
/// about two problems that alternate.
const ANOTHER_AFTER: Duration = Duration::from_secs(10);

/// The occurrences of one kind of problem.
#[derive(Debug, Default, Clone)]
pub struct Repeats {
    last: Option<(Instant, String)>,
    /// The number of occurrences since the last line that were not logged.
    unlogged: u64,
    /// Whether a line was logged since the last `over`.
    open: bool,
}

impl Repeats {
    /// Records an occurrence. Returns the number of occurrences not logged since the last line if
    /// a line is due now.
    pub fn record(&mut self, what: &str, now: Instant) -> Option<u64> {
        let due = self.last.as_ref().is_none_or(|(at, logged)| {
            let wait = if logged == what { EVERY } else { ANOTHER_AFTER };
            now.saturating_duration_since(*at) >= wait
        });
        if !due {
            self.unlogged += 1;
            return None;
        }
        self.last = Some((now, what.to_owned()));
        self.open = true;
        Some(std::mem::take(&mut self.unlogged))
    }

    /// Records the end of the problem; returns whether to log it, which is once after each line.
    pub fn over(&mut self) -> bool {
        std::mem::take(&mut self.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_logged_at_once_and_then_one_a_minute_with_the_number_of_the_others() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let logged: Vec<_> = (0..130)
            .filter_map(|second| repeats.record("away", start + Duration::from_secs(second)))
            .collect();
        assert_eq!(logged, [0, 59, 59]);
    }

    #[test]
    fn another_problem_is_logged_sooner_but_two_that_alternate_are_limited() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        assert_eq!(repeats.record("away", start), Some(0));
        assert_eq!(repeats.record("no right", start + Duration::from_secs(1)), None);
        assert_eq!(repeats.record("no right", start + Duration::from_secs(11)), Some(1));
        let in_turn =
            (120..180).map(|second| (if second % 2 == 0 { "away" } else { "no right" }, second));
        let logged = in_turn
            .filter_map(|(what, second)| repeats.record(what, start + Duration::from_secs(second)))
            .count();
        assert!(logged <= 6, "{logged} lines a minute");
    }

    #[test]
    fn the_end_is_logged_once_after_each_line() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        assert!(!repeats.over(), "nothing happened");
        repeats.record("away", start);
        assert!(repeats.over());
        repeats.record("away", start + Duration::from_secs(1));
        assert!(!repeats.over(), "the second occurrence was not logged");
    }
}
