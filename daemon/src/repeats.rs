//! What happens again and again is said seldom: the first at once, then a line a minute that says
//! how many it stands for.

use std::time::{Duration, Instant};

/// A line a minute, while the same goes on.
const EVERY: Duration = Duration::from_secs(60);
/// What is new is said sooner; but two faults in turn are no reason to say both each time.
const ANOTHER_AFTER: Duration = Duration::from_secs(10);

/// Occurrences of one kind.
#[derive(Debug, Default, Clone)]
pub struct Repeats {
    last: Option<(Instant, String)>,
    /// How many were left unsaid since the last line.
    unsaid: u64,
    /// Whether a line was written since it was last over.
    open: bool,
}

impl Repeats {
    /// It happens: whether to say so now, and then how many times before, since the last line,
    /// nothing was said.
    pub fn say(&mut self, what: &str, now: Instant) -> Option<u64> {
        let due = self.last.as_ref().is_none_or(|(at, said)| {
            let wait = if said == what { EVERY } else { ANOTHER_AFTER };
            now.saturating_duration_since(*at) >= wait
        });
        if !due {
            self.unsaid += 1;
            return None;
        }
        self.last = Some((now, what.to_owned()));
        self.open = true;
        Some(std::mem::take(&mut self.unsaid))
    }

    /// It is over: whether to say so, which it is once for each line that said otherwise.
    pub fn over(&mut self) -> bool {
        std::mem::take(&mut self.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_at_once_and_then_one_a_minute_with_the_number_of_the_others() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let said: Vec<_> = (0..130)
            .filter_map(|second| repeats.say("away", start + Duration::from_secs(second)))
            .collect();
        assert_eq!(said, [0, 59, 59]);
    }

    #[test]
    fn another_fault_is_said_sooner_but_two_in_turn_are_no_flood() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        assert_eq!(repeats.say("away", start), Some(0));
        assert_eq!(repeats.say("no right", start + Duration::from_secs(1)), None);
        assert_eq!(repeats.say("no right", start + Duration::from_secs(11)), Some(1));
        let in_turn =
            (120..180).map(|second| (if second % 2 == 0 { "away" } else { "no right" }, second));
        let said = in_turn
            .filter_map(|(what, second)| repeats.say(what, start + Duration::from_secs(second)))
            .count();
        assert!(said <= 6, "{said} lines a minute");
    }

    #[test]
    fn its_end_is_said_once_for_each_line() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        assert!(!repeats.over(), "nothing happened");
        repeats.say("away", start);
        assert!(repeats.over());
        repeats.say("away", start + Duration::from_secs(1));
        assert!(!repeats.over(), "it comes and goes: nobody was told that it had come again");
    }
}
