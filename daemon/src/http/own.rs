//! What this daemon reports about its own state and its servers.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::error::ApiError;
use crate::schema::Schema;
use crate::state::{Phase, State};

/// Findings are shown for this long; then the next request runs the checks again.
const FINDINGS_LAST: Duration = Duration::from_secs(15);

/// Runs the checks of `binderyd doctor`, and returns the findings as JSON.
#[derive(Clone)]
pub struct Examine(pub Arc<dyn Fn() -> Examination + Send + Sync>);

/// The checks, running.
pub type Examination = Pin<Box<dyn Future<Output = Value> + Send>>;

impl fmt::Debug for Examine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Examine")
    }
}

/// What this daemon shows.
#[derive(Debug)]
pub struct Own {
    examine: Examine,
    publishes: bool,
    state: State,
    started: SystemTime,
    findings: Arc<Mutex<Option<(Instant, Bytes)>>>,
}

impl Own {
    /// For a daemon that starts now. `publishes`: whether it publishes the outbox.
    pub fn new(examine: Examine, publishes: bool, state: State) -> Self {
        let started = SystemTime::now();
        Self { examine, publishes, state, started, findings: Arc::default() }
    }

    /// The findings as JSON, at most [`FINDINGS_LAST`] old. The checks run once at a time, and to
    /// their end even if the request that began them is gone.
    pub async fn findings(&self) -> Result<Bytes, ApiError> {
        let mut last = self.findings.clone().lock_owned().await;
        if let Some((at, findings)) = &*last
            && at.elapsed() < FINDINGS_LAST
        {
            return Ok(findings.clone());
        }
        let examination = (self.examine.0)();
        let run = tokio::spawn(async move {
            let findings = examination.await;
            let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
            let text = Bytes::from(json!({ "at": now, "findings": findings }).to_string());
            *last = Some((Instant::now(), text.clone()));
            text
        });
        run.await.map_err(|_| ApiError::unavailable())
    }

    /// The daemon's own part.
    fn daemon(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "started_at": humantime::format_rfc3339_millis(self.started).to_string(),
            "holder": self.state.holder(),
            "publishes": self.publishes,
            "problems": self.problems(),
        })
    }

    /// What `/readyz` would report, as texts.
    fn problems(&self) -> Vec<String> {
        let (outbox, database) = (self.state.outbox(), self.state.database());
        let streams = self.state.snapshot();
        let channels = self.state.channels();
        let of_streams = streams.iter().filter_map(|(name, of)| {
            of.problem.as_ref().map(|problem| format!("{name}: {problem}"))
        });
        let of_channels = channels.iter().filter_map(|(name, of)| {
            of.problem.as_ref().map(|problem| format!("{name}: {problem}"))
        });
        of_streams.chain(of_channels).chain(outbox.problem).chain(database.problem).collect()
    }

    fn sweeper(&self) -> Value {
        let sweep = self.state.sweep();
        let mut shown = sweep.last.as_ref().map_or_else(|| json!({}), |(_, swept)| json!(swept));
        let at = sweep.last.map(|(at, _)| humantime::format_rfc3339_millis(at).to_string());
        shown["every_seconds"] = json!(sweep.every.map(|every| every.as_secs_f64()));
        shown["at"] = json!(at);
        shown["problem"] = json!(sweep.problem);
        shown
    }

    /// Adds this daemon's own part, and the exact lag of the streams that it holds.
    pub fn complete(&self, system: &mut Value) {
        system["daemon"] = self.daemon();
        system["sweeper"] = self.sweeper();
        system["schema"]["expected"] =
            json!(Schema::compiled_in().and_then(|schema| schema.newest()).ok());
        let states = self.state.snapshot();
        for stream in system["streams"].as_array_mut().into_iter().flatten() {
            let state = stream["stream"].as_str().and_then(|name| states.get(name));
            if let Some(state) = state
                && state.phase == Phase::Holding
                && let Some(lag) = state.lag
            {
                stream["lag_seconds"] = json!(lag);
            }
        }
    }
}
