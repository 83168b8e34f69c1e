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
const PHASE: &str = "case when b.completed_at is not null then 'completed' when b.status = 'FAILED' then 'failed' \
     when b.status = 'CANCELLED' then 'cancelled' else 'working' end";
/// The filter of books; $1 to $5 are those of [`ListQuery::filters`].
const FILTER: &str = "($1::text[] is null or b.status = any ($1)) and ($2::text is null or b.pipeline = $2) \
     and ($3::uuid is null or b.owner_id = $3) \
     and ($4::text is null or b.title ilike $4 or b.book_id::text like $5)";

/// The query parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListQuery {
    status: Option<String>,
    phase: Option<Phase>,
    pipeline: Option<String>,
    owner_id: Option<Uuid>,
    q: Option<String>,
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
    fn condition(self) -> &'static str {
        match self {
            Self::Working => "b.completed_at is null and b.status not in ('FAILED', 'CANCELLED')",
            Self::Failed => "b.error is not null",
            Self::Completed => "b.completed_at is not null",
            Self::Cancelled => "b.status = 'CANCELLED'",
        }
    }
}

impl Sort {
    fn column(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
            Self::OverallProgress => "overall_progress",
        }
    }

    /// SQL for the column as the exact text in a [`Place`], and for that text as a value.
    fn texts(self) -> (String, &'static str) {
        let column = self.column();
        match self {
            Self::CreatedAt | Self::UpdatedAt => (
                format!(
                    "pg_catalog.to_char(p.{column} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
                ),
                "$6::text::timestamptz",
            ),
            Self::OverallProgress => (format!("p.{column}::text"), "$6::text::double precision"),
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
            let plain = key.bytes().all(|byte| byte.is_ascii_digit() || b"-+:.eTZ".contains(&byte));
            plain.then_some(())?;
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

type Filters = (Option<Vec<String>>, Option<String>, Option<String>);

impl ListQuery {
    /// The statuses, the text sought in titles, and the beginning of an id.
    fn filters(&self) -> Filters {
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
        let title = sought.as_ref().map(|text| format!("%{text}%"));
        (statuses, title, sought.map(|text| format!("{}%", text.to_lowercase())))
    }

    fn condition(&self) -> String {
        self.phase.map_or_else(
            || FILTER.to_owned(),
            |phase| format!("{FILTER} and {}", phase.condition()),
        )
    }

    /// The query of the page's books for [`page`]. With failed books first, it reads failed and
    /// other books separately, each by an index and only as far as the page: one sort would read
    /// all books.
    fn books(&self, after: Option<&Place>, rows: i64) -> String {
        let (column, (key, value)) = (self.sort.column(), self.sort.texts());
        let (direction, beyond) = match self.order {
            Order::Asc => ("asc", ">"),
            Order::Desc => ("desc", "<"),
        };
        let part = |failed: bool, condition: &str, continues: bool| {
            let from = if continues {
                format!(" and (b.{column}, b.book_id) {beyond} ({value}, $7)")
            } else {
                String::new()
            };
            format!(
                "(select b.book_id, b.{column}, {failed} as failed from bindery.book_status b \
                  where {}{condition}{from} order by b.{column} {direction}, b.book_id {direction} limit {rows})",
                self.condition()
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
               order by p.failed desc, p.{column} {direction}, p.book_id {direction}) as number, \
               bindery_internal.{item}(s.*)::text as item, \
               pg_catalog.format('%s_%s_%s', p.failed::int, {key}, p.book_id) as place \
             from (select * from ({parts}) a \
               order by a.failed desc, a.{column} {direction}, a.book_id {direction} \
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
    let (statuses, title, prefix) = asked.filters();
    let filters: [(&(dyn ToSql + Sync), Type); 5] = [
        (&statuses, Type::TEXT_ARRAY),
        (&asked.pipeline, Type::TEXT),
        (&asked.owner_id, Type::UUID),
        (&title, Type::TEXT),
        (&prefix, Type::TEXT),
    ];
    let mut values = filters.to_vec();
    if let Some(after) = &after {
        values.push((&after.key, Type::TEXT));
        values.push((&after.book, Type::UUID));
    }

    let mut client = api.live.pool.get().await?;
    let transaction = begin(&mut client, &caller, Intent::Read).await?;
    let rows =
        ask(&transaction, &caller, &page(&asked.books(after.as_ref(), limit + 1), limit), &values)
            .await?;
    let (books, next) = items_of(&rows)?;
    let mut more = String::new();
    if asked.total {
        let count =
            format!("select count(*)::text from bindery.book_status b where {}", asked.condition());
        more +=
            &format!(r#","total":{}"#, only(&ask(&transaction, &caller, &count, &filters).await?)?);
    }
    if asked.counts {
        let count = format!(
            "select coalesce(pg_catalog.jsonb_object_agg(c.phase, c.books), '{{}}')::text \
             from (select {PHASE} as phase, count(*) as books from bindery.book_status b where {FILTER} group by 1) c"
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
        let asked = ListQuery { q: Some(" 50%_Ä\\ ".to_owned()), ..ListQuery::default() };
        let (_, title, prefix) = asked.filters();
        assert_eq!(title.as_deref(), Some("%50\\%\\_Ä\\\\%"));
        assert_eq!(prefix.as_deref(), Some("50\\%\\_ä\\\\%"));
        assert_eq!(
            ListQuery { q: Some("  ".to_owned()), ..ListQuery::default() }.filters(),
            (None, None, None)
        );
    }

    #[test]
    fn a_place_in_the_list_is_read_and_anything_else_is_refused() {
        let book = Uuid::from_u128(7);
        let place = |failed, key: &str| Place { failed, key: key.to_owned(), book };
        let time = "2026-11-23T10:00:00.123456Z";
        assert_eq!(Place::read(&format!("1_{time}_{book}")).unwrap(), place(true, time));
        assert_eq!(Place::read(&format!("0_7.25_{book}")).unwrap(), place(false, "7.25"));
        for wrong in ["", "1", "1_2", "0_now()_x", &format!("0_yesterday_{book}"), "0_2026_7"] {
            assert!(Place::read(wrong).is_err(), "{wrong}");
        }
    }
}
