//! The view of a book, and the flow of events.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use postgres_types::{ToSql, Type};
use serde_json::Value;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::database::DatabaseError;

/// The shown length of a title, in characters.
const NAME: usize = 28;
/// The interval at which books are counted, which takes longer with more books.
const COUNT_EVERY: Duration = Duration::from_secs(2);
/// With more substeps than this, their counts are shown.
const MANY: i32 = 5;

/// The view of a book.
#[derive(Debug, Clone, PartialEq)]
pub struct Book {
    pub id: Uuid,
    pub title: Option<String>,
    pub status: String,
    /// The text for people: the stage's label, with the status of a halted book.
    pub label: String,
    /// Why it FAILED: the message of the change.
    pub message: Option<String>,
    pub overall: f64,
    pub attempt: i32,
    /// The current substep, as `bindery.get_book_status` returns it; null: none.
    pub substep: Value,
    /// The number of substeps of the current stage, and the number of done ones.
    pub substeps: (i32, i32),
    pub revision: i64,
    /// Completed or cancelled.
    pub over: bool,
}

impl Book {
    /// Reads the newest books. `before` are the books of the last read: only the substeps of
    /// changed books are read again.
    pub async fn all(
        client: &Client,
        most: i32,
        before: &[Self],
    ) -> Result<Vec<Self>, DatabaseError> {
        let query = "select b.book_id, b.title, b.status, b.overall_progress, b.attempt, \
               b.substeps_total, b.substeps_done, \
               b.revision, b.completed_at is not null or b.status = 'CANCELLED', \
               a.revision is not null, \
               case when a.revision is null and b.substeps_total > 0 \
                   and b.status = b.current_stage \
                 then jsonb_path_query_first(bindery_internal.listed_status(b.*), \
                   '$.substeps[*] ? (@.state == \"active\")') end, \
               coalesce(s.state ->> 'label', b.current_stage), b.message \
             from bindery.list_books($1) b \
             cross join lateral (select bindery_internal.state_of( \
               bindery_internal.machine(b.pipeline, b.pipeline_version), \
               case when b.status in ('FAILED', 'CANCELLED') then b.current_stage \
                 else b.status end) as state) s \
             left join unnest($2::uuid[], $3::bigint[]) a(book_id, revision) \
               using (book_id, revision) \
             order by b.created_at desc, b.book_id";
        let (ids, revisions): (Vec<Uuid>, Vec<i64>) =
            before.iter().map(|book| (book.id, book.revision)).unzip();
        let known: HashMap<Uuid, &Value> =
            before.iter().map(|book| (book.id, &book.substep)).collect();
        let values: [(&(dyn ToSql + Sync), Type); 3] =
            [(&most, Type::INT4), (&ids, Type::UUID_ARRAY), (&revisions, Type::INT8_ARRAY)];
        let rows = client.query_typed(query, &values).await?;
        let books = rows.iter().map(|row| {
            let id = row.try_get(0)?;
            let read: Option<Value> = row.try_get(10)?;
            let unchanged = row.try_get::<_, bool>(9)?;
            let substep = if unchanged { known.get(&id).copied().cloned() } else { read };
            Ok(Self {
                id,
                title: row.try_get(1)?,
                label: label(row.try_get(11)?, row.try_get(2)?),
                status: row.try_get(2)?,
                message: row.try_get(12)?,
                overall: row.try_get(3)?,
                attempt: row.try_get(4)?,
                substeps: (row.try_get(5)?, row.try_get(6)?),
                revision: row.try_get(7)?,
                over: row.try_get(8)?,
                substep: substep.unwrap_or_default(),
            })
        });
        books.collect()
    }

    /// The title, or the id. Control characters of a title are removed.
    pub fn name(&self) -> String {
        let name = self.title.clone().unwrap_or_else(|| self.id.to_string());
        name.chars().filter(|c| !c.is_control()).take(NAME).collect()
    }

    /// The current stage or status.
    pub fn standing(&self) -> String {
        let attempt =
            if self.attempt > 1 { format!(", attempt {}", self.attempt) } else { String::new() };
        let substep = if self.substep.is_null() || self.over {
            String::new()
        } else {
            let label = self.substep["label"].as_str().unwrap_or_default();
            let label = plain(label);
            match (self.substep["done"].as_f64(), self.substep["total"].as_f64()) {
                (Some(done), Some(total)) => format!(": {label} {done}/{total}"),
                _ => format!(": {label}"),
            }
        };
        let counts = match self.substeps {
            (total, done) if total > MANY && !self.over => {
                format!(" ({done} of {total} substeps done)")
            }
            _ => String::new(),
        };
        let message = match &self.message {
            Some(message) if self.failed() => format!(": {}", plain(message)),
            _ => String::new(),
        };
        format!("{}{attempt}{substep}{counts}{message}", plain(&self.label))
    }

    /// The whole view on one line.
    pub fn line(&self) -> String {
        format!("{}  {:6.2} %  {}", self.name(), self.overall, self.standing())
    }

    pub fn failed(&self) -> bool {
        self.status == "FAILED"
    }
}

/// The text for a status. `stage` is the label of the book's stage.
fn label(stage: String, status: &str) -> String {
    match status {
        "FAILED" => format!("FAILED at {stage}"),
        "CANCELLED" => format!("CANCELLED at {stage}"),
        _ => stage,
    }
}

