//! A subscription to a channel, on a connection of its own. It reads only on request: unread
//! messages wait on the connection, then in Redis, which closes the connection at its limit
//! (`client-output-buffer-limit pubsub`).

use std::time::Duration;

use bindery_core::event::MAX_ENTRY_BYTES;
use redis::{ErrorKind, RedisError};

use super::RedisUrl;
use super::channel::Channel;
use super::link::Link;

/// How long a part of a message or of a reply may take.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// A message that Redis pushes to a subscriber.
#[derive(Debug, PartialEq, Eq)]
pub enum PushedMessage {
    /// A published message. A message larger than the limit of an event is cut, but stays too
    /// large for an event.
    Message(Vec<u8>),
    /// The subscription has begun.
    Subscribed,
    /// The subscription has ended on request: no message follows.
    Unsubscribed,
    /// The reply to a `PING`.
    Pong,
}

/// A subscription.
#[derive(Debug)]
pub struct Subscription {
    link: Link,
    channel: Channel,
}

impl Subscription {
    /// Subscribes at the server that has the channel's stream, where a failover closes the
    /// connection. Receives what is published from now on.
    pub async fn begin(url: &RedisUrl, channel: &Channel) -> Result<Self, RedisError> {
        Self::on(Link::connect(url, &channel.stream(), REPLY_TIMEOUT).await?, channel).await
    }

    async fn on(mut link: Link, channel: &Channel) -> Result<Self, RedisError> {
        link.ask(&[b"SUBSCRIBE", channel.name().as_bytes()]).await?;
        let mut subscription = Self { link, channel: channel.clone() };
        match subscription.next().await? {
            PushedMessage::Subscribed => Ok(subscription),
            _ => Err(unexpected()),
        }
    }

    /// Waits, without a timeout, until a message arrives. Cancel-safe.
    pub async fn wait(&mut self) -> Result<(), RedisError> {
        self.link.wait().await
    }

    /// Whether at least the beginning of a message has arrived.
    pub fn has_more(&self) -> bool {
        self.link.has_more()
    }

    /// The next message, which must have begun to arrive.
    pub async fn next(&mut self) -> Result<PushedMessage, RedisError> {
        let parts = self.link.array().await?;
        let kind = self.link.text(16).await?;
        match (kind.as_slice(), parts) {
            (b"pong", 2) => {
                self.link.text(0).await?;
                Ok(PushedMessage::Pong)
            }
            (b"message", 3) => {
                self.link.text(0).await?;
                // With the field's name this exceeds the limit of an entry.
                Ok(PushedMessage::Message(self.link.text(MAX_ENTRY_BYTES).await?))
            }
            (b"subscribe", 3) => {
                self.link.text(0).await?;
                self.link.number().await?;
                Ok(PushedMessage::Subscribed)
            }
            (b"unsubscribe", 3) => {
                self.link.text(0).await?;
                self.link.number().await?;
                Ok(PushedMessage::Unsubscribed)
            }
            _ => Err(unexpected()),
        }
    }

    /// Sends a `PING`.
    pub async fn ping(&mut self) -> Result<(), RedisError> {
        self.link.ask(&[b"PING"]).await
    }

    /// Unsubscribes. Messages published before it still arrive, before `Unsubscribed`.
    pub async fn end(&mut self) -> Result<(), RedisError> {
        self.link.ask(&[b"UNSUBSCRIBE", self.channel.name().as_bytes()]).await
    }
}

fn unexpected() -> RedisError {
    (ErrorKind::UnexpectedReturnType, "Redis sent an unexpected reply to a subscription").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn subscription_to(replies: Vec<u8>) -> Result<Subscription, RedisError> {
        let (ours, mut theirs) = tokio::io::duplex(16 * 1024);
        tokio::spawn(async move {
            let mut question = [0; 1024];
            let _ = theirs.read(&mut question).await;
            let _ = theirs.write_all(&replies).await;
            // Keep the connection open.
            let _ = theirs.read(&mut question).await;
        });
        Subscription::on(Link::new(Box::new(ours), REPLY_TIMEOUT), &"c".parse().unwrap()).await
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
    async fn messages_of_any_bytes_arrive_in_order_and_large_ones_are_cut() {
        let large = vec![b'x'; 3 * MAX_ENTRY_BYTES];
        let replies = [
            BEGUN,
            &message(b"one\r\n\xff"),
            b"*2\r\n$4\r\npong\r\n$0\r\n\r\n",
            &message(&large),
            &message(b""),
        ];
        let mut subscription = subscription_to(
            [&replies.concat()[..], b"*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n"].concat(),
        )
        .await
        .unwrap();
        assert_eq!(
            subscription.next().await.unwrap(),
            PushedMessage::Message(b"one\r\n\xff".to_vec())
        );
        assert_eq!(subscription.next().await.unwrap(), PushedMessage::Pong);
        assert_eq!(
            subscription.next().await.unwrap(),
            PushedMessage::Message(vec![b'x'; MAX_ENTRY_BYTES])
        );
        assert_eq!(subscription.next().await.unwrap(), PushedMessage::Message(Vec::new()));
        assert_eq!(subscription.next().await.unwrap(), PushedMessage::Unsubscribed);
        assert!(!subscription.has_more());
    }

    #[tokio::test]
    async fn a_refused_subscription_returns_the_error_of_redis() {
        let refused =
            subscription_to(b"-NOPERM no access to channel c\r\n".to_vec()).await.unwrap_err();
        assert!(refused.to_string().contains("no access to channel"), "{refused}");
    }
}
