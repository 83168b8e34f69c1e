//! Whether the stream is still the one that was read: entries may be gone unread, or another stream
//! be in its place.
//!
//! Asked between two reads, so that what was read is exactly what comes up to `read`. Redis counts
//! what was ever added; that number, less what comes after `read`, is what must have been read.
//! Where an entry that was read is not there any more, the entries remembered say up to which one
//! the stream is the same: a Redis that lost its end has a beginning of what was read, and after it
//! only what nobody has read.

use bindery_core::stream_id::StreamId;
use redis::RedisError;
use redis::aio::ConnectionLike;

use crate::source::{Info, Reader, Seen};

/// Entries are compared so many at a time: they may be large.
const PAGE: usize = 50;

/// So many entries that wait may be counted one by one, once, where Redis's number is not known
/// yet.
const FEW: usize = 100;

/// What is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Entries went before they were read.
    Trimmed,
    /// There is no such stream any more.
    Deleted,
    /// Another stream is in its place.
    Recreated,
    /// The stream lost its end, which was read.
    Rewound,
}

impl Loss {
    /// As `bindery.note_stream` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::Deleted => "deleted",
            Self::Recreated => "recreated",
            Self::Rewound => "rewound",
        }
    }
}

/// What is to be noted of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// What is missing; `None`: nothing, only the number is new.
    pub loss: Option<Loss>,
    /// How many entries are known to have gone unread.
    pub lost: u64,
    /// How many entries Redis counts up to the position; `None`: not known.
    pub entries: Option<u64>,
    /// Where to go on instead.
    pub position: Option<StreamId>,
}

/// Looks whether the stream is the one that was read up to `read`, where Redis counted `entries`.
/// The reader is at rest.
pub async fn look(
    reader: &mut Reader,
    redis: &mut impl ConnectionLike,
    stream: &str,
    read: StreamId,
    entries: Option<u64>,
    seen: &Seen,
) -> Result<Option<Finding>, RedisError> {
    // Before the stream as a whole: so a last entry that is trimmed meanwhile does not seem to have
    // vanished.
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

/// Compares what Redis has counted with what was read, where it is plain what comes after that.
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

/// Where the stream parts from what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// This entry is the last that was read; so many come after it up to where the reading was.
    At { id: StreamId, newer: u64 },
    /// Nothing that is in the stream was ever read.
    Before,
    /// It is not remembered.
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
    fn what_was_read_is_what_redis_counts_up_to_there() {
        assert_eq!(count(&INFO, id(20), Some(20)), None);
        assert_eq!(count(&INFO, id(10), Some(10)), None, "trimmed, but nothing unread");
        assert_eq!(count(&INFO, id(15), Some(3)), None, "in the middle nobody can tell");
    }

    #[test]
    fn what_redis_counts_beyond_that_went_unread() {
        let found = count(&INFO, id(7), Some(7)).unwrap();
        assert_eq!(
            (found.loss, found.lost, found.entries, found.position),
            (Some(Loss::Trimmed), 3, Some(10), None)
        );
        let found = count(&Info { first: None, length: 0, ..INFO }, id(7), Some(7)).unwrap();
        assert_eq!((found.loss, found.lost), (Some(Loss::Trimmed), 13), "all of it");
    }

    #[test]
    fn where_redis_counts_less_it_is_another_stream() {
        let found = count(&INFO, id(20), Some(21)).unwrap();
        assert_eq!((found.loss, found.lost, found.entries), (Some(Loss::Recreated), 0, Some(20)));
    }

    #[test]
    fn the_first_number_is_noted_and_no_loss() {
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
