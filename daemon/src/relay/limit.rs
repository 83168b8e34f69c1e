//! How large a batch may be: less after one that was too much for Postgres, and more again later.

use std::time::{Duration, Instant};

/// A size that was too much is not tried again before this.
const AVOIDED_FOR: Duration = Duration::from_secs(60);

/// The limit of a stream's batches, in `bindery_core::batch::Batch::work`.
#[derive(Debug)]
pub struct Limit {
    max: usize,
    now: usize,
    too_much: Option<(usize, Instant)>,
}

impl Limit {
    /// At most `max`, and that to begin with.
    pub fn new(max: usize) -> Self {
        Self { max, now: max, too_much: None }
    }

    /// The limit.
    pub fn get(&self) -> usize {
        self.now
    }

    /// A batch of this size was too much; whether smaller ones can be tried.
    pub fn halve(&mut self, size: usize, at: Instant) -> bool {
        let before = self.now;
        self.now = (size.min(before) / 2).max(1);
        // Where one item alone is too much, the size is not the reason.
        self.too_much = (self.now < before).then_some((size, at));
        self.now < before
    }

    /// A batch took effect. Doubles the limit, but not to what was too much a short time ago.
    pub fn grow(&mut self, at: Instant) {
        let next = (self.now * 2).min(self.max);
        match self.too_much {
            Some((size, since)) if next >= size && at.duration_since(since) < AVOIDED_FOR => {}
            _ => self.now = next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_down_to_one_and_grows_again() {
        let (mut limit, start) = (Limit::new(10), Instant::now());
        assert!(limit.halve(10, start));
        assert_eq!(limit.get(), 5);
        assert!(limit.halve(5, start) && limit.halve(2, start));
        assert_eq!(limit.get(), 1);
        assert!(!limit.halve(1, start), "one item alone cannot be made smaller");
        for expected in [2, 4, 8, 10, 10] {
            limit.grow(start);
            assert_eq!(limit.get(), expected, "the size was not the reason");
        }
    }

    #[test]
    fn a_size_that_was_too_much_is_not_tried_again_soon() {
        let (mut limit, start) = (Limit::new(100), Instant::now());
        limit.halve(40, start);
        limit.grow(start);
        assert_eq!(limit.get(), 20);
        limit.grow(start + AVOIDED_FOR);
        assert_eq!(limit.get(), 40);
    }

    #[test]
    fn a_batch_may_be_larger_than_the_limit_by_its_last_item() {
        let mut limit = Limit::new(1);
        assert!(!limit.halve(20, Instant::now()));
        assert_eq!(limit.get(), 1);
    }
}
