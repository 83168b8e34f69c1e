//! Detects losses: entries that were trimmed before they were read, and a stream that was deleted,
//! replaced or rewound.
//!
//! The probe runs between two reads, so `read` is the id of the last entry that was read. Redis
//! counts the entries ever added; that count, minus the entries after `read`, is the number of
//! entries that should have been read. If the entry at `read` is gone, the remembered entries show
//! up to which entry the stream is unchanged: a Redis that lost its latest writes has a prefix of
//! what was read, followed by entries that were never read.

use bindery_core::stream_id::StreamId;
use redis::RedisError;
use redis::aio::ConnectionLike;

use crate::source::{Info, Reader, Seen};

/// How many entries are compared at a time: entries may be large.
const PAGE: usize = 50;

/// Up to this many unread entries are counted one by one, once, while Redis's count is not known
/// yet.
const FEW: usize = 100;

/// The kind of a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Entries were removed before they were read.
    Trimmed,
    /// The stream no longer exists.
    Deleted,
    /// Another stream has its key.
    Recreated,
    /// The stream lost its last entries, which were read.
    Rewound,
}

impl Loss {
    /// Its name in `bindery.note_stream`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::Deleted => "deleted",
            Self::Recreated => "recreated",
            Self::Rewound => "rewound",
        }
    }
}

/// What a probe found, to be recorded in Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// The loss; `None`: no loss, only the count is new.
    pub loss: Option<Loss>,
    /// How many entries are known to be lost unread.
    pub lost: u64,
    /// How many entries Redis counts up to the position; `None`: unknown.
    pub entries: Option<u64>,
    /// The position to read on from instead.
    pub position: Option<StreamId>,
}

/// Checks that the stream is the one that was read up to `read`, where Redis counted `entries`.
/// The reader must be at rest.
pub async fn probe_stream(
    reader: &mut Reader,
    redis: &mut impl ConnectionLike,
    stream: &str,
    read: StreamId,
    entries: Option<u64>,
    seen: &Seen,
) -> Result<Option<Finding>, RedisError> {
    // Read the last entry before the stream's information: if it is trimmed in between, it does
    // not look lost.
    let last = if read == StreamId::ZERO { None } else { reader.range(read, read, 1).await?.pop() };
    let Some(info) = Info::ask(redis, stream).await? else {
        let (loss, position) = match read {
            StreamId::ZERO if entries == Some(0) => return Ok(None),
            StreamId::ZERO => (None, None),
            _ => (Some(Loss::Deleted), Some(StreamId::ZERO)),
        };
        return Ok(Some(Finding { loss, lost: 0, entries: Some(0), position }));
    };
    let is_same = read == StreamId::ZERO
        || last.is_some_and(|(id, content)| seen.has(id, content) != Some(false))
        || info.last >= read && info.first.is_none_or(|first| first > read);
    if is_same && entries.is_none() && info.certain(read).is_none() {
        let waiting = reader.range(info.last, after(read), FEW).await?.len();
        let known =
            info.added.filter(|_| waiting < FEW).map(|added| added.saturating_sub(waiting as u64));
        return Ok(known.map(|known| Finding {
            loss: None,
            lost: 0,
            entries: Some(known),
            position: None,
        }));
    } else if is_same {
        return Ok(count(&info, read, entries));
    }
    Ok(match part(reader, &info, read, seen).await? {
        // Only the last entry was deleted.
        Part::At { newer: 0, .. } if info.last >= read => count(&info, read, entries),
        Part::At { id, newer } => Some(Finding {
            loss: Some(Loss::Rewound),
            lost: 0,
            entries: info
                .added
                .filter(|_| info.last <= read)
                .map(|added| added.saturating_sub(newer)),
            position: Some(id),
        }),
        Part::Before => Some(Finding {
            loss: Some(Loss::Recreated),
            lost: 0,
            entries: info.added.map(|added| added.saturating_sub(info.length)),
            position: Some(StreamId::ZERO),
        }),
        Part::Unknown if info.last < read => Some(Finding {
            loss: Some(Loss::Rewound),
            lost: 0,
            entries: info.added,
            position: Some(info.last),
        }),
        Part::Unknown => count(&info, read, entries),
    })
}

