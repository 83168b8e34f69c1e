//! Connections to Postgres for requests: each request is a transaction with the caller's role and
//! claims, so that row-level security applies.

use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use deadpool::Runtime;
use deadpool::managed::{self, Metrics, RecycleError, RecycleResult, Timeouts};
use postgres_types::Type;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Transaction};
use tracing::warn;

use super::auth::Caller;
use super::error::ApiError;
use crate::database::{self, DatabaseError, DatabaseUrl};
use crate::retry::Repeats;

/// The time limit of a request's statements, so that a slow request does not delay others.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Limits the log lines about an error that many requests meet.
static REFUSED: LazyLock<Mutex<Repeats>> = LazyLock::new(Mutex::default);

/// What a request may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Read.
    Read,
    /// Change books.
    Change,
}

/// Connections for requests; the relays use others.
pub type Pool = managed::Pool<Connections>;

/// A connection from the pool.
pub type Object = managed::Object<Connections>;

/// Opens the pool's connections like all connections of the daemon.
#[derive(Debug)]
pub struct Connections(DatabaseUrl);

impl managed::Manager for Connections {
    type Type = Client;
    type Error = DatabaseError;

    async fn create(&self) -> Result<Client, DatabaseError> {
        database::connect(&self.0).await
    }

    async fn recycle(&self, client: &mut Client, _: &Metrics) -> RecycleResult<DatabaseError> {
        if client.is_closed() {
            return Err(RecycleError::message("the connection is closed"));
        }
        Ok(())
    }
}

/// Creates the pool.
pub fn pool(url: &DatabaseUrl, connections: usize) -> anyhow::Result<Pool> {
    let patience = Some(ANSWER_WITHIN);
    let timeouts = Timeouts { wait: patience, create: patience, recycle: patience };
    Ok(Pool::builder(Connections(url.clone()))
        .max_size(connections)
        .runtime(Runtime::Tokio1)
        .timeouts(timeouts)
        .build()?)
}

/// Begins a transaction as the caller. The role and the time limit end with the transaction, so
/// nothing remains in the session, which behind a pooler may change each time.
pub async fn begin<'a>(
    client: &'a mut Object,
    caller: &Caller,
    intent: Intent,
) -> Result<Transaction<'a>, ApiError> {
    let failed = |error| ApiError::from_postgres(&error, caller.has_token());
    let transaction =
        client.build_transaction().read_only(intent == Intent::Read).start().await.map_err(
            |error| match error.code() {
                // For a BEGIN, only a standby returns this.
                Some(&SqlState::FEATURE_NOT_SUPPORTED) => ApiError::new(
                    StatusCode::METHOD_NOT_ALLOWED,
                    SqlState::READ_ONLY_SQL_TRANSACTION.code(),
                    "this server is a standby, which takes no writes",
                    "Send it to a daemon at the primary.",
                ),
                _ => failed(error),
            },
        )?;
    let became = transaction
        .query_typed(
            "select pg_catalog.set_config('role', $1, true), pg_catalog.set_config('request.jwt.claims', $2, true), \
             pg_catalog.set_config('statement_timeout', $3, true)",
            &[
                (&caller.role.name(), Type::TEXT),
                (&&*caller.claims, Type::TEXT),
                (&ANSWER_WITHIN.as_millis().to_string(), Type::TEXT),
            ],
        )
        .await;
    match became {
        Ok(_) => Ok(transaction),
        Err(error) if error.as_db_error().is_none() => Err(failed(error)),
        Err(error) => {
            // A fault of the configuration: log the details, and do not show them to the caller.
            let role = caller.role.name();
            let mut failures = REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(unlogged) = failures.record(role, Instant::now()) {
                warn!(
                    role,
                    error = error.as_db_error().map(ToString::to_string),
                    remedy = "grant anon, authenticated, service_role and bindery_worker to the daemon's login",
                    unlogged,
                    "the daemon may not act as a caller's role"
                );
            }
            Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "0P000",
                format!("the daemon may not act as {role}"),
                "Its operator finds the remedy in the log.",
            ))
        }
    }
}
