//! Reads a stream with `XREAD` in chunks of bounded size and parses each entry.

use std::time::Duration;

use bindery_core::event::{Beginning, Event, Rejection};
use bindery_core::stream_id::StreamId;
use redis::RedisError;

use super::RedisUrl;
use super::link::{Fields, Link, Received};
use super::seen::Seen;

/// The target size of a chunk, in bytes: large enough to make the round trip negligible, small
/// enough to keep two or three chunks in memory.
const CHUNK_BYTES: usize = 512 * 1024;
/// The maximum `COUNT` of an `XREAD`, which has no limit in bytes. The part of a reply beyond a
/// chunk stays on the connection, so this bounds the memory of Redis for a run of large entries.
const MAX_COUNT: usize = 500;
/// The first `COUNT`, before any entry's size is known. One: if Redis closes the connection at its
/// `client-output-buffer-limit`, each new connection still reads at least one entry.
const FIRST_COUNT: usize = 1;
/// The maximum `BLOCK` time. It also bounds the time until a dead connection is detected.
const MAX_BLOCK: Duration = Duration::from_secs(5);
/// The minimum `BLOCK` time, to keep an idle stream cheap.
const MIN_BLOCK: Duration = Duration::from_millis(20);
/// How long a part of a reply may take, beyond the `BLOCK` time.
const LATE: Duration = Duration::from_secs(5);

/// The event of an entry, or why it is rejected; `None`: the entry has no event.
pub type Decoded = Option<Result<Event, Rejection>>;
/// An entry's id and its decoded content.
pub type Entry<T = Decoded> = (StreamId, T);
/// An entry's fields.
pub type Raw = Vec<(Vec<u8>, Vec<u8>)>;

/// Entries of a stream, in order.
#[derive(Debug)]
pub struct Chunk<T = Decoded> {
    /// The entries; empty if none came within the `BLOCK` time.
    pub entries: Vec<Entry<T>>,
    /// Whether more entries are likely: the reply has unread ones, or it had as many as were asked
    /// for. If false, the stream had no more.
    pub more: bool,
}

/// Reads one stream after a position.
#[derive(Debug)]
pub struct Reader {
    link: Link,
    stream: String,
    position: StreamId,
    count: usize,
    /// How many entries of the last reply are unread, and whether it had as many as were asked for.
    left: usize,
    full: bool,
    block: Duration,
}

impl Reader {
    /// Connects, to read the entries after `position`. A read without entries ends after about
    /// `block`.
    pub async fn connect(
        url: &RedisUrl,
        stream: &str,
        position: StreamId,
        block: Duration,
    ) -> Result<Self, RedisError> {
        Ok(Self::on(Link::connect(url, stream, LATE).await?, stream, position, block))
    }

    fn on(link: Link, stream: &str, position: StreamId, block: Duration) -> Self {
        let block = block.clamp(MIN_BLOCK, MAX_BLOCK);
        Self {
            link,
            stream: stream.to_owned(),
            position,
            count: FIRST_COUNT,
            left: 0,
            full: false,
            block,
        }
    }

    /// Whether no part of a reply is unread, so that another command may be sent.
    pub fn is_at_rest(&self) -> bool {
        self.left == 0
    }

    /// The next entries; also adds them to `seen`.
    pub async fn next(&mut self, seen: &mut Seen) -> Result<Chunk, RedisError> {
        let whole = |fields: Fields<'_>| Some(Event::read(fields.iter()));
        self.next_of(seen, whole, |fields, is_complete| {
            Some(Event::read_beginnings(&fields, is_complete))
        })
        .await
    }

