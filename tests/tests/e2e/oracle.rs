//! The expected effect of events: the rules of `bindery-core`, in memory, one event after another.
//! The database must agree with it on every book, substep, change of status, early event, dead
//! letter and count, to the last digit.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use bindery_core::event::{Event, EventKind};
use bindery_core::machine::{CANCELLED, FAILED, Machine};
use bindery_model::{Book, BookSubstep, Outcome};
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::{Counts, Entry, comic};

/// Books of one pipeline, as the events of one or several streams make them.
pub struct Oracle {
    machine: Machine,
    books: BTreeMap<Uuid, Tracked>,
    /// The early events of each book, in the order of arrival.
    waiting: BTreeMap<Uuid, Vec<Waiting>>,
    /// How the events ended when they arrived.
    pub counts: Counts,
    /// How many early events have stopped waiting.
    pub settled: usize,
    /// The dead letters, by reason.
    reasons: BTreeMap<String, i64>,
    /// The table that has the history.
    history: &'static str,
}

struct Tracked {
    book: Book,
    history: Vec<Value>,
}

struct Waiting {
    stream: usize,
    event: Event,
}

impl Oracle {
    /// An empty oracle for the pipeline `comic`.
    pub async fn new(client: &Client) -> Result<Oracle> {
        Ok(Oracle::with(comic(client).await?, "bindery.book_events"))
    }

    /// An empty oracle for this pipeline, with the history in this table.
    pub fn with(machine: Machine, history: &'static str) -> Oracle {
        Oracle {
            machine,
            books: BTreeMap::new(),
            waiting: BTreeMap::new(),
            counts: Counts::default(),
            settled: 0,
            reasons: BTreeMap::new(),
            history,
        }
    }

    /// The effect of the events of one stream.
    pub async fn of(client: &Client, entries: impl IntoIterator<Item = Entry>) -> Result<Oracle> {
        let mut oracle = Oracle::new(client).await?;
        entries.into_iter().for_each(|entry| oracle.feed(0, entry));
        Ok(oracle)
    }

    /// Applies the next entry of a stream.
    pub fn feed(&mut self, stream: usize, entry: Entry) {
        match Event::parse(entry) {
            Err(rejection) => self.reject(rejection.error.code()),
            Ok(event) => {
                self.feed_event(stream, event);
            }
        }
    }

    /// Applies the next event of a stream.
    pub fn feed_event(&mut self, stream: usize, event: Event) -> Outcome {
        let waiting = self.waiting.get(&event.book_id).map_or(&[][..], Vec::as_slice);
        let is_queued = depends_on_order(&event)
            && waiting.iter().any(|other| other.stream == stream && may_lead_on(&other.event));
        let outcome =
            if is_queued { Outcome::Early("queued_behind".to_owned()) } else { self.apply(&event) };
        match &outcome {
            Outcome::Applied => self.counts.applied += 1,
            Outcome::Stale => self.counts.stale += 1,
            Outcome::Early(_) => {
                self.counts.early += 1;
                self.waiting.entry(event.book_id).or_default().push(Waiting { stream, event });
            }
            Outcome::Rejected(reason) => self.reject(reason),
        }
        outcome
    }

    fn reject(&mut self, reason: &str) {
        self.counts.rejected += 1;
        *self.reasons.entry(reason.to_owned()).or_default() += 1;
    }

    /// Applies one event or call, uncounted, and the early events that it makes applicable. An
    /// early one is not kept.
    pub fn apply(&mut self, event: &Event) -> Outcome {
        let outcome = self.effect(event);
        if outcome == Outcome::Applied {
            self.settle(event.book_id);
        }
        outcome
    }

    /// Rewinds a book.
    pub fn rewind(&mut self, id: Uuid, target: &str) -> Outcome {
        let Some(Tracked { book, history }) = self.books.get_mut(&id) else {
            return Outcome::Rejected("unknown_book".to_owned());
        };
        let from = book.status().to_owned();
        let outcome = book.rewind(&self.machine, target);
        if outcome == Outcome::Applied {
            history.push(step("rewind", Some(&from), book));
            self.settle(id);
        }
        outcome
    }

    /// Applies the early events of a book, in their order, until none of them applies.
    fn settle(&mut self, book: Uuid) {
        let Some(mut waiting) = self.waiting.remove(&book) else { return };
        loop {
            let (mut kept, mut blocked) = (Vec::new(), BTreeSet::new());
            let before = waiting.len();
            for Waiting { stream, event } in waiting {
                if blocked.contains(&stream) && depends_on_order(&event) {
                    kept.push(Waiting { stream, event });
                    continue;
                }
                match self.effect(&event) {
                    Outcome::Early(_) => {
                        if may_lead_on(&event) {
                            blocked.insert(stream);
                        }
                        kept.push(Waiting { stream, event });
                        continue;
                    }
                    Outcome::Rejected(reason) => *self.reasons.entry(reason).or_default() += 1,
                    Outcome::Applied | Outcome::Stale => {}
                }
                self.settled += 1;
            }
            waiting = kept;
            if waiting.len() == before || waiting.is_empty() {
                break;
            }
        }
        if !waiting.is_empty() {
            self.waiting.insert(book, waiting);
        }
    }

