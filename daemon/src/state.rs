//! What the daemon knows about itself, for `/readyz` and the logs: each stream's relay, and whether a stop was asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bindery_core::stream_id::StreamId;
use serde::Serialize;

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
    /// Seconds since everything in the stream was known to be applied: set by each renewal, unset while standing by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<f64>,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl StreamState {
    /// Whether all is as it should be.
    pub fn is_ready(&self) -> bool {
        self.phase != Phase::Connecting && self.redis
    }
}

/// All streams' relays.
#[derive(Debug, Clone, Default)]
pub struct State(Arc<Mutex<BTreeMap<String, StreamState>>>);

impl State {
    /// Changes one stream's state.
    pub fn update(&self, stream: &str, change: impl FnOnce(&mut StreamState)) {
        let mut streams = self.lock();
        let state = streams.entry(stream.to_owned()).or_insert_with(|| StreamState {
            phase: Phase::Connecting,
            redis: true,
            position: StreamId::default(),
            lag: None,
            problem: None,
        });
        change(state);
    }

    /// A copy of all streams' states.
    pub fn snapshot(&self) -> BTreeMap<String, StreamState> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, StreamState>> {
        // A state is whole after each assignment, so what a panic left is still true.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
