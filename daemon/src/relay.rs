//! One stream's relay: take the lease, read from the position, coalesce, apply, again; and after
//! any failure from the start.
//!
//! Everything in memory may be lost at any moment: the stream has the events, Postgres the
//! position.

mod bridge;
mod caught_up;
mod feed;
mod health;
mod limit;
mod look;
mod session;
mod share;
mod trim;
mod voice;

use std::sync::Arc;
use std::time::Duration;

use limit::Limit;
use session::SessionError;
pub use share::{Announcer, Share};
use tokio_util::sync::CancellationToken;
use voice::Voice;

use crate::database::{DatabaseUrl, Policy};
use crate::metrics;
use crate::pauses::{MAX_PAUSE, pauses};
use crate::source::RedisUrl;
use crate::source::bullmq::Queue;
use crate::state::{Phase, State};

/// How often a daemon that stands by asks for the lease, as a part of the lease.
const STANDBY_PART: u32 = 4;
/// The lease is renewed this often within its time.
const RENEWALS: u32 = 3;

/// What a stream has in it.
#[derive(Debug, Clone)]
pub enum Origin {
    /// Bindery's events.
    Events,
    /// What BullMQ tells of a queue.
    BullMq(Arc<Queue>),
}

/// One stream's relay.
#[derive(Debug, Clone)]
pub struct Relay {
    /// The stream's key.
    pub stream: String,
    /// What is in it.
    pub origin: Origin,
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
    /// What is advised, where several daemons read the same streams.
    pub share: Share,
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
        metrics::begin(&self.stream);
        let seen = feed::Memory::default();
        let mut voice = Voice::new(&self.stream);
        let mut pauses = pauses();
        let mut limit = Limit::new(self.max_batch);
        while !stop.is_cancelled() {
            if self.share.is_anothers(&self.stream) {
                self.stand_by("another daemon, which has fewer streams, is to take it", &mut voice);
                tokio::select! {
                    () = self.share.wait(&self.stream) => (),
                    () = stop.cancelled() => break,
                }
            }
            let mut progressed = false;
            let end = stop.child_token();
            let outcome = tokio::select! {
                outcome = session::run(&self, &seen, &end, &mut limit, &mut progressed, &mut voice) => outcome,
                never = self.share.give_up(&self.stream, &end) => never,
            };
            let Err(error) = outcome else { continue };
            // It was said, and nothing failed.
            if matches!(error, SessionError::Moved(_)) {
                continue;
            }
            if progressed {
                pauses = crate::pauses::pauses();
            }
            let pause = self.tell(&error, pauses.next(), &mut voice);
            tokio::select! {
                () = tokio::time::sleep(pause) => (),
                () = stop.cancelled() => (),
            }
        }
        voice.say_rest();
    }

    fn stand_by(&self, reason: &str, voice: &mut Voice) {
        self.state.update(&self.stream, |state| {
            (state.phase, state.redis, state.problem) = (Phase::StandingBy, true, None);
            (state.caught_up, state.idle_until) = (None, None);
            (state.failed, state.stuck) = (false, false);
        });
        voice.standing_by(reason);
    }

    /// Says what ended a session, and how long to pause.
    fn tell(&self, error: &SessionError, pause: Option<Duration>, voice: &mut Voice) -> Duration {
        let stream = &self.stream;
        let (policy, remedy, side) = match error {
            SessionError::Database(error) => (Policy::after(error), error.remedy(), "postgres"),
            SessionError::Feed | SessionError::Moved(_) => (Policy::Retry, None, "redis"),
        };
        if policy == Policy::StandBy {
            self.stand_by(&error.to_string(), voice);
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
                voice.fenced(&error.to_string())
            }
            _ => voice.trouble(&error.to_string(), remedy, pause),
        }
        pause
    }
}
