//! What the daemon knows about itself, for `/readyz`, `/metrics` and the logs: each stream's relay,
//! the outbox's publisher, and each channel's subscriber.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bindery_core::stream_id::StreamId;
use serde::Serialize;

use crate::repeats::Repeats;

/// Where a stream's relay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No connection to Postgres, or no answer yet: set at the start and by every failure.
    Connecting,
    /// Another daemon holds the stream: set while the lease is refused.
    StandingBy,
    /// This daemon holds the stream: set by each acquire.
    Holding,
}

/// One stream's relay.
#[derive(Debug, Clone, Serialize)]
pub struct StreamState {
    /// Where it stands.
    pub phase: Phase,
    /// Whether Redis answers; true while standing by, when it is not asked.
    pub redis: bool,
    /// The last entry applied by this daemon or found applied.
    #[serde(skip)]
    pub position: StreamId,
    /// How many events this daemon has settled up to there, whatever their outcome.
    #[serde(skip)]
    pub events: u64,
    /// When everything in the stream was last known to be applied: set by each renewal, unset while
    /// standing by. It outlives a session.
    #[serde(skip)]
    pub caught_up: Option<Instant>,
    /// Until when this relay is sure that nothing waits, unless it reads something: set by each
    /// read that brought nothing while nothing was being applied.
    #[serde(skip)]
    pub idle_until: Option<Instant>,
    /// Seconds for which something may have been waiting, computed when it is asked for, so that it
    /// grows while nothing is renewed; 0 while nothing waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<f64>,
    /// Redis's clock less this machine's, in seconds: set by each look at the stream.
    #[serde(skip)]
    pub redis_clock: Option<f64>,
    /// What was said of Redis's failures; it outlives a session.
    #[serde(skip)]
    pub redis_troubles: Repeats,
    /// Whether a failure on Postgres's side is not over yet: set by each, unset by the next
    /// acquire.
    #[serde(skip)]
    pub failed: bool,
    /// Whether a session failed and none has got on since: set by each failure, unset by a batch
    /// that takes effect, by a stream without anything to read, and while standing by.
    #[serde(skip)]
    pub stuck: bool,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl StreamState {
    /// Everything in the stream was applied this long ago; `None`: it never was.
    pub fn set_lag(&mut self, lag: Option<Duration>) {
        let now = Instant::now();
        match lag {
            Some(lag) => self.caught_up = now.checked_sub(lag),
            None => self.caught_up = self.caught_up.or(Some(now)),
        }
    }

    /// Seconds for which something may have been waiting.
    fn lag_at(&self, now: Instant) -> Option<f64> {
        let since = self.caught_up?;
        let idle = self.redis && self.idle_until.is_some_and(|until| now < until);
        Some(if idle { 0.0 } else { now.saturating_duration_since(since).as_secs_f64() })
    }

    /// The relay gets on.
    pub fn gets_on(&mut self) {
        if std::mem::take(&mut self.stuck) && self.redis {
            self.problem = None;
        }
    }

    /// Whether all is as it should be.
    pub fn is_ready(&self) -> bool {
        self.phase != Phase::Connecting && self.redis && !self.stuck
    }
}

/// The outbox's publisher.
#[derive(Debug, Clone, Default, Serialize)]
pub struct OutboxState {
    /// Why messages wait: set by each failure, unset once something was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Postgres, as `serve` finds it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DatabaseState {
    /// Why nothing can be read: set by each failure, unset by an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The sweeper.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SweepState {
    /// Why nothing is swept: set by sweeps that could not run, unset by one that ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A channel's subscriber.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ChannelState {
    /// Whether this daemon is subscribed: set by each subscription, unset by its end.
    pub subscribed: bool,
    /// Why nobody here hears the channel: set by each failure, unset once this daemon is subscribed
    /// or another is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// All that the daemon knows about itself.
#[derive(Debug, Clone, Default)]
pub struct State(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    streams: BTreeMap<String, StreamState>,
    outbox: OutboxState,
    sweep: SweepState,
    database: DatabaseState,
    channels: BTreeMap<String, ChannelState>,
}

impl State {
    /// Changes one stream's state.
    pub fn update(&self, stream: &str, change: impl FnOnce(&mut StreamState)) {
        let mut known = self.lock();
        let state = known.streams.entry(stream.to_owned()).or_insert_with(|| StreamState {
            phase: Phase::Connecting,
            redis: true,
            position: StreamId::default(),
            events: 0,
            caught_up: None,
            idle_until: None,
            lag: None,
            redis_clock: None,
            redis_troubles: Repeats::default(),
            failed: false,
            stuck: false,
            problem: None,
        });
        change(state);
    }

    /// A copy of all streams' states.
    pub fn snapshot(&self) -> BTreeMap<String, StreamState> {
        let mut streams = self.lock().streams.clone();
        let now = Instant::now();
        for state in streams.values_mut() {
            state.lag = state.lag_at(now);
        }
        streams
    }

    /// Says how the outbox's publisher fares.
    pub fn set_outbox(&self, problem: Option<String>) {
        self.lock().outbox.problem = problem;
    }

    /// How the outbox's publisher fares.
    pub fn outbox(&self) -> OutboxState {
        self.lock().outbox.clone()
    }

    /// Sets why nothing is swept; `None`: sweeps run.
    pub fn set_sweep(&self, problem: Option<String>) {
        self.lock().sweep.problem = problem;
    }

    /// Whether sweeps run.
    pub fn sweep(&self) -> SweepState {
        self.lock().sweep.clone()
    }

    /// Sets why nothing can be read; `None`: Postgres answers.
    pub fn set_database(&self, problem: Option<String>) {
        self.lock().database.problem = problem;
    }

    /// Whether Postgres answers; only `serve` asks.
    pub fn database(&self) -> DatabaseState {
        self.lock().database.clone()
    }

    /// Says how a channel's subscriber fares.
    pub fn set_channel(&self, channel: &str, subscribed: bool, problem: Option<String>) {
        self.lock().channels.insert(channel.to_owned(), ChannelState { subscribed, problem });
    }

    /// How the channels' subscribers fare.
    pub fn channels(&self) -> BTreeMap<String, ChannelState> {
        self.lock().channels.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // A state is whole after each assignment, so what a panic left is still true.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
