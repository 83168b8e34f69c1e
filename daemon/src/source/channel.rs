//! Redis Pub/Sub: a channel, and the daemon's own stream that keeps the channel's messages.
//!
//! Redis does not store messages of a channel, so a daemon appends each one to a stream. Only one
//! daemon does this for a channel: the one that has the claim, a key beside the stream that
//! expires. Each append checks the claim in Redis, atomically, so a daemon whose claim has expired
//! appends nothing. Each append also carries a number, so one whose reply was lost can be repeated.
//! A subscription begins after its claim, and its messages are appended under that claim or not at
//! all. Therefore no message is in the stream twice, whatever the clocks show.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use redis::RedisError;
use redis::aio::ConnectionLike;
use uuid::Uuid;

/// The approximate maximum length of the stream, which bounds the memory of Redis while no daemon
/// applies the messages.
pub const KEPT: usize = 1_000_000;
/// The maximum length of a name: with a longer one, the stream's key exceeds the limit of
/// `bindery.acquire_stream`.
const MAX_NAME: usize = 400;

/// KEYS: the stream, the claim. ARGV: the token, the append's number, the claim's duration from now
/// in ms, how many messages to keep, the messages. Returns 1 if the messages are in the stream, 0
/// if the claim is lost. A claim with our number means an append whose reply was lost, or a
/// renewal; this path uses no memory, which Redis may lack.
const APPEND: &str = "
local held, ours = redis.call('GET', KEYS[2]) or '', ARGV[1] .. ARGV[2]
if held == ours then
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
  return 1
end
if string.sub(held, 1, #ARGV[1]) ~= ARGV[1] then
  return 0
end
for i = 5, #ARGV do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], '*', 'data', ARGV[i])
end
redis.call('SET', KEYS[2], ours, 'PX', ARGV[3])
return 1
";

/// A channel's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Channel(String);

impl Channel {
    /// The channel's name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The key of the stream that keeps its messages. The braces have a cluster put the claim on
    /// the same node.
    pub fn stream(&self) -> String {
        format!("bindery:channel:{{{}}}", self.0)
    }

    /// The key of the claim.
    pub fn claim(&self) -> String {
        format!("{}:subscriber", self.stream())
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for Channel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.trim();
        if !(1..=MAX_NAME).contains(&name.chars().count()) {
            Err(format!("must be a name of 1 to {MAX_NAME} characters"))
        } else if name.starts_with('}') {
            // The hash tag in the stream's key would be empty.
            Err("must not begin with }".to_owned())
        } else {
            Ok(Self(name.to_owned()))
        }
    }
}

/// The right to append to a channel's stream.
#[derive(Debug)]
pub struct Claim {
    stream: String,
    key: String,
    token: String,
    /// The number of the last confirmed append.
    number: u64,
    lasts: Duration,
}

impl Claim {
    /// Acquires the claim for `lasts`, if no daemon has it.
    pub async fn take(
        redis: &mut impl ConnectionLike,
        channel: &Channel,
        lasts: Duration,
    ) -> Result<Option<Self>, RedisError> {
        let (key, token) = (channel.claim(), format!("{}:", Uuid::new_v4()));
        let claim = Self { stream: channel.stream(), key, token, number: 0, lasts };
        let mut command = redis::cmd("SET");
        command.arg(&claim.key).arg(format!("{}{}", claim.token, claim.number));
        let taken: Option<String> =
            command.arg("NX").arg("PX").arg(millis(lasts)).query_async(redis).await?;
        Ok(taken.map(|_| claim))
    }

    /// Appends these messages and renews the claim; returns whether the claim was still valid.
    /// After a failure the caller must repeat the same messages before any others: if they are
    /// already in the stream, they are not appended again.
    pub async fn append(
        &mut self,
        redis: &mut impl ConnectionLike,
        messages: &[Vec<u8>],
    ) -> Result<bool, RedisError> {
        let number = if messages.is_empty() { self.number } else { self.number + 1 };
        let ours = self.call(redis, number, self.lasts, messages).await?;
        if ours {
            self.number = number;
        }
        Ok(ours)
    }

    /// A no-op append without a claim, which tests the login's permissions.
    pub fn probe(channel: &Channel) -> redis::Cmd {
        let without_claim = Self {
            stream: channel.stream(),
            key: channel.claim(),
            token: "nobody:".to_owned(),
            number: 0,
            lasts: Duration::ZERO,
        };
        without_claim.command(0, Duration::ZERO, &[])
    }

    /// Releases the claim.
    pub async fn release(self, redis: &mut impl ConnectionLike) -> Result<(), RedisError> {
        self.call(redis, self.number, Duration::ZERO, &[]).await?;
        Ok(())
    }

    async fn call(
        &self,
        redis: &mut impl ConnectionLike,
        number: u64,
        lasts: Duration,
        messages: &[Vec<u8>],
    ) -> Result<bool, RedisError> {
        self.command(number, lasts, messages).query_async(redis).await
    }

    fn command(&self, number: u64, lasts: Duration, messages: &[Vec<u8>]) -> redis::Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(APPEND).arg(2).arg(&self.stream).arg(&self.key);
        command.arg(&self.token).arg(number).arg(millis(lasts)).arg(KEPT).arg(messages);
        command
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The part of a key that a cluster hashes.
    fn hashed(key: &str) -> &str {
        let Some((_, rest)) = key.split_once('{') else { return key };
        match rest.split_once('}') {
            Some((tag, _)) if !tag.is_empty() => tag,
            _ => key,
        }
    }

    #[test]
    fn both_keys_of_a_channel_hash_to_one_node_of_a_cluster() {
        for name in ["books", "a:b", "{books}:progress", "a{b}c", "a}b", "{", "{}"] {
            let channel: Channel = name.parse().unwrap();
            assert_eq!(hashed(&channel.stream()), hashed(&channel.claim()), "{name}");
        }
        assert_eq!(" books ".parse::<Channel>().unwrap().stream(), "bindery:channel:{books}");
    }

    #[test]
    fn an_invalid_name_of_a_channel_is_refused() {
        let long = "x".repeat(401);
        for wrong in ["", " ", "}x", &long] {
            assert!(wrong.parse::<Channel>().is_err(), "{wrong}");
        }
    }
}
