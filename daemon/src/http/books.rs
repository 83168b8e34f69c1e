//! Reading books: the list, one book's status, its timeline. Postgres makes the JSON, and decides what the caller may see.

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

const PHASES: [&str; 4] = ["working", "failed", "completed", "cancelled"];
const PHASE: &str = "case when b.completed_at is not null then 'completed' when b.status = 'FAILED' then 'failed' \
     when b.status = 'CANCELLED' then 'cancelled' else 'working' end";
/// What a book must be like; $1 to $5 as [`ListQuery::filters`] gives them.
const FILTER: &str = "($1::text[] is null or b.status = any ($1)) and ($2::text is null or b.pipeline = $2) \
     and ($3::uuid is null or b.owner_id = $3) \
     and ($4::text is null or b.title ilike $4 or b.book_id::text like $5)";
const MOST_BOOKS: i64 = 200;
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

/// What `GET /api/books` may be asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListQuery {
    status: Option<String>,
    phase: Option<String>,
    pipeline: Option<String>,
    owner: Option<Uuid>,
    q: Option<String>,
    failed_first: bool,
    counts: bool,
    limit: Option<i64>,
    after: Option<String>,
}

/// What `GET /api/books/{id}/timeline` may be asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimelineQuery {
    limit: Option<i64>,
    before: Option<i64>,
}

type Filters = (Option<Vec<String>>, Option<String>, Option<String>);

impl ListQuery {
    /// The statuses, the text sought in titles, and the beginning of an id.
    fn filters(&self) -> Filters {
        let statuses = self.status.as_ref().map(|names| names.split(',').map(|name| name.trim().to_owned()).collect());
        let sought = self.q.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(|text| {
            text.chars().fold(String::new(), |text, c| {
                if "%_\\".contains(c) { text + "\\" + &c.to_string() } else { text + &c.to_string() }
            })
        });
        let title = sought.as_ref().map(|text| format!("%{text}%"));
        (statuses, title, sought.map(|text| format!("{}%", text.to_lowercase())))
    }

    fn limit(&self) -> Result<i64, ApiError> {
        limit(self.limit, 50, MOST_BOOKS)
    }

    fn phase(&self) -> Result<Option<&str>, ApiError> {
        match self.phase.as_deref() {
            Some(phase) if !PHASES.contains(&phase) => Err(ApiError::bad_request(
                format!("there is no phase {phase:?}"),
                "It is working, failed, completed or cancelled.",
            )),
            phase => Ok(phase),
        }
    }
}

fn limit(asked: Option<i64>, usual: i64, most: i64) -> Result<i64, ApiError> {
    match asked.unwrap_or(usual) {
        limit if (1..=most).contains(&limit) => Ok(limit),
        _ => Err(ApiError::bad_request(format!("limit must be 1 to {most}"), "Go on with after, or before, for more.")),
    }
}

/// A page's end: whether the last book counts as failed, when it was made, and its id.
fn cursor(text: &str) -> Result<(bool, String, Uuid), ApiError> {
    let parts = || {
        let mut parts = text.splitn(3, '_');
        let (failed, at, id) = (parts.next()?, parts.next()?, parts.next()?);
        let in_time = at.bytes().all(|byte| byte.is_ascii_digit() || b"-:.TZ".contains(&byte));
        in_time.then_some(())?;
        Some((failed == "1", at.to_owned(), id.parse().ok()?))
    };
    parts().ok_or_else(|| ApiError::bad_request("after is not a place in this list", "Give next of the answer before."))
}

