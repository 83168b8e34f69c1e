//! What the conductor says on the stream.

use std::time::Duration;

use anyhow::{Context, Result};
use redis::aio::MultiplexedConnection;
use tokio::time::{Instant, sleep, timeout};

use super::database::START;
use crate::events::Event;

/// A stream that events are sent to, from any task.
#[derive(Clone)]
pub struct Sender {
    client: redis::Client,
    stream: String,
}

impl Sender {
    /// Finds the server, with patience.
    pub async fn connect(url: &str, stream: &str) -> Result<Self> {
        let client = redis::Client::open(url).context("the Redis URL is not one")?;
        let sender = Self { client, stream: stream.to_owned() };
        let since = Instant::now();
        loop {
            match sender.ping().await {
                Ok(()) => return Ok(sender),
                Err(error) if since.elapsed() > START => {
                    return Err(error).with_context(|| {
                        format!("Redis was not ready within {} s", START.as_secs())
                    });
                }
                Err(_) => sleep(Duration::from_millis(250)).await,
            }
        }
    }

    async fn connection(&self) -> Result<MultiplexedConnection> {
        let connection =
            timeout(Duration::from_secs(5), self.client.get_multiplexed_async_connection()).await;
        connection.context("Redis does not answer")?.context("cannot connect to Redis")
    }

    async fn ping(&self) -> Result<()> {
        let mut connection = self.connection().await?;
        // A server that is still loading its data accepts connections but answers with an error.
        redis::cmd("PING")
            .query_async::<String>(&mut connection)
            .await
            .context("Redis is not ready")?;
        Ok(())
    }

    /// Sends one event. They are few, so each may have a connection of its own, and none goes stale.
    pub async fn send(&self, event: &Event) -> Result<()> {
        let mut connection = self.connection().await?;
        let sent = event.xadd(&self.stream).query_async::<String>(&mut connection).await;
        sent.map(drop).with_context(|| format!("cannot write to the Redis stream {}", self.stream))
    }
}
