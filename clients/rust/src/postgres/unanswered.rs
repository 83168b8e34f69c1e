//! Remembers hosts that did not answer recently. They are tried last, so that not every connection
//! waits for the same host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A host counts as unanswered if its attempt failed or was cancelled after this time. A host that
/// refuses sooner keeps its place.
const SLOW: Duration = Duration::from_secs(1);
/// How long an unanswered host is tried last.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The hosts of a URL, by their index. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Unanswered(Arc<Mutex<HashMap<usize, Instant>>>);

/// An attempt at a host. Unless [`Attempt::answered`] is called, its end is a failure.
#[derive(Debug)]
pub struct Attempt<'a> {
    hosts: &'a Unanswered,
    host: usize,
    began: Instant,
}

impl Unanswered {
    /// Begins an attempt at a host.
    pub fn attempt(&self, host: usize) -> Attempt<'_> {
        Attempt { hosts: self, host, began: Instant::now() }
    }

    /// Moves hosts that did not answer to the end.
    pub fn sort(&self, hosts: &mut [usize]) {
        let marked = self.lock();
        hosts.sort_by_key(|host| marked.get(host).is_some_and(|at| at.elapsed() < REMEMBERED));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Instant>> {
        // Ignore poisoning: the data is consistent after each change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// The host accepted the connection.
    pub fn answered(mut self) {
        self.hosts.lock().remove(&self.host);
        self.began = Instant::now();
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.began.elapsed() >= SLOW {
            self.hosts.lock().insert(self.host, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(hosts: &Unanswered) -> Vec<usize> {
        let mut order = vec![0, 1, 2];
        hosts.sort(&mut order);
        order
    }

    fn slow(hosts: &Unanswered, host: usize) -> Attempt<'_> {
        let began = Instant::now().checked_sub(SLOW).unwrap();
        Attempt { began, ..hosts.attempt(host) }
    }

    #[test]
    fn a_host_that_did_not_answer_is_tried_last_until_it_answers() {
        let hosts = Unanswered::default();
        drop(hosts.attempt(0));
        assert_eq!(order(&hosts), [0, 1, 2], "it refused");
        drop(slow(&hosts, 0));
        assert_eq!(order(&hosts), [1, 2, 0]);
        drop(slow(&hosts, 1));
        assert_eq!(order(&hosts), [2, 0, 1]);
        slow(&hosts, 0).answered();
        assert_eq!(order(&hosts), [0, 2, 1]);
    }

    #[test]
    fn a_host_gets_its_place_back_after_a_while() {
        let hosts = Unanswered::default();
        let before = Instant::now().checked_sub(REMEMBERED).unwrap();
        hosts.lock().insert(0, before);
        assert_eq!(order(&hosts), [0, 1, 2]);
    }
}
