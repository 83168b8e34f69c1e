//! Entries of a stream in Redis.

use std::time::Duration;

use bindery_core::event::Event;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisError};

use super::{Outcome, Problem};
use crate::cut::cut;
use crate::event::entry;
use crate::redis::RedisUrl;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

pub(crate) struct Stream {
    url: RedisUrl,
    stream: String,
    connection: Option<MultiplexedConnection>,
}

impl Stream {
    pub fn new(url: RedisUrl, stream: &str) -> Self {
        Self { url, stream: stream.to_owned(), connection: None }
    }

    pub async fn send(&mut self, events: &[&Event]) -> Result<Vec<Outcome>, Problem> {
        let sent = self.append(events).await;
        if sent.is_err() {
            // A late answer must not be read as that of the next call.
            self.connection = None;
        }
        match sent {
            Ok(ids) => Ok(ids.into_iter().map(Outcome::Entry).collect()),
            Err(error) => Err(Problem::Away(format!("Redis: {}", cut(&error)))),
        }
    }

    async fn append(&mut self, events: &[&Event]) -> Result<Vec<String>, RedisError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.url.connect(&self.stream, ANSWER_WITHIN).await?),
        };
        let entries: Vec<_> = events.iter().map(|event| entry(event)).collect();
        append(connection, &self.stream, entries.iter().map(Vec::as_slice)).await
    }
}

/// Appends entries to a stream in one transaction, all or none; returns their ids.
///
/// # Errors
/// Redis refuses the transaction or does not answer; without an answer the entries may be there.
pub async fn append<'a, N, V>(
    redis: &mut MultiplexedConnection,
    stream: &str,
    entries: impl IntoIterator<Item = &'a [(N, V)]>,
) -> Result<Vec<String>, RedisError>
where
    N: redis::ToRedisArgs + 'a,
    V: redis::ToRedisArgs + 'a,
{
    let mut batch = Pipeline::new();
    batch.atomic();
    for entry in entries {
        let command = batch.cmd("XADD").arg(stream).arg("*");
        for (name, value) in entry {
            command.arg(name).arg(value);
        }
    }
    batch.query_async(redis).await
}
