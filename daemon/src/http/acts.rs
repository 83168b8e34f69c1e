//! An operator's acts on a book: resume, cancel, rewind. The body has the SQL function's arguments
//! except the book's id.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use postgres_types::{ToSql, Type};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::api::Api;
use super::auth::Caller;
use super::books::{BookId, read_status};
use super::error::ApiError;
use super::pool::{Intent, begin};
use super::query::{ask, json};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Resume {
    expected_revision: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Cancel {
    message: Option<String>,
    expected_revision: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rewind {
    to_stage: String,
    message: Option<String>,
    expected_revision: Option<i64>,
}

/// The body of a request.
pub type Body = Result<Bytes, BytesRejection>;

/// `POST /api/books/{id}/resume`: resumes a book in its stage.
pub async fn resume(
    State(api): State<Api>,
    caller: Caller,
    book: BookId,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let Resume { expected_revision } = arguments(&headers, body)?.unwrap_or_default();
    act(
        &api,
        &caller,
        book,
        "select from bindery.resume_book($1, $2)",
        &[(&expected_revision, Type::INT8)],
    )
    .await
}

/// `POST /api/books/{id}/cancel`: cancels a book, finally.
pub async fn cancel(
    State(api): State<Api>,
    caller: Caller,
    book: BookId,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let Cancel { message, expected_revision } = arguments(&headers, body)?.unwrap_or_default();
    let values: [(&(dyn ToSql + Sync), Type); 2] =
        [(&message, Type::TEXT), (&expected_revision, Type::INT8)];
    act(&api, &caller, book, "select from bindery.cancel_book($1, $2, $3)", &values).await
}

/// `POST /api/books/{id}/rewind`: moves a book back to an earlier stage.
pub async fn rewind(
    State(api): State<Api>,
    caller: Caller,
    book: BookId,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let missing = || {
        ApiError::bad_request(
            "to_stage is missing",
            r#"Name the stage: {"to_stage": "ANALYZING"}."#,
        )
    };
    let Rewind { to_stage, message, expected_revision } =
        arguments(&headers, body)?.ok_or_else(missing)?;
    let values: [(&(dyn ToSql + Sync), Type); 3] =
        [(&to_stage, Type::TEXT), (&message, Type::TEXT), (&expected_revision, Type::INT8)];
    act(&api, &caller, book, "select from bindery.rewind_book($1, $2, $3, $4)", &values).await
}

/// Calls the function and returns the book's new status, in one transaction.
async fn act(
    api: &Api,
    caller: &Caller,
    BookId(book): BookId,
    call: &str,
    values: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Response, ApiError> {
    let mut client = api.live.pool.get().await?;
    let transaction = begin(&mut client, caller, Intent::Change).await?;
    let mut all: Vec<(&(dyn ToSql + Sync), Type)> = vec![(&book, Type::UUID)];
    all.extend_from_slice(values);
    ask(&transaction, caller, call, &all).await?;
    let status = read_status(&transaction, caller, book).await?;
    transaction
        .commit()
        .await
        .map_err(|error| ApiError::from_postgres(&error, caller.has_token()))?;
    Ok(json(status))
}

/// The body's JSON; `None` if it is empty.
pub fn arguments<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
) -> Result<Option<T>, ApiError> {
    let body = body_of(headers, body, &["application/json"])?;
    if body.is_empty() {
        return Ok(None);
    }
    // Parse an object first: serde accepts an array for a struct, too.
    serde_json::from_slice::<Map<String, Value>>(&body)
        .and_then(|object| serde_json::from_value(Value::Object(object)))
        .map(Some)
        .map_err(|problem| {
            ApiError::bad_request(problem.to_string(), "See docs/http.md for the keys of the body.")
        })
}

/// The type of a body, without its parameters.
pub fn content_type(headers: &HeaderMap) -> &str {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim()
}

/// A body of one of these types, which the form of another site's page cannot send.
pub fn body_of(headers: &HeaderMap, body: Body, kinds: &[&str]) -> Result<Bytes, ApiError> {
    let body = body.map_err(|problem| {
        let hint = "See docs/http.md for the limit of a body.";
        ApiError::new(problem.status(), "bad_body", problem.body_text(), hint)
    })?;
    let given = content_type(headers);
    if kinds.iter().any(|kind| given.eq_ignore_ascii_case(kind)) {
        return Ok(body);
    }
    let message = format!("the body must be {}", kinds.join(" or "));
    let hint = format!("Send Content-Type: {}, and the body as JSON.", kinds[0]);
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad_body", message, &hint))
}
