//! Error responses of `/api`: `{code, message, details, hint}`, with the HTTP status that PostgREST
//! would return.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use deadpool::managed::PoolError;
use serde::Serialize;
use tokio_postgres::error::DbError;
use tracing::warn;

use crate::database::DatabaseError;
use crate::retry::Repeats;

/// Limits the log lines about an error that many requests meet.
static UNREACHED: LazyLock<Mutex<Repeats>> = LazyLock::new(Mutex::default);
static WITHOUT_CONNECTION: LazyLock<Mutex<Repeats>> = LazyLock::new(Mutex::default);

fn lock(failures: &Mutex<Repeats>) -> MutexGuard<'_, Repeats> {
    failures.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error response.
#[derive(Debug, Clone, Serialize)]
pub struct ApiError {
    #[serde(skip)]
    status: StatusCode,
    code: String,
    message: String,
    details: Option<String>,
    hint: Option<String>,
}

impl ApiError {
    /// An error of the daemon.
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>, hint: &str) -> Self {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        Self { status, code: code.to_owned(), message: message.into(), details: None, hint }
    }

    /// A request that cannot be parsed.
    pub fn bad_request(message: impl Into<String>, hint: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message, hint)
    }

    /// An event that is rejected, with Bindery's own error code and message.
    pub fn rejected(code: &str, message: impl Into<String>) -> Self {
        let hint = "See docs/events.md and docs/schema/event.schema.json for the fields of events.";
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "PT422", message, hint);
        error.details = Some(serde_json::json!({ "code": code }).to_string());
        error
    }

    /// A token that is refused.
    pub fn bad_token(code: &str, message: impl Into<String>, hint: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message, hint)
    }

    /// Postgres is unreachable or too slow.
    pub fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "08000",
            "Postgres does not answer",
            "Try again shortly.",
        )
    }

    /// An error that Postgres returned to a caller with or without a token.
    pub fn refused(error: &DbError, has_token: bool) -> Self {
        let code = error.code().code();
        Self {
            status: http_status(code, has_token),
            code: code.to_owned(),
            message: error.message().to_owned(),
            details: error.detail().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
        }
    }

    /// A failed call to Postgres: an error that it returned, or a failure of the connection.
    pub fn from_postgres(error: &tokio_postgres::Error, has_token: bool) -> Self {
        match error.as_db_error() {
            Some(error) => Self::refused(error, has_token),
            None => {
                let mut failures = lock(&UNREACHED);
                if let Some(unlogged) = failures.record(&error.to_string(), Instant::now()) {
                    warn!(error = %error, unlogged, "a request could not reach Postgres");
                }
                Self::unavailable()
            }
        }
    }

    /// The HTTP status.
    #[cfg(test)]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The same as JSON on one line, for an event.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
    }
}

impl From<PoolError<DatabaseError>> for ApiError {
    fn from(error: PoolError<DatabaseError>) -> Self {
        let remedy = match &error {
            PoolError::Backend(error) => error.remedy(),
            _ => None,
        };
        if let Some(unlogged) = lock(&WITHOUT_CONNECTION).record(&error.to_string(), Instant::now())
        {
            warn!(error = %error, remedy, unlogged, "a request got no connection to Postgres");
        }
        Self::unavailable()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(self)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

/// The HTTP status of an SQLSTATE, as in PostgREST: `PTnnn` is nnn, and a missing right is 403 with
/// a token and 401 without.
fn http_status(code: &str, has_token: bool) -> StatusCode {
    if let Some(status) = code.strip_prefix("PT") {
        let status = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok());
        return status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    }
    match code {
        "42501" if has_token => StatusCode::FORBIDDEN,
        "42501" => StatusCode::UNAUTHORIZED,
        "23503" | "23505" => StatusCode::CONFLICT,
        "25006" => StatusCode::METHOD_NOT_ALLOWED,
        "42883" | "42P01" => StatusCode::NOT_FOUND,
        "57P01" => StatusCode::SERVICE_UNAVAILABLE,
        "53400" | "42P17" => StatusCode::INTERNAL_SERVER_ERROR,
        "P0001" => StatusCode::BAD_REQUEST,
        _ => match code.get(..2).unwrap_or_default() {
            "08" | "53" => StatusCode::SERVICE_UNAVAILABLE,
            "0L" | "0P" | "28" => StatusCode::FORBIDDEN,
            "09" | "25" | "2D" | "38" | "39" | "3B" | "40" | "54" | "55" | "57" | "58" | "F0"
            | "HV" | "P0" | "XX" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlstates_become_http_statuses_as_in_postgrest() {
        for (code, status) in [
            ("PT404", 404),
            ("PT409", 409),
            ("PT422", 422),
            ("PT9", 500),
            ("42501", 403),
            ("22P02", 400),
            ("23505", 409),
            ("40001", 500),
            ("57014", 500),
            ("57P01", 503),
            ("53300", 503),
            ("XX000", 500),
        ] {
            assert_eq!(http_status(code, true).as_u16(), status, "{code}");
        }
        assert_eq!(http_status("42501", false), StatusCode::UNAUTHORIZED);
    }
}
