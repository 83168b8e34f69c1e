//! The table of all metrics: name, kind, labels and description. `/metrics` uses it, and the tests
//! in `documented` check docs/monitor.md, the alert rules and the dashboard against it.
//!
//! | module | subject |
//! |---|---|
//! | `count` | the metrics of a relay |
//! | `exporter` | collection, and the text format of Prometheus |
//! | `times` | the times of a batch's events, from their ids |

mod count;
#[cfg(test)]
mod documented;
mod exporter;
mod times;

pub use count::{applied, begin, committed, lost, reconnected, rejected, settled};
pub use exporter::Exporter;
pub use times::Times;

/// The type of a metric in Prometheus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows, except at a restart of the daemon.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts values up to each of these bounds.
    Histogram(&'static [f64]),
}

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its type in Prometheus.
    pub kind: Kind,
    /// Its labels, in the order of docs/monitor.md; only tests read them.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "what is described to Prometheus has no labels")
    )]
    pub labels: &'static [&'static str],
    /// Its description.
    pub about: &'static str,
}

pub const EVENTS: &str = "bindery_relay_events_total";
pub const DEAD_LETTERS: &str = "bindery_relay_dead_letters_total";
pub const BATCHES: &str = "bindery_relay_batches_total";
pub const BATCH_EVENTS: &str = "bindery_relay_batch_events";
pub const BATCH_ITEMS: &str = "bindery_relay_batch_items";
pub const APPLY_SECONDS: &str = "bindery_relay_apply_seconds";
pub const END_TO_END_SECONDS: &str = "bindery_relay_end_to_end_seconds";
pub const LAG_EVENTS: &str = "bindery_relay_lag_events";
pub const LAG: &str = "bindery_relay_lag_seconds";
pub const HELD: &str = "bindery_relay_held";
pub const STANDING_BY: &str = "bindery_relay_standing_by";
pub const FAILURES: &str = "bindery_relay_failures_total";
pub const RECONNECTS: &str = "bindery_relay_reconnects_total";
pub const LOSSES: &str = "bindery_relay_losses_total";
pub const LOST: &str = "bindery_relay_lost_entries_total";
pub const CLOCK_OFFSET: &str = "bindery_relay_redis_clock_offset_seconds";
pub const MESSAGES: &str = "bindery_channel_messages_total";
pub const SUBSCRIBED: &str = "bindery_channel_subscribed";
pub const SUBSCRIPTIONS_LOST: &str = "bindery_channel_subscriptions_lost_total";
pub const DROPPED: &str = "bindery_channel_dropped_messages_total";
pub const PUBLISHED: &str = "bindery_outbox_published_total";
pub const OUTBOX_FAILURES: &str = "bindery_outbox_failures_total";
pub const OUTBOX_BACKLOG: &str = "bindery_outbox_backlog";
pub const OUTBOX_OLDEST: &str = "bindery_outbox_oldest_seconds";
pub const SWEPT: &str = "bindery_sweep_books_total";
pub const SWEEP_FAILURES: &str = "bindery_sweep_failures_total";
pub const SWEEPS_SKIPPED: &str = "bindery_sweep_skipped_total";
pub const SWEEP_WAITING: &str = "bindery_sweep_waiting_streams";
pub const SWEEP_LAST: &str = "bindery_sweep_last_success_timestamp_seconds";
pub const EARLY: &str = "bindery_early_events";
pub const EARLY_OLDEST: &str = "bindery_early_events_oldest_seconds";
pub const BROADCASTS_HELD_BACK: &str = "bindery_broadcasts_held_back_total";
pub const BROADCAST_FAILURES: &str = "bindery_broadcast_failures_total";
pub const REQUESTS: &str = "bindery_http_requests_total";
pub const REQUEST_SECONDS: &str = "bindery_http_request_seconds";
pub const CONNECTIONS: &str = "bindery_http_connections";
pub const TURNED_AWAY: &str = "bindery_http_turned_away_total";
pub const STREAMS: &str = "bindery_http_streams";
pub const LOG_LINES_LOST: &str = "bindery_log_lines_lost_total";
pub const BUILD: &str = "bindery_build_info";

const SECONDS: Kind =
    Kind::Histogram(&[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0]);
/// Buckets that are finer around the promised delay and reach up to a backlog of an hour.
const END_TO_END: Kind = Kind::Histogram(&[
    0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
    600.0, 3600.0,
]);
const AMOUNTS: Kind =
    Kind::Histogram(&[1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0]);

