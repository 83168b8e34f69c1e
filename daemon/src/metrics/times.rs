//! The times at which a batch's events were written, from their ids, to measure the delay of each
//! event.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bindery_core::stream_id::StreamId;

/// The maximum number of runs, which bounds the memory of a batch while Postgres is slow.
const MOST_RUNS: usize = 4096;
/// An id that is older than this is not a time: producers may choose their own ids.
const NO_TIME: Duration = Duration::from_secs(365 * 24 * 3600);

/// Times in ms, each with the number of events written then, in the stream's order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Times(Vec<(u64, usize)>);

impl Times {
    /// Adds an event, whose id must be after the last one's.
    pub fn push(&mut self, id: StreamId) {
        if let Some((ms, events)) = self.0.last_mut()
            && *ms == id.ms
        {
            *events += 1;
            return;
        }
        if self.0.len() == MOST_RUNS {
            self.halve();
        }
        self.0.push((id.ms, 1));
    }

    /// The delays until `committed`, a time of the same clock, each with its number of events.
    pub fn ages(&self, committed: SystemTime) -> impl Iterator<Item = (Duration, usize)> {
        let committed = committed.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.0
            .iter()
            .map(move |&(ms, events)| (committed.saturating_sub(Duration::from_millis(ms)), events))
            .filter(|&(age, _)| age < NO_TIME)
    }

    /// Merges neighbours and keeps the older time, so that a delay may be measured too long, never
    /// too short.
    fn halve(&mut self) {
        self.0 =
            self.0.chunks(2).map(|pair| (pair[0].0, pair.iter().map(|run| run.1).sum())).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(ms: u64) -> StreamId {
        StreamId { ms, seq: 0 }
    }

    fn at(ms: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(ms)
    }

    #[test]
    fn events_of_a_millisecond_are_one_run() {
        let mut times = Times::default();
        for ms in [1_000, 1_000, 1_003] {
            times.push(id(ms));
        }
        let ages: Vec<_> = times.ages(at(1_010)).collect();
        assert_eq!(ages, [(Duration::from_millis(10), 2), (Duration::from_millis(7), 1)]);
    }

    #[test]
    fn an_event_from_the_future_has_no_delay() {
        let mut times = Times::default();
        times.push(id(2_000));
        assert_eq!(times.ages(at(1_999)).collect::<Vec<_>>(), [(Duration::ZERO, 1)]);
    }

    #[test]
    fn an_id_that_is_not_a_time_has_no_age() {
        let mut times = Times::default();
        times.push(id(1));
        times.push(id(1_700_000_000_000));
        assert_eq!(
            times.ages(at(1_700_000_000_005)).map(|(_, events)| events).collect::<Vec<_>>(),
            [1]
        );
    }

    proptest! {
        #[test]
        fn every_event_is_counted_in_bounded_memory_and_no_age_is_too_short(
            steps in proptest::collection::vec(0_u64..3, 0..20_000)
        ) {
            let mut times = Times::default();
            let mut now = 1_700_000_000_000;
            let mut written = Vec::new();
            for step in steps {
                now += step;
                times.push(id(now));
                written.push(now);
            }
            prop_assert!(times.0.len() <= MOST_RUNS);
            let bounds: Vec<u64> =
                times.0.iter().flat_map(|&(ms, events)| std::iter::repeat_n(ms, events)).collect();
            prop_assert_eq!(bounds.len(), written.len());
            prop_assert!(bounds.iter().zip(&written).all(|(bound, written)| bound <= written));
        }
    }
}