    /// The next entries without parsing; of one that is too large, the part that is kept.
    pub async fn next_raw(&mut self, seen: &mut Seen) -> Result<Chunk<Raw>, RedisError> {
        let whole = |fields: Fields<'_>| {
            fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
        };
        let large = |fields: Vec<Beginning>, _| {
            fields.into_iter().map(|field| (field.name, field.value)).collect()
        };
        self.next_of(seen, whole, large).await
    }

    async fn next_of<T>(
        &mut self,
        seen: &mut Seen,
        whole: impl Fn(Fields<'_>) -> T,
        large: impl Fn(Vec<Beginning>, bool) -> T,
    ) -> Result<Chunk<T>, RedisError> {
        if self.left == 0 {
            self.ask().await?;
        }
        let (mut bytes, mut entries) = (0, Vec::with_capacity(self.left.min(self.count)));
        while self.left > 0 && (bytes < CHUNK_BYTES || entries.is_empty()) {
            let entry = self.link.entry(&whole).await?;
            self.left -= 1;
            self.position = entry.id;
            bytes += entry.bytes;
            seen.push(entry.id, entry.content);
            let decoded = match entry.received {
                Received::Whole(decoded) => decoded,
                Received::Large { fields, is_complete } => large(fields, is_complete),
            };
            entries.push((entry.id, decoded));
        }
        let more = self.left > 0 || self.full;
        if !entries.is_empty() {
            self.count = next_count(self.count, entries.len(), bytes);
        }
        Ok(Chunk { entries, more })
    }

    async fn ask(&mut self) -> Result<(), RedisError> {
        let (count, block) = (self.count.to_string(), self.block.as_millis().to_string());
        let position = self.position.to_string();
        let mut words = vec![&b"XREAD"[..], b"COUNT", count.as_bytes()];
        // After a full reply, ask without `BLOCK`: the end of the stream is then known at once.
        if !self.full {
            words.extend([&b"BLOCK"[..], block.as_bytes()]);
        }
        words.extend([&b"STREAMS"[..], self.stream.as_bytes(), position.as_bytes()]);
        self.link.ask(&words).await?;
        self.left = self.link.entries_of_xread(self.block).await?;
        self.full = self.left == self.count;
        Ok(())
    }

    /// The entries of this range, the newest first, each with the hash of its content. The reader
    /// must be at rest.
    pub async fn range(
        &mut self,
        newest: StreamId,
        oldest: StreamId,
        count: usize,
    ) -> Result<Vec<(StreamId, u64)>, RedisError> {
        let (newest, oldest, count) = (newest.to_string(), oldest.to_string(), count.to_string());
        let words = [
            b"XREVRANGE",
            self.stream.as_bytes(),
            newest.as_bytes(),
            oldest.as_bytes(),
            b"COUNT",
            count.as_bytes(),
        ];
        self.link.ask(&words).await?;
        let mut entries = Vec::new();
        for _ in 0..self.link.entries_of_range().await? {
            let entry = self.link.entry(|_| ()).await?;
            entries.push((entry.id, entry.content));
        }
        Ok(entries)
    }
}

