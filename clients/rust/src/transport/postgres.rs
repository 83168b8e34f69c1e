//! The functions of schema `bindery` in Postgres.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::{Batch, Problem};
use crate::event::meaning;
use crate::postgres::{Connected, DatabaseError, DatabaseUrl, open};

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

pub(crate) struct Postgres {
    url: DatabaseUrl,
    client: Option<Client>,
}

impl Postgres {
    pub fn new(url: DatabaseUrl) -> Self {
        Self { url, client: None }
    }

    pub async fn report(&mut self, batch: &Batch<'_>) -> Result<String, Problem> {
        let events: Vec<_> = batch.events.iter().map(|event| meaning(event)).collect();
        let events = format!("[{}]", events.join(","));
        let call = "select bindery.report_events($1::pg_catalog.jsonb, $2)::pg_catalog.text";
        self.ask(call, &[&events, &batch.key]).await
    }

    pub async fn resume_point(
        &mut self,
        book_id: Uuid,
        after: Option<&str>,
    ) -> Result<String, Problem> {
        let call = "select bindery.get_resume_point($1::pg_catalog.uuid, $2)::pg_catalog.text";
        self.ask(call, &[&book_id.to_string(), &after]).await
    }

    pub async fn status(&mut self, book_id: Uuid) -> Result<String, Problem> {
        let call = "select bindery.get_book_status($1::pg_catalog.uuid)::pg_catalog.text";
        self.ask(call, &[&book_id.to_string()]).await
    }

    pub async fn relayed(
        &mut self,
        stream: &str,
        book_id: Uuid,
    ) -> Result<(Option<String>, bool), Problem> {
        let call = "select pg_catalog.json_build_array(\
              (select c.position::pg_catalog.text from bindery.relay_cursors c where c.stream = $1), \
              exists (select from bindery.early_events e where e.book_id = $2::pg_catalog.uuid) \
            )::pg_catalog.text";
        super::read(&self.ask(call, &[&stream, &book_id.to_string()]).await?)
    }

    /// Calls a function and returns its value. A failed call closes the connection, unless the
    /// server returned the error.
    async fn ask(&mut self, call: &str, values: &[&(dyn ToSql + Sync)]) -> Result<String, Problem> {
        let client = match self.client.take() {
            Some(client) if !client.is_closed() => client,
            _ => connect(&self.url).await?,
        };
        // All values as text: one round trip, without a prepared statement, which a pooler may not
        // support.
        let typed: Vec<_> = values.iter().map(|value| (*value, Type::TEXT)).collect();
        let asked = tokio::time::timeout(ANSWER_WITHIN, client.query_typed(call, &typed)).await;
        match asked {
            Ok(Ok(rows)) => {
                self.client = Some(client);
                let value = rows.first().and_then(|row| row.try_get(0).ok());
                value.ok_or_else(|| Problem::Away("Postgres has answered nothing".to_owned()))
            }
            Ok(Err(error)) => match error.as_db_error() {
                Some(error) => {
                    let problem = Problem::of(
                        error.code().code(),
                        error.message().to_owned(),
                        error.detail(),
                    );
                    self.client = Some(client);
                    Err(problem)
                }
                None => Err(Problem::Away(DatabaseError::from(error).to_string())),
            },
            Err(_elapsed) => Err(Problem::Away("Postgres does not answer".to_owned())),
        }
    }
}

async fn connect(url: &DatabaseUrl) -> Result<Client, Problem> {
    let opened = open(url).await.map_err(|error| Problem::Away(error.to_string()))?;
    let Connected { client, connection, .. } = opened;
    // A call returns the same error.
    tokio::spawn(async { drop(connection.await) });
    Ok(client)
}
