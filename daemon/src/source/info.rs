//! What Redis reports about a stream.

use bindery_core::stream_id::StreamId;
use redis::aio::ConnectionLike;
use redis::{RedisError, Value};

/// The reply to `XINFO STREAM`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// The number of entries.
    pub length: u64,
    /// The highest id ever assigned.
    pub last: StreamId,
    /// The id of the first entry.
    pub first: Option<StreamId>,
    /// The number of entries ever added; Redis 7 and later.
    pub added: Option<u64>,
}

impl Info {
    /// Asks Redis; `None` if the stream does not exist.
    pub async fn ask(
        redis: &mut impl ConnectionLike,
        stream: &str,
    ) -> Result<Option<Self>, RedisError> {
        let there: bool = redis::cmd("EXISTS").arg(stream).query_async(redis).await?;
        if !there {
            return Ok(None);
        }
        match redis::cmd("XINFO").arg("STREAM").arg(stream).query_async(redis).await {
            Ok(reply) => Ok(Some(Self::of(reply))),
            // Deleted between the two commands.
            Err(error) if error.detail().is_some_and(|detail| detail.contains("no such key")) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn of(reply: Value) -> Self {
        let mut info = Self::default();
        let Ok(pairs) = redis::from_redis_value::<Vec<(String, Value)>>(reply) else { return info };
        for (name, value) in pairs {
            match name.as_str() {
                "length" => info.length = redis::from_redis_value(value).unwrap_or_default(),
                "entries-added" => info.added = redis::from_redis_value(value).ok(),
                "last-generated-id" => info.last = id(&value).unwrap_or_default(),
                "first-entry" => {
                    info.first = value.as_sequence().and_then(|entry| id(entry.first()?))
                }
                _ => (),
            }
        }
        info
    }

    /// The number of entries after the position, if it is certain: none, or all.
    pub fn certain(&self, position: StreamId) -> Option<u64> {
        match self.first {
            None => Some(0),
            Some(_) if position >= self.last => Some(0),
            Some(first) if position < first => Some(self.length),
            Some(_) => None,
        }
    }

    /// An estimate of that number, which assumes entries at a constant rate.
    pub fn guess(&self, position: StreamId) -> u64 {
        let first = self.first.unwrap_or(self.last).ms;
        let (all, after) =
            (self.last.ms.saturating_sub(first), self.last.ms.saturating_sub(position.ms));
        let guess = u128::from(self.length) * u128::from(after.min(all)) / u128::from(all.max(1));
        u64::try_from(guess).unwrap_or(self.length)
    }
}

fn id(value: &Value) -> Option<StreamId> {
    redis::from_redis_value::<String>(value.clone()).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> Info {
        let at = |ms| StreamId { ms, seq: 0 };
        Info { length: 100, first: Some(at(1_000)), last: at(2_000), added: Some(500) }
    }

    #[test]
    fn the_number_is_certain_for_none_or_all() {
        assert_eq!(info().certain(StreamId { ms: 2_000, seq: 0 }), Some(0));
        assert_eq!(
            info().certain(StreamId { ms: 999, seq: 7 }),
            Some(100),
            "also where entries before were trimmed"
        );
        assert_eq!(info().certain(StreamId { ms: 1_000, seq: 0 }), None);
        assert_eq!(Info::default().certain(StreamId::default()), Some(0), "an empty stream");
    }

    #[test]
    fn an_estimate_uses_time_and_stays_within_the_stream() {
        assert_eq!(info().guess(StreamId { ms: 1_750, seq: 0 }), 25);
        assert_eq!(info().guess(StreamId { ms: 5, seq: 0 }), 100);
        assert_eq!(info().guess(StreamId { ms: 9_999, seq: 0 }), 0);
    }

    #[test]
    fn a_reply_is_read_and_may_lack_fields_of_newer_servers() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let entry = Value::Array(vec![text("1000-0"), Value::Array(vec![])]);
        let reply = |added: bool| {
            let mut all =
                vec![text("length"), Value::Int(100), text("last-generated-id"), text("2000-0")];
            all.extend([text("groups"), Value::Int(0), text("first-entry"), entry.clone()]);
            if added {
                all.extend([text("entries-added"), Value::Int(500)]);
            }
            Value::Array(all)
        };
        assert_eq!(Info::of(reply(true)), info());
        assert_eq!(Info::of(reply(false)), Info { added: None, ..info() });
    }
}
