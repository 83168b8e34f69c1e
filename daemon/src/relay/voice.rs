//! What a relay says in the log: one line an occurrence, and no flood of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bindery_core::stream_id::StreamId;
use tracing::{debug, info, warn};

use super::health::Loss;
use crate::database::Lease;
use crate::repeats::Repeats;

/// What one relay has said and what it has not.
#[derive(Debug)]
pub struct Voice {
    stream: String,
    troubles: Repeats,
    /// What was said last of the lease: that it is held, or another daemon's.
    held: Option<bool>,
    rejections: Repeats,
    /// Rejected events by reason that no line has reported yet.
    unreported: BTreeMap<String, u64>,
}

impl Voice {
    /// One that has said nothing yet.
    pub fn new(stream: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            troubles: Repeats::default(),
            held: None,
            rejections: Repeats::default(),
            unreported: BTreeMap::new(),
        }
    }

    /// A session ended before its time.
    pub fn trouble(&mut self, error: &str, remedy: Option<&str>, pause: Duration) {
        if let Some(unsaid) = self.troubles.say(error, Instant::now()) {
            warn!(
                stream = self.stream,
                error,
                remedy,
                ?pause,
                unsaid,
                "the relay starts over; nothing is lost"
            );
        } else {
            debug!(stream = self.stream, error, ?pause, "the relay starts over");
        }
    }

    /// A batch was too much for Postgres, and the next ones are smaller.
    pub fn too_much(&self, error: &str, limit: usize) {
        warn!(
            stream = self.stream,
            error,
            max_batch = limit,
            "a batch was too much for Postgres; nothing is lost, and the next ones are smaller"
        );
    }

    /// Another daemon has taken the stream over. Each time is news, and none comes without a
    /// takeover, so it is said each time.
    pub fn fenced(&mut self, error: &str) {
        self.held = None;
        warn!(
            stream = self.stream,
            error,
            "fenced: stopped this stream at once; what was in memory is the other daemon's to apply"
        );
    }

    /// The stream is not what it was. Each time is news.
    pub fn lost(&self, loss: Loss, lost: u64, position: Option<StreamId>) {
        let what = match loss {
            Loss::Trimmed => "entries were trimmed or deleted before they were read: they are lost",
            Loss::Deleted => {
                "the stream was deleted; entries that were not read yet are lost, and what is added from now on is new"
            }
            Loss::Recreated => {
                "the stream is another one than before; what had not been read of the former is lost"
            }
            Loss::Rewound => {
                "the stream lost its end; what was applied stays applied, and what has been added since is read"
            }
        };
        let goes_on = position.map(tracing::field::display);
        warn!(stream = self.stream, loss = loss.name(), lost, goes_on_from = goes_on, "{what}");
    }

    /// The lease is held, for the first time or again.
    pub fn holding(&mut self, lease: &Lease) {
        let stream = &self.stream;
        // Both, so that a trouble's end is not said once more later on.
        if self.troubles.over() | (self.held.replace(true) != Some(true)) {
            info!(stream, epoch = lease.epoch, position = %lease.position, "holding the stream");
        } else {
            debug!(stream, epoch = lease.epoch, position = %lease.position, "holding the stream again");
        }
    }

    /// Another daemon has the stream, for the first time or still.
    pub fn standing_by(&mut self, reason: &str) {
        if self.troubles.over() | (self.held.replace(false) != Some(false)) {
            info!(stream = self.stream, reason, "standing by");
        }
    }

    /// Events were rejected.
    pub fn rejected(&mut self, reasons: &[(String, u64)]) {
        for (reason, events) in reasons {
            *self.unreported.entry(reason.clone()).or_default() += events;
        }
        self.say_rejected();
    }

    /// Logs the rejections that are not logged yet, at most one line an interval.
    pub fn say_rejected(&mut self) {
        if !self.unreported.is_empty() && self.rejections.say("", Instant::now()).is_some() {
            self.say_rest();
        }
    }

    /// Logs the rejections that are not logged yet.
    pub fn say_rest(&mut self) {
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
