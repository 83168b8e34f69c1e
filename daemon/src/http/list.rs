//! `GET /api/books`: the books that the caller may see, filtered, in order, a page at a time.
//!
//! The query is built of fixed texts, with the parameters as values, so that each order has its own
//! plan.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use postgres_types::{ToSql, Type};
use serde::Deserialize;
use tokio_postgres::Row;
use uuid::Uuid;

use super::api::Api;
use super::auth::Caller;
use super::error::ApiError;
use super::pool::{Intent, begin};
use super::query::{ask, items_of, json, limit, page, text, text_or_null};

const MOST_BOOKS: i64 = 200;
/// The phase of a book in a query that joins [`QUEUED`] as q.
const PHASE: &str = "case when b.completed_at is not null then 'completed' when b.status = 'FAILED' then 'failed' \
     when b.status = 'CANCELLED' then 'cancelled' when q.book_id is not null then 'queued' else 'working' end";
/// The filter of books; $1 to $6 are those of [`Filter::values`].
const FILTER: &str = "($1::text[] is null or b.status = any ($1)) and ($2::text is null or b.pipeline = $2) \
     and ($3::uuid is null or b.owner_id = $3) \
     and ($4::text is null or b.title ilike $4 or b.book_id::text like $5 \
       or b.error is not null and (b.error ->> 'code' ilike $4 or b.error ->> 'message' ilike $4 \
         or b.message ilike $4)) \
     and ($6::text is null or b.metadata -> 'tags' @> pg_catalog.jsonb_build_array($6))";
/// The queued ones of the filter's books: one look at all of them, not one a book.
const QUEUED: &str = "(select f.book_id from bindery_internal.queued_among(array( \
       select b.book_id from bindery.book_status b \
       where b.completed_at is null and b.error is null and b.status = b.current_stage and ";

/// Which books.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    status: Option<String>,
    phase: Option<Phase>,
    pipeline: Option<String>,
    owner_id: Option<Uuid>,
    q: Option<String>,
    tag: Option<String>,
}

/// The query parameters; the first ones are those of [`Filter`].
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListQuery {
    status: Option<String>,
    phase: Option<Phase>,
    pipeline: Option<String>,
    owner_id: Option<Uuid>,
    q: Option<String>,
    tag: Option<String>,
    failed_first: bool,
    fields: Fields,
    sort: Sort,
    order: Order,
    counts: bool,
    total: bool,
    limit: Option<i64>,
    after: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    Queued,
    Working,
    Failed,
    Completed,
    Cancelled,
}

/// The fields of an item.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Fields {
    /// As `bindery.get_book_status` gives them.
    #[default]
    Status,
    /// Those of a row in a list of many books: about a kilobyte.
    Row,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sort {
    #[default]
    CreatedAt,
    UpdatedAt,
    OverallProgress,
    Title,
    StageStartedAt,
    EstimatedCompletionAt,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    Asc,
    #[default]
    Desc,
}

impl Phase {
    /// The condition, on indexed columns where possible; equivalent to [`PHASE`].
    fn condition(self) -> String {
        let not_over = "b.completed_at is null and b.error is null and b.status <> 'CANCELLED'";
        match self {
            Self::Queued => format!("{not_over} and b.book_id in {}", queued()),
            // NOT IN is evaluated with one hash table; no id is null.
            Self::Working => format!("{not_over} and b.book_id not in {}", queued()),
            Self::Failed => "b.error is not null".to_owned(),
            Self::Completed => "b.completed_at is not null".to_owned(),
            Self::Cancelled => "b.status = 'CANCELLED'".to_owned(),
        }
    }
}

/// A subquery of the queued books, which is evaluated once a query.
fn queued() -> String {
    format!("{QUEUED}{FILTER})) f(book_id))")
}

