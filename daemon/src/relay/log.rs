//! The log lines of a relay, limited in rate.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bindery_core::stream_id::StreamId;
use tracing::{debug, info, warn};

use super::health::Loss;
use crate::database::Lease;
use crate::retry::Repeats;

/// What one relay has logged, and what it has still to log.
#[derive(Debug)]
pub struct RelayLog {
    stream: String,
    failures: Repeats,
    /// Whether the last line about the lease logged that this daemon holds it.
    held: Option<bool>,
    rejections: Repeats,
    /// Rejected events that are not logged yet, by reason.
    unreported: BTreeMap<String, u64>,
}

impl RelayLog {
    /// A log without lines.
    pub fn new(stream: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            failures: Repeats::default(),
            held: None,
            rejections: Repeats::default(),
            unreported: BTreeMap::new(),
        }
    }

    /// Logs that a session failed.
    pub fn failure(&mut self, error: &str, remedy: Option<&str>, pause: Duration) {
        if let Some(unlogged) = self.failures.record(error, Instant::now()) {
            warn!(
                stream = self.stream,
                error,
                remedy,
                ?pause,
                unlogged,
                "the relay starts over; nothing is lost"
            );
        } else {
            debug!(stream = self.stream, error, ?pause, "the relay starts over");
        }
    }

    /// Logs that a batch was too large for Postgres and that the next ones are smaller.
    pub fn smaller_batches(&self, error: &str, limit: usize) {
        warn!(
            stream = self.stream,
            error,
            max_batch = limit,
            "a batch was too much for Postgres; nothing is lost, and the next ones are smaller"
        );
    }

    /// Logs that another daemon has taken the stream over. Every takeover is logged, without a
    /// limit in rate.
    pub fn fenced(&mut self, error: &str) {
        self.held = None;
        warn!(
            stream = self.stream,
            error,
            "fenced: stopped this stream at once; what was in memory is the other daemon's to apply"
        );
    }

    /// Logs a loss of entries. Every loss is logged.
    pub fn loss(&self, loss: Loss, lost: u64, position: Option<StreamId>) {
        let what = match loss {
            Loss::Trimmed => "entries were trimmed or deleted before they were read: they are lost",
            Loss::Deleted => {
                "the stream was deleted; unread entries are lost, and entries added from now on are new"
            }
            Loss::Recreated => {
                "the stream is another one than before; unread entries of the former are lost"
            }
            Loss::Rewound => {
                "the stream lost its end; applied events stay applied, and new entries are read"
            }
        };
        let position = position.map(tracing::field::display);
        warn!(stream = self.stream, loss = loss.name(), lost, goes_on_from = position, "{what}");
    }

    /// Logs that this daemon holds the lease.
    pub fn holding(&mut self, lease: &Lease) {
        let stream = &self.stream;
        // `|`, not `||`: evaluate both, so that the end of the failures is logged only once.
        if self.failures.over() | (self.held.replace(true) != Some(true)) {
            info!(stream, epoch = lease.epoch, position = %lease.position, "holding the stream");
        } else {
            debug!(stream, epoch = lease.epoch, position = %lease.position, "holding the stream again");
        }
    }

    /// Logs that another daemon holds the stream, unless the last line did.
    pub fn standing_by(&mut self, reason: &str) {
        if self.failures.over() | (self.held.replace(false) != Some(false)) {
            info!(stream = self.stream, reason, "standing by");
        }
    }

    /// Adds rejected events, and logs them if a line is due.
    pub fn add_rejected(&mut self, reasons: &[(String, u64)]) {
        for (reason, events) in reasons {
            *self.unreported.entry(reason.clone()).or_default() += events;
        }
        self.report_rejected_if_due();
    }

    /// Logs the rejections that are not logged yet, at most once an interval.
    pub fn report_rejected_if_due(&mut self) {
        if !self.unreported.is_empty() && self.rejections.record("", Instant::now()).is_some() {
            self.report_rejected();
        }
    }

    /// Logs the rejections that are not logged yet.
    pub fn report_rejected(&mut self) {
        if self.unreported.is_empty() {
            return;
        }
        let reasons = std::mem::take(&mut self.unreported);
        let events: u64 = reasons.values().sum();
        let reasons: Vec<String> =
            reasons.iter().map(|(reason, events)| format!("{reason}={events}")).collect();
        warn!(
            stream = self.stream,
            events,
            reasons = reasons.join(" "),
            "events were rejected into bindery.dead_letters"
        );
    }
}
