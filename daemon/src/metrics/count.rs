//! Counts the events, batches and failures of a relay.

use std::time::{Duration, SystemTime};

use super::{
    APPLY_SECONDS, BATCH_EVENTS, BATCH_ITEMS, BATCHES, DEAD_LETTERS, END_TO_END_SECONDS, EVENTS,
    FAILURES, LOSSES, LOST, RECONNECTS, Times,
};
use crate::database::Applied;

/// Sets a relay's counters to 0 at its start, so that Prometheus sees the first increase.
pub fn begin(stream: &str) {
    settled(stream, Applied::default());
    ::metrics::counter!(BATCHES, "stream" => stream.to_owned()).increment(0);
    for side in ["postgres", "redis"] {
        ::metrics::counter!(FAILURES, "stream" => stream.to_owned(), "side" => side).increment(0);
        ::metrics::counter!(RECONNECTS, "stream" => stream.to_owned(), "side" => side).increment(0);
    }
    for loss in ["trimmed", "deleted", "recreated", "rewound"] {
        ::metrics::counter!(LOSSES, "stream" => stream.to_owned(), "loss" => loss).increment(0);
    }
    ::metrics::counter!(LOST, "stream" => stream.to_owned()).increment(0);
}

/// Counts a reconnection to this side after a failure.
pub fn reconnected(stream: &str, side: &'static str) {
    ::metrics::counter!(RECONNECTS, "stream" => stream.to_owned(), "side" => side).increment(1);
}

/// Counts an applied batch.
#[allow(clippy::cast_precision_loss, reason = "a batch has far fewer events than 2^52")]
pub fn applied(stream: &str, events: u64, items: usize, took: Duration) {
    ::metrics::counter!(BATCHES, "stream" => stream.to_owned()).increment(1);
    ::metrics::histogram!(APPLY_SECONDS, "stream" => stream.to_owned()).record(took);
    ::metrics::histogram!(BATCH_EVENTS, "stream" => stream.to_owned()).record(events as f64);
    ::metrics::histogram!(BATCH_ITEMS, "stream" => stream.to_owned()).record(items as f64);
}

/// Counts a batch's events by outcome.
pub fn settled(stream: &str, outcome: Applied) {
    let outcomes = [
        ("applied", outcome.applied),
        ("stale", outcome.stale),
        ("early", outcome.early),
        ("rejected", outcome.rejected),
    ];
    for (name, events) in outcomes {
        ::metrics::counter!(EVENTS, "stream" => stream.to_owned(), "outcome" => name)
            .increment(events.unsigned_abs());
    }
}

/// Records the delay of events that were written at these times and are committed now. The ids
/// have the time of Redis's clock, which is `offset` seconds ahead of this host's.
pub fn committed(stream: &str, times: &Times, offset: f64) {
    let now = by_redis(SystemTime::now(), offset);
    let histogram = ::metrics::histogram!(END_TO_END_SECONDS, "stream" => stream.to_owned());
    for (age, events) in times.ages(now) {
        histogram.record_many(age, events);
    }
}

/// Converts a time of this host's clock to Redis's, which is `offset` seconds ahead.
fn by_redis(moment: SystemTime, offset: f64) -> SystemTime {
    let shift = Duration::try_from_secs_f64(offset.abs()).unwrap_or_default();
    let moved = if offset < 0.0 { moment.checked_sub(shift) } else { moment.checked_add(shift) };
    moved.unwrap_or(moment)
}

/// Counts a loss of entries.
pub fn lost(stream: &str, loss: &'static str, entries: u64) {
    ::metrics::counter!(LOSSES, "stream" => stream.to_owned(), "loss" => loss).increment(1);
    ::metrics::counter!(LOST, "stream" => stream.to_owned()).increment(entries);
}

/// Counts rejected events by reason.
pub fn rejected(stream: &str, reasons: &[(String, u64)]) {
    for (reason, events) in reasons {
        ::metrics::counter!(DEAD_LETTERS, "stream" => stream.to_owned(), "reason" => reason.clone()).increment(*events);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bindery_core::stream_id::StreamId;
    use std::time::UNIX_EPOCH;

    #[test]
    fn clocks_that_differ_make_an_event_neither_older_nor_younger() {
        // Redis wrote it at 1,700,000,100 by its own clock, and 20 ms later it was committed; ours
        // was 90 s behind, or before.
        let mut times = Times::default();
        times.push(StreamId { ms: 1_700_000_100_000, seq: 0 });
        let committed = UNIX_EPOCH + Duration::from_millis(1_700_000_100_020);
        let skew = Duration::from_secs(90);
        for (ours, offset) in [(committed - skew, 90.0), (committed + skew, -90.0)] {
            let age = times.ages(by_redis(ours, offset)).next().map(|(age, _)| age.as_millis());
            assert_eq!(age, Some(20), "{offset}");
        }
    }

    #[test]
    fn an_impossible_offset_counts_as_none() {
        for offset in [f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(by_redis(UNIX_EPOCH, offset), UNIX_EPOCH);
        }
    }
}