/// All of Bindery's own metrics; those of the process, `process_…`, are the exporter's.
pub const ALL: &[Metric] = &[
    counter(
        EVENTS,
        &["stream", "outcome"],
        "Events that a batch of this daemon settled, by outcome: applied, stale, early or rejected.",
    ),
    counter(
        DEAD_LETTERS,
        &["stream", "reason"],
        "Events that were rejected into bindery.dead_letters, by reason.",
    ),
    counter(BATCHES, &["stream"], "Batches applied."),
    histogram(BATCH_EVENTS, AMOUNTS, &["stream"], "Events in a batch, before coalescing."),
    histogram(
        BATCH_ITEMS,
        AMOUNTS,
        &["stream"],
        "Items in a batch, into which its events were coalesced.",
    ),
    histogram(
        APPLY_SECONDS,
        SECONDS,
        &["stream"],
        "Time from sending a batch to Postgres to its answer.",
    ),
    histogram(
        END_TO_END_SECONDS,
        END_TO_END,
        &["stream"],
        "Time from an event's id, which is Redis's clock at its XADD, to the answer that it is committed, by Redis's clock too; one value an event.",
    ),
    gauge(
        LAG_EVENTS,
        &["stream"],
        "Entries in the stream that are not applied yet, as of the last probe (every 5 s).",
    ),
    gauge(
        LAG,
        &["stream"],
        "Time since everything in the stream was known to be applied: up to two thirds of the lease if the relay keeps up; 0 while standing by.",
    ),
    gauge(HELD, &["stream"], "1 while this daemon holds the stream's lease, else 0."),
    gauge(STANDING_BY, &["stream"], "1 while another daemon holds the stream's lease, else 0."),
    counter(
        FAILURES,
        &["stream", "side"],
        "Failures that ended a connection or a lease, by side: postgres or redis. Failed tries to reconnect count.",
    ),
    counter(RECONNECTS, &["stream", "side"], "Failures after which the relay continued, by side."),
    counter(
        LOSSES,
        &["stream", "loss"],
        "Losses detected in the stream, by kind: trimmed, deleted, recreated or rewound.",
    ),
    counter(
        LOST,
        &["stream"],
        "Entries that were gone from the stream before they were read, as far as they could be counted.",
    ),
    gauge(
        CLOCK_OFFSET,
        &["stream"],
        "Redis's clock less this machine's, measured with every probe; negative if Redis's is behind.",
    ),
    counter(
        MESSAGES,
        &["channel"],
        "Messages that this daemon received on a channel of Redis Pub/Sub.",
    ),
    gauge(SUBSCRIBED, &["channel"], "1 while this daemon is subscribed to the channel, else 0."),
    counter(
        SUBSCRIPTIONS_LOST,
        &["channel"],
        "Subscriptions that ended without a stop of the daemon: what was published until the next one is lost, and cannot be counted.",
    ),
    counter(DROPPED, &["channel"], "Messages that were received and may not be in the stream."),
    counter(PUBLISHED, &[], "Messages published from the outbox."),
    counter(
        OUTBOX_FAILURES,
        &["side"],
        "Failures of publishing the outbox, by side: postgres or redis.",
    ),
    gauge(
        OUTBOX_BACKLOG,
        &[],
        "Messages in bindery.outbox as of the last probe (every 10 s), at most 100,000; the same from every daemon.",
    ),
    gauge(
        OUTBOX_OLDEST,
        &[],
        "Age of the oldest message in bindery.outbox as of the last probe, by Postgres's clock.",
    ),
    counter(
        SWEPT,
        &["outcome"],
        "What this daemon's sweeps did: books stalled or resumed, early events expired.",
    ),
    counter(SWEEP_FAILURES, &[], "Sweeps that failed."),
    counter(SWEEPS_SKIPPED, &[], "Sweeps that did nothing because another one was running."),
    gauge(
        SWEEP_WAITING,
        &[],
        "Streams that are behind, so that no book is marked as stalled, as of the last sweep.",
    ),
    gauge(
        SWEEP_LAST,
        &[],
        "When a sweep of this daemon last completed, as Unix time by this machine's clock.",
    ),
    gauge(
        EARLY,
        &[],
        "Events in bindery.early_events as of the last sweep, at most 100,000 items; the same from every daemon.",
    ),
    gauge(EARLY_OLDEST, &[], "Age of the oldest of them, by Postgres's clock; 0 if none waits."),
    counter(
        BROADCASTS_HELD_BACK,
        &[],
        "Changes of books that were not broadcast by themselves, because the book had been \
         broadcast less than broadcast_every before; the newest state followed.",
    ),
    counter(BROADCAST_FAILURES, &[], "Failures of sending deferred broadcasts, which are retried."),
    counter(
        REQUESTS,
        &["method", "route", "status"],
        "HTTP requests answered; a stream of events when it begins.",
    ),
    histogram(
        REQUEST_SECONDS,
        SECONDS,
        &["route"],
        "Time from an HTTP request's head to its answer's.",
    ),
    gauge(CONNECTIONS, &[], "HTTP connections."),
    counter(
        TURNED_AWAY,
        &[],
        "HTTP connections beyond the limit that were refused or closed; health, readiness and metrics are answered there all the same.",
    ),
    gauge(STREAMS, &[], "Open streams of server-sent events."),
    counter(
        LOG_LINES_LOST,
        &[],
        "Log lines that were lost because standard error could not be written to, or was not read.",
    ),
    gauge(BUILD, &["version"], "Always 1; its label is the daemon's version."),
];

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    about: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Counter, labels, about }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], about: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, about }
}

const fn histogram(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    about: &'static str,
) -> Metric {
    Metric { name, kind, labels, about }
}
