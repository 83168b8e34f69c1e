//! Reading one book: its status, its timeline. Postgres makes the JSON, and decides what the caller may see.

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use deadpool_postgres::Transaction;
use postgres_types::{ToSql, Type};
use serde::Deserialize;
use tokio_postgres::Row;
use uuid::Uuid;

use super::auth::Caller;
use super::error::ApiError;
use super::pool::{Intent, begin};
use super::router::Api;

const MOST_EVENTS: i64 = 500;

/// A book's id in a path.
#[derive(Debug, Clone, Copy)]
pub struct BookId(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for BookId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text = Path::<String>::from_request_parts(parts, state).await.map(|path| path.0).unwrap_or_default();
        text.parse().map(Self).map_err(|_| {
            ApiError::new(
                axum::http::StatusCode::BAD_REQUEST,
                "22P02",
                format!("{text:?} is not a book's id"),
                "Give a uuid: /api/books/6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b/status.",
            )
        })
    }
}

/// What `GET /api/books/{id}/timeline` may be asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimelineQuery {
    limit: Option<i64>,
    before: Option<i64>,
}

/// How many are wanted.
pub fn limit(asked: Option<i64>, usual: i64, most: i64) -> Result<i64, ApiError> {
    match asked.unwrap_or(usual) {
        limit if (1..=most).contains(&limit) => Ok(limit),
        _ => Err(ApiError::bad_request(format!("limit must be 1 to {most}"), "Go on with after, or before, for more.")),
    }
}

/// `GET /api/books/{id}/status`: the same answer as `bindery.get_book_status`.
pub async fn status(State(api): State<Api>, caller: Caller, BookId(book): BookId) -> Result<Response, ApiError> {
    let mut client = api.pool.get().await?;
    let transaction = begin(&mut client, &caller, Intent::Read).await?;
    Ok(json(read_status(&transaction, &caller, book).await?))
}

/// `GET /api/books/{id}/timeline`: the book's history, the latest first.
pub async fn timeline(
    State(api): State<Api>,
    caller: Caller,
    BookId(book): BookId,
    query: Result<Query<TimelineQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(asked) =
        query.map_err(|problem| ApiError::bad_request(problem.body_text(), "It takes limit and before."))?;
    let limit = limit(asked.limit, 100, MOST_EVENTS)?;
    let mut client = api.pool.get().await?;
    let transaction = begin(&mut client, &caller, Intent::Read).await?;
    // A book that the caller may not see has no timeline, rather than an empty one.
    read_status(&transaction, &caller, book).await?;
    let rows = ask(
        &transaction,
        &caller,
        "select pg_catalog.to_jsonb(e)::text, e.revision from bindery.book_events e \
         where e.book_id = $1 and ($2::bigint is null or e.revision < $2) order by e.revision desc limit $3",
        &[(&book, Type::UUID), (&asked.before, Type::INT8), (&(limit + 1), Type::INT8)],
    )
    .await?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX).min(rows.len());
    let events: Vec<&str> = rows[..wanted].iter().map(|row| text(row, 0)).collect::<Result<_, _>>()?;
    let next: Option<i64> =
        if rows.len() > wanted { rows[wanted - 1].try_get(1).map_err(|_| ApiError::unavailable())? } else { None };
    let next = next.map_or_else(|| "null".to_owned(), |next| next.to_string());
    Ok(json(format!(r#"{{"book_id":"{book}","events":[{}],"next":{next}}}"#, events.join(","))))
}

/// A book's status as JSON.
pub async fn read_status(transaction: &Transaction<'_>, caller: &Caller, book: Uuid) -> Result<String, ApiError> {
    let rows = ask(transaction, caller, "select bindery.get_book_status($1)::text", &[(&book, Type::UUID)]).await?;
    rows.first().map(|row| text(row, 0).map(str::to_owned)).ok_or_else(ApiError::unavailable)?
}

/// Asks, and gives a failure in the words of the API.
pub async fn ask(
    transaction: &Transaction<'_>,
    caller: &Caller,
    query: &str,
    values: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Vec<Row>, ApiError> {
    transaction.query_typed(query, values).await.map_err(|error| ApiError::from_postgres(&error, caller.has_token()))
}

/// A column that is text and never null.
pub fn text(row: &Row, column: usize) -> Result<&str, ApiError> {
    row.try_get(column).map_err(|error| ApiError::from_postgres(&error, true))
}

/// JSON that Postgres has made.
pub fn json(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}
