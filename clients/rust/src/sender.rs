//! The thread that delivers a client's events and sends heartbeats.
//!
//! It has its own runtime, so that it works in any program and does not depend on the program's
//! busy threads. The work locks the state for some microseconds and never waits for a server.

mod checker;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bindery_core::event::{Event, EventKind, Heartbeat, Progress};
use bindery_core::progress::SubstepProgress;
use tokio::sync::Notify;
use tokio::time::timeout_at;
use tracing::{info, warn};
use uuid::Uuid;

use crate::buffer::{Buffer, Content, Item};
use crate::session::Session;
use crate::transport::{Batch, Outcome, Problem, Transport};
use checker::Checker;

pub(crate) use checker::Status;

const BATCH: usize = 500;
const BATCH_BYTES: usize = 256 * 1024;
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The maximum number of remembered kinds of refusals, each of which is logged once.
const REFUSALS: usize = 10_000;

/// The limits and intervals of the sender.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    /// The least time between two reports of a substep.
    pub interval: Duration,
    /// The silence after which an open stage sends a heartbeat.
    pub heartbeat: Duration,
    pub max_events: usize,
    pub max_bytes: usize,
}

/// The state shared by the program's threads and the sender's thread.
#[derive(Debug)]
pub(crate) struct Shared {
    pace: Pace,
    inner: Mutex<Inner>,
    wake: Notify,
}

#[derive(Debug)]
struct Inner {
    buffer: Buffer,
    /// The items taken from the buffer that are not settled.
    in_flight: Vec<(u64, Uuid)>,
    sessions: Vec<Weak<Session>>,
    waiters: Vec<Waiter>,
    /// Whether an item must be sent at once.
    is_urgent: bool,
    /// Whether the last call got no answer; false before the first call.
    is_away: bool,
    next_report: Instant,
    next_try: Instant,
    /// When the thread ends, delivered or not.
    ends_at: Option<Instant>,
}

/// A caller that waits, until `until` at most.
struct Waiter {
    awaited: Awaited,
    until: Instant,
    /// Whether to wait while the server does not answer.
    is_patient: bool,
    callback: Option<Box<dyn FnOnce(bool) + Send>>,
}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Waiter({:?})", self.awaited)
    }
}

#[derive(Debug)]
enum Awaited {
    /// The outcome of a `begin`.
    Begun(Arc<Session>),
    /// That everything up to this number (of one book) is settled.
    Delivered(u64, Option<Uuid>),
}

