//! The way back: messages of `bindery.outbox` to a Redis stream, at least once, a book's in their order.
//!
//! A message is taken in a transaction that commits only after Redis has it: a crash between the two publishes it again, with the
//! same revision, by which readers drop what they have seen.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::database::{self, DatabaseError, DatabaseUrl};
use crate::metrics;
use crate::source::RedisUrl;

/// How long a message may wait unseen.
const EVERY: Duration = Duration::from_millis(100);
/// Messages a transaction.
const BATCH: i32 = 500;
/// About how many messages the stream keeps; readers that are further behind read the table book_status instead.
const KEPT: usize = 100_000;
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(2);

/// Publishes the outbox.
#[derive(Debug, Clone)]
pub struct Publisher {
    /// The stream to publish to.
    pub stream: String,
    /// Where the outbox is.
    pub database: DatabaseUrl,
    /// Where the stream is.
    pub redis: RedisUrl,
}

#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("Redis: {0}")]
    Redis(#[from] redis::RedisError),
}

impl From<tokio_postgres::Error> for PublishError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

impl PublishError {
    fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Database(error) => error.remedy(),
            Self::Redis(_) => None,
        }
    }
}

impl Publisher {
    /// Publishes until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut well = true;
        while !stop.is_cancelled() {
            let Err(error) = self.publish_on(&stop, &mut well).await else { break };
            if well {
                warn!(stream = self.stream, error = %error, remedy = error.remedy(), "the outbox waits; it is published when both sides answer");
            }
            well = false;
            tokio::select! {
                () = tokio::time::sleep(PAUSE_AFTER_FAILURE) => (),
                () = stop.cancelled() => (),
            }
        }
    }

    async fn publish_on(&self, stop: &CancellationToken, well: &mut bool) -> Result<(), PublishError> {
        let mut client = database::connect(&self.database).await?;
        let mut redis = self.redis.connect(Duration::from_secs(5)).await?;
        while !stop.is_cancelled() {
            let published = self.publish(&mut client, &mut redis).await?;
            *well = true;
            if published == 0 {
                tokio::select! {
                    () = tokio::time::sleep(EVERY) => (),
                    () = stop.cancelled() => (),
                }
            }
        }
        Ok(())
    }

    /// Publishes the oldest messages; how many.
    async fn publish(&self, client: &mut Client, redis: &mut MultiplexedConnection) -> Result<usize, PublishError> {
        let transaction = client.transaction().await?;
        let messages = transaction
            .query_typed(
                "select book_id::text, revision::text, kind, payload::text from bindery.take_outbox($1)",
                &[(&BATCH, postgres_types::Type::INT4)],
            )
            .await?;
        if !messages.is_empty() {
            let mut pipeline = redis::pipe();
            for message in &messages {
                pipeline.cmd("XADD").arg(&self.stream).arg("MAXLEN").arg("~").arg(KEPT).arg("*");
                for (index, name) in ["book_id", "revision", "kind", "payload"].into_iter().enumerate() {
                    pipeline.arg(name).arg(message.try_get::<_, &str>(index)?);
                }
                pipeline.ignore();
            }
            pipeline.query_async::<()>(redis).await?;
            ::metrics::counter!(metrics::PUBLISHED).increment(messages.len().try_into().unwrap_or(u64::MAX));
            debug!(messages = messages.len(), "published");
        }
        transaction.commit().await?;
        Ok(messages.len())
    }
}
