//! What must have become of a stream's events: the rules of `bindery-core`, in memory, one event after another. The database
//! must agree with it on every book, every substep, every change of status, and every count.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use bindery_core::book::{Book, Outcome};
use bindery_core::event::{Event, EventKind};
use bindery_core::machine::{CANCELLED, FAILED, Machine};
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::{Counts, Entry, comic};

/// Books of the pipeline `comic`, as their events say.
pub struct Oracle {
    machine: Machine,
    books: BTreeMap<Uuid, Tracked>,
    pub counts: Counts,
    reasons: BTreeMap<String, i64>,
    /// The table that has the history.
    history: &'static str,
}

struct Tracked {
    book: Book,
    history: Vec<Value>,
}

impl Oracle {
    /// No books yet.
    pub async fn new(client: &Client) -> Result<Oracle> {
        Ok(Oracle::with(comic(client).await?, "bindery.book_events"))
    }

    /// No books yet, and a pipeline and a history of the caller's own.
    pub fn with(machine: Machine, history: &'static str) -> Oracle {
        let (books, reasons) = (BTreeMap::new(), BTreeMap::new());
        Oracle { machine, books, counts: Counts::default(), reasons, history }
    }

    /// What becomes of these events.
    pub async fn of(client: &Client, entries: impl IntoIterator<Item = Entry>) -> Result<Oracle> {
        let mut oracle = Oracle::new(client).await?;
        entries.into_iter().for_each(|entry| oracle.feed(entry));
        Ok(oracle)
    }

    /// Lets one entry of the stream take effect.
    pub fn feed(&mut self, entry: Entry) {
        let outcome = match Event::parse(entry) {
            Err(rejection) => Outcome::Rejected(rejection.error.code().to_owned()),
            Ok(event) => self.apply(&event),
        };
        self.count(outcome);
    }

