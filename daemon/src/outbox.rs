//! The way back: messages of `bindery.outbox` to a Redis stream, at least once, a book's in their
//! order.
//!
//! A message is taken in a transaction that commits only after Redis has it: a crash between the
//! two publishes it again, with the same id, by which readers drop what they have seen.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::database::{self, DatabaseError, DatabaseUrl};
use crate::metrics;
use crate::pauses::{MAX_PAUSE, pauses};
use crate::repeats::Repeats;
use crate::source::RedisUrl;
use crate::state::State;
use bindery_client::cut;

/// How long a message may wait unseen.
const EVERY: Duration = Duration::from_millis(100);
/// Messages a transaction.
const BATCH: i32 = 500;
/// About how many messages the stream keeps; readers that are further behind read the table
/// book_status instead.
const KEPT: usize = 100_000;
/// How often it is counted what waits.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Publishes the outbox.
#[derive(Debug, Clone)]
pub struct Publisher {
    /// The stream to publish to.
    pub stream: String,
    /// Where the outbox is.
    pub database: DatabaseUrl,
    /// Where the stream is.
    pub redis: RedisUrl,
    /// Where to tell how it goes.
    pub state: State,
}

#[derive(Debug, thiserror::Error)]
enum PublishError {
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
    pub async fn run(self, stop: CancellationToken) {
        for side in ["postgres", "redis"] {
            ::metrics::counter!(metrics::OUTBOX_FAILURES, "side" => side).increment(0);
        }
        ::metrics::counter!(metrics::PUBLISHED).increment(0);
        let mut troubles = Repeats::default();
        let mut waits = pauses();
        while !stop.is_cancelled() {
            let mut published = false;
            let Err(error) = self.publish_on(&stop, &mut published, &mut troubles).await else {
                break;
            };
            if published {
                waits = pauses();
            }
            ::metrics::counter!(metrics::OUTBOX_FAILURES, "side" => error.side()).increment(1);
            self.state
                .set_outbox(Some(error.remedy().map_or_else(|| error.to_string(), str::to_owned)));
            if let Some(unsaid) = troubles.say(&error.to_string(), Instant::now()) {
                warn!(stream = self.stream, error = %error, remedy = error.remedy(), unsaid, "the outbox waits; it is published when both sides answer");
            }
            tokio::select! {
                () = tokio::time::sleep(waits.next().unwrap_or(MAX_PAUSE)) => (),
                () = stop.cancelled() => (),
            }
        }
    }

    /// Publishes until `stop` (then `Ok`) or until something fails. `published` is set once the
    /// outbox was read and what it had is published.
    async fn publish_on(
        &self,
        stop: &CancellationToken,
        published: &mut bool,
        troubles: &mut Repeats,
    ) -> Result<(), PublishError> {
        let mut client = database::connect(&self.database).await?;
        let mut redis = self.redis.connect(&self.stream, Duration::from_secs(5)).await?;
        let mut looked: Option<Instant> = None;
        while !stop.is_cancelled() {
            let messages = self.publish(&mut client, &mut redis).await?;
            *published = true;
            self.state.set_outbox(None);
            if troubles.over() {
                info!(stream = self.stream, "publishing the outbox goes on");
            }
            if looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
                look(&client).await?;
                looked = Some(Instant::now());
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

/// Counts what waits.
async fn look(client: &Client) -> Result<(), PublishError> {
    let query =
        "select messages::float8, extract(epoch from age)::float8 from bindery.outbox_backlog()";
    let row = client.query_typed_one(query, &[]).await?;
    ::metrics::gauge!(metrics::OUTBOX_BACKLOG).set(row.try_get::<_, f64>(0)?);
    ::metrics::gauge!(metrics::OUTBOX_OLDEST).set(row.try_get::<_, f64>(1)?);
    Ok(())
}
