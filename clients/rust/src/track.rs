//! Iteration whose progress is reported: the loop counts, the sender reads the count.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Error, Superseded};
use crate::session::Loop;
use crate::stage::Reporter;

/// See [`Reporter::track`].
#[must_use = "nothing is reported until it is iterated over"]
pub struct Track<I> {
    reporter: Reporter,
    substep: String,
    total: Option<u64>,
    unit: Option<String>,
    items: I,
    state: State,
}

enum State {
    New,
    Running(Arc<Loop>),
    /// The loop has ended, or its substep was finished before.
    Over,
    /// The substep's name, or the unit, is not valid.
    Invalid(Error),
}

impl<I: Iterator> Track<I> {
    pub(crate) fn new(
        reporter: Reporter,
        substep: &str,
        items: I,
        checked: Result<(), Error>,
    ) -> Self {
        // Use the hint only if it is exact.
        let total = match items.size_hint() {
            (lower, Some(upper)) if lower == upper => u64::try_from(upper).ok(),
            _ => None,
        };
        let state = match checked {
            Ok(()) => State::New,
            Err(error) => State::Invalid(error),
        };
        Self { reporter, substep: substep.to_owned(), total, unit: None, items, state }
    }

    /// What is counted, such as `page`; up to 63 characters.
    pub fn unit(mut self, unit: &str) -> Self {
        self.unit = Some(unit.to_owned());
        self
    }

    /// The number of items, if the iterator's `size_hint` is not exact. Without a total the substep
    /// stays at 0 percent until it is finished.
    pub fn total(mut self, total: u64) -> Self {
        self.total = Some(total);
        self
    }

    fn begin(&mut self) -> State {
        let session = &self.reporter.session;
        let mut state = session.state();
        let point = state.resume_point.clone();
        let is_done = point.as_ref().is_some_and(|point| point.done.contains(&self.substep));
        if state.is_passed || is_done {
            return State::Over;
        }
        let left = point.as_ref().and_then(|point| point.left.get(&self.substep));
        let skipped = left.map_or(0, |left| left.items);
        // The checkpoint stays with the items that it covers until a new one is saved.
        let saved = left
            .and_then(|left| left.checkpoint.as_ref())
            .map(|checkpoint| (skipped, checkpoint.get().to_owned()));
        let running = Arc::new(Loop {
            substep: self.substep.clone(),
            total: self.total,
            unit: self.unit.clone(),
            done: AtomicU64::new(skipped),
            is_finished: AtomicBool::new(false),
            saved: Mutex::new(saved),
            reported: Mutex::new(None),
        });
        state.loops.retain(|known| known.strong_count() > 0);
        state.loops.push(Arc::downgrade(&running));
        drop(state);
        for _ in 0..skipped {
            if self.items.next().is_none() {
                break;
            }
        }
        self.reporter.sample();
        State::Running(running)
    }

    fn end(&mut self) {
        if let State::Running(running) = std::mem::replace(&mut self.state, State::Over) {
            // Report the last count before the loop is dropped.
            self.reporter.sample();
            drop(running);
        }
    }
}

impl<I: Iterator> Iterator for Track<I> {
    type Item = Result<I::Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match &self.state {
            State::Running(running) => {
                // The item before this one is finished.
                running.done.fetch_add(1, Ordering::Relaxed);
            }
            State::New => {
                if let Err(error) = self.reporter.check() {
                    self.state = State::Over;
                    return Some(Err(error.into()));
                }
                self.state = self.begin();
            }
            State::Over => return None,
            State::Invalid(error) => {
                let error = error.clone();
                self.state = State::Over;
                return Some(Err(error));
            }
        }
        let State::Running(running) = &self.state else { return None };
        if self.reporter.session.is_over()
            && let Err(superseded) = self.reporter.check()
        {
            self.state = State::Over;
            return Some(Err(Superseded::into(superseded)));
        }
        let item = self.items.next();
        if item.is_none() {
            running.is_finished.store(true, Ordering::Release);
            self.end();
        }
        item.map(Ok)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.items.size_hint().1.and_then(|upper| upper.checked_add(1)))
    }
}

impl<I> Drop for Track<I> {
    fn drop(&mut self) {
        if let State::Running(_) = &self.state {
            self.reporter.sample();
        }
    }
}

impl<I> fmt::Debug for Track<I> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Track").field("substep", &self.substep).finish_non_exhaustive()
    }
}