/// Compares Redis's count with what was read, if the number of unread entries is certain.
fn count(info: &Info, read: StreamId, entries: Option<u64>) -> Option<Finding> {
    let counted = info.added?.saturating_sub(info.certain(read)?);
    let (loss, lost) = match entries {
        Some(entries) if counted == entries => return None,
        Some(entries) if counted > entries => (Some(Loss::Trimmed), counted - entries),
        Some(_) => (Some(Loss::Recreated), 0),
        None => (None, 0),
    };
    Some(Finding { loss, lost, entries: Some(counted), position: None })
}

/// Up to where the stream agrees with what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Up to this entry. `newer` entries follow it up to the id of the last read.
    At { id: StreamId, newer: u64 },
    /// No entry of the stream was ever read.
    Before,
    /// Unknown: the entries are older than the memory.
    Unknown,
}

async fn part(
    reader: &mut Reader,
    info: &Info,
    read: StreamId,
    seen: &Seen,
) -> Result<Part, RedisError> {
    let (mut newest, mut newer) = (info.last.min(read), 0);
    loop {
        let page = reader.range(newest, StreamId::ZERO, PAGE).await?;
        for &(id, content) in &page {
            match seen.has(id, content) {
                Some(true) => return Ok(Part::At { id, newer }),
                Some(false) => newer += 1,
                None => return Ok(Part::Unknown),
            }
        }
        match page.last().and_then(|&(oldest, _)| before(oldest)) {
            Some(next) if page.len() == PAGE => newest = next,
            _ => return Ok(Part::Before),
        }
    }
}

/// The id after this one.
fn after(id: StreamId) -> StreamId {
    match id.seq.checked_add(1) {
        Some(seq) => StreamId { seq, ..id },
        None => StreamId { ms: id.ms.saturating_add(1), seq: 0 },
    }
}

/// The id before this one.
fn before(id: StreamId) -> Option<StreamId> {
    match (id.ms, id.seq) {
        (0, 0) => None,
        (ms, 0) => Some(StreamId { ms: ms - 1, seq: u64::MAX }),
        (ms, seq) => Some(StreamId { ms, seq: seq - 1 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId { ms, seq: 0 }
    }

    /// Ids 11 to 20 are in the stream, 1 to 10 were before them.
    const INFO: Info = Info {
        length: 10,
        last: StreamId::new(20, 0),
        first: Some(StreamId::new(11, 0)),
        added: Some(20),
    };

    #[test]
    fn a_count_that_equals_the_entries_read_is_no_loss() {
        assert_eq!(count(&INFO, id(20), Some(20)), None);
        assert_eq!(count(&INFO, id(10), Some(10)), None, "trimmed, but nothing unread");
        assert_eq!(count(&INFO, id(15), Some(3)), None, "in the middle the count is uncertain");
    }

    #[test]
    fn a_higher_count_reports_the_difference_as_trimmed() {
        let found = count(&INFO, id(7), Some(7)).unwrap();
        assert_eq!(
            (found.loss, found.lost, found.entries, found.position),
            (Some(Loss::Trimmed), 3, Some(10), None)
        );
        let found = count(&Info { first: None, length: 0, ..INFO }, id(7), Some(7)).unwrap();
        assert_eq!((found.loss, found.lost), (Some(Loss::Trimmed), 13), "all of it");
    }

    #[test]
    fn a_lower_count_reports_a_recreated_stream() {
        let found = count(&INFO, id(20), Some(21)).unwrap();
        assert_eq!((found.loss, found.lost, found.entries), (Some(Loss::Recreated), 0, Some(20)));
    }

    #[test]
    fn the_first_count_is_recorded_without_a_loss() {
        let found = count(&INFO, StreamId::ZERO, None).unwrap();
        assert_eq!((found.loss, found.entries), (None, Some(10)));
        assert_eq!(
            count(&Info { added: None, ..INFO }, StreamId::ZERO, None),
            None,
            "older servers do not count"
        );
    }

    #[test]
    fn the_id_before_is_the_next_lower_one() {
        assert_eq!(before(id(5)), Some(StreamId { ms: 4, seq: u64::MAX }));
        assert_eq!(before(StreamId { ms: 4, seq: 2 }), Some(StreamId { ms: 4, seq: 1 }));
        assert_eq!(before(StreamId::ZERO), None);
        assert_eq!(after(id(5)), StreamId { ms: 5, seq: 1 });
        assert_eq!(after(StreamId { ms: 5, seq: u64::MAX }), id(6));
    }
}