    fn effect(&mut self, event: &Event) -> Outcome {
        let registers = match &event.kind {
            EventKind::Register(_) => true,
            EventKind::Begin(begin) => begin.pipeline.is_some(),
            _ => false,
        };
        let registers = registers && !self.books.contains_key(&event.book_id);
        if registers {
            let book = Book::register(&self.machine);
            let history = vec![step("register", None, &book)];
            self.books.insert(event.book_id, Tracked { book, history });
            // A `begin` takes effect after the early events that its registration makes applicable.
            self.settle(event.book_id);
        }
        let Some(Tracked { book, history }) = self.books.get_mut(&event.book_id) else {
            return Outcome::Early("unknown_book".to_owned());
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
        if registers && outcome == Outcome::Stale { Outcome::Applied } else { outcome }
    }

    /// The status of the book that an event is about.
    pub fn status(&self, event: &Value) -> Result<Value> {
        let id: Uuid = event["book_id"].as_str().context("a book's id")?.parse()?;
        Ok(json!(self.tracked(id)?.book.status()))
    }

    /// The stage that a book is in or, once halted, was last in.
    pub fn stage(&self, id: Uuid) -> Result<&str> {
        Ok(self.tracked(id)?.book.stage())
    }

    /// A book's row, as far as the rules decide it; the sums as text, because a double does not
    /// hold all of their digits.
    pub fn row(&self, id: Uuid) -> Result<Value> {
        let book = &self.tracked(id)?.book;
        let summary = book.summary(&self.machine)?;
        Ok(json!({
            "status": book.status(), "current_stage": book.stage(), "attempt": book.attempt(),
            "overall_progress": summary.overall, "stage_progress": summary.stage_progress,
            "substeps_total": summary.sums.substeps, "substeps_done": summary.sums.done,
            "substeps_weight": summary.sums.weight.to_string(),
            "substeps_points": summary.sums.points.to_string(),
        }))
    }

    fn tracked(&self, id: Uuid) -> Result<&Tracked> {
        self.books.get(&id).with_context(|| format!("{id} was never registered"))
    }

    /// How many books there are.
    pub fn books(&self) -> usize {
        self.books.len()
    }

    /// Compares all rows of books in the database with the effect of the events.
    pub async fn check(&self, client: &Client) -> Result<()> {
        self.check_dead_letters(client).await?;
        self.check_early_events(client).await?;
        self.check_books(client).await?;
        self.check_progress(client).await?;
        self.check_history(client).await
    }

    async fn check_dead_letters(&self, client: &Client) -> Result<()> {
        let query = "select reason, sum(count)::bigint, min(message || ' ' || payload::text)
            from bindery.dead_letters group by 1";
        let rows = client.query(query, &[]).await?;
        let stored: BTreeMap<String, i64> =
            rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let examples: Vec<String> = rows.iter().map(|row| row.get(2)).collect();
        let expected = &self.reasons;
        ensure!(
            stored == *expected,
            "dead letters by reason:\n  {stored:?}\nexpected:\n  {expected:?}\n{examples:#?}"
        );
        Ok(())
    }

    /// By book and type; how they are merged depends on the batches.
    async fn check_early_events(&self, client: &Client) -> Result<()> {
        let query = "select book_id, payload ->> 'type', sum(count)::bigint
            from bindery.early_events group by 1, 2";
        let rows = client.query(query, &[]).await?;
        let stored: BTreeMap<(Uuid, String), i64> =
            rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect();
        let mut expected = BTreeMap::new();
        for Waiting { event, .. } in self.waiting.values().flatten() {
            *expected.entry((event.book_id, event.kind.name().to_owned())).or_default() += 1;
        }
        ensure!(stored == expected, "early events:\n  {stored:?}\nexpected:\n  {expected:?}");
        Ok(())
    }

    async fn check_books(&self, client: &Client) -> Result<()> {
        let query = "select b.book_id, to_jsonb(b) || jsonb_build_object(
                'substeps_weight', trim_scale(b.substeps_weight)::text,
                'substeps_points', trim_scale(b.substeps_points)::text),
                bindery.get_book_status(b.book_id) -> 'substeps'
            from bindery.book_status b";
        let rows = client.query(query, &[]).await?;
        ensure!(
            rows.len() == self.books.len(),
            "{} books are stored, not {}",
            rows.len(),
            self.books.len()
        );
        for row in rows {
            let (id, stored, substeps): (Uuid, Value, Value) = (row.get(0), row.get(1), row.get(2));
            let expected = self.row(id)?;
            let names: Vec<&str> =
                expected.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            same(&format!("book {id}"), &part_of(&stored, &names), &expected)?;
            let book = &self.tracked(id)?.book;
            // A halted book's plan is listed, and counts once the book resumes.
            if book.status() != FAILED && book.status() != CANCELLED {
                let expected = serde_json::to_value(book.summary(&self.machine)?.substeps)?;
                same(&format!("substeps of {id}"), &substeps, &expected)?;
            }
        }
        Ok(())
    }

