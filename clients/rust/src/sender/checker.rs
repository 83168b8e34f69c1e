//! Asks a second server (the status URL) what a stream cannot answer: the attempt and the resume
//! point of a `begin` once the relay has applied it, and that a book has left a worker's attempt.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bindery_core::stream_id::StreamId;
use tracing::warn;

use super::Shared;
use crate::session::Session;
use crate::transport::{Calls, Problem};

/// How often the outcome of a `begin` is asked for, and otherwise where books are.
const BEGIN_EVERY: Duration = Duration::from_millis(50);
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// What answers, and the stream that it is to have applied.
pub(crate) struct Status {
    pub calls: Calls,
    pub stream: String,
}

pub(super) struct Checker {
    shared: Arc<Shared>,
    status: Status,
    checked: Instant,
    asked: Instant,
    is_away: bool,
}

impl Checker {
    pub fn new(shared: Arc<Shared>, status: Status) -> Self {
        let now = Instant::now();
        Self { shared, status, checked: now, asked: now, is_away: false }
    }

    /// When there is something to ask; `None`: no stage is open.
    pub fn due(&self, sessions: &[Weak<Session>]) -> Option<Instant> {
        let open: Vec<_> = sessions.iter().filter_map(Weak::upgrade).filter(is_open).collect();
        let begins = open.iter().any(begins) && !self.is_away;
        (!open.is_empty()).then(|| {
            let next = self.checked.max(self.asked) + CHECK_EVERY;
            if begins { next.min(self.asked + BEGIN_EVERY) } else { next }
        })
    }

    pub async fn check(&mut self) {
        self.asked = Instant::now();
        match self.ask().await {
            Ok(()) => self.is_away = false,
            Err(Problem::Away(problem) | Problem::Refused { message: problem, .. }) => {
                if !std::mem::replace(&mut self.is_away, true) {
                    warn!(problem, "the status of books cannot be read");
                }
            }
        }
    }

    async fn ask(&mut self) -> Result<(), Problem> {
        let sessions = self.shared.inner().sessions.clone();
        let is_time = self.checked + CHECK_EVERY <= self.asked;
        for session in sessions.iter().filter_map(Weak::upgrade).filter(is_open) {
            if begins(&session) {
                self.learn(&session).await?;
            } else if is_time
                && session.state().attempt.is_some()
                && let Some(point) = self.status.calls.resume_point(session.book_id).await?
            {
                session.check(&point.status, point.stage.as_deref(), Some(point.attempt));
            }
        }
        if is_time {
            self.checked = self.asked;
        }
        Ok(())
    }

    async fn learn(&mut self, session: &Arc<Session>) -> Result<(), Problem> {
        let begin = session.state().begin_id.clone();
        let Some(begin) = begin.and_then(|id| id.parse::<StreamId>().ok()) else { return Ok(()) };
        let Status { calls, stream } = &mut self.status;
        // Asked before the resume point: once no early event waits, the book's state is the
        // outcome.
        let (position, waits) = calls.relayed(stream, session.book_id).await?;
        let position = position.and_then(|id| id.parse::<StreamId>().ok());
        if position.is_none_or(|position| position < begin) {
            return Ok(());
        }
        let Some(point) = calls.resume_point(session.book_id).await? else { return Ok(()) };
        let is_here = point.status == session.stage;
        if is_here || !waits {
            let has_passed = !is_here && calls.has_passed(session.book_id, &session.stage).await?;
            session.learn(point, has_passed);
        }
        Ok(())
    }
}

fn is_open(session: &Arc<Session>) -> bool {
    session.state().is_open && !session.is_over()
}

/// Whether the outcome of its `begin` is to be asked for.
fn begins(session: &Arc<Session>) -> bool {
    let state = session.state();
    state.begin_id.is_some() && (!state.is_begun || state.attempt.is_none())
}
