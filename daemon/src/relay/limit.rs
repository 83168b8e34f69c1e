//! The limit of a batch's size: lower after a batch that was too large for Postgres, then rising.

use std::time::{Duration, Instant};

/// How long a size that was too large is avoided.
const AVOIDED_FOR: Duration = Duration::from_secs(60);

/// The limit of a stream's batches, in `bindery_core::batch::Batch::work`.
#[derive(Debug)]
pub struct Limit {
    max: usize,
    now: usize,
    too_much: Option<(usize, Instant)>,
}

impl Limit {
    /// A limit that starts at `max` and never exceeds it.
    pub fn new(max: usize) -> Self {
        Self { max, now: max, too_much: None }
    }

    /// The limit.
    pub fn get(&self) -> usize {
        self.now
    }

    /// Lowers the limit after a batch of this size was too large; false if it cannot be lower.
    pub fn halve(&mut self, size: usize, at: Instant) -> bool {
        let before = self.now;
        self.now = (size.min(before) / 2).max(1);
        // If a single item is too large, the size of batches is not the reason.
        self.too_much = (self.now < before).then_some((size, at));
        self.now < before
    }

    /// Doubles the limit after an applied batch, but not to a size that was too large recently.
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
    fn a_size_that_was_too_large_is_not_tried_again_soon() {
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