/// The printable characters, on one line.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// The filter of the shown books.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// A part of the title or id, in any case.
    pub search: String,
    /// The shown statuses; empty: all.
    pub statuses: Vec<String>,
}

impl Filter {
    pub fn lets(&self, book: &Book) -> bool {
        let words = self.search.to_lowercase();
        let holds = book.id.to_string().contains(&words)
            || book.title.as_ref().is_some_and(|title| title.to_lowercase().contains(&words));
        holds && (self.statuses.is_empty() || self.statuses.contains(&book.status))
    }
}

/// The flow of events into the database.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flow {
    at: Instant,
    events: i64,
    /// Events per second since the last read.
    pub rate: f64,
    pub lag: Lag,
    /// The number of books that are not completed or cancelled; FAILED ones count.
    pub books: i64,
    /// When the books were counted.
    counted: Instant,
}

/// The largest lag of a relay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lag {
    /// The relay has never caught up.
    Unknown,
    /// The relay caught up at its last renewal or the one before.
    None,
    /// The time since the relay last caught up, in seconds.
    Seconds(f64),
}

impl Flow {
    /// Reads the current flow; `None` without the right to read it, or without relays.
    pub async fn now(
        client: &Client,
        before: Option<&Self>,
    ) -> Result<Option<Self>, DatabaseError> {
        let query = "select has_table_privilege('bindery.relay_cursors', 'select')";
        if !client.query_typed_one(query, &[]).await?.try_get::<_, bool>(0)? {
            return Ok(None);
        }
        let query = "select count(*), coalesce(sum(c.applied + c.stale + c.early + c.rejected), 0)::bigint, \
            bool_and(c.caught_up_at is not null), \
            extract(epoch from max(clock_timestamp() - c.caught_up_at) \
              filter (where clock_timestamp() - c.caught_up_at > c.lease_ttl / 2))::float8 \
            from bindery.relay_cursors c where c.holder is not null";
        let row = client.query_typed_one(query, &[]).await?;
        if row.try_get::<_, i64>(0)? == 0 {
            return Ok(None);
        }
        let (at, events) = (Instant::now(), row.try_get(1)?);
        let rate = before.map_or(0.0, |before| before.rate_until(at, events));
        let lag = match (row.try_get(2)?, row.try_get(3)?) {
            (false, _) => Lag::Unknown,
            (true, None) => Lag::None,
            (true, Some(seconds)) => Lag::Seconds(seconds),
        };
        let (books, counted) = match before {
            Some(before) if before.counted.elapsed() < COUNT_EVERY => {
                (before.books, before.counted)
            }
            _ => {
                let query = "select count(*) from bindery.book_status b \
                    where b.completed_at is null and b.status <> 'CANCELLED'";
                (client.query_typed_one(query, &[]).await?.try_get(0)?, at)
            }
        };
        Ok(Some(Self { at, events, rate, lag, books, counted }))
    }

    #[allow(clippy::cast_precision_loss, reason = "a rate for the eye")]
    fn rate_until(&self, at: Instant, events: i64) -> f64 {
        let seconds = at.duration_since(self.at).as_secs_f64();
        // Smooth the rate between reads.
        if seconds > 0.0 {
            0.8 * self.rate + 0.2 * (events - self.events).max(0) as f64 / seconds
        } else {
            self.rate
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use serde_json::json;

    pub fn book() -> Book {
        Book {
            id: Uuid::nil(),
            title: Some("The \u{1b}[31mTide".to_owned()),
            status: "ANALYZING".to_owned(),
            label: "Reading the book".to_owned(),
            message: None,
            overall: 12.5,
            attempt: 2,
            substep: json!({
                "substep": "find_names", "state": "active", "label": "Find names",
                "done": 3.0, "total": 7.0,
            }),
            substeps: (3, 1),
            revision: 4,
            over: false,
        }
    }

    pub fn flow() -> Flow {
        let at = Instant::now();
        let lag = Lag::Seconds(7.25);
        Flow { at, events: 0, rate: 1234.4, lag, books: 200, counted: at }
    }

    #[test]
    fn a_book_shows_its_stage_or_status() {
        assert_eq!(book().standing(), "Reading the book, attempt 2: Find names 3/7");
        let many = Book { substeps: (1000, 812), ..book() };
        assert_eq!(
            many.standing(),
            "Reading the book, attempt 2: Find names 3/7 (812 of 1000 substeps done)"
        );
        let failed = Book {
            status: "FAILED".to_owned(),
            label: label("Reading the book".to_owned(), "FAILED"),
            message: Some("worker killed at \npage 7".to_owned()),
            substep: Value::Null,
            ..book()
        };
        assert_eq!(
            failed.standing(),
            "FAILED at Reading the book, attempt 2: worker killed at page 7"
        );
    }

    #[test]
    fn a_title_cannot_drive_the_terminal() {
        assert_eq!(book().name(), "The [31mTide");
    }

    #[test]
    fn a_filter_goes_by_title_id_and_status() {
        let by = |search: &str, statuses: &[&str]| {
            Filter {
                search: search.to_owned(),
                statuses: statuses.iter().map(|&s| s.to_owned()).collect(),
            }
            .lets(&book())
        };
        assert!(by("", &[]) && by("tIDe", &[]) && by("0000-0000", &["FAILED", "ANALYZING"]));
        assert!(!by("fog", &[]) && !by("", &["FAILED"]));
    }
}
