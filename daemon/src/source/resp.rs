//! A parser for the part of Redis's protocol that reading entries needs. It returns positions in
//! the buffer and copies nothing.

use std::ops::Range;

use bindery_core::stream_id::StreamId;
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// A line's kind (`*`, `$`, `+`, `-`, `:`), its number if any, and where the next part begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    pub kind: u8,
    pub number: i64,
    pub next: usize,
}

/// The positions of an entry's fields, names and values in turn.
#[derive(Debug, Default)]
pub struct Parts(Vec<Range<usize>>);

impl Parts {
    /// The names with their values.
    pub fn fields<'a>(
        &'a self,
        buffer: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone {
        self.0.chunks_exact(2).map(|pair| (&buffer[pair[0].clone()], &buffer[pair[1].clone()]))
    }
}

/// The line that begins here; `None` if it is incomplete. An error reply is returned as an error.
pub fn line(buffer: &[u8], at: usize) -> Result<Option<Line>, RedisError> {
    let Some(rest) = buffer.get(at..) else { return Ok(None) };
    let Some(length) = rest.iter().position(|&byte| byte == b'\r') else { return Ok(None) };
    if rest.len() < length + 2 {
        return Ok(None);
    }
    let (Some(&kind), text) = (rest.first(), rest.get(1..length).unwrap_or_default()) else {
        return Ok(None);
    };
    if kind == b'-' {
        return Err(refusal(&String::from_utf8_lossy(text)));
    }
    let number = if kind == b'+' { 0 } else { number(text).ok_or_else(unexpected)? };
    Ok(Some(Line { kind, number, next: at + length + 2 }))
}

fn number(text: &[u8]) -> Option<i64> {
    let (sign, digits) = if let [b'-', digits @ ..] = text { (-1, digits) } else { (1, text) };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let add = |number: i64, byte: &u8| {
        byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
    };
    digits.iter().try_fold(0, add).map(|number| number * sign)
}

/// The bulk string that begins here, and where the next part begins.
fn bulk(buffer: &[u8], at: usize) -> Result<Option<(Range<usize>, usize)>, RedisError> {
    let Some(line) = line(buffer, at)? else { return Ok(None) };
    let length = expect(line, b'$')?;
    let end = line.next.checked_add(length).ok_or_else(unexpected)?;
    Ok((buffer.len() >= end + 2).then_some((line.next..end, end + 2)))
}

/// The length in a line, which must be of this kind.
pub fn expect(line: Line, kind: u8) -> Result<usize, RedisError> {
    if line.kind == kind {
        usize::try_from(line.number).map_err(|_| unexpected())
    } else {
        Err(unexpected())
    }
}

/// The entry that begins here, `[id, [name, value, …]]`: its id, and where the next one begins;
/// `None` if it is incomplete.
pub fn entry(buffer: &[u8], parts: &mut Parts) -> Result<Option<(StreamId, usize)>, RedisError> {
    parts.0.clear();
    let Some(line_of) = line(buffer, 0)? else { return Ok(None) };
    if expect(line_of, b'*')? != 2 {
        return Err(unexpected());
    }
    let Some((id, next)) = bulk(buffer, line_of.next)? else { return Ok(None) };
    let id = stream_id(&buffer[id])?;
    let Some(line_of) = line(buffer, next)? else { return Ok(None) };
    let mut next = line_of.next;
    // Only an old XAUTOCLAIM returns an entry without fields (nil); XREAD does not.
    for _ in 0..expect(line_of, b'*')? {
        let Some((part, after)) = bulk(buffer, next)? else { return Ok(None) };
        parts.0.push(part);
        next = after;
    }
    Ok(Some((id, next)))
}

pub fn stream_id(text: &[u8]) -> Result<StreamId, RedisError> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or_else(unexpected)
}

/// The server's error reply as an error.
fn refusal(words: &str) -> RedisError {
    let kind = match words.split(' ').next() {
        Some("NOPERM") => ServerErrorKind::NoPerm,
        Some("MOVED") => ServerErrorKind::Moved,
        Some("LOADING") => ServerErrorKind::BusyLoading,
        Some("CLUSTERDOWN") => ServerErrorKind::ClusterDown,
        _ => ServerErrorKind::ResponseError,
    };
    (ErrorKind::Server(kind), "Redis refused", words.to_owned()).into()
}

pub fn unexpected() -> RedisError {
    (ErrorKind::UnexpectedReturnType, "Redis answered something else than was asked for").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A command or an array of texts in the protocol.
    fn array(texts: &[&[u8]]) -> Vec<u8> {
        let mut bytes = format!("*{}\r\n", texts.len()).into_bytes();
        for text in texts {
            bytes.extend(format!("${}\r\n", text.len()).into_bytes());
            bytes.extend_from_slice(text);
            bytes.extend(b"\r\n");
        }
        bytes
    }

    fn wire(id: &str, fields: &[&[u8]]) -> Vec<u8> {
        [format!("*2\r\n${}\r\n{id}\r\n", id.len()).into_bytes(), array(fields)].concat()
    }

    #[test]
    fn an_error_reply_is_returned_with_its_text() {
        let error = line(b"-NOPERM this user has no right\r\n", 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::NoPerm));
        assert!(error.to_string().contains("this user has no right"), "{error}");
    }

    #[test]
    fn an_invalid_entry_is_refused() {
        for text in [
            &b":3\r\n"[..],
            b"*3\r\n$3\r\n1-1\r\n",
            b"*2\r\n$1\r\nx\r\n",
            b"*2\r\n$3\r\n1-1\r\n:1\r\n",
            b"*2\r\n$-5\r\n",
            b"*2\r\n$99999999999999999999\r\n",
            b"hello\r\n",
        ] {
            assert!(
                entry(text, &mut Parts::default()).is_err(),
                "{}",
                String::from_utf8_lossy(text)
            );
        }
    }

    proptest! {
        #[test]
        fn an_entry_is_read_as_written_and_only_when_complete(
            ms in 0_u64.., seq in 0_u64..,
            fields in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..20), prop::collection::vec(any::<u8>(), 0..50)), 0..6),
            behind in prop::collection::vec(any::<u8>(), 0..10),
        ) {
            let flat: Vec<&[u8]> = fields.iter().flat_map(|(name, value)| [name.as_slice(), value.as_slice()]).collect();
            let whole = wire(&format!("{ms}-{seq}"), &flat);
            let mut parts = Parts::default();
            for end in 0..whole.len() {
                prop_assert!(entry(&whole[..end], &mut parts).unwrap().is_none());
            }
            let more = [whole.clone(), behind].concat();
            let (id, next) = entry(&more, &mut parts).unwrap().unwrap();
            prop_assert_eq!((id, next), (StreamId { ms, seq }, whole.len()));
            let read: Vec<(&[u8], &[u8])> = parts.fields(&more).collect();
            let written: Vec<(&[u8], &[u8])> = fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'2')], 0..60)) {
            let _ = entry(&bytes, &mut Parts::default());
        }
    }
}
