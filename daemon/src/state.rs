//! The daemon's state for `/readyz`, `/metrics` and the logs: each stream's relay, the outbox's
//! publisher, and each channel's subscriber.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bindery_core::stream_id::StreamId;
use serde::{Deserialize, Serialize};

use crate::retry::Repeats;

/// The result of a sweep.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Swept {
    /// Whether it ran; false if another sweep was running.
    #[serde(skip_serializing)]
    pub ran: bool,
    /// The number of stalled books that became FAILED.
    pub stalled: u64,
    /// The number of FAILED books that were resumed.
    pub resumed: u64,
    /// The number of early events that waited longer than `patience` and became dead letters.
    pub expired: u64,
    /// The streams whose relay must catch up before a book can fail as stalled.
    pub waiting_for: Vec<String>,
}

/// The phase of a stream's relay.
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
    /// The relay's phase.
    pub phase: Phase,
    /// Whether Redis answers; true while standing by, when the relay does not use Redis.
    pub redis: bool,
    /// The last entry applied by this daemon or found applied.
    #[serde(skip)]
    pub position: StreamId,
    /// How many events this daemon has settled up to `position`, with any outcome.
    #[serde(skip)]
    pub events: u64,
    /// When everything in the stream was last known to be applied: set by each renewal, unset while
    /// standing by. It outlives a session.
    #[serde(skip)]
    pub caught_up: Option<Instant>,
    /// Until when the relay counts as caught up without a renewal: set by each empty read while no
    /// batch is being applied.
    #[serde(skip)]
    pub idle_until: Option<Instant>,
    /// The lag in seconds, computed when the state is read, so that it grows without renewals; 0
    /// while the relay is caught up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<f64>,
    /// The offset of Redis's clock from this host's, in seconds; set by each probe of the stream.
    #[serde(skip)]
    pub redis_clock: Option<f64>,
    /// The failures of Redis that were logged; they outlive a session.
    #[serde(skip)]
    pub redis_failures: Repeats,
    /// Whether a call to Postgres failed: set by each failure, unset by the next acquire.
    #[serde(skip)]
    pub failed: bool,
    /// Whether a session failed without progress since: set by each failure, unset by an applied
    /// batch, by a stream without unread entries, and while standing by.
    #[serde(skip)]
    pub stuck: bool,
    /// Why the relay is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl StreamState {
    /// Sets how long ago everything in the stream was applied; `None`: never.
    pub fn set_lag(&mut self, lag: Option<Duration>) {
        let now = Instant::now();
        match lag {
            Some(lag) => self.caught_up = now.checked_sub(lag),
            None => self.caught_up = self.caught_up.or(Some(now)),
        }
    }

    /// The lag in seconds.
    fn lag_at(&self, now: Instant) -> Option<f64> {
        let since = self.caught_up?;
        let idle = self.redis && self.idle_until.is_some_and(|until| now < until);
        Some(if idle { 0.0 } else { now.saturating_duration_since(since).as_secs_f64() })
    }

    /// Records that the relay makes progress.
    pub fn record_progress(&mut self) {
        if std::mem::take(&mut self.stuck) && self.redis {
            self.problem = None;
        }
    }

    /// Whether `/readyz` counts the stream as ready.
    pub fn is_ready(&self) -> bool {
        self.phase != Phase::Connecting && self.redis && !self.stuck
    }
}

/// The outbox's publisher.
#[derive(Debug, Clone, Default, Serialize)]
pub struct OutboxState {
    /// Why messages wait: set by each failure, unset by the next success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The connection of `serve` to Postgres.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DatabaseState {
    /// Why Postgres does not answer: set by each failure, unset by an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The sweeper.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SweepState {
    /// Why sweeps do not run: set by each failure, unset by the next sweep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The interval between two sweeps; `None`: this daemon does not sweep.
    #[serde(skip)]
    pub every: Option<Duration>,
    /// This daemon's last sweep that ran, and its result.
    #[serde(skip)]
    pub last: Option<(SystemTime, Swept)>,
}

/// A channel's subscriber.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ChannelState {
    /// Whether this daemon is subscribed: set by each subscription, unset by its end.
    pub subscribed: bool,
    /// Why the channel has no subscription: set by each failure, unset once this daemon or another
    /// one is subscribed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The state of all parts of the daemon.
#[derive(Debug, Clone, Default)]
pub struct State(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    holder: Option<String>,
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
            redis_failures: Repeats::default(),
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

    /// Sets why the outbox waits; `None`: it is published.
    pub fn set_outbox(&self, problem: Option<String>) {
        self.lock().outbox.problem = problem;
    }

    /// The state of the outbox's publisher.
    pub fn outbox(&self) -> OutboxState {
        self.lock().outbox.clone()
    }

    /// Sets why sweeps do not run; `None`: they run.
    pub fn set_sweep(&self, problem: Option<String>) {
        self.lock().sweep.problem = problem;
    }

    /// Records that this daemon sweeps at this interval.
    pub fn set_sweeper(&self, every: Duration) {
        self.lock().sweep.every = Some(every);
    }

    /// Records a sweep that ran.
    pub fn set_swept(&self, swept: Swept) {
        self.lock().sweep.last = Some((SystemTime::now(), swept));
    }

    /// Sets the name under which this daemon acquires streams.
    pub fn set_holder(&self, holder: &str) {
        self.lock().holder = Some(holder.to_owned());
    }

    /// The name under which this daemon acquires streams; `None`: it relays nothing.
    pub fn holder(&self) -> Option<String> {
        self.lock().holder.clone()
    }

    /// The state of the sweeper.
    pub fn sweep(&self) -> SweepState {
        self.lock().sweep.clone()
    }

    /// Sets why Postgres does not answer; `None`: it answers.
    pub fn set_database(&self, problem: Option<String>) {
        self.lock().database.problem = problem;
    }

    /// The state of the connection to Postgres; only `serve` sets it.
    pub fn database(&self) -> DatabaseState {
        self.lock().database.clone()
    }

    /// Sets the state of a channel's subscriber.
    pub fn set_channel(&self, channel: &str, subscribed: bool, problem: Option<String>) {
        self.lock().channels.insert(channel.to_owned(), ChannelState { subscribed, problem });
    }

    /// The states of the channels' subscribers.
    pub fn channels(&self) -> BTreeMap<String, ChannelState> {
        self.lock().channels.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Ignore poisoning: the data is consistent after each assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
