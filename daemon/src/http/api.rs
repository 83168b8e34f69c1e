//! `GET /api/books/{id}/status`: the same answer as `bindery.get_book_status`, the same errors as PostgREST.

use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, Timeouts};
use postgres_types::Type;
use serde_json::{Value, json};
use tokio_postgres::error::DbError;
use uuid::Uuid;

use crate::database::{self, DatabaseUrl};

/// Connections for requests; the relays have their own.
const CONNECTIONS: usize = 4;
/// A request that takes longer has lost its asker; it must not keep the others waiting.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The routes below `/api`.
pub fn router(url: &DatabaseUrl) -> anyhow::Result<Router> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let mut config = database::config(url);
    let options = config.get_options().unwrap_or_default();
    let options = format!("{options} -c statement_timeout={}", ANSWER_WITHIN.as_millis());
    config.options(options.trim_start());
    let manager = Manager::from_config(config, database::tls(), recycling);
    let patience = Some(ANSWER_WITHIN);
    let timeouts = Timeouts { wait: patience, create: patience, recycle: patience };
    let pool = Pool::builder(manager).max_size(CONNECTIONS).runtime(Runtime::Tokio1).timeouts(timeouts).build()?;
    let routes = Router::new().route("/api/books/{id}/status", get(status)).with_state(pool);
    Ok(routes.layer(middleware::from_fn(local_only)))
}

/// A page of another site can make its own name lead here, and its reader's browser ask; the name is still in `Host`.
async fn local_only(request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if is_local(host) {
        return next.run(request).await;
    }
    answer(
        StatusCode::FORBIDDEN,
        "42501",
        "/api answers to this machine's own names only",
        None,
        Some("Ask 127.0.0.1 or localhost."),
    )
}

/// Whether a `Host` header, with or without a port, names this machine.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost")
        || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
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

/// PostgREST's rule: `PTnnn` is the HTTP status nnn, and what the role may not do is 403.
fn refused(error: &DbError) -> Response {
    let code = error.code().code();
    let status = code
        .strip_prefix("PT")
        .and_then(|status| status.parse().ok())
        .and_then(|status| StatusCode::from_u16(status).ok())
        .or_else(|| (code == "42501").then_some(StatusCode::FORBIDDEN))
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer(status, code, error.message(), error.detail(), error.hint())
}

fn unavailable() -> Response {
    answer(StatusCode::SERVICE_UNAVAILABLE, "08000", "Postgres does not answer", None, Some("Try again shortly."))
}

fn answer(status: StatusCode, code: &str, message: &str, details: Option<&str>, hint: Option<&str>) -> Response {
    (status, Json(json!({ "code": code, "message": message, "details": details, "hint": hint }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_this_machines_names_are_local() {
        for host in ["localhost", "LOCALHOST:7890", "127.0.0.1:7890", "127.0.0.1", "[::1]:7890", "[::1]"] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:7890",
            "localhost.evil.example",
            "10.0.0.1:7890",
            "127.0.0.1.evil.example",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }
}
