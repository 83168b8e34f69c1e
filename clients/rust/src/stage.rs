//! A stage of a book that this worker works on.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, PoisonError, mpsc};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use bindery_core::event::EventKind;

use crate::book::Book;
use crate::error::{Error, Failure, Superseded};
use crate::event::{event, json_text};
use crate::resume::ResumePoint;
use crate::sender::Change;
use crate::session::Session;
use crate::track::Track;

const BEGIN_WITHIN: Duration = Duration::from_secs(5);
/// The substep of a stage that declares none.
const ALL: &str = "all";

/// A stage to begin.
#[derive(Debug, Clone)]
#[must_use = "a stage begins with `run` or `begin`"]
pub struct Begin {
    book: Book,
    name: String,
    attempt: Option<i32>,
    resume_point: Option<ResumePoint>,
}

/// Work on one stage. While it is open, heartbeats are sent in the background.
///
/// It ends with [`Stage::finish`] or [`Stage::fail`]; one that is dropped without either makes its
/// book FAILED, with the code `panic` or `dropped`.
#[derive(Debug)]
#[must_use = "a stage that is dropped makes its book FAILED"]
pub struct Stage(Reporter);

/// Reports from a stage; clones may be given to other threads and tasks.
#[derive(Clone)]
pub struct Reporter {
    book: Book,
    pub(crate) session: Arc<Session>,
}

impl Begin {
    pub(crate) fn new(book: Book, name: &str) -> Self {
        Self { book, name: name.to_owned(), attempt: None, resume_point: None }
    }

    /// Works on this attempt, the one of a message of `bindery:changes`, and on no later one.
    pub fn attempt(mut self, attempt: i32) -> Self {
        self.attempt = Some(attempt);
        self
    }

    /// The resume point of that message.
    pub fn resume_point(mut self, point: ResumePoint) -> Self {
        self.resume_point = Some(point);
        self
    }

    /// Begins the stage, does the work, and ends the stage: an error that the work returns makes
    /// the book FAILED, with the name of the error's type as the code and its text as the message.
    ///
    /// # Errors
    /// What the work returns; [`Error`] where the stage cannot begin or the book has left the
    /// attempt.
    pub async fn run<T, E>(self, work: impl AsyncFnOnce(&Stage) -> Result<T, E>) -> Result<T, E>
    where
        E: fmt::Display + From<Error>,
    {
        let stage = self.begin().await?;
        let done = work(&stage).await;
        stage.end(done)
    }

    /// [`Begin::run`] for programs without async.
    ///
    /// # Errors
    /// As [`Begin::run`].
    pub fn run_blocking<T, E>(self, work: impl FnOnce(&Stage) -> Result<T, E>) -> Result<T, E>
    where
        E: fmt::Display + From<Error>,
    {
        let stage = self.begin_blocking()?;
        let done = work(&stage);
        stage.end(done)
    }

    /// Enters the stage, or resumes it, or finds the book in it.
    ///
    /// It waits for the attempt and the resume point, for `Builder::begin_timeout` at most.
    ///
    /// # Errors
    /// [`Error::Superseded`] where the book is not in the attempt that was given, or is CANCELLED;
    /// [`Error::Invalid`] where the name is empty or too long.
    pub async fn begin(self) -> Result<Stage, Error> {
        let (sender, receiver) = oneshot::channel();
        let stage = self.enter(move |is_begun| {
            let _ = sender.send(is_begun);
        })?;
        let is_begun = receiver.await.unwrap_or(true);
        stage.begun(is_begun)
    }

    /// [`Begin::begin`] for programs without async.
    ///
    /// # Errors
    /// As [`Begin::begin`].
    pub fn begin_blocking(self) -> Result<Stage, Error> {
        let (sender, receiver) = mpsc::channel();
        let stage = self.enter(move |is_begun| {
            let _ = sender.send(is_begun);
        })?;
        let is_begun = receiver.recv().unwrap_or(true);
        stage.begun(is_begun)
    }

    fn enter(self, callback: impl FnOnce(bool) + Send + 'static) -> Result<Stage, Error> {
        let Self { book, name, attempt, resume_point } = self;
        let (core, client) = (&book.0, &book.0.client.0);
        let point = resume_point.map(Arc::new);
        let fields = json!({"to_status": name, "worker": client.worker, "attempt": attempt});
        let begin = event("begin", core.book_id, fields)?;
        // The parsed name has no surrounding white space.
        let EventKind::Begin(begun) = &begin.kind else {
            return Err(Error::invalid("unknown_type", "a begin was expected"));
        };
        let session = Arc::new(Session::new(core.book_id, &begun.to_status, attempt, point));
        let former =
            core.session.lock().unwrap_or_else(PoisonError::into_inner).replace(session.clone());
        if let Some(former) = former.filter(|former| former.stage != session.stage) {
            former.state().is_open = false;
        }
        if let Some(shared) = &client.shared {
            shared.enter(&session);
            shared.add(begin, Some(session.clone()), 0);
            if client.answers {
                shared.when_begun(&session, client.begin_timeout, BEGIN_WITHIN, callback);
            }
        }
        Ok(Stage(Reporter { book, session }))
    }
}

