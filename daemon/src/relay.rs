//! One stream's relay: take the lease, read from the position, coalesce, apply, again; and after any failure from the start.
//!
//! Everything in memory may be lost at any moment: the stream has the events, Postgres the position.

mod caught_up;
mod feed;
mod session;
mod trim;

use std::time::Duration;

use session::SessionError;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::database::{DatabaseUrl, Policy};
use crate::metrics;
use crate::pauses::{MAX_PAUSE, pauses};
use crate::source::RedisUrl;
use crate::state::{Phase, State};

/// How often a daemon that stands by asks for the lease, as a part of the lease.
const STANDBY_PART: u32 = 4;
/// The lease is renewed this often within its time.
const RENEWALS: u32 = 3;

/// One stream's relay.
#[derive(Debug, Clone)]
pub struct Relay {
    /// The stream's key.
    pub stream: String,
    /// This daemon's name, different from every other's.
    pub holder: String,
    /// Where to apply.
    pub database: DatabaseUrl,
    /// Where to read.
    pub redis: RedisUrl,
    /// How long to wait for more before a batch that is not full is applied.
    pub linger: Duration,
    /// The most items a batch may have.
    pub max_batch: usize,
    /// How long the lease lasts without a sign of this daemon.
    pub lease: Duration,
    /// How long applied entries are kept; `None`: not trimmed.
    pub retain: Option<Duration>,
    /// Where to tell how it goes.
    pub state: State,
}

impl Relay {
    /// How often the lease is renewed.
    fn renewal(&self) -> Duration {
        self.lease / RENEWALS
    }

    /// Relays until `stop`; then what is in memory is applied and the lease released.
    pub async fn run(self, stop: CancellationToken) {
        self.state.update(&self.stream, |_| ());
        let mut pauses = pauses();
        while !stop.is_cancelled() {
            let mut applied_something = false;
            let outcome = session::run(&self, &stop, &mut applied_something).await;
            ::metrics::gauge!(metrics::HELD, "stream" => self.stream.clone()).set(0.0);
            let Err(error) = outcome else { break };
            if applied_something {
                pauses = crate::pauses::pauses();
            }
            let pause = self.tell(&error, pauses.next());
            tokio::select! {
                () = tokio::time::sleep(pause) => (),
                () = stop.cancelled() => (),
            }
        }
    }

    /// Says what ended a session, and how long to pause.
    fn tell(&self, error: &SessionError, pause: Option<Duration>) -> Duration {
        let stream = &self.stream;
        let (policy, remedy, side) = match error {
            SessionError::Database(error) => (error.policy(), error.remedy(), "postgres"),
            SessionError::Feed => (Policy::Retry, None, "redis"),
        };
        if policy == Policy::StandBy {
            self.state.update(stream, |state| {
                if state.phase != Phase::StandingBy {
                    info!(stream, reason = %error, "standing by");
                }
                (state.phase, state.redis, state.problem, state.lag) = (Phase::StandingBy, true, None, None);
            });
            return self.lease / STANDBY_PART;
        }
        ::metrics::counter!(metrics::FAILURES, "stream" => stream.clone(), "side" => side).increment(1);
        self.state.update(stream, |state| {
            state.phase = Phase::Connecting;
            state.problem = Some(remedy.map_or_else(|| error.to_string(), str::to_owned));
        });
        let pause = pause.unwrap_or(MAX_PAUSE);
        warn!(stream, error = %error, remedy, ?pause, "the relay starts over; nothing is lost");
        pause
    }
}