impl Sort {
    /// SQL for the value of a book b; never null, and an index's column where there is an index.
    fn value(self) -> &'static str {
        match self {
            Self::CreatedAt => "b.created_at",
            Self::UpdatedAt => "b.updated_at",
            Self::OverallProgress => "b.overall_progress",
            // As much of a title as a place has room for.
            Self::Title => "pg_catalog.lower(pg_catalog.left(coalesce(b.title, ''), 100))",
            Self::StageStartedAt => "b.stage_started_at",
            Self::EstimatedCompletionAt => {
                "coalesce(b.estimated_completion_at, 'infinity'::timestamptz)"
            }
        }
    }

    /// SQL for the value p.key as the exact text in a [`Place`], and for that text as a value.
    fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::CreatedAt
            | Self::UpdatedAt
            | Self::StageStartedAt
            | Self::EstimatedCompletionAt => (
                "case when pg_catalog.isfinite(p.key) then pg_catalog.to_char( \
                   p.key at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') \
                 else 'infinity' end",
                "$7::text::timestamptz",
            ),
            Self::OverallProgress => ("p.key::text", "$7::text::double precision"),
            Self::Title => (
                "pg_catalog.encode(pg_catalog.convert_to(p.key, 'UTF8'), 'hex')",
                "pg_catalog.convert_from(pg_catalog.decode($7::text, 'hex'), 'UTF8')",
            ),
        }
    }
}

/// A page's end: the last book, whether it counts as failed, and its sort value.
#[derive(Debug, PartialEq)]
struct Place {
    failed: bool,
    key: String,
    book: Uuid,
}

impl Place {
    fn read(text: &str) -> Result<Self, ApiError> {
        let parts = || {
            let mut parts = text.splitn(3, '_');
            let (failed, key, book) = (parts.next()?, parts.next()?, parts.next()?);
            let plain = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-' | b'+' | b':' | b'.' | b'T' | b'Z');
            (key == "infinity" || key.bytes().all(plain)).then_some(())?;
            Some(Self { failed: failed == "1", key: key.to_owned(), book: book.parse().ok()? })
        };
        parts().ok_or_else(|| {
            ApiError::bad_request(
                "after is not a place in this list",
                "Give next of the answer before.",
            )
        })
    }
}

/// The values of [`FILTER`].
#[derive(Debug, PartialEq)]
pub struct Values {
    statuses: Option<Vec<String>>,
    pipeline: Option<String>,
    owner: Option<Uuid>,
    sought: Option<String>,
    prefix: Option<String>,
    tag: Option<String>,
}

impl Values {
    /// The parameters $1 to $6.
    pub fn parameters(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        vec![
            (&self.statuses, Type::TEXT_ARRAY),
            (&self.pipeline, Type::TEXT),
            (&self.owner, Type::UUID),
            (&self.sought, Type::TEXT),
            (&self.prefix, Type::TEXT),
            (&self.tag, Type::TEXT),
        ]
    }
}

impl Filter {
    /// The values of [`FILTER`]: the text sought is taken literally.
    pub fn values(&self) -> Values {
        let statuses = self
            .status
            .as_ref()
            .map(|names| names.split(',').map(|name| name.trim().to_owned()).collect());
        let sought = self.q.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(|text| {
            text.chars().fold(String::new(), |text, c| {
                if "%_\\".contains(c) {
                    text + "\\" + &c.to_string()
                } else {
                    text + &c.to_string()
                }
            })
        });
        Values {
            statuses,
            pipeline: self.pipeline.clone(),
            owner: self.owner_id,
            sought: sought.as_ref().map(|text| format!("%{text}%")),
            prefix: sought.map(|text| format!("{}%", text.to_lowercase())),
            tag: self.tag.clone(),
        }
    }

    /// The condition on a book b.
    pub fn condition(&self) -> String {
        self.phase.map_or_else(
            || FILTER.to_owned(),
            |phase| format!("{FILTER} and {}", phase.condition()),
        )
    }
}

impl ListQuery {
    fn filter(&self) -> Filter {
        Filter {
            status: self.status.clone(),
            phase: self.phase,
            pipeline: self.pipeline.clone(),
            owner_id: self.owner_id,
            q: self.q.clone(),
            tag: self.tag.clone(),
        }
    }

