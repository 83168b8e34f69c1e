//! Proves up to which moment everything in the stream is applied.
//!
//! A read that begins after an answer of Postgres and reads to the end of the stream has seen every
//! entry that was in the stream at the answer's moment. Once these entries are applied, the relay
//! was caught up at that moment. The proof uses only the clock of Postgres and the order of the
//! steps, and measures no duration.

use std::time::SystemTime;

/// The moments at each step of the proof.
#[derive(Debug)]
pub struct CaughtUp<M = SystemTime> {
    /// The moment of the chunk that is being moved into the batch, if the read reached the end.
    read: Option<M>,
    /// All entries at this moment are in the batch, in the one before, or applied: set once the
    /// whole chunk is moved.
    batched: Option<M>,
    /// The same for the batch that was sent to Postgres.
    sent: Option<M>,
    /// All entries at this moment are applied, which is not reported to Postgres yet.
    proven: Option<M>,
}

/// What a read proves, once its entries are applied.
#[derive(Debug, Clone, Copy)]
pub struct Proof {
    /// All entries that were in the stream at this moment are applied.
    pub read: SystemTime,
    /// Every book that had a job in the queue at this moment is recorded as waiting.
    pub silence: Option<SystemTime>,
}

impl<M> Default for CaughtUp<M> {
    fn default() -> Self {
        Self { read: None, batched: None, sent: None, proven: None }
    }
}

impl<M: Copy> CaughtUp<M> {
    /// Records a chunk of a read that began after an answer of this moment.
    pub fn read(&mut self, moment: M, more: bool) {
        self.read = (!more).then_some(moment);
    }

    /// Records that the whole chunk is in the batch.
    pub fn batched(&mut self) {
        self.batched = self.read.take().or(self.batched);
    }

    /// Records that the batch was sent.
    pub fn sent(&mut self) {
        self.sent = self.batched.take();
    }

    /// Records that the sent batch is applied.
    pub fn applied(&mut self) {
        self.proven = self.sent.take().or(self.proven);
    }

    /// Records that the batch is empty and no batch is being applied.
    pub fn idle(&mut self) {
        self.proven = self.batched.take().or(self.proven);
    }

    /// The latest moment proven since the last call.
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
    fn an_empty_read_proves_its_moment_at_once_while_no_batch_is_being_applied() {
        let mut caught_up = CaughtUp::<SystemTime>::default();
        caught_up.read(moment(1), false);
        caught_up.batched();
        assert_eq!(caught_up.take(), None, "the batch may have something in it");
        caught_up.idle();
        assert_eq!(caught_up.take(), Some(moment(1)));
        assert_eq!(caught_up.take(), None, "it is returned once");
    }

    #[test]
    fn a_read_proves_nothing_before_its_entries_are_applied() {
        let mut caught_up = CaughtUp::<SystemTime>::default();
        caught_up.read(moment(1), false);
        caught_up.batched();
        caught_up.sent();
        assert_eq!(caught_up.take(), None);
        caught_up.applied();
        assert_eq!(caught_up.take(), Some(moment(1)));
    }

    #[test]
    fn an_empty_read_proves_nothing_while_a_batch_is_being_applied() {
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
    fn a_read_that_did_not_reach_the_end_proves_nothing() {
        let mut caught_up = CaughtUp::<SystemTime>::default();
        caught_up.read(moment(1), true);
        caught_up.batched();
        caught_up.sent();
        caught_up.applied();
        assert_eq!(caught_up.take(), None);
    }

    #[test]
    fn a_batch_with_a_part_of_a_chunk_proves_nothing() {
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
    fn further_entries_do_not_revoke_a_proof() {
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
