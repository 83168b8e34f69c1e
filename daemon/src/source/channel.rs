//! Redis Pub/Sub: a channel, and the stream of the daemon's own that keeps what is published on it.
//!
//! Nobody keeps a message of a channel for who is not there, so the first thing to be done with one
//! is to append it to a stream. Of several daemons one does that: the one that has claimed it, by a
//! key beside the stream that runs out. Each append asks in Redis itself, atomically, whether the
//! claim still stands, so a daemon that slept through its end appends nothing any more; and says
//! its number, so one whose answer was lost can be sent again. A subscription begins after its
//! claim, and what comes of it is appended under that claim or not at all: therefore no message is
//! in the stream twice, whatever the clocks say.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use redis::RedisError;
use redis::aio::ConnectionLike;
use uuid::Uuid;

/// About how many messages a stream keeps at most: when nobody can apply them, Redis is not to be
/// filled for ever.
pub const KEPT: usize = 1_000_000;
/// A longer name makes a stream's key longer than `bindery.acquire_stream` takes.
const MAX_NAME: usize = 400;

/// KEYS: the stream, the claim. ARGV: the token, the append's number, for how many ms the claim is
/// to last from now, how many messages to keep, the messages. Gives 1 where they are in the stream,
/// 0 where the claim is not ours any more. A claim that has our number already is an append whose
/// answer was lost, or a renewal; none of it takes memory, which Redis may lack.
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
    /// Its name.
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
            // The braces around it would be empty, and say nothing to a cluster.
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
    /// The number of the last append that is known to have been done.
    number: u64,
    lasts: Duration,
}

impl Claim {
    /// Takes it, for so long, where nobody has it.
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

    /// Appends these messages, and renews the claim; whether it was still ours. After a failure the
    /// same messages are to be given again before any others: they may be in the stream already,
    /// and then are not appended once more.
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

    /// An append by who has no claim: allowed or not, it changes nothing.
    pub fn probe(channel: &Channel) -> redis::Cmd {
        let nobody = Self {
            stream: channel.stream(),
            key: channel.claim(),
            token: "nobody:".to_owned(),
            number: 0,
            lasts: Duration::ZERO,
        };
        nobody.command(0, Duration::ZERO, &[])
    }

    /// Gives it up.
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

    /// What of a key a cluster hashes.
    fn hashed(key: &str) -> &str {
        let Some((_, rest)) = key.split_once('{') else { return key };
        match rest.split_once('}') {
            Some((tag, _)) if !tag.is_empty() => tag,
            _ => key,
        }
    }

    #[test]
    fn a_channels_two_keys_are_on_one_node_of_a_cluster_whatever_its_name() {
        for name in ["books", "a:b", "{books}:progress", "a{b}c", "a}b", "{", "{}"] {
            let channel: Channel = name.parse().unwrap();
            assert_eq!(hashed(&channel.stream()), hashed(&channel.claim()), "{name}");
        }
        assert_eq!(" books ".parse::<Channel>().unwrap().stream(), "bindery:channel:{books}");
    }

    #[test]
    fn a_channel_without_a_name_is_wrong_usage() {
        let long = "x".repeat(401);
        for wrong in ["", " ", "}x", &long] {
            assert!(wrong.parse::<Channel>().is_err(), "{wrong}");
        }
    }
}
