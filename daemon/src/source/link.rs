//! A connection that parses entries as they arrive: it buffers one entry at a time, whatever the
//! size of the reply.

use std::hash::Hasher;
use std::time::Duration;

use bindery_client::redis::{RedisUrl, Wire};
use bindery_core::event::Beginning;
use bindery_core::stream_id::StreamId;
use bytes::{Buf, BytesMut};
use redis::{ErrorKind, RedisError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::resp::{self, Line, Parts, expect};
use super::seen::Content;

/// The size of one read from the socket.
const READ_BYTES: usize = 64 * 1024;
/// A larger entry is read in pieces. The limit of an event is 256 KiB, so most of these are
/// rejected.
const WHOLE_BYTES: usize = 384 * 1024;
/// The size kept of each field of such an entry, and of all of them: more than a dead letter shows.
const KEPT_OF_FIELD: usize = 17 * 1024;
const KEPT: usize = 256 * 1024;

/// A connection for one command at a time.
pub struct Link {
    wire: Box<dyn Wire>,
    buffer: BytesMut,
    parts: Parts,
    /// How long a part of a reply may take.
    patience: Duration,
}

/// The fields of an entry, in the buffer.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    parts: &'a Parts,
    buffer: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The names with their values.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone {
        self.parts.fields(self.buffer)
    }
}

/// An entry of a reply.
#[derive(Debug)]
pub enum Received<T> {
    /// The result of `make` for an entry that was buffered as a whole.
    Whole(T),
    /// The beginnings of the fields of an entry that was too large for the buffer.
    Large {
        /// The fields that are kept.
        fields: Vec<Beginning>,
        /// Whether these are all fields.
        is_complete: bool,
    },
}

/// An entry with its id, its size in bytes and the hash of its content.
#[derive(Debug)]
pub struct Entry<T> {
    pub id: StreamId,
    pub bytes: usize,
    pub content: u64,
    pub received: Received<T>,
}

impl Link {
    /// Connects to the server that has a stream; a part of a reply may take `patience`.
    pub async fn connect(
        url: &RedisUrl,
        stream: &str,
        patience: Duration,
    ) -> Result<Self, RedisError> {
        let mut link = Self::new(url.wire(stream).await?, patience);
        let login = url.login();
        if let Some(password) = login.password() {
            let name = login.username().map(str::as_bytes);
            let words: Vec<&[u8]> =
                [&b"AUTH"[..]].into_iter().chain(name).chain([password.as_bytes()]).collect();
            link.ask(&words).await?;
            link.ok().await?;
        }
        if login.db() != 0 {
            link.ask(&[b"SELECT", login.db().to_string().as_bytes()]).await?;
            link.ok().await?;
        }
        Ok(link)
    }

    pub fn new(wire: Box<dyn Wire>, patience: Duration) -> Self {
        Self { wire, buffer: BytesMut::new(), parts: Parts::default(), patience }
    }