impl Stage {
    fn begun(self, is_begun: bool) -> Result<Self, Error> {
        let session = &self.0.session;
        if !is_begun && self.0.book.0.client.0.answers {
            let (book_id, stage) = (session.book_id, &session.stage);
            tracing::warn!(%book_id, stage, "the attempt is not known; the stage starts over");
        }
        if self.is_passed() {
            let (book_id, stage) = (session.book_id, &session.stage);
            tracing::info!(%book_id, stage, "the book has passed the stage, which is skipped");
        }
        session.superseded().map_err(Error::from)?;
        session.state().is_started = true;
        Ok(self)
    }

    /// A part of the stage for other threads and tasks.
    pub fn reporter(&self) -> Reporter {
        self.0.clone()
    }

    /// Ends the work on the stage. The book stays in it until the next one begins, or
    /// [`Book::transition`] moves it on.
    ///
    /// # Errors
    /// [`Error::Superseded`]: the work no longer counts.
    pub fn finish(self) -> Result<(), Error> {
        self.0.sample();
        self.0.session.state().is_open = false;
        Ok(self.0.check()?)
    }

    /// Makes the book FAILED, and ends the stage.
    pub fn fail(self, failure: Failure) {
        self.0.fail(failure);
    }

    fn end<T, E: fmt::Display + From<Error>>(self, done: Result<T, E>) -> Result<T, E> {
        match done {
            Ok(value) => self.finish().map(|()| value).map_err(E::from),
            Err(error) => {
                self.fail(Failure::of(&error));
                Err(error)
            }
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let failure = if std::thread::panicking() {
            Failure::new("panic", "The worker panicked.")
        } else {
            Failure::new("dropped", "The worker gave up the stage without an end.")
        };
        // No effect once the stage has ended.
        self.0.fail(failure);
    }
}

impl Deref for Stage {
    type Target = Reporter;

    fn deref(&self) -> &Reporter {
        &self.0
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Session { book_id, stage, .. } = &*self.session;
        write!(formatter, "Reporter({stage} of {book_id})")
    }
}

impl Reporter {
    /// The book.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// The stage's name.
    pub fn name(&self) -> &str {
        &self.session.stage
    }

    /// The attempt that this worker works on, from 1; `None` if it is not known (yet).
    pub fn attempt(&self) -> Option<i32> {
        self.session.state().attempt
    }

    /// What earlier attempts have finished; `None` if it is not known.
    pub fn resume_point(&self) -> Option<Arc<ResumePoint>> {
        self.session.state().resume_point.clone()
    }

    /// Whether the book has passed the stage, since it is complete or in a later one: nothing is
    /// left to do, `track` gives no items, and no report is sent.
    pub fn is_passed(&self) -> bool {
        self.session.is_over() && self.session.state().is_passed
    }

    /// Whether an earlier attempt has finished a substep, or the book has passed the stage.
    pub fn is_done(&self, substep: &str) -> bool {
        let state = self.session.state();
        let point = state.resume_point.as_ref();
        state.is_passed || point.is_some_and(|point| point.done.contains(substep))
    }

    /// Whether the book has left this attempt; the next report returns it.
    ///
    /// # Errors
    /// It has.
    pub fn check(&self) -> Result<(), Superseded> {
        self.session.superseded()
    }

    /// Iterates over items, and reports how many of them are finished: an item is, when the next
    /// one is asked for.
    ///
    /// Items that a checkpoint of an earlier attempt covers are skipped, so they must come in the
    /// same order in each attempt. The iterator gives an error, once, when the book has left this
    /// attempt, or where the substep is not lower snake case of up to 63 characters.
    pub fn track<I: IntoIterator>(&self, substep: &str, items: I) -> Track<I::IntoIter> {
        let checked = Change::report(&self.session, substep, json!({"progress": 0}));
        Track::new(self.clone(), substep, items.into_iter(), checked.map(drop))
    }