impl Shared {
    pub fn new(pace: Pace) -> Self {
        let now = Instant::now();
        let inner = Inner {
            buffer: Buffer::new(pace.max_events, pace.max_bytes),
            in_flight: Vec::new(),
            sessions: Vec::new(),
            waiters: Vec::new(),
            is_urgent: false,
            is_away: false,
            next_report: now,
            next_try: now,
            ends_at: None,
        };
        Self { pace, inner: Mutex::new(inner), wake: Notify::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many events were dropped because the buffer was full.
    pub fn dropped(&self) -> u64 {
        self.inner().buffer.dropped
    }

    /// Sends an event as soon as possible.
    pub fn add(&self, event: Event, session: Option<Arc<Session>>, texts: usize) {
        let mut inner = self.inner();
        inner.buffer.add(event.book_id, session, Content::Event(event), texts);
        inner.is_urgent = true;
        drop(inner);
        self.wake.notify_one();
    }

    /// Sends heartbeats for a session while it is open, and reads its loops' counts.
    pub fn enter(&self, session: &Arc<Session>) {
        let mut inner = self.inner();
        inner.sessions.retain(|known| known.strong_count() > 0);
        inner.sessions.push(Arc::downgrade(session));
    }

    /// Takes over a report of a substep, and sends it within the interval.
    pub fn report(&self, session: &Arc<Session>, substep: &str, later: Change) {
        let mut inner = self.inner();
        let mut state = session.state();
        let known = state.substep(substep);
        match later {
            Change::Report(report) => known.report.merge(report),
            Change::Message(message) => known.report.message = Some(message),
            Change::Checkpoint(checkpoint) => known.report.checkpoint = Some(checkpoint),
        }
        let was_queued = std::mem::replace(&mut known.is_queued, true);
        let texts = known.report.message.as_ref().map_or(0, String::len)
            + known.report.checkpoint.as_ref().map_or(0, |json| json.as_str().len());
        drop(state);
        if !was_queued {
            let content = Content::Report(substep.to_owned());
            if !inner.buffer.add(session.book_id, Some(session.clone()), content, texts) {
                session.state().substep(substep).is_queued = false;
            }
            drop(inner);
            self.wake.notify_one();
        }
    }

    /// Reports the counts of the loops that run, of one book or of all.
    pub fn sample(&self, book_id: Option<Uuid>) {
        let sessions: Vec<_> = self.inner().sessions.iter().filter_map(Weak::upgrade).collect();
        for session in sessions {
            if book_id.is_none_or(|book| session.book_id == book) {
                self.sample_session(&session);
            }
        }
    }

    pub fn sample_session(&self, session: &Arc<Session>) {
        let loops: Vec<_> = session.state().loops.iter().filter_map(Weak::upgrade).collect();
        for running in loops {
            if !session.is_over()
                && let Some(fields) = running.report()
                && let Ok(report) = Change::report(session, &running.substep, fields)
            {
                self.report(session, &running.substep, report);
            }
        }
    }

    /// Calls back once the outcome of a session's `begin` is known; false: not in time.
    pub fn when_begun(
        &self,
        session: &Arc<Session>,
        within: Option<Duration>,
        default: Duration,
        callback: impl FnOnce(bool) + Send + 'static,
    ) {
        self.wait(
            Awaited::Begun(session.clone()),
            within.unwrap_or(default),
            within.is_some(),
            callback,
        );
    }

    /// Calls back once everything reported so far is settled; false: not in time.
    pub fn when_delivered(
        &self,
        book_id: Option<Uuid>,
        within: Duration,
        is_patient: bool,
        callback: impl FnOnce(bool) + Send + 'static,
    ) {
        self.sample(book_id);
        let number = self.inner().buffer.last_number;
        self.wait(Awaited::Delivered(number, book_id), within, is_patient, callback);
    }

    fn wait(
        &self,
        awaited: Awaited,
        within: Duration,
        is_patient: bool,
        callback: impl FnOnce(bool) + Send + 'static,
    ) {
        let now = Instant::now();
        let mut inner = self.inner();
        let callback: Option<Box<dyn FnOnce(bool) + Send>> = Some(Box::new(callback));
        inner.waiters.push(Waiter { awaited, until: now + within, is_patient, callback });
        inner.is_urgent = true;
        if is_patient {
            // The caller waits: try at once, not at the end of the pause.
            inner.next_try = now;
        }
        drop(inner);
        self.wake.notify_one();
    }

    /// Lets the thread end once all is delivered, or after this time.
    pub fn end(&self, within: Duration) {
        let now = Instant::now();
        let mut inner = self.inner();
        inner.ends_at = Some(now + within);
        inner.is_urgent = true;
        inner.next_try = now;
        drop(inner);
        self.wake.notify_one();
    }
}

/// What a report changes.
#[derive(Debug)]
pub(crate) enum Change {
    Report(SubstepProgress),
    Message(String),
    Checkpoint(bindery_core::json::Json),
}

impl Change {
    /// A whole report, from the fields of an event.
    pub fn report(
        session: &Session,
        substep: &str,
        mut fields: serde_json::Value,
    ) -> Result<Self, crate::Error> {
        fields["substep"] = substep.into();
        match crate::event::event("progress", session.book_id, fields)?.kind {
            EventKind::Progress(Progress { report, .. }) => Ok(Self::Report(report)),
            _ => Ok(Self::Report(SubstepProgress::default())),
        }
    }
}

impl Inner {
    /// Whether all items up to this number (of one book) are settled.
    fn is_settled(&self, number: u64, book_id: Option<Uuid>) -> bool {
        let oldest = self.buffer.oldest(book_id);
        let mut in_flight = self.in_flight.iter();
        oldest.is_none_or(|oldest| oldest > number)
            && !in_flight
                .any(|&(item, book)| item <= number && book_id.is_none_or(|asked| asked == book))
    }

    /// Calls back the waiters that need not wait any longer.
    fn notify_waiters(&mut self, now: Instant) {
        let mut due = Vec::new();
        let mut waiters = std::mem::take(&mut self.waiters);
        waiters.retain_mut(|waiter| {
            let is_there = match &waiter.awaited {
                Awaited::Begun(session) => session.state().is_begun || session.is_over(),
                Awaited::Delivered(number, book_id) => self.is_settled(*number, *book_id),
            };
            let is_hopeless = self.is_away && !waiter.is_patient;
            if !(is_there || is_hopeless || waiter.until <= now) {
                return true;
            }
            due.extend(waiter.callback.take().map(|callback| (callback, is_there)));
            false
        });
        self.waiters = waiters;
        for (callback, is_there) in due {
            callback(is_there);
        }
    }

    /// When the thread has to act next.
    fn due(&self, pace: &Pace, now: Instant) -> Instant {
        let mut due = now + pace.heartbeat;
        if self.buffer.len() > 0 || !self.in_flight.is_empty() {
            due = if self.is_away { self.next_try } else { self.next_report.min(due) };
        }
        if self.is_urgent && !self.is_away {
            due = now;
        }
        for session in self.sessions.iter().filter_map(Weak::upgrade) {
            let state = session.state();
            if state.is_open {
                due = due.min(state.last_sent + pace.heartbeat);
                if state.loops.iter().any(|running| running.strong_count() > 0) {
                    due = due.min(self.next_report);
                }
            }
        }
        let until = self.waiters.iter().map(|waiter| waiter.until).min();
        due.min(until.unwrap_or(due)).min(self.ends_at.unwrap_or(due))
    }
}

/// An item with the event that is sent for it.
struct Outgoing {
    item: Item,
    event: Event,
}

/// Owns the transport.
pub(crate) struct Sender {
    shared: Arc<Shared>,
    transport: Transport,
    checker: Option<Checker>,
    /// The events of a batch that may have arrived: the same batch is sent again first.
    pending: Vec<Outgoing>,
    key: String,
    pause: Duration,
    refusals: HashSet<(Uuid, &'static str, String)>,
    dropped: u64,
}

impl Sender {
    pub fn new(shared: Arc<Shared>, transport: Transport, status: Option<Status>) -> Self {
        let checker = status.map(|status| Checker::new(shared.clone(), status));
        Self {
            shared,
            transport,
            checker,
            pending: Vec::new(),
            key: String::new(),
            pause: Duration::ZERO,
            refusals: HashSet::new(),
            dropped: 0,
        }
    }

    /// Delivers until the client is gone.
    pub async fn run(mut self) {
        loop {
            let (due, checks) = {
                let mut inner = self.shared.inner();
                let now = Instant::now();
                inner.notify_waiters(now);
                let is_empty = inner.buffer.len() == 0 && inner.in_flight.is_empty();
                if inner.ends_at.is_some_and(|end| is_empty || end <= now) {
                    let left = inner.buffer.len() + inner.in_flight.len();
                    if left > 0 {
                        warn!(events = left, "events for Bindery were not delivered");
                    }
                    return;
                }
                let checks = self.checker.as_ref().and_then(|checker| checker.due(&inner.sessions));
                (inner.due(&self.shared.pace, now), checks)
            };
            let now = Instant::now();
            if let (Some(checker), Some(at)) = (&mut self.checker, checks)
                && at <= now
            {
                checker.check().await;
                continue;
            }
            let due = due.min(checks.unwrap_or(due));
            if due > now {
                // A timeout and a wake-up are handled alike.
                let _ = timeout_at(due.into(), self.shared.wake.notified()).await;
                if due > Instant::now() && !self.shared.inner().is_urgent {
                    continue;
                }
            }
            self.step().await;
        }
    }

    async fn step(&mut self) {
        let now = Instant::now();
        let is_waiting = {
            let mut inner = self.shared.inner();
            inner.is_urgent = false;
            if inner.next_report <= now {
                inner.next_report = now + self.shared.pace.interval;
            }
            inner.is_away && now < inner.next_try
        };
        self.shared.sample(None);
        self.beat(now);
        if !is_waiting {
            while self.send_batch().await {
                let now = Instant::now();
                self.shared.inner().notify_waiters(now);
            }
        }
    }

    /// Queues heartbeats that are due.
    fn beat(&self, now: Instant) {
        let mut inner = self.shared.inner();
        let sessions: Vec<_> = inner.sessions.iter().filter_map(Weak::upgrade).collect();
        for session in sessions {
            let mut state = session.state();
            if !state.is_open || state.last_sent + self.shared.pace.heartbeat > now {
                continue;
            }
            state.last_sent = now;
            drop(state);
            // Any event that waits for its book counts as a heartbeat.
            if !session.is_over() && !inner.buffer.has(session.book_id) {
                inner.buffer.add(session.book_id, Some(session.clone()), Content::Heartbeat, 0);
            }
        }
    }

    /// Sends one batch; false when nothing is left to send now.
    async fn send_batch(&mut self) -> bool {
        if self.pending.is_empty() {
            let mut inner = self.shared.inner();
            let items = inner.buffer.take(BATCH, BATCH_BYTES);
            inner.in_flight = items.iter().map(|item| (item.number, item.book_id)).collect();
            drop(inner);
            if items.is_empty() {
                return false;
            }
            self.pending = items.into_iter().filter_map(Outgoing::of).collect();
            self.key = Uuid::new_v4().to_string();
        }
        match self.deliver().await {
            Ok(()) => {
                self.pending.clear();
                self.shared.inner().in_flight.clear();
                self.came_back();
                true
            }
            Err(problem) => {
                self.went_away(&problem);
                false
            }
        }
    }

    /// Sends the pending events and applies their outcomes.
    async fn deliver(&mut self) -> Result<(), String> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let events: Vec<_> = self.pending.iter().map(|outgoing| &outgoing.event).collect();
        let batch = Batch { key: &self.key, events: &events };
        let outcomes = match self.transport.send(&batch).await {
            Ok(outcomes) => outcomes,
            Err(Problem::Away(problem)) => return Err(problem),
            // Send each event alone: one of them may be the reason.
            Err(Problem::Refused { .. }) if events.len() > 1 => {
                let mut outcomes = Vec::with_capacity(events.len());
                for (place, event) in events.iter().enumerate() {
                    let key = format!("{}-{place}", self.key);
                    let batch = Batch { key: &key, events: &[event] };
                    match self.transport.send(&batch).await {
                        Ok(sent) => outcomes.extend(sent),
                        Err(Problem::Away(problem)) => return Err(problem),
                        Err(Problem::Refused { code, message }) => {
                            outcomes.push(Outcome::Rejected { code, message });
                        }
                    }
                }
                outcomes
            }
            Err(Problem::Refused { code, message }) => vec![Outcome::Rejected { code, message }],
        };
        self.learn(&outcomes).await?;
        let now = Instant::now();
        for (outgoing, outcome) in self.pending.iter().zip(outcomes) {
            if let Some(session) = &outgoing.item.session {
                let mut state = session.state();
                state.last_sent = now;
                if let (true, Outcome::Entry(id)) = (outgoing.is_begin(), &outcome) {
                    state.begin_id = Some(id.clone());
                    state.is_begun = self.checker.is_none();
                } else if outgoing.is_begin() && outcome != Outcome::Early {
                    state.is_begun = true;
                }
                drop(state);
                if session.is_over() {
                    self.shared.inner().buffer.drop_session(session);
                }
            }
            if let Outcome::Rejected { code, message } = outcome {
                log_refusal(&mut self.refusals, &outgoing.event, code, &message);
            }
        }
        Ok(())
    }

    /// Asks for the resume points of books whose events began a stage or are stale.
    async fn learn(&mut self, outcomes: &[Outcome]) -> Result<(), String> {
        let Transport::Calls(calls) = &mut self.transport else { return Ok(()) };
        let mut asked = std::collections::HashMap::new();
        for (outgoing, outcome) in self.pending.iter().zip(outcomes) {
            let Some(session) = &outgoing.item.session else { continue };
            let begins = outgoing.is_begin()
                && matches!(outcome, Outcome::Applied | Outcome::Stale)
                && !session.state().is_begun;
            if !begins && *outcome != Outcome::Stale {
                continue;
            }
            let book_id = session.book_id;
            if let std::collections::hash_map::Entry::Vacant(place) = asked.entry(book_id) {
                place.insert(match calls.resume_point(book_id).await {
                    Ok(point) => point,
                    Err(Problem::Away(problem)) => return Err(problem),
                    Err(Problem::Refused { .. }) => None,
                });
            }
            match asked.get(&book_id) {
                Some(Some(point)) if begins => {
                    session.learn(point.clone(), *outcome == Outcome::Stale);
                }
                Some(Some(point)) => {
                    session.check(&point.status, point.stage.as_deref(), Some(point.attempt));
                }
                // A worker's token no longer shows the book that has left its stage.
                _ if *outcome == Outcome::Stale => session.supersede(None, None),
                _ => {}
            }
        }
        Ok(())
    }

    fn went_away(&mut self, problem: &str) {
        self.pause = (self.pause * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        let mut inner = self.shared.inner();
        inner.next_try = Instant::now() + self.pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        let was_away = std::mem::replace(&mut inner.is_away, true);
        inner.notify_waiters(Instant::now());
        drop(inner);
        if !was_away {
            warn!(problem, "Bindery cannot be reached; reports wait");
        }
    }

    fn came_back(&mut self) {
        self.pause = Duration::ZERO;
        let mut inner = self.shared.inner();
        let was_away = std::mem::replace(&mut inner.is_away, false);
        let dropped = inner.buffer.dropped - self.dropped;
        self.dropped = inner.buffer.dropped;
        drop(inner);
        if dropped > 0 {
            warn!(dropped, "events were dropped while Bindery could not be reached");
        } else if was_away {
            info!("Bindery is reached again");
        }
    }
}

/// Logs a refusal once for each book, type and code: a substep may be reported a thousand times.
fn log_refusal(
    known: &mut HashSet<(Uuid, &'static str, String)>,
    event: &Event,
    code: String,
    message: &str,
) {
    let (book_id, kind) = (event.book_id, event.kind.name());
    if known.len() < REFUSALS && known.insert((book_id, kind, code)) {
        warn!(%book_id, event = kind, problem = message, "Bindery has refused an event");
    }
}

impl Outgoing {
    /// The event for an item; `None` if its session is over.
    fn of(item: Item) -> Option<Self> {
        let is_over = item.session.as_ref().is_some_and(|session| session.is_over());
        let kind = match (&item.content, &item.session) {
            _ if is_over => return None,
            (Content::Event(event), _) => {
                let event = event.clone();
                return Some(Self { item, event });
            }
            (Content::Report(substep), Some(session)) => {
                let mut state = session.state();
                let attempt = state.attempt;
                let known = state.substep(substep);
                let report = SubstepProgress {
                    // Sent once; a batch that did not arrive is sent again as it is.
                    message: known.report.message.take(),
                    checkpoint: known.report.checkpoint.take(),
                    ..known.report.clone()
                };
                let (stage, substep) = (Some(session.stage.clone()), Some(substep.clone()));
                EventKind::Progress(Progress { stage, substep, attempt, report })
            }
            (Content::Heartbeat, Some(session)) => EventKind::Heartbeat(Heartbeat {
                attempt: session.state().attempt,
                stage: Some(session.stage.clone()),
                message: None,
            }),
            (_, None) => return None,
        };
        let event = Event { book_id: item.book_id, at: None, kind };
        Some(Self { item, event })
    }

    fn is_begin(&self) -> bool {
        matches!(self.event.kind, EventKind::Begin(_))
    }
}