/// The next `COUNT`: as many entries of the last chunk's average size as fit into a chunk. It grows
/// at most fourfold at a time, and shrinks at once.
fn next_count(count: usize, entries: usize, bytes: usize) -> usize {
    let fitting = CHUNK_BYTES / (bytes / entries.max(1)).max(1);
    fitting.clamp(1, MAX_COUNT).min(count * 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bindery_core::event::EventKind;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A reader of a server that replies once, with entries of one field of these sizes.
    async fn reader_of(entries: Vec<usize>) -> Reader {
        let (ours, mut theirs) = tokio::io::duplex(16 * 1024);
        tokio::spawn(async move {
            let mut question = [0; 1024];
            let _ = theirs.read(&mut question).await;
            let mut head = format!("*1\r\n*2\r\n$1\r\ns\r\n*{}\r\n", entries.len());
            for (number, bytes) in entries.into_iter().enumerate() {
                let id = format!("{}-0", number + 1);
                head.push_str(&format!(
                    "*2\r\n${}\r\n{id}\r\n*2\r\n$4\r\nbulk\r\n${bytes}\r\n",
                    id.len()
                ));
                let all = [head.as_bytes(), &vec![b'x'; bytes], b"\r\n"].concat();
                if theirs.write_all(&all).await.is_err() {
                    return;
                }
                head.clear();
            }
            // Keep the connection open.
            let _ = theirs.read(&mut question).await;
        });
        Reader::on(Link::new(Box::new(ours), LATE), "s", StreamId::ZERO, MIN_BLOCK)
    }

    #[tokio::test]
    async fn a_sudden_run_of_large_entries_stays_on_the_wire() {
        const MEGABYTE: usize = 1024 * 1024;
        let sizes = [vec![100; 200], vec![MEGABYTE; 100], vec![100; 10]].concat();
        let mut reader = reader_of(sizes).await;
        let (mut seen, mut ids, mut chunks) = (Seen::from(StreamId::ZERO), Vec::new(), 0);
        loop {
            let chunk = reader.next(&mut seen).await.unwrap();
            // Of a large entry, only what a dead letter shows is kept.
            let held = |(_, decoded): &Entry| match decoded {
                Some(Err(dead)) => dead.payload.to_string().len(),
                _ => 0,
            };
            let held: usize = chunk.entries.iter().map(held).sum();
            assert!(held < CHUNK_BYTES, "a chunk holds {held} bytes");
            assert!(
                reader.link.held() < 2 * CHUNK_BYTES,
                "{} bytes are buffered",
                reader.link.held()
            );
            ids.extend(chunk.entries.iter().map(|(id, _)| id.ms));
            chunks += 1;
            if reader.is_at_rest() {
                break;
            }
            assert!(chunk.more);
        }
        assert_eq!(ids, (1..=310).collect::<Vec<u64>>());
        assert!(chunks > 100, "each large entry ends a chunk: {chunks}");
    }

    #[tokio::test]
    async fn an_entry_that_is_too_large_is_refused_with_its_beginning() {
        let mut reader = reader_of(vec![700_000]).await;
        let chunk = reader.next(&mut Seen::from(StreamId::ZERO)).await.unwrap();
        let (id, Some(Err(dead))) = &chunk.entries[0] else { panic!("{chunk:?}") };
        assert_eq!((id.ms, dead.error.code(), dead.truncated), (1, "too_large", true));
        assert!(
            dead.payload["bulk"]
                .as_str()
                .is_some_and(|text| text.len() > 16_000 && text.starts_with("xxx"))
        );
    }

    #[tokio::test]
    async fn a_fail_with_an_error_of_any_size_is_an_event() {
        let book = "018f3c1e-7b2a-7c3d-9e4f-5a6b7c8d9e0f";
        let error = "at f (file.js:1)\n".repeat(50_000);
        let fields = ["type", "fail", "book_id", book, "error", &error, "attempt", "2"];
        let mut reply =
            format!("*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*{}\r\n", fields.len());
        fields.iter().for_each(|field| reply.push_str(&format!("${}\r\n{field}\r\n", field.len())));
        let (ours, mut theirs) = tokio::io::duplex(16 * 1024);
        tokio::spawn(async move {
            let mut question = [0; 1024];
            let _ = theirs.read(&mut question).await;
            let _ = theirs.write_all(reply.as_bytes()).await;
            let _ = theirs.read(&mut question).await;
        });
        let mut reader =
            Reader::on(Link::new(Box::new(ours), LATE), "s", StreamId::ZERO, MIN_BLOCK);
        let chunk = reader.next(&mut Seen::from(StreamId::ZERO)).await.unwrap();
        let (_, Some(Ok(event))) = &chunk.entries[0] else { panic!("{chunk:?}") };
        let EventKind::Fail(fail) = &event.kind else { panic!("{event:?}") };
        let error = fail.error.as_ref().unwrap().as_str();
        assert!(
            error.starts_with(r#"{"message":"at f (file.js:1)\n"#)
                && error.ends_with(r#"…","cut":true}"#)
        );
        assert_eq!(fail.attempt, Some(2));
    }

    #[test]
    fn large_entries_make_small_chunks() {
        assert_eq!(next_count(256, 256, 256 * 1024 * 1024), 1);
        assert_eq!(next_count(64, 64, 64 * 100), 256, "it grows by steps");
        assert_eq!(next_count(500, 500, 50_000), 500, "and to a limit");
    }
}
