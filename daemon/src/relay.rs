//! The relay of one stream: it acquires the lease, reads from the position, coalesces and applies,
//! in a loop. After a failure it starts again with the lease.
//!
//! No state in memory has to survive: the stream keeps the events, and Postgres keeps the position.

mod bridge;
mod caught_up;
mod feed;
mod health;
mod limit;
mod log;
mod probe;
mod session;
mod share;
mod trim;

use std::sync::Arc;
use std::time::Duration;

use limit::Limit;
use log::RelayLog;
use session::SessionError;
pub use share::{Announcer, Share};
use tokio_util::sync::CancellationToken;

use crate::database::{DatabaseUrl, Policy};
use crate::metrics;
use crate::retry::{MAX_PAUSE, pauses};
use crate::source::RedisUrl;
use crate::source::bullmq::Queue;
use crate::state::{Phase, State};

/// A daemon that stands by asks for the lease this many times during a lease's duration.
const STANDBY_PART: u32 = 4;
/// The relay renews the lease this many times during the lease's duration.
const RENEWALS: u32 = 3;

/// What a stream's entries are.
#[derive(Debug, Clone)]
pub enum Origin {
    /// Bindery's events.
    Events,
    /// The events that BullMQ publishes about a queue.
    BullMq(Arc<Queue>),
}

/// One stream's relay.
#[derive(Debug, Clone)]
pub struct Relay {
    /// The stream's key.
    pub stream: String,
    /// What its entries are.
    pub origin: Origin,
    /// This daemon's name, unique among all daemons.
    pub holder: String,
    /// The database to apply events to.
    pub database: DatabaseUrl,
    /// The Redis server to read from.
    pub redis: RedisUrl,
    /// How long a batch that is not full waits for more events before it is applied.
    pub linger: Duration,
    /// The maximum number of items in a batch.
    pub max_batch: usize,
    /// How long the lease lasts without a renewal.
    pub lease: Duration,
    /// How long applied entries are kept; `None`: not trimmed.
    pub retain: Option<Duration>,
    /// The advice about streams that several daemons share.
    pub share: Share,
    /// The state that the relay updates.
    pub state: State,
}

impl Relay {
    /// How often the lease is renewed.
    fn renewal(&self) -> Duration {
        self.lease / RENEWALS
    }

    /// Relays until `stop`, then applies what is in memory and releases the lease.
    pub async fn run(self, stop: CancellationToken) {
        metrics::begin(&self.stream);
        let seen = feed::Memory::default();
        let mut log = RelayLog::new(&self.stream);
        let mut pauses = pauses();
        let mut limit = Limit::new(self.max_batch);
        while !stop.is_cancelled() {
            if self.share.is_left_to_another(&self.stream) {
                self.stand_by("left to another daemon, which has fewer streams", &mut log);
                tokio::select! {
                    () = self.share.wait(&self.stream) => (),
                    () = stop.cancelled() => break,
                }
            }
            let mut progressed = false;
            let end = stop.child_token();
            let outcome = tokio::select! {
                outcome = session::run(&self, &seen, &end, &mut limit, &mut progressed, &mut log) => outcome,
                never = self.share.give_up(&self.stream, &end) => never,
            };
            let Err(error) = outcome else { continue };
            // `record_finding` has logged it, and this is no failure.
            if matches!(error, SessionError::Moved(_)) {
                continue;
            }
            if progressed {
                pauses = crate::retry::pauses();
            }
            let pause = self.report_failure(&error, pauses.next(), &mut log);
            tokio::select! {
                () = tokio::time::sleep(pause) => (),
                () = stop.cancelled() => (),
            }
        }
        log.report_rejected();
    }

    fn stand_by(&self, reason: &str, log: &mut RelayLog) {
        self.state.update(&self.stream, |state| {
            (state.phase, state.redis, state.problem) = (Phase::StandingBy, true, None);
            (state.caught_up, state.idle_until) = (None, None);
            (state.failed, state.stuck) = (false, false);
        });
        log.standing_by(reason);
    }

    /// Records and logs why a session ended; returns how long to pause.
    fn report_failure(
        &self,
        error: &SessionError,
        pause: Option<Duration>,
        log: &mut RelayLog,
    ) -> Duration {
        let stream = &self.stream;
        let (policy, remedy, side) = match error {
            SessionError::Database(error) => (Policy::after(error), error.remedy(), "postgres"),
            SessionError::Feed | SessionError::Moved(_) => (Policy::Retry, None, "redis"),
        };
        if policy == Policy::StandBy {
            self.stand_by(&error.to_string(), log);
            return self.lease / STANDBY_PART;
        }
        ::metrics::counter!(metrics::FAILURES, "stream" => stream.clone(), "side" => side)
            .increment(1);
        self.state.update(stream, |state| {
            (state.phase, state.failed, state.stuck) = (Phase::Connecting, true, true);
            state.idle_until = None;
            state.problem = Some(remedy.map_or_else(|| error.to_string(), str::to_owned));
        });
        let pause = pause.unwrap_or(MAX_PAUSE);
        match error {
            SessionError::Database(error) if error.code().as_deref() == Some("fenced") => {
                log.fenced(&error.to_string())
            }
            _ => log.failure(&error.to_string(), remedy, pause),
        }
        pause
    }
}
