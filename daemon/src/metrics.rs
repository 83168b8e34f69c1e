//! The metrics' names, described once.

use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Events by stream and outcome (applied, stale, dead).
pub const EVENTS: &str = "bindery_relay_events_total";
/// Batches applied, by stream.
pub const BATCHES: &str = "bindery_relay_batches_total";
/// Items (coalesced events) a batch, by stream.
pub const BATCH_ITEMS: &str = "bindery_relay_batch_items";
/// Seconds that applying a batch took, by stream.
pub const APPLY_SECONDS: &str = "bindery_relay_apply_seconds";
/// Whether this daemon holds the stream's lease.
pub const HELD: &str = "bindery_relay_held";
/// Seconds since everything in the stream was known to be applied, by stream, as of the last renewal.
pub const LAG: &str = "bindery_relay_lag_seconds";
/// Failures that ended a connection or a lease, by stream and side (postgres, redis).
pub const FAILURES: &str = "bindery_relay_failures_total";
/// Books that a sweep of this daemon changed, by outcome (stalled, resumed).
pub const SWEPT: &str = "bindery_sweep_books_total";
/// Sweeps that failed.
pub const SWEEP_FAILURES: &str = "bindery_sweep_failures_total";
/// Streams that keep books from being called stalled, as of the last sweep.
pub const SWEEP_WAITING: &str = "bindery_sweep_waiting_streams";
/// Messages published from the outbox.
pub const PUBLISHED: &str = "bindery_outbox_published_total";
/// Streams of events that somebody reads.
pub const STREAMS: &str = "bindery_http_streams";

const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
const ITEMS: [f64; 9] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0];

/// The exporter's own recommendation.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Starts collecting; the handle renders what was collected.
pub fn install() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(APPLY_SECONDS.to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Full(BATCH_ITEMS.to_owned()), &ITEMS)?
        .install_recorder()?;
    describe_counter!(EVENTS, "Events by stream and outcome: applied, stale or dead.");
    describe_counter!(BATCHES, "Batches applied.");
    describe_histogram!(BATCH_ITEMS, "Items (coalesced events) a batch.");
    describe_histogram!(APPLY_SECONDS, Unit::Seconds, "Time that applying a batch took.");
    describe_gauge!(HELD, "1 while this daemon holds the stream's lease, else 0.");
    describe_gauge!(
        LAG,
        Unit::Seconds,
        "Time since everything in the stream was known to be applied; some seconds where the relay keeps up."
    );
    describe_counter!(FAILURES, "Failures that ended a connection or a lease, by side: postgres or redis.");
    describe_counter!(SWEPT, "Books that a sweep changed, by outcome: stalled or resumed.");
    describe_counter!(SWEEP_FAILURES, "Sweeps that failed.");
    describe_gauge!(SWEEP_WAITING, "Streams that are behind, so that no book is called stalled.");
    describe_counter!(PUBLISHED, "Messages published from the outbox.");
    describe_gauge!(STREAMS, "Streams of events that somebody reads.");
    Ok(handle)
}

/// Keeps what was collected small, also where nobody ever asks for it; ends when it is dropped.
pub async fn upkeep(handle: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP_EVERY).await;
        handle.run_upkeep();
    }
}