    /// Reports a substep's progress in percent; numbers outside 0 to 100 become the nearest end,
    /// NaN is ignored.
    ///
    /// # Errors
    /// [`Error::Superseded`], and [`Error::Invalid`] for a substep that is not lower snake case of
    /// up to 63 characters.
    pub fn progress(&self, substep: &str, percent: f64) -> Result<(), Error> {
        if percent.is_nan() {
            return Ok(self.check()?);
        }
        self.report(substep, json!({"progress": percent.clamp(0.0, 100.0)}))
    }

    /// Reports how many units of a substep are done, such as pages; a number outside 0 to `total`
    /// becomes the nearest end, and nothing to do (a total of 0) is done. NaN is ignored.
    ///
    /// # Errors
    /// As [`Reporter::progress`].
    pub fn count(&self, substep: &str, done: f64, total: f64, unit: &str) -> Result<(), Error> {
        if done.is_nan() || total.is_nan() {
            return Ok(self.check()?);
        }
        let total = total.min(bindery_core::event::MAX_TOTAL);
        if total <= 0.0 {
            return self.report(substep, json!({"progress": 100}));
        }
        let done = done.clamp(0.0, total);
        self.report(substep, json!({"done": done, "total": total, "unit": unit}))
    }

    /// Shows a text for people beside a substep, up to 8,192 characters.
    ///
    /// # Errors
    /// As [`Reporter::progress`].
    pub fn message(&self, substep: &str, text: &str) -> Result<(), Error> {
        let fields = json!({"progress": 0, "message": text});
        match self.read(substep, fields)? {
            Change::Report(report) => {
                self.send(substep, report.message.map(Change::Message));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Saves a value of your own, up to 64 KiB of JSON, which the next attempt finds in
    /// [`Reporter::resume_point`].
    ///
    /// In a loop of [`Reporter::track`] over this substep it marks the current item as finished,
    /// too: call it at the end of the loop's body. The next attempt then continues after the item
    /// of the last checkpoint, so that value and items belong together.
    ///
    /// # Errors
    /// As [`Reporter::progress`], and [`Error::Invalid`] for a value that cannot be written as
    /// JSON, is deeper than 64 levels or larger than 64 KiB; the last one that was saved stays.
    pub fn checkpoint(&self, substep: &str, value: &impl Serialize) -> Result<(), Error> {
        let json = json_text("checkpoint", value)?;
        let running = self
            .session
            .state()
            .loops
            .iter()
            .filter_map(std::sync::Weak::upgrade)
            .find(|running| running.substep == substep);
        let written = match &running {
            Some(_) => crate::resume::wrapped(u64::MAX, Some(&json)),
            None => json.clone(),
        };
        let read = self.read(substep, json!({"progress": 0, "checkpoint": written}))?;
        match (running, read) {
            (Some(running), _) => running.save(json),
            (None, Change::Report(report)) => {
                self.send(substep, report.checkpoint.map(Change::Checkpoint));
            }
            _ => {}
        }
        Ok(())
    }

    /// Declares this book's own substeps of the stage; see [`Book::plan`].
    ///
    /// # Errors
    /// As [`Book::plan`], and [`Error::Superseded`].
    pub fn plan<'a>(
        &self,
        substeps: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<(), Error> {
        self.check()?;
        if self.is_passed() {
            return Ok(());
        }
        self.book.plan(self.name(), substeps)
    }

    fn report(&self, substep: &str, fields: Value) -> Result<(), Error> {
        let report = self.read(substep, fields)?;
        self.send(substep, Some(report));
        Ok(())
    }

    /// Checks a report.
    fn read(&self, substep: &str, fields: Value) -> Result<Change, Error> {
        self.check()?;
        Change::report(&self.session, substep, fields)
    }

    fn send(&self, substep: &str, change: Option<Change>) {
        let substep = substep.trim();
        let substep = if substep.is_empty() { ALL } else { substep };
        if let (Some(shared), Some(change)) = (&self.book.0.client.0.shared, change)
            && !self.session.is_over()
        {
            shared.report(&self.session, substep, change);
        }
    }

    /// Reports the counts of the loops that run.
    pub(crate) fn sample(&self) {
        if let Some(shared) = &self.book.0.client.0.shared {
            shared.sample_session(&self.session);
        }
    }

    fn fail(&self, failure: Failure) {
        self.sample();
        let mut state = self.session.state();
        if !std::mem::take(&mut state.is_open) || state.superseded.is_some() || state.is_passed {
            return;
        }
        let attempt = state.attempt;
        drop(state);
        let Failure { error, message } = failure;
        let texts = message.len();
        let fields = json!({
            "error": error, "message": message, "attempt": attempt, "stage": self.name(),
        });
        let core = &self.book.0;
        // Texts that are too long are cut, so the event is valid.
        if let Ok(fail) = event("fail", core.book_id, fields) {
            core.client.0.add(fail, None, texts);
        }
    }
}
