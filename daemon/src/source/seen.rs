//! Remembers the entries that were read last, by id and content, to find up to where another copy
//! of the stream is the same.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};

use bindery_core::stream_id::StreamId;

/// How many entries are remembered: about 3 s at 5,000 events/s, in 400 kB.
const REMEMBERED: usize = 16_384;

/// The entries that were read last, in the stream's order.
#[derive(Debug, Default)]
pub struct Seen {
    entries: VecDeque<(StreamId, u64)>,
    /// Whether entries were read that are not remembered.
    forgotten: bool,
}

impl Seen {
    /// An empty memory of a reader that begins after this position.
    pub fn from(position: StreamId) -> Self {
        Self { entries: VecDeque::new(), forgotten: position != StreamId::ZERO }
    }

    /// Restarts the reading after this position. If the position is remembered, drops the entries
    /// after it. If not, another daemon has read the entries in between, and the memory is cleared.
    pub fn go_on_from(&mut self, position: StreamId) {
        while self.entries.back().is_some_and(|&(last, _)| last > position) {
            self.entries.pop_back();
        }
        if self.entries.back().is_none_or(|&(last, _)| last != position) {
            *self = Self::from(position);
        }
    }

    /// Adds the next entry that was read.
    pub fn push(&mut self, id: StreamId, content: u64) {
        if self.entries.len() == REMEMBERED {
            self.entries.pop_front();
            self.forgotten = true;
        }
        self.entries.push_back((id, content));
    }

    /// Whether exactly this entry was read; `None`: it is older than the memory.
    pub fn has(&self, id: StreamId, content: u64) -> Option<bool> {
        match self.entries.binary_search_by_key(&id, |&(id, _)| id) {
            Ok(at) => Some(self.entries[at].1 == content),
            Err(0) if self.forgotten => None,
            Err(_) => Some(false),
        }
    }
}

/// Hashes the content of an entry, piece by piece.
#[derive(Debug, Default)]
pub struct Content(DefaultHasher);

impl Content {
    /// Adds the next name or value.
    pub fn field(&mut self, field: &[u8]) {
        self.length(field.len());
        self.0.write(field);
    }

    /// Adds the length of the next name or value; the caller writes its bytes after this.
    pub fn length(&mut self, length: usize) {
        self.0.write_usize(length);
    }
}

impl Hasher for Content {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(ms: u64) -> StreamId {
        StreamId { ms, seq: 0 }
    }

    #[test]
    fn an_entry_is_identified_by_its_id_and_content() {
        let mut seen = Seen::from(StreamId::ZERO);
        seen.push(id(5), 50);
        assert_eq!(seen.has(id(5), 50), Some(true));
        assert_eq!(seen.has(id(5), 51), Some(false), "another entry of the same id");
        assert_eq!(seen.has(id(4), 50), Some(false), "all that was ever read is remembered");
    }

    #[test]
    fn an_entry_older_than_the_memory_is_unknown() {
        let mut seen = Seen::from(id(3));
        assert_eq!(seen.has(id(2), 0), None);
        let mut seen_all = Seen::from(StreamId::ZERO);
        for ms in 10..=10 + REMEMBERED as u64 {
            seen.push(id(ms), ms);
            seen_all.push(id(ms), ms);
        }
        assert_eq!(seen_all.has(id(10), 10), None, "pushed out");
        assert_eq!(seen_all.has(id(11), 11), Some(true));
        assert_eq!(seen.entries.len(), REMEMBERED);
    }

    #[test]
    fn a_restart_at_a_remembered_position_keeps_the_entries_before_it() {
        let mut seen = Seen::from(StreamId::ZERO);
        (1..=9).for_each(|ms| seen.push(id(ms), ms));
        seen.go_on_from(id(7));
        assert_eq!(
            (seen.has(id(7), 7), seen.has(id(8), 8)),
            (Some(true), Some(false)),
            "8 and 9 are read again"
        );
        seen.push(id(8), 80);
        assert_eq!(seen.has(id(8), 80), Some(true));
        seen.go_on_from(id(20));
        assert_eq!(seen.has(id(7), 7), None, "another has read on to there");
        seen.go_on_from(StreamId::ZERO);
        assert_eq!(seen.has(id(7), 7), Some(false), "a stream that begins anew");
    }

    proptest! {
        /// The copy has a prefix of what was read, and then new entries, whose ids may have been
        /// used before.
        #[test]
        fn the_newest_known_entry_is_the_last_one_that_another_copy_shares(
            read in 1_u64..200, kept in 0_u64..200, fresh in prop::collection::btree_set(1_u64..300, 0..50),
        ) {
            let kept = kept.min(read);
            let mut seen = Seen::from(StreamId::ZERO);
            (1..=read).for_each(|ms| seen.push(id(ms), ms));
            let fresh: Vec<u64> = fresh.into_iter().filter(|ms| *ms > kept).collect();
            let copy = (1..=kept).map(|ms| (ms, ms)).chain(fresh.iter().map(|ms| (*ms, 1_000 + ms)));
            let newest_first: Vec<_> = copy.collect::<Vec<_>>().into_iter().rev().collect();
            let part = newest_first.iter().position(|&(ms, content)| seen.has(id(ms), content) == Some(true));
            prop_assert_eq!(part, (kept > 0).then_some(fresh.len()));
        }
    }

    #[test]
    fn fields_that_are_split_differently_are_different_content() {
        let of = |fields: &[&str]| {
            let mut content = Content::default();
            fields.iter().for_each(|field| content.field(field.as_bytes()));
            content.finish()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        let mut in_pieces = Content::default();
        in_pieces.length(9);
        [&b"one "[..], b"t", b"text"].iter().for_each(|piece| in_pieces.write(piece));
        in_pieces.field(b"c");
        assert_eq!(in_pieces.finish(), of(&["one ttext", "c"]));
    }
}
