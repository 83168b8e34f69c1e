//! The state shared by the work and the sender: a worker's stay in a stage, its substeps and loops.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use bindery_core::progress::SubstepProgress;
use uuid::Uuid;

use crate::error::Superseded;
use crate::resume::{ResumePoint, wrapped};

/// A worker's stay in a stage of a book.
#[derive(Debug)]
pub(crate) struct Session {
    pub book_id: Uuid,
    pub stage: String,
    /// Whether the book has left the attempt, or has passed the stage; a loop asks at each item.
    is_over: AtomicBool,
    state: Mutex<State>,
}

/// The state of a stay. Its lock is taken after that of the buffer, never before.
#[derive(Debug)]
pub(crate) struct State {
    pub attempt: Option<i32>,
    /// Whether the caller gave the attempt, so that no other one counts.
    pub is_given: bool,
    pub resume_point: Option<Arc<ResumePoint>>,
    pub superseded: Option<Superseded>,
    /// Whether the book is complete or in a later stage.
    pub is_passed: bool,
    /// Whether the work has begun: if the book had passed the stage, the worker is then superseded.
    pub is_started: bool,
    /// Whether the outcome of the `begin` is known, or will not be.
    pub is_begun: bool,
    /// The entry id of the `begin`, if another server is asked for its outcome.
    pub begin_id: Option<String>,
    /// Heartbeats are sent while it is open.
    pub is_open: bool,
    pub last_sent: Instant,
    pub substeps: HashMap<String, Substep>,
    pub loops: Vec<Weak<Loop>>,
}

/// The newest state of a substep, and what of it is not sent yet.
#[derive(Debug, Default)]
pub(crate) struct Substep {
    /// A message and a checkpoint are in it only until they are sent.
    pub report: SubstepProgress,
    /// Whether a report of it waits.
    pub is_queued: bool,
}

/// A loop over items whose count is reported.
#[derive(Debug)]
pub(crate) struct Loop {
    pub substep: String,
    pub total: Option<u64>,
    pub unit: Option<String>,
    /// The items that are finished, skipped ones included.
    pub done: AtomicU64,
    pub is_finished: AtomicBool,
    /// The worker's own checkpoint, and the items that it covers.
    pub saved: Mutex<Option<(u64, String)>>,
    /// The last report.
    pub reported: Mutex<Option<(u64, Option<u64>, bool)>>,
}

impl Session {
    pub fn new(
        book_id: Uuid,
        stage: &str,
        attempt: Option<i32>,
        resume_point: Option<Arc<ResumePoint>>,
    ) -> Self {
        let state = State {
            attempt,
            is_given: attempt.is_some(),
            resume_point,
            superseded: None,
            is_passed: false,
            is_started: false,
            is_begun: false,
            begin_id: None,
            is_open: true,
            last_sent: Instant::now(),
            substeps: HashMap::new(),
            loops: Vec::new(),
        };
        Self {
            book_id,
            stage: stage.to_owned(),
            is_over: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no work is left in this stay.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Why this worker is to stop, if it is.
    pub fn superseded(&self) -> Result<(), Superseded> {
        if !self.is_over() {
            return Ok(());
        }
        self.state().superseded.clone().map_or(Ok(()), Err)
    }

    /// Applies the outcome of the `begin`: the book's resume point, and whether it had passed the
    /// stage.
    pub fn learn(&self, point: ResumePoint, has_passed: bool) {
        let mut state = self.state();
        if point.status == self.stage {
            state.attempt.get_or_insert(point.attempt);
            state.resume_point = Some(Arc::new(point.clone()));
        } else if has_passed && !(state.is_given || state.is_started) && point.status != "CANCELLED"
        {
            state.is_passed = true;
            state.is_open = false;
            self.is_over.store(true, Ordering::Relaxed);
        }
        state.is_begun = true;
        let is_passed = state.is_passed;
        drop(state);
        if !is_passed {
            self.check(&point.status, point.stage.as_deref(), Some(point.attempt));
        }
    }

    /// Compares the book's stage and attempt with this worker's.
    pub fn check(&self, status: &str, stage: Option<&str>, attempt: Option<i32>) {
        let known = self.state().attempt;
        let is_here = status == self.stage && stage == Some(self.stage.as_str());
        if !(is_here && (known.is_none() || known == attempt)) {
            self.supersede(Some(status), attempt);
        }
    }

    /// Makes the next report return that the book has left this attempt.
    pub fn supersede(&self, status: Option<&str>, current_attempt: Option<i32>) {
        let mut state = self.state();
        if state.is_open && state.superseded.is_none() {
            state.superseded = Some(Superseded {
                book_id: self.book_id,
                stage: self.stage.clone(),
                attempt: state.attempt,
                status: status.map(str::to_owned),
                current_attempt,
            });
            self.is_over.store(true, Ordering::Relaxed);
        }
    }
}

impl State {
    /// The state of a substep, which begins where the last attempt left it.
    pub fn substep(&mut self, name: &str) -> &mut Substep {
        let point = self.resume_point.as_ref();
        self.substeps.entry(name.to_owned()).or_insert_with(|| {
            let mut substep = Substep::default();
            if let Some(point) = point {
                let left = point.left.get(name).map_or(0.0, |left| left.progress);
                substep.report.progress = if point.done.contains(name) { 100.0 } else { left };
            }
            substep
        })
    }
}

impl Loop {
    /// Saves the worker's own checkpoint, with the current item finished.
    pub fn save(&self, json: String) {
        let items = self.done.load(Ordering::Relaxed) + 1;
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = Some((items, json));
    }

    /// The progress as event fields, if it has changed since the last report.
    pub fn report(&self) -> Option<serde_json::Value> {
        // The lock keeps an older count from following a newer one.
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let is_finished = self.is_finished.load(Ordering::Acquire);
        let done = self.done.load(Ordering::Relaxed);
        let saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (done, saved.as_ref().map(|(items, _)| *items), is_finished);
        if reported.replace(now) == Some(now) {
            return None;
        }
        let checkpoint = match &*saved {
            Some((items, data)) => wrapped(*items, Some(data)),
            None => wrapped(done, None),
        };
        let total = if is_finished { Some(done) } else { self.total };
        let mut fields = serde_json::json!({"checkpoint": checkpoint, "unit": self.unit});
        match total {
            Some(total) if total > 0 => {
                fields["done"] = done.min(total).into();
                fields["total"] = total.into();
            }
            _ => fields["progress"] = if is_finished { 100 } else { 0 }.into(),
        }
        Some(fields)
    }
}
