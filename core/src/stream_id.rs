//! Positions in a Redis stream: `1700000000000-3`, milliseconds and a sequence number within them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The id of a stream entry. Ids of one stream only grow; they order as the stream does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Milliseconds since 1970, by the clock of the server that took the entry.
    pub ms: u64,
    /// Counts the entries of one millisecond, from 0.
    pub seq: u64,
}

impl StreamId {
    /// Before every entry: `0-0`, which no entry can have.
    pub const ZERO: Self = Self { ms: 0, seq: 0 };

    /// The id of these two numbers.
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }
}

/// The text is no stream id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamIdError {
    /// Something other than digits, or one hyphen between digits.
    #[error("a stream id is digits, or digits-digits, such as 1700000000000-0")]
    NotDigits,
    /// One of the two numbers is above 18446744073709551615.
    #[error("a stream id's numbers go up to 18446744073709551615")]
    TooLarge,
}

impl FromStr for StreamId {
    type Err = StreamIdError;

    /// Reads `ms-seq`, or `ms` alone, which is the first id of that millisecond.
    fn from_str(text: &str) -> Result<Self, StreamIdError> {
        match text.split_once('-') {
            Some((ms, seq)) => Ok(Self { ms: number(ms)?, seq: number(seq)? }),
            None => Ok(Self { ms: number(text)?, seq: 0 }),
        }
    }
}

/// Digits only: the standard parser would take a leading `+`.
fn number(text: &str) -> Result<u64, StreamIdError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(StreamIdError::NotDigits);
    }
    text.parse().map_err(|_| StreamIdError::TooLarge)
}

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.ms, self.seq)
    }
}

impl Serialize for StreamId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StreamId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_two_numbers_or_one() {
        assert_eq!("1700000000000-3".parse(), Ok(StreamId::new(1_700_000_000_000, 3)));
        assert_eq!("5".parse(), Ok(StreamId::new(5, 0)));
        assert_eq!("0-0".parse(), Ok(StreamId::ZERO));
        assert_eq!(
            "18446744073709551615-18446744073709551615".parse(),
            Ok(StreamId::new(u64::MAX, u64::MAX))
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "", "-", "1-", "-1", "+1-0", "1-+0", "1--1", "1-2-3", " 1-0", "1-0 ", "a-0", "0x1",
            "$", "١-0",
        ] {
            assert_eq!(text.parse::<StreamId>(), Err(StreamIdError::NotDigits), "{text}");
        }
        for text in ["18446744073709551616", "0-18446744073709551616", "99999999999999999999999-0"]
        {
            assert_eq!(text.parse::<StreamId>(), Err(StreamIdError::TooLarge), "{text}");
        }
    }

    #[test]
    fn ids_order_as_numbers_do() {
        let mut ids: Vec<StreamId> =
            ["10-0", "9-5", "9-10", "9"].iter().map(|text| text.parse().unwrap()).collect();
        ids.sort();
        assert_eq!(
            ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["9-0", "9-5", "9-10", "10-0"]
        );
    }
}
