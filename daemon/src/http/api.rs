//! `GET /api/books/{id}/status`: the same answer as `bindery.get_book_status`, the same errors as PostgREST.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, RecyclingMethod};
use postgres_types::Type;
use serde_json::{Value, json};
use tokio_postgres::error::DbError;
use uuid::Uuid;

use crate::database::{self, DatabaseUrl};

/// Connections for requests; the relays have their own.
const CONNECTIONS: usize = 4;

/// The routes below `/api`.
pub fn router(url: &DatabaseUrl) -> anyhow::Result<Router> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(url.config().clone(), database::tls(), recycling);
    let pool = Pool::builder(manager).max_size(CONNECTIONS).build()?;
    Ok(Router::new().route("/api/books/{id}/status", get(status)).with_state(pool))
}

async fn status(State(pool): State<Pool>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let id: Uuid = id.parse().map_err(|_| ApiError::NotAnId(id))?;
    let client = pool.get().await?;
    let row = client
        .query_typed_one("select bindery.get_book_status($1)", &[(&id, Type::UUID)])
        .await
        .map_err(PoolError::from)?;
    Ok(Json(row.try_get(0).map_err(PoolError::from)?))
}

enum ApiError {
    NotAnId(String),
    Database(PoolError),
}

impl From<PoolError> for ApiError {
    fn from(error: PoolError) -> Self {
        Self::Database(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::NotAnId(id) => answer(
                StatusCode::BAD_REQUEST,
                "22P02",
                &format!("{id:?} is not a book's id"),
                None,
                Some("Give a uuid: /api/books/6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b/status."),
            ),
            Self::Database(PoolError::Backend(error)) if error.as_db_error().is_some() => {
                // The guard has just looked.
                error.as_db_error().map_or_else(unavailable, refused)
            }
            Self::Database(error) => {
                tracing::warn!(error = %error, "a request could not reach Postgres");
                unavailable()
            }
        }
    }
}

/// PostgREST's rule: `PTnnn` is the HTTP status nnn.
fn refused(error: &DbError) -> Response {
    let code = error.code().code();
    let status = code
        .strip_prefix("PT")
        .and_then(|status| status.parse().ok())
        .and_then(|status| StatusCode::from_u16(status).ok())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer(status, code, error.message(), error.detail(), error.hint())
}

fn unavailable() -> Response {
    answer(StatusCode::SERVICE_UNAVAILABLE, "08000", "Postgres does not answer", None, Some("Try again shortly."))
}

fn answer(status: StatusCode, code: &str, message: &str, details: Option<&str>, hint: Option<&str>) -> Response {
    (status, Json(json!({ "code": code, "message": message, "details": details, "hint": hint }))).into_response()
}
