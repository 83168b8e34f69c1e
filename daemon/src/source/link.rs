//! A connection that reads entries as they come off the wire: it holds one entry at a time,
//! whatever a reply has in it.

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

/// So much is asked of the socket at once.
const READ_BYTES: usize = 64 * 1024;
/// An entry that is larger is read in pieces. An event may have 256 KiB, so most of these are
/// rejected.
const WHOLE_BYTES: usize = 384 * 1024;
/// What is kept of each field of such an entry, and of all of them: more than a dead letter shows.
const KEPT_OF_FIELD: usize = 17 * 1024;
const KEPT: usize = 256 * 1024;

/// A connection of one's own, for one question at a time.
pub struct Link {
    wire: Box<dyn Wire>,
    buffer: BytesMut,
    parts: Parts,
    /// How long a piece of an answer may take to come.
    patience: Duration,
}

/// The fields of an entry where they lie.
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
pub enum Came<T> {
    /// It was there as a whole; what was made of it.
    Whole(T),
    /// It was too large for that: the beginnings of its fields, as many as are kept.
    Large {
        /// The fields.
        fields: Vec<Beginning>,
        /// Whether these are all of its fields.
        is_complete: bool,
    },
}

/// What came, with its id, its size in bytes and the number for what it says.
#[derive(Debug)]
pub struct Entry<T> {
    pub id: StreamId,
    pub bytes: usize,
    pub content: u64,
    pub came: Came<T>,
}

impl Link {
    /// A connection to the server that has a stream; a piece of an answer may take `patience`.
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

    /// How many bytes are held at most at this moment.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.buffer.capacity()
    }

    /// Asks a question.
    pub async fn ask(&mut self, words: &[&[u8]]) -> Result<(), RedisError> {
        self.ask_all(&[words]).await
    }

    /// Asks questions at once; the answers come in their order.
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

    /// An answer that is nothing but `+OK`.
    pub async fn ok(&mut self) -> Result<(), RedisError> {
        if self.line(Duration::ZERO).await?.kind == b'+' { Ok(()) } else { Err(resp::unexpected()) }
    }

    /// Waits, for as long as it takes, until something has come. May be given up: nothing is lost
    /// by that.
    pub async fn wait(&mut self) -> Result<(), RedisError> {
        if self.buffer.is_empty() {
            self.make_room();
            ended(self.wire.read_buf(&mut self.buffer).await?)?;
        }
        Ok(())
    }

    /// Whether something has come that was not taken yet.
    pub fn has_more(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// How many parts the array has that comes next.
    pub async fn array(&mut self) -> Result<usize, RedisError> {
        expect(self.line(Duration::ZERO).await?, b'*')
    }

    /// The number that comes next.
    pub async fn number(&mut self) -> Result<usize, RedisError> {
        expect(self.line(Duration::ZERO).await?, b':')
    }

    /// The beginning of the text that comes next: so much of it is kept.
    pub async fn text(&mut self, keep: usize) -> Result<Vec<u8>, RedisError> {
        let mut text = Piece::default();
        self.bulk(&mut text, keep).await?;
        Ok(text.kept)
    }

    /// How many entries `XREAD` gives, for the one stream that it was asked for; the answer may be
    /// held back for so long.
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

    /// How many entries `XRANGE` gives.
    pub async fn entries_of_range(&mut self) -> Result<usize, RedisError> {
        expect(self.line(Duration::ZERO).await?, b'*')
    }

    /// The next entry of the answer; `make` makes of its fields what is wanted.
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
                return Ok(Entry { id, bytes, content: content.finish(), came: Came::Whole(made) });
            }
            if self.buffer.len() >= WHOLE_BYTES {
                return self.large().await;
            }
            self.fill(Duration::ZERO).await?;
        }
    }

    /// An entry of any size, of which little is kept.
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
                // An empty field takes something, too.
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
            came: Came::Large { fields, is_complete },
        })
    }

    /// A bulk string, of which so much is kept.
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

    /// The text that comes next, a piece at a time; its length, or `None` where there is none.
    pub async fn pieces(&mut self, take: impl FnMut(&[u8])) -> Result<Option<usize>, RedisError> {
        let line = self.line(Duration::ZERO).await?;
        if line.kind == b'$' && line.number < 0 {
            return Ok(None);
        }
        let length = expect(line, b'$')?;
        self.rest_of_bulk(length, take).await?;
        Ok(Some(length))
    }

    /// A bulk string after its length.
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

    /// The next line, which may be held back for so long.
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

/// Where nothing was read there is nothing more to come.
fn ended(read: usize) -> Result<(), RedisError> {
    if read == 0 {
        Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into())
    } else {
        Ok(())
    }
}

/// What is kept of a bulk string.
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
