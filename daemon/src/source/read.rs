//! `XREAD` from a position on, in chunks of bounded size, each entry parsed on the way.

use std::time::Duration;

use bindery_core::event::{Event, Rejection};
use bindery_core::stream_id::StreamId;
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, Value};

use super::RedisUrl;

/// What one `XREAD` should bring: large enough that the round trip does not count, small enough to hold two or three of.
const CHUNK_BYTES: usize = 512 * 1024;
/// The most entries asked for at once: XREAD knows no limit in bytes, so this bounds what a sudden run of large entries takes.
const MAX_COUNT: usize = 500;
/// The first guess, before any entry's size is known.
const FIRST_COUNT: usize = 16;
/// The longest that Redis may hold an empty answer back. It bounds how long a dead connection goes unnoticed, too.
const MAX_BLOCK: Duration = Duration::from_secs(5);
/// The shortest: an idle stream is to cost next to nothing.
const MIN_BLOCK: Duration = Duration::from_millis(20);
/// How much later than it should an answer may come.
const LATE: Duration = Duration::from_secs(5);

/// An entry's id and what it says, or why it says nothing.
pub type Entry = (StreamId, Result<Event, Rejection>);

/// Entries of a stream, in its order.
#[derive(Debug)]
pub struct Chunk {
    /// The entries; none where none came for a while.
    pub entries: Vec<Entry>,
    /// Whether as many came as were asked for: then more are likely to be there already. Else these were all that the stream had.
    pub more: bool,
}

/// Reads one stream from a position on.
pub struct Reader {
    connection: MultiplexedConnection,
    stream: String,
    position: StreamId,
    count: usize,
    block: Duration,
}

impl Reader {
    /// Connects, to read what comes after `position`. A read with nothing to bring ends after about `block`.
    pub async fn connect(
        url: &RedisUrl,
        stream: &str,
        position: StreamId,
        block: Duration,
    ) -> Result<Self, RedisError> {
        let block = block.clamp(MIN_BLOCK, MAX_BLOCK);
        let connection = url.connect(block + LATE).await?;
        Ok(Self { connection, stream: stream.to_owned(), position, count: FIRST_COUNT, block })
    }

    /// The next entries.
    pub async fn next(&mut self) -> Result<Chunk, RedisError> {
        let reply: Value = redis::cmd("XREAD")
            .arg("COUNT")
            .arg(self.count)
            .arg("BLOCK")
            .arg(u64::try_from(self.block.as_millis()).unwrap_or(u64::MAX))
            .arg("STREAMS")
            .arg(&self.stream)
            .arg(self.position.to_string())
            .query_async(&mut self.connection)
            .await?;
        let mut bytes = 0;
        let mut entries = Vec::new();
        for (id, fields) in stream_entries(reply)? {
            bytes += fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
            entries.push((id, Event::parse(fields)));
        }
        let more = entries.len() == self.count;
        if let Some((last, _)) = entries.last() {
            self.position = *last;
            self.count = next_count(self.count, entries.len(), bytes);
        }
        Ok(Chunk { entries, more })
    }
}

/// How many entries to ask for next: as many of the size just seen as a chunk holds, growing by steps, shrinking at once.
fn next_count(count: usize, entries: usize, bytes: usize) -> usize {
    let fitting = CHUNK_BYTES / (bytes / entries.max(1)).max(1);
    fitting.clamp(1, MAX_COUNT).min(count * 4)
}

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// The entries in an answer of `XREAD` for one stream: nil, or `[[stream, [[id, [name, value, …]], …]]]`.
fn stream_entries(reply: Value) -> Result<Vec<(StreamId, Fields)>, RedisError> {
    let Value::Array(streams) = reply else {
        return if reply == Value::Nil { Ok(Vec::new()) } else { Err(unexpected()) };
    };
    let Some(Value::Array(mut stream)) = streams.into_iter().next() else {
        return Ok(Vec::new());
    };
    let Some(Value::Array(entries)) = stream.pop() else {
        return Err(unexpected());
    };
    entries.into_iter().map(entry).collect()
}

fn entry(value: Value) -> Result<(StreamId, Fields), RedisError> {
    let Value::Array(parts) = value else { return Err(unexpected()) };
    let mut parts = parts.into_iter();
    let (Some(Value::BulkString(id)), Some(Value::Array(texts))) = (parts.next(), parts.next()) else {
        return Err(unexpected());
    };
    let id = std::str::from_utf8(&id).ok().and_then(|id| id.parse().ok()).ok_or_else(unexpected)?;
    let mut texts = texts.into_iter();
    let mut fields = Vec::with_capacity(texts.len() / 2);
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        let (Value::BulkString(name), Value::BulkString(value)) = (name, value) else { return Err(unexpected()) };
        fields.push((name, value));
    }
    Ok((id, fields))
}

fn unexpected() -> RedisError {
    (ErrorKind::UnexpectedReturnType, "XREAD answered something else than stream entries").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn nil_is_no_entries() {
        assert!(stream_entries(Value::Nil).unwrap().is_empty());
    }

    #[test]
    fn entries_keep_order_and_repeated_fields() {
        let entry = Value::Array(vec![text("5-1"), Value::Array(vec![text("a"), text("1"), text("a"), text("2")])]);
        let reply = Value::Array(vec![Value::Array(vec![text("s"), Value::Array(vec![entry])])]);
        let entries = stream_entries(reply).unwrap();
        assert_eq!(entries[0].0, StreamId { ms: 5, seq: 1 });
        assert_eq!(entries[0].1, [(b"a".to_vec(), b"1".to_vec()), (b"a".to_vec(), b"2".to_vec())]);
    }

    #[test]
    fn anything_else_is_an_error() {
        for reply in [Value::Int(1), Value::Array(vec![Value::Array(vec![text("s"), Value::Int(3)])])] {
            assert!(stream_entries(reply).is_err());
        }
    }

    #[test]
    fn large_entries_make_small_chunks() {
        assert_eq!(next_count(256, 256, 256 * 1024 * 1024), 1);
        assert_eq!(next_count(64, 64, 64 * 100), 256, "it grows by steps");
        assert_eq!(next_count(500, 500, 50_000), 500, "and to a limit");
    }
}
