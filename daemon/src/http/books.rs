//! Reads one book: its status, substeps and timeline. Postgres builds the JSON and decides what the
//! caller may see.

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::response::Response;
use postgres_types::{ToSql, Type};
use serde::Deserialize;
use tokio_postgres::Transaction;
use uuid::Uuid;

use super::api::Api;
use super::auth::Caller;
use super::error::ApiError;
use super::pool::{Intent, begin};
use super::query::{ask, items_of, json, limit, page, text, text_or_null};

const MOST_EVENTS: i64 = 500;
const MOST_SUBSTEPS: i64 = 500;

/// A book's id in a path.
#[derive(Debug, Clone, Copy)]
pub struct BookId(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for BookId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text = Path::<String>::from_request_parts(parts, state)
            .await
            .map(|path| path.0)
            .unwrap_or_default();
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

/// The query parameters of `GET /api/books/{id}/timeline`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimelineQuery {
    limit: Option<i64>,
    before: Option<i64>,
}

/// The query parameters of `GET /api/books/{id}/substeps`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubstepsQuery {
    stage: Option<String>,
    after: Option<String>,
    limit: Option<i64>,
}

/// `GET /api/books/{id}/status`: the same answer as `bindery.get_book_status`.
pub async fn status(
    State(api): State<Api>,
    caller: Caller,
    BookId(book): BookId,
) -> Result<Response, ApiError> {
    let mut client = api.live.pool.get().await?;
    let transaction = begin(&mut client, &caller, Intent::Read).await?;
    Ok(json(read_status(&transaction, &caller, book).await?))
}

/// `GET /api/books/{id}/substeps`: all substeps of a stage, a page at a time, as
/// `bindery.list_substeps` returns them.
pub async fn substeps(
    State(api): State<Api>,
    caller: Caller,
    BookId(book): BookId,
    query: Result<Query<SubstepsQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(asked) = query.map_err(|problem| {
        ApiError::bad_request(problem.body_text(), "It takes stage, after and limit.")
    })?;
    let limit = limit(asked.limit, 200, MOST_SUBSTEPS)?;
    let mut client = api.live.pool.get().await?;
    let transaction = begin(&mut client, &caller, Intent::Read).await?;
    let items = "select pg_catalog.row_number() over (order by s.substep) as number, \
           pg_catalog.to_jsonb(s)::text as item, \
           s.substep as place from bindery.list_substeps($1, $2, $3, $4) s";
    let most = i32::try_from(limit + 1).unwrap_or(i32::MAX);
    let values: [(&(dyn ToSql + Sync), Type); 4] = [
        (&book, Type::UUID),
        (&asked.stage, Type::TEXT),
        (&asked.after, Type::TEXT),
        (&most, Type::INT4),
    ];
    let rows = ask(&transaction, &caller, &page(items, limit), &values).await?;
    let (substeps, next) = items_of(&rows)?;
    Ok(json(format!(r#"{{"substeps":[{}],"next":{}}}"#, substeps.join(","), text_or_null(next))))
}

/// `GET /api/books/{id}/timeline`: the book's history, the latest first.
pub async fn timeline(
    State(api): State<Api>,
    caller: Caller,
    BookId(book): BookId,
    query: Result<Query<TimelineQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(asked) = query.map_err(|problem| {
        ApiError::bad_request(problem.body_text(), "It takes limit and before.")
    })?;
    let limit = limit(asked.limit, 100, MOST_EVENTS)?;
    let mut client = api.live.pool.get().await?;
    let transaction = begin(&mut client, &caller, Intent::Read).await?;
    // A book that the caller may not see has no timeline, rather than an empty one.
    read_status(&transaction, &caller, book).await?;
    let items = "select pg_catalog.row_number() over (order by e.revision desc) as number, \
           pg_catalog.to_jsonb(e)::text as item, e.revision::text as place \
         from bindery.book_events e \
         where e.book_id = $1 and ($2::bigint is null or e.revision < $2) \
         order by e.revision desc limit $3";
    let values: [(&(dyn ToSql + Sync), Type); 3] =
        [(&book, Type::UUID), (&asked.before, Type::INT8), (&(limit + 1), Type::INT8)];
    let rows = ask(&transaction, &caller, &page(items, limit), &values).await?;
    let (events, next) = items_of(&rows)?;
    let (events, next) = (events.join(","), next.unwrap_or("null"));
    Ok(json(format!(r#"{{"book_id":"{book}","events":[{events}],"next":{next}}}"#)))
}

/// A book's status as JSON.
pub async fn read_status(
    transaction: &Transaction<'_>,
    caller: &Caller,
    book: Uuid,
) -> Result<String, ApiError> {
    let rows = ask(
        transaction,
        caller,
        "select bindery.get_book_status($1)::text",
        &[(&book, Type::UUID)],
    )
    .await?;
    rows.first().map(|row| text(row, 0).map(str::to_owned)).ok_or_else(ApiError::unavailable)?
}
