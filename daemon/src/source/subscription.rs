//! A subscription to a channel, on a connection of its own. It reads no faster than it is asked to:
//! what is not taken waits on the wire, then in Redis, which ends the subscription when that
//! becomes too much (`client-output-buffer-limit pubsub`).

use std::time::Duration;

use bindery_core::event::MAX_ENTRY_BYTES;
use redis::{ErrorKind, RedisError};

use super::RedisUrl;
use super::channel::Channel;
use super::link::Link;

/// How late a piece of a message, or an answer, may come.
const LATE: Duration = Duration::from_secs(5);

/// What comes of a subscription.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A message; of one that is larger than an event may be, the beginning, which is still too
    /// large for one.
    Message(Vec<u8>),
    /// It has begun.
    Begun,
    /// It was ended, by us: nothing comes after this.
    Ended,
    /// A sign of life.
    Pong,
}

/// A subscription.
#[derive(Debug)]
pub struct Subscription {
    link: Link,
    channel: Channel,
}

impl Subscription {
    /// Subscribes, at the server that has the channel's stream: there a failover is noticed at
    /// once. What is published from now on comes.
    pub async fn begin(url: &RedisUrl, channel: &Channel) -> Result<Self, RedisError> {
        Self::on(Link::connect(url, &channel.stream(), LATE).await?, channel).await
    }

    async fn on(mut link: Link, channel: &Channel) -> Result<Self, RedisError> {
        link.ask(&[b"SUBSCRIBE", channel.name().as_bytes()]).await?;
        let mut subscription = Self { link, channel: channel.clone() };
        match subscription.next().await? {
            Heard::Begun => Ok(subscription),
            _ => Err(unexpected()),
        }
    }

    /// Waits, for as long as it takes, until there is something to be heard. May be given up.
    pub async fn wait(&mut self) -> Result<(), RedisError> {
        self.link.wait().await
    }

    /// Whether there is something without waiting, or at least the beginning of it.
    pub fn has_more(&self) -> bool {
        self.link.has_more()
    }

    /// The next thing, which has come, or is about to.
    pub async fn next(&mut self) -> Result<Heard, RedisError> {
        let parts = self.link.array().await?;
        let kind = self.link.text(16).await?;
        match (kind.as_slice(), parts) {
            (b"pong", 2) => {
                self.link.text(0).await?;
                Ok(Heard::Pong)
            }
            (b"message", 3) => {
                self.link.text(0).await?;
                // With the field's name it is larger than an entry may be.
                Ok(Heard::Message(self.link.text(MAX_ENTRY_BYTES).await?))
            }
            (b"subscribe", 3) => {
                self.link.text(0).await?;
                self.link.number().await?;
                Ok(Heard::Begun)
            }
            (b"unsubscribe", 3) => {
                self.link.text(0).await?;
                self.link.number().await?;
                Ok(Heard::Ended)
            }
            _ => Err(unexpected()),
        }
    }

    /// Asks for a sign of life.
    pub async fn ping(&mut self) -> Result<(), RedisError> {
        self.link.ask(&[b"PING"]).await
    }

    /// Asks for the end. What had come before is heard before it.
    pub async fn end(&mut self) -> Result<(), RedisError> {
        self.link.ask(&[b"UNSUBSCRIBE", self.channel.name().as_bytes()]).await
    }
}

fn unexpected() -> RedisError {
    (ErrorKind::UnexpectedReturnType, "Redis said something else than a subscription brings").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn subscription_to(says: Vec<u8>) -> Result<Subscription, RedisError> {
        let (ours, mut theirs) = tokio::io::duplex(16 * 1024);
        tokio::spawn(async move {
            let mut question = [0; 1024];
            let _ = theirs.read(&mut question).await;
            let _ = theirs.write_all(&says).await;
            // Nothing more, and the connection stays.
            let _ = theirs.read(&mut question).await;
        });
        Subscription::on(Link::new(Box::new(ours), LATE), &"c".parse().unwrap()).await
    }

    fn message(payload: &[u8]) -> Vec<u8> {
        [
            format!("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n${}\r\n", payload.len()).as_bytes(),
            payload,
            b"\r\n",
        ]
        .concat()
    }

    const BEGUN: &[u8] = b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";

    #[tokio::test]
    async fn messages_of_any_bytes_come_in_their_order_and_large_ones_cut() {
        let large = vec![b'x'; 3 * MAX_ENTRY_BYTES];
        let says = [
            BEGUN,
            &message(b"one\r\n\xff"),
            b"*2\r\n$4\r\npong\r\n$0\r\n\r\n",
            &message(&large),
            &message(b""),
        ];
        let mut heard = subscription_to(
            [&says.concat()[..], b"*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n"].concat(),
        )
        .await
        .unwrap();
        assert_eq!(heard.next().await.unwrap(), Heard::Message(b"one\r\n\xff".to_vec()));
        assert_eq!(heard.next().await.unwrap(), Heard::Pong);
        assert_eq!(heard.next().await.unwrap(), Heard::Message(vec![b'x'; MAX_ENTRY_BYTES]));
        assert_eq!(heard.next().await.unwrap(), Heard::Message(Vec::new()));
        assert_eq!(heard.next().await.unwrap(), Heard::Ended);
        assert!(!heard.has_more());
    }

    #[tokio::test]
    async fn what_is_refused_is_told_in_redis_own_words() {
        let refused =
            subscription_to(b"-NOPERM no access to channel c\r\n".to_vec()).await.unwrap_err();
        assert!(refused.to_string().contains("no access to channel"), "{refused}");
    }
}
