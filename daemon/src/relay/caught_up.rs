//! Up to which moment everything that was in the stream is applied, as far as it is proven.
//!
//! A read that began with an answer of Postgres at hand, and brought all that the stream had left,
//! has seen everything that was in the stream at that answer's moment; once what it brought is
//! applied, this relay was caught up then. No clock but that of Postgres is asked, and no duration
//! measured: only the order of things counts.

use std::time::SystemTime;

/// A moment on its way to being proven. Each step is taken by what the session does anyway.
#[derive(Debug)]
pub struct CaughtUp<M = SystemTime> {
    /// Of the chunk that is moved into the batch: set where it was the stream's end.
    read: Option<M>,
    /// All that was in the stream then is in the batch, in the one before, or applied: set once the
    /// chunk is moved whole.
    batched: Option<M>,
    /// The same of the batch that Postgres has: set when it is sent.
    sent: Option<M>,
    /// All of it is applied, and Postgres does not know that yet.
    proven: Option<M>,
}

/// What a read proves, once what it brought is applied.
#[derive(Debug, Clone, Copy)]
pub struct Proof {
    /// All that was in the stream at this moment.
    pub read: SystemTime,
    /// No book that had a job in the queue at this moment is taken for silent.
    pub silence: Option<SystemTime>,
}

impl<M> Default for CaughtUp<M> {
    fn default() -> Self {
        Self { read: None, batched: None, sent: None, proven: None }
    }
}

impl<M: Copy> CaughtUp<M> {
    /// A chunk came, from a read that began after an answer of this moment.
    pub fn read(&mut self, moment: M, more: bool) {
        self.read = (!more).then_some(moment);
    }

    /// The chunk is in the batch, to its last entry.
    pub fn batched(&mut self) {
        self.batched = self.read.take().or(self.batched);
    }

    /// The batch is on its way to Postgres.
    pub fn sent(&mut self) {
        self.sent = self.batched.take();
    }

    /// What was sent has taken effect.
    pub fn applied(&mut self) {
        self.proven = self.sent.take().or(self.proven);
    }

    /// The batch is empty, and none is on its way.
    pub fn idle(&mut self) {
        self.proven = self.batched.take().or(self.proven);
    }

    /// The latest moment proven since the last time this was asked.
    pub fn take(&mut self) -> Option<M> {
        self.proven.take()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn moment(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn an_empty_read_proves_it_at_once_where_nothing_is_on_its_way() {
        let mut caught_up = CaughtUp::<SystemTime>::default();
        caught_up.read(moment(1), false);
        caught_up.batched();
        assert_eq!(caught_up.take(), None, "the batch may have something in it");
        caught_up.idle();
        assert_eq!(caught_up.take(), Some(moment(1)));
        assert_eq!(caught_up.take(), None, "it is said once");
    }

    #[test]
    fn what_was_read_proves_nothing_before_it_is_applied() {
        let mut caught_up = CaughtUp::<SystemTime>::default();
        caught_up.read(moment(1), false);
        caught_up.batched();
        caught_up.sent();
        assert_eq!(caught_up.take(), None);
        caught_up.applied();
        assert_eq!(caught_up.take(), Some(moment(1)));
    }

    #[test]
    fn an_empty_read_proves_nothing_while_a_batch_is_on_its_way() {
        let mut caught_up = CaughtUp::<SystemTime>::default();
        caught_up.read(moment(1), false);
        caught_up.batched();
        caught_up.sent();
        caught_up.read(moment(2), false);
        caught_up.batched();
        assert_eq!(caught_up.take(), None);
        caught_up.applied();
        assert_eq!(caught_up.take(), Some(moment(1)), "the batch proves its own read");
        caught_up.idle();
        assert_eq!(caught_up.take(), Some(moment(2)));
    }

    #[test]
    fn a_read_that_left_something_in_the_stream_proves_nothing() {
        let mut caught_up = CaughtUp::<SystemTime>::default();
        caught_up.read(moment(1), true);
        caught_up.batched();
        caught_up.sent();
        caught_up.applied();
        assert_eq!(caught_up.take(), None);
    }

    #[test]
    fn a_chunk_that_is_not_whole_in_the_batch_proves_nothing_by_it() {
        let mut caught_up = CaughtUp::<SystemTime>::default();
        caught_up.read(moment(1), false);
        caught_up.batched();
        caught_up.read(moment(2), false);
        // Its first part only.
        caught_up.sent();
        caught_up.applied();
        assert_eq!(caught_up.take(), Some(moment(1)), "but what was there before it is proven");
        caught_up.batched();
        caught_up.sent();
        caught_up.applied();
        assert_eq!(caught_up.take(), Some(moment(2)));
    }

    #[test]
    fn more_in_the_stream_takes_nothing_back() {
        let mut caught_up = CaughtUp::<SystemTime>::default();
        caught_up.read(moment(1), false);
        caught_up.batched();
        caught_up.read(moment(2), true);
        caught_up.batched();
        caught_up.sent();
        caught_up.applied();
        assert_eq!(caught_up.take(), Some(moment(1)));
    }

    #[test]
    fn a_clock_that_was_set_back_is_followed() {
        let mut caught_up = CaughtUp::<SystemTime>::default();
        for seconds in [9, 5] {
            caught_up.read(moment(seconds), false);
            caught_up.batched();
            caught_up.idle();
        }
        assert_eq!(
            caught_up.take(),
            Some(moment(5)),
            "9 would be later than now, and so be taken for now"
        );
    }
}