    /// The query of the page's books for [`page`]. With failed books first, it reads failed and
    /// other books separately, each by an index and only as far as the page: one sort would read
    /// all books.
    fn books(&self, condition: &str, after: Option<&Place>, rows: i64) -> String {
        let (sorted, (key, value)) = (self.sort.value(), self.sort.texts());
        let (direction, beyond) = match self.order {
            Order::Asc => ("asc", ">"),
            Order::Desc => ("desc", "<"),
        };
        let part = |failed: bool, and: &str, continues: bool| {
            let from = if continues {
                format!(" and ({sorted}, b.book_id) {beyond} ({value}, $8)")
            } else {
                String::new()
            };
            format!(
                "(select b.book_id, {sorted} as key, {failed} as failed from bindery.book_status b \
                  where {condition}{and}{from} order by {sorted} {direction}, b.book_id {direction} limit {rows})",
            )
        };
        let item = match self.fields {
            Fields::Status => "listed_status",
            Fields::Row => "listed_row",
        };
        let parts = if !self.failed_first {
            part(false, "", after.is_some())
        } else if after.is_some_and(|place| !place.failed) {
            part(false, " and b.error is null", true)
        } else {
            let failed = part(true, " and b.error is not null", after.is_some());
            format!("{failed} union all {}", part(false, " and b.error is null", false))
        };
        format!(
            "select pg_catalog.row_number() over ( \
               order by p.failed desc, p.key {direction}, p.book_id {direction}) as number, \
               bindery_internal.{item}(s.*)::text as item, \
               pg_catalog.format('%s_%s_%s', p.failed::int, {key}, p.book_id) as place \
             from (select * from ({parts}) a \
               order by a.failed desc, a.key {direction}, a.book_id {direction} \
               limit {rows}) p \
             join bindery.book_status s on s.book_id = p.book_id"
        )
    }
}

/// `GET /api/books`.
pub async fn list(
    State(api): State<Api>,
    caller: Caller,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(asked) = query.map_err(|problem| {
        ApiError::bad_request(problem.body_text(), "See docs/http.md for what may be asked.")
    })?;
    let limit = limit(asked.limit, 50, MOST_BOOKS)?;
    let after = asked.after.as_deref().map(Place::read).transpose()?;
    let filter = asked.filter();
    let (values, condition) = (filter.values(), filter.condition());
    let filters = values.parameters();
    let mut values = filters.clone();
    if let Some(after) = &after {
        values.push((&after.key, Type::TEXT));
        values.push((&after.book, Type::UUID));
    }

    let mut client = api.live.pool.get().await?;
    let transaction = begin(&mut client, &caller, Intent::Read).await?;
    let books = page(&asked.books(&condition, after.as_ref(), limit + 1), limit);
    let rows = ask(&transaction, &caller, &books, &values).await?;
    let (books, next) = items_of(&rows)?;
    let mut more = String::new();
    if asked.total {
        let count = format!("select count(*)::text from bindery.book_status b where {condition}");
        more +=
            &format!(r#","total":{}"#, only(&ask(&transaction, &caller, &count, &filters).await?)?);
    }
    if asked.counts {
        let count = format!(
            "select coalesce(pg_catalog.jsonb_object_agg(c.phase, c.books), '{{}}')::text \
             from (select {PHASE} as phase, count(*) as books from bindery.book_status b \
               left join {} q on q.book_id = b.book_id where {FILTER} group by 1) c",
            queued()
        );
        more += &format!(
            r#","counts":{}"#,
            only(&ask(&transaction, &caller, &count, &filters).await?)?
        );
    }
    Ok(json(format!(r#"{{"books":[{}],"next":{}{more}}}"#, books.join(","), text_or_null(next))))
}

fn only(rows: &[Row]) -> Result<&str, ApiError> {
    rows.first().map(|row| text(row, 0)).ok_or_else(ApiError::unavailable)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_text_is_taken_literally() {
        let of = |q: &str| Filter { q: Some(q.to_owned()), ..Filter::default() }.values();
        let values = of(" 50%_Ä\\ ");
        assert_eq!(values.sought.as_deref(), Some("%50\\%\\_Ä\\\\%"));
        assert_eq!(values.prefix.as_deref(), Some("50\\%\\_ä\\\\%"));
        assert_eq!(of("  "), Filter::default().values());
    }

    #[test]
    fn a_place_in_the_list_is_read_and_anything_else_is_refused() {
        let book = Uuid::from_u128(7);
        let place = |failed, key: &str| Place { failed, key: key.to_owned(), book };
        let time = "2026-11-23T10:00:00.123456Z";
        assert_eq!(Place::read(&format!("1_{time}_{book}")).unwrap(), place(true, time));
        for key in ["7.25", "1e-07", "infinity", "c3a4", ""] {
            assert_eq!(Place::read(&format!("0_{key}_{book}")).unwrap(), place(false, key));
        }
        for wrong in ["", "1", "1_2", "0_now()_x", &format!("0_yesterday_{book}"), "0_2026_7"] {
            assert!(Place::read(wrong).is_err(), "{wrong}");
        }
    }
}