    /// The capacity of the buffer, in bytes.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.buffer.capacity()
    }

    /// Sends a command.
    pub async fn ask(&mut self, words: &[&[u8]]) -> Result<(), RedisError> {
        self.ask_all(&[words]).await
    }

    /// Sends commands in one write; the replies come in the same order.
    pub async fn ask_all(&mut self, questions: &[&[&[u8]]]) -> Result<(), RedisError> {
        let mut bytes = Vec::new();
        for words in questions {
            bytes.extend(format!("*{}\r\n", words.len()).into_bytes());
            for word in *words {
                bytes.extend(format!("${}\r\n", word.len()).into_bytes());
                bytes.extend_from_slice(word);
                bytes.extend_from_slice(b"\r\n");
            }
        }
        timeout(self.patience, self.wire.write_all(&bytes)).await.map_err(|_| late())??;
        Ok(())
    }

    /// Reads a simple reply, such as `+OK`.
    pub async fn ok(&mut self) -> Result<(), RedisError> {
        if self.line(Duration::ZERO).await?.kind == b'+' { Ok(()) } else { Err(resp::unexpected()) }
    }

    /// Waits, without a timeout, until bytes have arrived. Cancel-safe.
    pub async fn wait(&mut self) -> Result<(), RedisError> {
        if self.buffer.is_empty() {
            self.make_room();
            ended(self.wire.read_buf(&mut self.buffer).await?)?;
        }
        Ok(())
    }

    /// Whether unread bytes are buffered.
    pub fn has_more(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Reads the length of the next array.
    pub async fn array(&mut self) -> Result<usize, RedisError> {
        expect(self.line(Duration::ZERO).await?, b'*')
    }

    /// Reads the next number.
    pub async fn number(&mut self) -> Result<usize, RedisError> {
        expect(self.line(Duration::ZERO).await?, b':')
    }

    /// Reads the next bulk string; returns its first `keep` bytes.
    pub async fn text(&mut self, keep: usize) -> Result<Vec<u8>, RedisError> {
        let mut text = Piece::default();
        self.bulk(&mut text, keep).await?;
        Ok(text.kept)
    }

    /// Reads the number of entries in the reply to an `XREAD` of one stream that may block for
    /// `held_back`.
    pub async fn entries_of_xread(&mut self, held_back: Duration) -> Result<usize, RedisError> {
        let line = self.line(held_back).await?;
        if line.kind == b'*' && line.number <= 0 {
            return Ok(0);
        }
        if expect(line, b'*')? != 1 || expect(self.line(Duration::ZERO).await?, b'*')? != 2 {
            return Err(resp::unexpected());
        }
        let mut name = Piece::default();
        self.bulk(&mut name, 0).await?;
        self.entries_of_range().await
    }

    /// Reads the number of entries in the reply to an `XRANGE`.
    pub async fn entries_of_range(&mut self) -> Result<usize, RedisError> {
        expect(self.line(Duration::ZERO).await?, b'*')
    }

    /// Reads the next entry of the reply; `make` converts its fields.
    pub async fn entry<T>(
        &mut self,
        make: impl FnOnce(Fields<'_>) -> T,
    ) -> Result<Entry<T>, RedisError> {
        loop {
            if let Some((id, end)) = resp::entry(&self.buffer, &mut self.parts)? {
                let (mut bytes, mut content) = (0, Content::default());
                for (name, value) in self.parts.fields(&self.buffer) {
                    bytes += name.len() + value.len();
                    content.field(name);
                    content.field(value);
                }
                let made = make(Fields { parts: &self.parts, buffer: &self.buffer });
                self.buffer.advance(end);
                return Ok(Entry {
                    id,
                    bytes,
                    content: content.finish(),
                    received: Received::Whole(made),
                });
            }
            if self.buffer.len() >= WHOLE_BYTES {
                return self.large().await;
            }
            self.fill(Duration::ZERO).await?;
        }
    }

    /// Reads an entry of any size, and keeps a part of it.
    async fn large<T>(&mut self) -> Result<Entry<T>, RedisError> {
        if expect(self.line(Duration::ZERO).await?, b'*')? != 2 {
            return Err(resp::unexpected());
        }
        let mut id = Piece::default();
        self.bulk(&mut id, 64).await?;
        let id = resp::stream_id(&id.kept)?;
        let (mut bytes, mut content, mut kept, mut fields) = (0, Content::default(), 0, Vec::new());
        let mut is_complete = true;
        for _ in 0..expect(self.line(Duration::ZERO).await?, b'*')? / 2 {
            let mut field = [Piece::default(), Piece::default()];
            for piece in &mut field {
                piece.content = content;
                self.bulk(piece, KEPT_OF_FIELD.min(KEPT - kept)).await?;
                content = std::mem::take(&mut piece.content);
                bytes += piece.length;
                // An empty field takes memory, too.
                kept = KEPT.min(kept + piece.kept.len() + size_of::<Piece>());
            }
            if kept < KEPT {
                let is_whole = field.iter().all(|piece| piece.kept.len() == piece.length);
                let [name, value] = field.map(|piece| piece.kept);
                fields.push(Beginning { name, value, is_whole });
            } else {
                is_complete = false;
            }
        }
        Ok(Entry {
            id,
            bytes,
            content: content.finish(),
            received: Received::Large { fields, is_complete },
        })
    }

    /// Reads a bulk string, of which up to `keep` bytes are kept.
    async fn bulk(&mut self, piece: &mut Piece, keep: usize) -> Result<(), RedisError> {
        piece.length = expect(self.line(Duration::ZERO).await?, b'$')?;
        piece.content.length(piece.length);
        self.rest_of_bulk(piece.length, |bytes| {
            piece.content.write(bytes);
            let room = keep - piece.kept.len();
            piece.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        })
        .await
    }

    /// Reads the next bulk string a piece at a time; returns its length, or `None` for a null.
    pub async fn pieces(&mut self, take: impl FnMut(&[u8])) -> Result<Option<usize>, RedisError> {
        let line = self.line(Duration::ZERO).await?;
        if line.kind == b'$' && line.number < 0 {
            return Ok(None);
        }
        let length = expect(line, b'$')?;
        self.rest_of_bulk(length, take).await?;
        Ok(Some(length))
    }

    /// Reads a bulk string after its length line.
    async fn rest_of_bulk(
        &mut self,
        length: usize,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), RedisError> {
        let mut left = length;
        while left > 0 {
            if self.buffer.is_empty() {
                self.fill(Duration::ZERO).await?;
            }
            let here = left.min(self.buffer.len());
            take(&self.buffer[..here]);
            self.buffer.advance(here);
            left -= here;
        }
        while self.buffer.len() < 2 {
            self.fill(Duration::ZERO).await?;
        }
        self.buffer.advance(2);
        Ok(())
    }

    /// Reads the next line, which may be delayed by `held_back`.
    async fn line(&mut self, held_back: Duration) -> Result<Line, RedisError> {
        loop {
            if let Some(line) = resp::line(&self.buffer, 0)? {
                self.buffer.advance(line.next);
                return Ok(line);
            }
            self.fill(held_back).await?;
        }
    }

    async fn fill(&mut self, held_back: Duration) -> Result<(), RedisError> {
        self.make_room();
        let read = timeout(self.patience + held_back, self.wire.read_buf(&mut self.buffer));
        ended(read.await.map_err(|_| late())??)
    }

    fn make_room(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > 2 * WHOLE_BYTES {
            self.buffer = BytesMut::new();
        }
        self.buffer.reserve(READ_BYTES);
    }
}

/// A zero-length read means end of stream.
fn ended(read: usize) -> Result<(), RedisError> {
    if read == 0 {
        Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into())
    } else {
        Ok(())
    }
}

/// The part of a bulk string that is kept.
#[derive(Debug, Default)]
struct Piece {
    kept: Vec<u8>,
    length: usize,
    content: Content,
}

fn late() -> RedisError {
    (ErrorKind::Io, "Redis does not answer").into()
}

impl std::fmt::Debug for Link {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Link").field("buffered", &self.buffer.len()).finish_non_exhaustive()
    }
}