    /// Lets one event take effect that a relay has handed over.
    pub fn feed_event(&mut self, event: &Event) {
        let outcome = self.apply(event);
        self.count(outcome);
    }

    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Applied => self.counts.applied += 1,
            Outcome::Stale => self.counts.stale += 1,
            Outcome::Rejected(reason) => {
                self.counts.dead += 1;
                *self.reasons.entry(reason).or_default() += 1;
            }
        }
    }

    /// Lets one event take effect, uncounted.
    pub fn apply(&mut self, event: &Event) -> Outcome {
        if let EventKind::Register(_) = event.kind {
            self.books.entry(event.book_id).or_insert_with(|| {
                let book = Book::register(&self.machine);
                let step = step("register", None, &book);
                Tracked { book, history: vec![step] }
            });
            return Outcome::Applied;
        }
        let Some(Tracked { book, history }) = self.books.get_mut(&event.book_id) else {
            return Outcome::Rejected("unknown_book".to_owned());
        };
        let from = book.status().to_owned();
        let outcome = book.apply(&self.machine, event);
        if book.status() != from {
            let kind = match book.status() {
                FAILED => "fail",
                CANCELLED => "cancel",
                status if status == self.machine.final_state().name => "complete",
                _ if from == FAILED => "resume",
                _ => "transition",
            };
            history.push(step(kind, Some(&from), book));
        }
        outcome
    }

    /// Takes a book a step back.
    pub fn rewind(&mut self, book: Uuid, target: &str) -> Outcome {
        let Some(Tracked { book, history }) = self.books.get_mut(&book) else {
            return Outcome::Rejected("unknown_book".to_owned());
        };
        let from = book.status().to_owned();
        let outcome = book.rewind(&self.machine, target);
        if outcome == Outcome::Applied {
            history.push(step("rewind", Some(&from), book));
        }
        outcome
    }

    /// The status of the book that an event is about.
    pub fn status(&self, event: &Value) -> Result<Value> {
        let id: Uuid = event["book_id"].as_str().context("a book's id")?.parse()?;
        Ok(json!(self.books.get(&id).with_context(|| format!("{id} was never registered"))?.book.status()))
    }

    /// A book's row, as far as the rules decide it.
    pub fn row(&self, book: Uuid) -> Result<Value> {
        let Tracked { book, .. } = self.books.get(&book).with_context(|| format!("{book} was never registered"))?;
        let summary = book.summary(&self.machine)?;
        Ok(json!({
            "status": book.status(), "current_stage": book.stage(), "attempt": book.attempt(), "substeps": summary.substeps,
            "overall_progress": summary.overall, "stage_progress": summary.stage_progress,
        }))
    }

    /// How many books there are.
    pub fn books(&self) -> usize {
        self.books.len()
    }

    /// Compares everything that the database says of books with what the events say.
    pub async fn check(&self, client: &Client) -> Result<()> {
        self.check_dead_letters(client).await?;
        let stored: i64 = client.query_one("select count(*) from bindery.book_status", &[]).await?.get(0);
        ensure!(usize::try_from(stored)? == self.books.len(), "{stored} books are stored, not {}", self.books.len());
        let statuses = client.query("select b.book_id, to_jsonb(b) from bindery.book_status b", &[]).await?;
        for row in statuses {
            let (id, row): (Uuid, Value) = (row.get(0), row.get(1));
            let Tracked { book, .. } = self.books.get(&id).with_context(|| format!("{id} was never registered"))?;
            same(&format!("book {id}"), &part(&row), &self.standing(book, &row)?)?;
        }
        self.check_progress(client).await?;
        self.check_history(client).await
    }

    async fn check_dead_letters(&self, client: &Client) -> Result<()> {
        let query = "select reason, sum(count)::bigint, min(message || ' ' || payload::text) from bindery.dead_letters group by 1";
        let rows = client.query(query, &[]).await?;
        let stored: BTreeMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let examples: Vec<String> = rows.iter().map(|row| row.get(2)).collect();
        let expected = &self.reasons;
        ensure!(stored == *expected, "dead letters by reason:\n  {stored:?}\nexpected:\n  {expected:?}\n{examples:#?}");
        Ok(())
    }

    /// How the book should stand. The percentages of an open stage depend on what was shown between the reports, and so on the
    /// batches: there whatever the database has will do, from what the substeps come to, to the most that one by one shows.
    fn standing(&self, book: &Book, stored: &Value) -> Result<Value> {
        let (least, most) = (book.summary_of_rows(&self.machine)?, book.summary(&self.machine)?);
        let within = |name: &str, least: f64, most: f64| match stored[name].as_f64() {
            Some(stored) if (least..=most).contains(&stored) => stored,
            _ => most,
        };
        Ok(json!({
            "status": book.status(), "current_stage": book.stage(), "attempt": book.attempt(), "substeps": most.substeps,
            "overall_progress": within("overall_progress", least.overall, most.overall),
            "stage_progress": within("stage_progress", least.stage_progress, most.stage_progress),
        }))
    }

    async fn check_progress(&self, client: &Client) -> Result<()> {
        let query =
            "select g.book_id, jsonb_object_agg(g.stage || '/' || g.substep, jsonb_build_object('weight', g.weight,
                'progress', g.progress, 'done', g.done, 'total', g.total, 'unit', g.unit, 'message', g.message,
                'checkpoint', g.checkpoint))
            from bindery.book_progress g group by 1";
        let mut stored: BTreeMap<Uuid, Value> =
            client.query(query, &[]).await?.into_iter().map(|row| (row.get(0), row.get(1))).collect();
        for (id, Tracked { book, .. }) in &self.books {
            let mut expected = serde_json::Map::new();
            for (stage, rows) in book.rows() {
                for (name, row) in rows {
                    let mut value = serde_json::to_value(&row.progress)?;
                    value["weight"] = json!(row.weight);
                    expected.insert(format!("{stage}/{name}"), part_of(&value, &PROGRESS));
                }
            }
            let stored = stored.remove(id).unwrap_or_else(|| json!({}));
            same(&format!("progress of {id}"), &stored, &Value::Object(expected))?;
        }
        ensure!(stored.is_empty(), "progress of unknown books: {stored:?}");
        Ok(())
    }

    /// The history has each change once, in order, and the outbox has each too, as long as nobody has taken any.
    async fn check_history(&self, client: &Client) -> Result<()> {
        let query = format!(
            "select e.book_id, jsonb_agg(to_jsonb(e) order by e.id), array_agg(e.revision order by e.id),
                (select array_agg(o.revision order by o.id) from bindery.outbox o where o.book_id = e.book_id),
                (select b.revision from bindery.book_status b where b.book_id = e.book_id)
            from {} e group by 1",
            self.history
        );
        let rows = client.query(&query, &[]).await?;
        ensure!(rows.len() == self.books.len(), "{} books have a history, not {}", rows.len(), self.books.len());
        for row in rows {
            let (id, events): (Uuid, Value) = (row.get(0), row.get(1));
            let (revisions, outbox): (Vec<i64>, Option<Vec<i64>>) = (row.get(2), row.get(3));
            let Tracked { history, .. } = self.books.get(&id).with_context(|| format!("{id} was never registered"))?;
            let steps = events.as_array().into_iter().flatten().map(|event| part_of(event, &STEP)).collect();
            same(&format!("history of {id}"), &Value::Array(steps), &Value::Array(history.clone()))?;
            ensure!(revisions.is_sorted_by(|a, b| a < b), "{id}: revisions of the history are {revisions:?}");
            ensure!(revisions.last() <= Some(&row.get(4)), "{id}: the history is ahead: {revisions:?}");
            ensure!(
                outbox.as_ref().is_none_or(|outbox| *outbox == revisions),
                "{id}: {outbox:?} in the outbox, {revisions:?}"
            );
        }
        Ok(())
    }
}

const STEP: [&str; 5] = ["kind", "from_status", "to_status", "stage", "attempt"];
const PROGRESS: [&str; 7] = ["weight", "progress", "done", "total", "unit", "message", "checkpoint"];

fn step(kind: &str, from: Option<&str>, book: &Book) -> Value {
    json!({"kind": kind, "from_status": from, "to_status": book.status(), "stage": book.stage(), "attempt": book.attempt()})
}

fn part(row: &Value) -> Value {
    part_of(row, &["status", "current_stage", "attempt", "overall_progress", "stage_progress", "substeps"])
}

fn part_of(row: &Value, names: &[&str]) -> Value {
    names.iter().map(|name| ((*name).to_owned(), row[*name].clone())).collect::<serde_json::Map<_, _>>().into()
}

fn same(what: &str, stored: &Value, expected: &Value) -> Result<()> {
    let (stored, expected) = (plain(stored), plain(expected));
    ensure!(stored == expected, "{what}:\n  stored   {stored}\n  expected {expected}");
    Ok(())
}

/// The same value with every number as a float: the database writes 1 where Rust writes 1.0.
pub fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(object) => {
            object.iter().map(|(name, value)| (name.clone(), plain(value))).collect::<serde_json::Map<_, _>>().into()
        }
        other => other.clone(),
    }
}
