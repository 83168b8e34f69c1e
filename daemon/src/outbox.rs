//! Publishes the messages of `bindery.outbox` to a Redis stream, at least once, in order for each
//! book.
//!
//! The transaction that takes messages commits only after Redis has them. After a crash between the
//! two, they are published again with the same ids, so that readers can drop duplicates.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::database::{self, DatabaseError, DatabaseUrl};
use crate::metrics;
use crate::retry::{Failure, Tries, Work, supervise};
use crate::source::RedisUrl;
use crate::state::State;
use bindery_client::cut;

/// The interval between two reads of the outbox.
const EVERY: Duration = Duration::from_millis(100);
/// The maximum number of messages in a transaction.
const BATCH: i32 = 500;
/// The approximate maximum length of the stream; readers with a larger lag read `book_status`
/// instead.
const KEPT: usize = 100_000;
/// The interval at which the backlog is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(10);

/// Publishes the outbox.
#[derive(Debug, Clone)]
pub struct Publisher {
    /// The stream to publish to.
    pub stream: String,
    /// The database that has the outbox.
    pub database: DatabaseUrl,
    /// The Redis server that has the stream.
    pub redis: RedisUrl,
    /// The state that the publisher updates.
    pub state: State,
}

/// Why publishing failed.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("Redis: {}", cut(.0))]
    Redis(#[from] redis::RedisError),
}

impl From<tokio_postgres::Error> for PublishError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

impl PublishError {
    fn side(&self) -> &'static str {
        match self {
            Self::Database(_) => "postgres",
            Self::Redis(_) => "redis",
        }
    }

    fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Database(error) => error.remedy(),
            Self::Redis(_) => None,
        }
    }
}

impl Publisher {
    /// Publishes until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        for side in ["postgres", "redis"] {
            ::metrics::counter!(metrics::OUTBOX_FAILURES, "side" => side).increment(0);
        }
        ::metrics::counter!(metrics::PUBLISHED).increment(0);
        supervise(&stop, &mut self).await;
    }

    /// Publishes the oldest messages; how many.
    async fn publish(
        &self,
        client: &mut Client,
        redis: &mut MultiplexedConnection,
    ) -> Result<usize, PublishError> {
        let transaction = client.transaction().await?;
        let messages = transaction
            .query_typed(
                "select message_id::text, book_id::text, revision::text, kind, payload::text \
                 from bindery.take_outbox($1)",
                &[(&BATCH, postgres_types::Type::INT4)],
            )
            .await?;
        if !messages.is_empty() {
            let mut pipeline = redis::pipe();
            for message in &messages {
                pipeline.cmd("XADD").arg(&self.stream).arg("MAXLEN").arg("~").arg(KEPT).arg("*");
                for (index, name) in
                    ["id", "book_id", "revision", "kind", "payload"].into_iter().enumerate()
                {
                    pipeline.arg(name).arg(message.try_get::<_, &str>(index)?);
                }
                pipeline.ignore();
            }
            pipeline.query_async::<()>(redis).await?;
            ::metrics::counter!(metrics::PUBLISHED)
                .increment(messages.len().try_into().unwrap_or(u64::MAX));
            debug!(messages = messages.len(), "published");
        }
        transaction.commit().await?;
        Ok(messages.len())
    }
}

impl Work for Publisher {
    type Error = PublishError;

    async fn work(
        &mut self,
        stop: &CancellationToken,
        tries: &mut Tries,
    ) -> Result<(), PublishError> {
        let mut client = database::connect(&self.database).await?;
        let mut redis = self.redis.connect(&self.stream, Duration::from_secs(5)).await?;
        let mut measured: Option<Instant> = None;
        while !stop.is_cancelled() {
            let messages = self.publish(&mut client, &mut redis).await?;
            self.state.set_outbox(None);
            if tries.succeeded() {
                info!(stream = self.stream, "publishing the outbox continues");
            }
            if measured.is_none_or(|measured| measured.elapsed() >= MEASURE_EVERY) {
                measure_backlog(&client).await?;
                measured = Some(Instant::now());
            }
            if messages == 0 {
                tokio::select! {
                    () = tokio::time::sleep(EVERY) => (),
                    () = stop.cancelled() => (),
                }
            }
        }
        Ok(())
    }

    fn failed(&mut self, error: &PublishError, failure: Failure) {
        ::metrics::counter!(metrics::OUTBOX_FAILURES, "side" => error.side()).increment(1);
        self.state
            .set_outbox(Some(error.remedy().map_or_else(|| error.to_string(), str::to_owned)));
        if let Some(unlogged) = failure.unlogged {
            warn!(stream = self.stream, error = %error, remedy = error.remedy(), unlogged, "the outbox waits; it is published when both sides answer");
        }
    }
}

/// Measures the messages that wait, and the age of the oldest.
async fn measure_backlog(client: &Client) -> Result<(), PublishError> {
    let query =
        "select messages::float8, extract(epoch from age)::float8 from bindery.outbox_backlog()";
    let row = client.query_typed_one(query, &[]).await?;
    ::metrics::gauge!(metrics::OUTBOX_BACKLOG).set(row.try_get::<_, f64>(0)?);
    ::metrics::gauge!(metrics::OUTBOX_OLDEST).set(row.try_get::<_, f64>(1)?);
    Ok(())
}
