//! Asks Bindery where a book stands, through its functions and nothing else.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};
use uuid::Uuid;

/// How long a server may take to come up.
pub const START: Duration = Duration::from_secs(60);
/// How often a status is asked for.
pub const TICK: Duration = Duration::from_millis(40);

/// What the conductor reads of `bindery.get_book_status`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Status {
    /// The state the book is in.
    pub status: String,
    /// The stage it is in or, once halted, was in.
    pub current_stage: String,
    /// 0 to 100.
    pub overall_progress: f64,
    /// Which try at the stage.
    pub attempt: u32,
    /// The last message.
    #[serde(default)]
    pub message: Option<String>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<Value>,
}

/// A connection that comes back after Postgres did.
pub struct Database {
    config: Config,
    client: Option<Client>,
}

impl Database {
    /// Connects, with patience: servers that were started a moment ago are not there at once.
    pub async fn connect(url: &str) -> Result<Self> {
        let config = url.parse().context("the database URL is not one")?;
        let mut database = Self { config, client: None };
        let since = Instant::now();
        loop {
            let missing = match database.client().await {
                Ok(client) => match client
                    .query_one(
                        "select to_regprocedure('bindery.get_book_status(uuid)') is not null",
                        &[],
                    )
                    .await
                {
                    Ok(row) if row.get::<_, bool>(0) => return Ok(database),
                    Ok(_) => anyhow!("the schema bindery is not installed; run: binderyd migrate"),
                    Err(error) => anyhow!(error).context("Postgres refuses to answer"),
                },
                Err(error) => error,
            };
            if since.elapsed() > START {
                return Err(missing).with_context(|| {
                    format!("Postgres was not ready within {} s", START.as_secs())
                });
            }
            database.client = None;
            sleep(Duration::from_millis(250)).await;
        }
    }

    async fn client(&mut self) -> Result<&Client> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            let connect = timeout(Duration::from_secs(5), self.config.connect(NoTls)).await;
            let (client, connection) = connect
                .context("Postgres does not answer")?
                .context("cannot connect to Postgres")?;
            // Its end shows as `is_closed` at the next question.
            tokio::spawn(async move { connection.await.ok() });
            self.client = Some(client);
        }
        self.client.as_ref().context("not connected")
    }

    /// One JSON answer; `None` where Bindery does not know the book (yet), or Postgres is away for a moment.
    async fn ask(&mut self, query: &str, book: Uuid) -> Result<Option<Value>> {
        let client = match self.client().await {
            Ok(client) => client,
            Err(_) => return Ok(None),
        };
        match client.query_one(query, &[&book]).await {
            Ok(row) => Ok(Some(row.try_get(0)?)),
            Err(error)
                if error.is_closed() || error.code() == Some(&SqlState::from_code("PT404")) =>
            {
                Ok(None)
            }
            Err(error) => match error.code() {
                Some(
                    &SqlState::ADMIN_SHUTDOWN
                    | &SqlState::CRASH_SHUTDOWN
                    | &SqlState::CANNOT_CONNECT_NOW,
                ) => Ok(None),
                _ => Err(error).with_context(|| format!("Postgres refuses: {query}")),
            },
        }
    }

    /// Where a book stands.
    pub async fn status(&mut self, book: Uuid) -> Result<Option<Status>> {
        let answer = self.ask("select bindery.get_book_status($1)", book).await?;
        answer
            .map(serde_json::from_value)
            .transpose()
            .context("get_book_status answers in words we do not know")
    }

    /// All a worker needs to go on.
    pub async fn resume_point(&mut self, book: Uuid) -> Result<Value> {
        let answer = self.ask("select bindery.get_resume_point($1)", book).await?;
        answer.context("get_resume_point does not know the book")
    }

    /// Has a FAILED book go on where it failed. That somebody else did so already is as good.
    pub async fn resume(&mut self, book: Uuid) -> Result<()> {
        let resumed = self.client().await?.query("select bindery.resume_book($1)", &[&book]).await;
        match resumed {
            Err(error) if error.code() != Some(&SqlState::from_code("PT409")) => {
                Err(error).context("resume_book refuses")
            }
            _ => Ok(()),
        }
    }

    /// Waits until a book's status is what `enough` asks for; a status that `hopeless` knows ends the wait with an error.
    pub async fn wait(
        &mut self,
        book: Uuid,
        patience: Duration,
        enough: impl Fn(&Status) -> bool,
        hopeless: impl Fn(&Status) -> bool,
    ) -> Result<Status> {
        let since = Instant::now();
        let mut last = None;
        loop {
            if let Some(status) = self.status(book).await? {
                if enough(&status) {
                    return Ok(status);
                }
                if hopeless(&status) {
                    bail!("it is in {}: {}", status.status, status.error.unwrap_or_default());
                }
                last = Some(status);
            }
            if since.elapsed() > patience {
                let Some(status) = last else {
                    bail!("Bindery never heard of it: is `binderyd run` reading this stream?");
                };
                bail!(
                    "it has been in {} for {} s: does `binderyd run` still relay?",
                    status.status,
                    patience.as_secs()
                );
            }
            sleep(TICK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_from_the_answer() {
        let answer = serde_json::json!({
            "book_id": "6f2c4f0e-1111-4222-8333-944445555666", "status": "COMPLETED", "current_stage": "CREATING_ARTWORK",
            "overall_progress": 100, "attempt": 2, "revision": 90, "message": null, "error": null, "substeps": [],
        });
        let status: Status = serde_json::from_value(answer).unwrap();
        assert_eq!(
            (status.status.as_str(), status.overall_progress, status.attempt),
            ("COMPLETED", 100.0, 2)
        );
    }
}
