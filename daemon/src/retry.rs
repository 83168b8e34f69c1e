//! Work that continues without end: [`supervise`] starts it again after each failure, with growing
//! pauses and a log that is limited in rate.

mod pauses;
mod repeats;

use std::fmt::Display;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

pub use pauses::{MAX_PAUSE, Pauses, pauses};
pub use repeats::Repeats;

/// The tries of one piece of work.
#[derive(Debug, Default)]
pub struct Tries {
    worked: bool,
    failures: Repeats,
}

impl Tries {
    /// Records that the work has its effect: the pauses begin anew after the next failure. Returns
    /// whether to log the recovery, which is once after each logged failure.
    pub fn succeeded(&mut self) -> bool {
        self.worked = true;
        self.over()
    }

    /// Records that nothing fails any more, though the work has no effect yet.
    pub fn over(&mut self) -> bool {
        self.failures.over()
    }
}

/// One failure, for the log.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    /// Whether the try had succeeded before it failed.
    pub had_worked: bool,
    /// If a log line is due: how many failures were not logged since the last line.
    pub unlogged: Option<u64>,
}

/// Work that continues without end.
pub trait Work: Send {
    /// Why a try failed.
    type Error: Display + Send;

    /// Works until `stop` (`Ok`) or a failure.
    fn work(
        &mut self,
        stop: &CancellationToken,
        tries: &mut Tries,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Records and logs a failure.
    fn failed(&mut self, error: &Self::Error, failure: Failure);
}

/// Runs the work until it returns `Ok`, or until `stop`; after each failure it pauses and runs it
/// again.
pub async fn supervise(stop: &CancellationToken, work: &mut impl Work) {
    let (mut tries, mut waits) = (Tries::default(), pauses());
    while !stop.is_cancelled() {
        tries.worked = false;
        let Err(error) = work.work(stop, &mut tries).await else { return };
        if tries.worked {
            waits = pauses();
        }
        let unlogged = tries.failures.record(&error.to_string(), Instant::now());
        work.failed(&error, Failure { had_worked: tries.worked, unlogged });
        let pause = tokio::time::sleep(waits.next().unwrap_or(MAX_PAUSE));
        // `None` is a stop, which ends the loop.
        let _ = stop.run_until_cancelled(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Tries that fail with these errors, after an effect or without one; the next one returns.
    #[derive(Default)]
    struct Scripted {
        outcomes: Vec<(bool, &'static str)>,
        stops: bool,
        seen: Vec<(String, bool, bool)>,
    }

    impl Work for Scripted {
        type Error = &'static str;

        async fn work(
            &mut self,
            stop: &CancellationToken,
            tries: &mut Tries,
        ) -> Result<(), &'static str> {
            if self.stops {
                stop.cancel();
            }
            match self.outcomes.get(self.seen.len()) {
                Some(&(works, error)) => {
                    if works {
                        tries.succeeded();
                    }
                    Err(error)
                }
                None => Ok(()),
            }
        }

        fn failed(&mut self, error: &&'static str, failure: Failure) {
            let logged = failure.unlogged.is_some();
            self.seen.push(((*error).to_owned(), failure.had_worked, logged));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_fails_is_run_again_until_it_returns() {
        let outcomes = vec![(false, "away"), (false, "away"), (true, "away")];
        let mut work = Scripted { outcomes, ..Scripted::default() };
        supervise(&CancellationToken::new(), &mut work).await;
        let away = |worked, logged| ("away".to_owned(), worked, logged);
        assert_eq!(work.seen, [away(false, true), away(false, false), away(true, false)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pauses_grow_until_the_work_has_an_effect() {
        let took = async |works| {
            let start = tokio::time::Instant::now();
            let mut work = Scripted { outcomes: vec![(works, "away"); 12], ..Scripted::default() };
            supervise(&CancellationToken::new(), &mut work).await;
            start.elapsed()
        };
        let (failing, working) = (took(false).await, took(true).await);
        assert!(working < Duration::from_secs(2), "{working:?}");
        assert!(failing > 5 * working, "{failing:?} beside {working:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_pause_and_the_tries() {
        let outcomes = vec![(false, "away"); 3];
        let mut work = Scripted { outcomes, stops: true, ..Scripted::default() };
        let start = tokio::time::Instant::now();
        supervise(&CancellationToken::new(), &mut work).await;
        assert_eq!((work.seen.len(), start.elapsed()), (1, Duration::ZERO));
    }
}
