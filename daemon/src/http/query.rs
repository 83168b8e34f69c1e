//! Queries of a request, and answers made of what Postgres returns.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use postgres_types::{ToSql, Type};
use serde_json::Value;
use tokio_postgres::{Row, Transaction};

use super::auth::Caller;
use super::error::ApiError;

/// The maximum size of a page's items.
const PAGE_BYTES: i64 = 4 * 1024 * 1024;

/// Checks the parameter `limit`.
pub fn limit(asked: Option<i64>, usual: i64, most: i64) -> Result<i64, ApiError> {
    match asked.unwrap_or(usual) {
        limit if (1..=most).contains(&limit) => Ok(limit),
        _ => Err(ApiError::bad_request(
            format!("limit must be 1 to {most}"),
            "Continue with after, or before, for more.",
        )),
    }
}

/// The query for a page of at most `limit` items, and at most 4 MiB unless the first item alone is
/// larger. `items` selects each item's `number` from 1, the `item` as JSON and its `place` in the
/// list, for `limit` + 1 items. Items beyond the page are null.
pub fn page(items: &str, limit: i64) -> String {
    format!(
        "select case when l.number <= {limit} and (l.number = 1 or l.bytes <= {PAGE_BYTES}) \
           then l.item end, l.place \
         from (select i.*, \
             pg_catalog.sum(pg_catalog.octet_length(i.item)) over (order by i.number) as bytes \
           from ({items}) i) l order by l.number"
    )
}

/// The items of a page, and the place where the next page begins.
pub fn items_of(rows: &[Row]) -> Result<(Vec<&str>, Option<&str>), ApiError> {
    let failed = |error: tokio_postgres::Error| ApiError::from_postgres(&error, true);
    let mut items = Vec::with_capacity(rows.len());
    let mut last = None;
    for row in rows {
        match row.try_get::<_, Option<&str>>(0).map_err(failed)? {
            Some(item) => items.push(item),
            None => return Ok((items, last)),
        }
        last = Some(text(row, 1)?);
    }
    Ok((items, None))
}

/// Runs a query, and converts a failure to an error of the API.
pub async fn ask(
    transaction: &Transaction<'_>,
    caller: &Caller,
    query: &str,
    values: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Vec<Row>, ApiError> {
    transaction
        .query_typed(query, values)
        .await
        .map_err(|error| ApiError::from_postgres(&error, caller.has_token()))
}

/// A column that is text and never null.
pub fn text(row: &Row, column: usize) -> Result<&str, ApiError> {
    row.try_get(column).map_err(|error| ApiError::from_postgres(&error, true))
}

/// A string as JSON.
pub fn text_or_null(text: Option<&str>) -> String {
    text.map_or_else(|| "null".to_owned(), |text| Value::from(text).to_string())
}

/// A response of JSON from Postgres.
pub fn json(text: String) -> Response {
    json_bytes(text.into())
}

/// A response of JSON text.
pub fn json_bytes(text: Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}