    async fn check_progress(&self, client: &Client) -> Result<()> {
        let query = "select g.book_id, jsonb_object_agg(g.stage || '/' || g.substep,
                jsonb_build_object('weight', g.weight, 'progress', g.progress, 'done', g.done,
                'total', g.total, 'unit', g.unit, 'message', g.message, 'checkpoint', g.checkpoint))
            from bindery.book_progress g group by 1";
        let mut stored: BTreeMap<Uuid, Value> = client
            .query(query, &[])
            .await?
            .into_iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect();
        for (id, Tracked { book, .. }) in &self.books {
            let mut expected = serde_json::Map::new();
            for state in self.machine.states() {
                let rows = book.rows().get(&state.name);
                let mut rows: BTreeMap<&str, BookSubstep> = rows
                    .into_iter()
                    .flatten()
                    .map(|(substep, row)| (substep.as_str(), row.clone()))
                    .collect();
                if book.last_attempt(&state.name).is_some() {
                    // A stage that was entered has a row for each declared substep.
                    for declared in &state.substeps {
                        rows.entry(&declared.substep).or_default();
                    }
                }
                for (substep, row) in rows {
                    let declared = state.substep(substep).map_or(1.0, |declared| declared.weight);
                    let mut value = serde_json::to_value(&row.progress)?;
                    value["weight"] = json!(row.weight.unwrap_or(declared));
                    expected
                        .insert(format!("{}/{substep}", state.name), part_of(&value, &PROGRESS));
                }
            }
            let stored = stored.remove(id).unwrap_or_else(|| json!({}));
            same(&format!("progress of {id}"), &stored, &Value::Object(expected))?;
        }
        ensure!(stored.is_empty(), "progress of unknown books: {stored:?}");
        Ok(())
    }

    /// The history has each change once, in order; so has the outbox, unless messages were removed.
    async fn check_history(&self, client: &Client) -> Result<()> {
        let query = format!(
            "select e.book_id, jsonb_agg(to_jsonb(e) order by e.revision),
                array_agg(e.revision order by e.revision),
                (select array_agg(o.revision order by o.id)
                    from bindery.outbox o where o.book_id = e.book_id),
                (select b.revision from bindery.book_status b where b.book_id = e.book_id)
            from {} e group by 1",
            self.history
        );
        let rows = client.query(&query, &[]).await?;
        ensure!(
            rows.len() == self.books.len(),
            "{} books have a history, not {}",
            rows.len(),
            self.books.len()
        );
        for row in rows {
            let (id, events): (Uuid, Value) = (row.get(0), row.get(1));
            let (revisions, outbox): (Vec<i64>, Option<Vec<i64>>) = (row.get(2), row.get(3));
            let Tracked { history, .. } = self.tracked(id)?;
            let steps = events
                .as_array()
                .into_iter()
                .flatten()
                .map(|event| part_of(event, &STEP))
                .collect();
            same(
                &format!("history of {id}"),
                &Value::Array(steps),
                &Value::Array(history.clone()),
            )?;
            ensure!(
                revisions.last() <= Some(&row.get(4)),
                "{id}: the history is ahead: {revisions:?}"
            );
            ensure!(
                outbox.as_ref().is_none_or(|outbox| *outbox == revisions),
                "{id}: {outbox:?} in the outbox, {revisions:?}"
            );
        }
        Ok(())
    }
}

/// Whether the meaning of an event depends on those before it in its stream: it is about the
/// book's current stage, whichever that is.
fn depends_on_order(event: &Event) -> bool {
    match &event.kind {
        EventKind::Progress(progress) => progress.stage.is_none(),
        EventKind::Fail(fail) => fail.stage.is_none(),
        _ => false,
    }
}

/// Whether an early event can lead to another stage.
fn may_lead_on(event: &Event) -> bool {
    !matches!(event.kind, EventKind::Heartbeat(_) | EventKind::Plan(_))
}

const STEP: [&str; 5] = ["kind", "from_status", "to_status", "stage", "attempt"];
const PROGRESS: [&str; 7] =
    ["weight", "progress", "done", "total", "unit", "message", "checkpoint"];

fn step(kind: &str, from: Option<&str>, book: &Book) -> Value {
    json!({
        "kind": kind, "from_status": from, "to_status": book.status(), "stage": book.stage(),
        "attempt": book.attempt(),
    })
}

fn part_of(row: &Value, names: &[&str]) -> Value {
    names
        .iter()
        .map(|name| ((*name).to_owned(), row[*name].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn same(what: &str, stored: &Value, expected: &Value) -> Result<()> {
    let (stored, expected) = (plain(stored), plain(expected));
    ensure!(stored == expected, "{what}:\n  stored   {stored}\n  expected {expected}");
    Ok(())
}

/// The same value with every number as a double: the database writes 1 where Rust writes 1.0.
pub fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}