/// `GET /api/books`: those that the caller may see, the newest first.
pub async fn list(
    State(api): State<Api>,
    caller: Caller,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(asked) = query
        .map_err(|problem| ApiError::bad_request(problem.body_text(), "See docs/http.md for what may be asked."))?;
    let (limit, phase) = (asked.limit()?, asked.phase()?);
    let (failed, made, id) = asked
        .after
        .as_deref()
        .map(cursor)
        .transpose()?
        .map_or((None, None, None), |(failed, made, id)| (Some(failed), Some(made), Some(id)));
    let (statuses, title, prefix) = asked.filters();
    let filters: [(&(dyn ToSql + Sync), Type); 5] = [
        (&statuses, Type::TEXT_ARRAY),
        (&asked.pipeline, Type::TEXT),
        (&asked.owner, Type::UUID),
        (&title, Type::TEXT),
        (&prefix, Type::TEXT),
    ];
    let rank = if asked.failed_first { "(b.status = 'FAILED')" } else { "(1 = 0)" };
    // What is made of a book is made of those on the page only, not of all that are sorted for it.
    let page = format!(
        "select bindery.get_book_status(p.book_id)::text, pg_catalog.format('%s_%s_%s', p.failed::int, \
             pg_catalog.to_char(p.created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), p.book_id) \
         from ( \
           select b.book_id, b.created_at, {rank} as failed from bindery.book_status b \
           where {FILTER} and ($6::text is null or {PHASE} = $6) \
             and ($9::uuid is null or ({rank}, b.created_at, b.book_id) < ($7::boolean, $8::text::timestamptz, $9)) \
           order by {rank} desc, b.created_at desc, b.book_id desc limit $10) p \
         order by p.failed desc, p.created_at desc, p.book_id desc"
    );
    let mut values = filters.to_vec();
    let more = limit + 1;
    let paging: [(&(dyn ToSql + Sync), Type); 5] =
        [(&phase, Type::TEXT), (&failed, Type::BOOL), (&made, Type::TEXT), (&id, Type::UUID), (&more, Type::INT8)];
    values.extend(paging);

    let mut client = api.pool.get().await?;
    let transaction = begin(&mut client, &caller, Intent::Read).await?;
    let rows = ask(&transaction, &caller, &page, &values).await?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX).min(rows.len());
    let books: Vec<&str> = rows[..wanted].iter().map(|row| text(row, 0)).collect::<Result<_, _>>()?;
    let next = if rows.len() > wanted { Some(text(&rows[wanted - 1], 1)?) } else { None };
    let counts = if asked.counts {
        let count = format!(
            "select coalesce(pg_catalog.jsonb_object_agg(c.phase, c.books), '{{}}')::text \
             from (select {PHASE} as phase, count(*) as books from bindery.book_status b where {FILTER} group by 1) c"
        );
        let rows = ask(&transaction, &caller, &count, &filters).await?;
        rows.first().map(|row| text(row, 0).map(str::to_owned)).transpose()?
    } else {
        None
    };
    let counts = counts.map(|counts| format!(r#","counts":{counts}"#)).unwrap_or_default();
    let next = serde_json::to_string(&next).unwrap_or_else(|_| "null".to_owned());
    Ok(json(format!(r#"{{"books":[{}],"next":{next}{counts}}}"#, books.join(","))))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sought_is_taken_literally() {
        let asked = ListQuery { q: Some(" 50%_Ä\\ ".to_owned()), ..ListQuery::default() };
        let (_, title, prefix) = asked.filters();
        assert_eq!(title.as_deref(), Some("%50\\%\\_Ä\\\\%"));
        assert_eq!(prefix.as_deref(), Some("50\\%\\_ä\\\\%"));
        assert_eq!(ListQuery { q: Some("  ".to_owned()), ..ListQuery::default() }.filters(), (None, None, None));
    }

    #[test]
    fn a_place_in_the_list_is_read_and_anything_else_is_refused() {
        let id = Uuid::from_u128(7);
        let place = format!("1_2026-11-23T10:00:00.123456Z_{id}");
        assert_eq!(cursor(&place).unwrap(), (true, "2026-11-23T10:00:00.123456Z".to_owned(), id));
        for wrong in ["", "1", "1_2", "0_now()_x", &format!("0_yesterday_{id}"), "0_2026_7"] {
            assert!(cursor(wrong).is_err(), "{wrong}");
        }
    }
}
