//! Random calls on the books on the shelf, and their outcomes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use fastrand::Rng;
use serde_json::{Value, json};
use tokio_postgres::{Client, Error};
use uuid::Uuid;

use crate::support::Counts;

const PLACES: usize = 10;
const STAGES: [&str; 6] = ["QUEUED", "READING", "DRAWING", "CHECKING", "DONE", "PRINTING"];
const SUBSTEPS: [&str; 6] = ["first", "second", "all", "page_1", "page_2", "page_3"];
/// The types of the events in a batch, by how often they occur.
const EVENTS: [&str; 9] = [
    "progress",
    "progress",
    "progress",
    "progress",
    "transition",
    "begin",
    "heartbeat",
    "fail",
    "plan",
];

/// What a call did, for the model to replay.
#[derive(Debug)]
pub enum Act {
    /// Nothing that the model covers.
    Nothing,
    /// The same as this event.
    Event(Value),
    /// A transition to the stage that the book is in.
    Resume(Uuid),
    /// A rewind.
    Rewind(Uuid, String),
    /// These events of the stream of this number, and how they were counted.
    Batch(usize, Vec<Value>, Counts),
}

/// An accepted call: its number, drawn while it held its locks, and the book's row that it
/// returned.
#[derive(Debug)]
pub struct Done {
    pub turn: i64,
    pub act: Act,
    pub row: Option<Value>,
}

/// The books at work, and the last seen row of each.
#[derive(Default)]
pub struct Shelf(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    places: [Option<Uuid>; PLACES],
    over: Vec<Uuid>,
    rows: BTreeMap<Uuid, Value>,
}

impl Shelf {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a row, and removes a book that has ended.
    pub fn saw(&self, row: Option<&Value>) {
        let Some(row) = row else { return };
        let Some(book) = row["book_id"].as_str().and_then(|id| id.parse().ok()) else { return };
        self.seen().rows.insert(book, row.clone());
        if row["status"] == "DONE" || row["status"] == "CANCELLED" {
            self.take_away(book);
        }
    }

    /// A refusal showed that the book has ended.
    pub fn ended(&self, args: &Value) {
        if let Some(book) = args["book_id"].as_str().and_then(|id| id.parse().ok()) {
            self.take_away(book);
        }
    }

    fn take_away(&self, book: Uuid) {
        let mut seen = self.seen();
        for place in 0..PLACES {
            if seen.places[place] == Some(book) {
                seen.places[place] = None;
                seen.over.push(book);
            }
        }
    }

    /// A place without a book.
    pub fn vacancy(&self) -> Option<usize> {
        self.seen().places.iter().position(Option::is_none)
    }

    /// Puts a newly registered book there; if another session was faster, the book counts as an old
    /// one at once.
    pub fn fill(&self, place: usize, row: Option<&Value>) -> Result<()> {
        let book = row.and_then(|row| row["book_id"].as_str()).context("a book's row")?.parse()?;
        let mut seen = self.seen();
        if seen.places[place].is_none() {
            seen.places[place] = Some(book);
        } else {
            seen.over.push(book);
        }
        Ok(())
    }

    /// One of the books at work, or sometimes one that has ended: its last seen row, or a new book
    /// where there is none.
    fn any(&self, rng: &mut Rng) -> Option<Value> {
        let seen = self.seen();
        let over = (rng.u8(..50) == 0).then(|| rng.choice(&seen.over)).flatten();
        let book = over.copied().or(seen.places[rng.usize(..PLACES)])?;
        seen.rows.get(&book).cloned()
    }
}

/// A call on a book: the name of its kind, and its arguments.
pub struct Call {
    pub name: &'static str,
    pub args: Value,
}

impl Call {
    /// Registers a book.
    pub fn register(book: Uuid) -> Self {
        Self { name: "register", args: json!({"book_id": book, "pipeline": "model"}) }
    }

    /// Any call, mostly one that may be accepted.
    pub fn random(rng: &mut Rng, shelf: &Shelf, stream: usize) -> Self {
        let Some(row) = shelf.any(rng) else { return Self::register(Uuid::new_v4()) };
        let mut args = json!({"book_id": row["book_id"]});
        let name = match rng.u16(..1000) {
            0..3 => "define",
            3..8 => "sweep",
            8..18 => "prune",
            18..40 => "register",
            40..60 => "title",
            60..110 => "heartbeat",
            110..150 => "plan",
            150..190 => "fail",
            190..240 => "resume",
            240..243 => "cancel",
            243..270 => "rewind",
            270..300 => "update",
            300..380 => "transition",
            380..420 => "begin",
            420..620 => "batch",
            _ => "report",
        };
        match name {
            "register" => args["pipeline"] = json!("model"),
            "title" => args["title"] = json!(format!("Title {}", rng.u32(..))),
            "define" => args["weight"] = json!(rng.u8(1..4)),
            "sweep" | "prune" => {}
            "batch" => {
                let books: Vec<Value> =
                    (0..rng.usize(1..8)).filter_map(|_| shelf.any(rng)).collect();
                // Items of different books share a segment, those of one book follow each other.
                let (mut segment, mut within) = (0, BTreeSet::new());
                let events = books.iter().map(|row| {
                    if !within.insert(text(&row["book_id"])) {
                        segment += 1;
                        within = [text(&row["book_id"])].into();
                    }
                    let mut event = json!({
                        "book_id": row["book_id"], "id": "1-0", "count": 1, "segment": segment,
                    });
                    let r#type = EVENTS[rng.usize(..EVENTS.len())];
                    event["type"] = json!(r#type);
                    fill(&mut event, r#type, row, rng);
                    if r#type == "begin" && rng.bool() {
                        event["attempt"] = json!(rng.u8(1..4));
                    }
                    event
                });
                args = json!({"stream": stream, "events": events.collect::<Vec<_>>()});
            }
            other => fill(&mut args, other, &row, rng),
        }
        Self { name, args }
    }

    /// Makes the call; `Err` is the database's refusal.
    pub async fn run(&self, client: &Client) -> Result<Vec<Done>, Error> {
        let args = &self.args;
        match self.name {
            "sweep" => return sweep(client).await,
            "prune" => {
                for function in ["events", "outbox", "dead_letters"] {
                    // No row is so old, so the dead letters can be counted in the end.
                    let before =
                        if function == "events" { "now()" } else { "now() - interval '1 hour'" };
                    client
                        .batch_execute(&format!("select bindery.prune_{function}({before}, 20)"))
                        .await?;
                }
                return Ok(Vec::new());
            }
            "define" => {
                let definition =
                    json!({"states": [{"name": "A", "weight": args["weight"]}, {"name": "Z"}]});
                client.query("select bindery.define_pipeline('other', $1)", &[&definition]).await?;
                return Ok(Vec::new());
            }
            _ => {}
        }
        let (query, is_row) = query(self.name);
        let given = client.query_one(&query, &[args]).await?;
        let act = match self.name {
            "batch" => {
                let events = args["events"].as_array().cloned().unwrap_or_default();
                let counts = Counts {
                    applied: given.get(1),
                    stale: given.get(2),
                    early: given.get(3),
                    rejected: given.get(4),
                };
                let stream = args["stream"].as_u64().and_then(|stream| stream.try_into().ok());
                Act::Batch(stream.unwrap_or_default(), events, counts)
            }
            "resume" => Act::Resume(given.get(2)),
            "title" => Act::Nothing,
            "rewind" => Act::Rewind(given.get(2), text(&args["to_status"])),
            _ => Act::Event(self.as_event()),
        };
        Ok(vec![Done { turn: given.get(0), act, row: is_row.then(|| given.get(1)) }])
    }

    /// An accepted call as an event.
    fn as_event(&self) -> Value {
        let mut event = self.args.clone();
        event["type"] = json!(match self.name {
            "report" => "progress",
            "register" | "plan" | "heartbeat" | "begin" => self.name,
            _ => "transition",
        });
        match self.name {
            "fail" => event["to_status"] = json!("FAILED"),
            "cancel" => event["to_status"] = json!("CANCELLED"),
            "update" => event["plain"] = json!(true),
            _ => {}
        }
        event
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Arguments that mostly fit the book's last seen row.
fn fill(args: &mut Value, name: &str, row: &Value, rng: &mut Rng) {
    let stage = text(&row["current_stage"]);
    let place = STAGES.iter().position(|name| *name == stage).unwrap_or(0);
    let any_stage = STAGES[rng.usize(..STAGES.len())];
    let attempt = row["attempt"].as_i64().unwrap_or(1);
    match name {
        "transition" | "update" | "begin" => {
            args["to_status"] = json!(match rng.u8(..8) {
                0 => any_stage,
                1 => "FAILED",
                _ if row["status"] == "FAILED" => STAGES[place],
                _ => STAGES[(place + 1).min(4)],
            });
            if name != "begin" {
                args["message"] = json!(format!("move {}", rng.u32(..)));
            }
        }
        "rewind" => {
            args["to_status"] =
                json!(if rng.bool() { STAGES[rng.usize(..=place)] } else { any_stage })
        }
        "progress" | "report" => {
            args["substep"] = json!(match (stage.as_str(), rng.u8(..10)) {
                (_, 0) => SUBSTEPS[rng.usize(..6)],
                ("READING", _) => SUBSTEPS[rng.usize(..2)],
                ("DRAWING", _) => SUBSTEPS[rng.usize(3..6)],
                _ => "all",
            });
            // Reports of units occur only in calls: in a batch, the relay has computed the
            // percentage.
            if name == "report" && rng.bool() {
                args["done"] = json!(rng.u8(..=7));
                args["total"] = json!(7);
            } else {
                args["progress"] = json!(if rng.u8(..3) == 0 { 100 } else { rng.u8(..=100) });
            }
            if rng.u8(..4) == 0 {
                args["checkpoint"] = json!({"at": rng.u8(..)});
            }
            if rng.u8(..4) == 0 {
                args["message"] = json!(format!("report {}", rng.u32(..)));
            }
            match rng.u8(..6) {
                0 => args["stage"] = json!(any_stage),
                1 => args["stage"] = json!(STAGES[(place + 1).min(4)]),
                2 | 3 => args["stage"] = json!(stage),
                _ => {}
            }
        }
        "plan" => {
            args["stage"] = json!(if rng.u8(..4) == 0 { any_stage } else { STAGES[place] });
            let substeps = (0..rng.usize(1..3)).map(|number| {
                let weight = f64::from(rng.u8(1..40)) / 7.0;
                json!({"substep": format!("page_{}", number + 1), "weight": weight})
            });
            args["substeps"] = substeps.collect();
        }
        "fail" => args["message"] = json!("it broke"),
        _ => {}
    }
    if matches!(name, "transition" | "progress" | "report" | "heartbeat" | "fail")
        && rng.u8(..3) == 0
    {
        args["attempt"] = json!((attempt + [0, 0, 0, 0, -1, 1][rng.usize(..6)]).max(1));
    }
    if matches!(name, "transition" | "resume" | "cancel" | "rewind" | "plan") && rng.u8(..5) == 0 {
        args["expected_revision"] = row["revision"].clone();
    }
}

/// The arguments of a call, as a row.
const ARGS: &str = "jsonb_to_record($1::jsonb) as a (book_id uuid, pipeline text, to_status text,
    message text, expected_revision bigint, attempt integer, stage text, substep text,
    progress float8, done float8, total float8, checkpoint jsonb, substeps jsonb, title text)";

/// Each batch ends one past the stream's position. Progress is passed as arrays.
const BATCH: &str = "
    with items as (
      select item, item ->> 'type' = 'progress' as is_report, ord
      from jsonb_array_elements($1::jsonb -> 'events') with ordinality as e(item, ord)
    ), others as (
      select coalesce(jsonb_agg(i.item order by i.ord), '[]') as items
      from items i where not i.is_report
    ), reports as (
      select array_agg(r.segment order by i.ord) as segments,
        array_agg(r.book_id order by i.ord) as books,
        array_agg(r.stage order by i.ord) as stages,
        array_agg(r.substep order by i.ord) as substeps,
        array_agg(r.attempt order by i.ord) as attempts,
        array_agg(r.progress order by i.ord) as progress,
        array_agg(r.message order by i.ord) as messages,
        array_agg(r.checkpoint::text order by i.ord) as checkpoints
      from items i cross join jsonb_to_record(i.item) as r (segment integer, book_id uuid,
        stage text, substep text, attempt integer, progress float8, message text,
        checkpoint jsonb)
      where i.is_report
    )
    select nextval('model.turn'), a.applied, a.stale, a.early, a.rejected
    from bindery.relay_cursors c, others o, reports r,
      bindery.apply_events(c.stream, c.epoch,
        split_part(c.position, '-', 1)::bigint + 1 || '-0', o.items, r.segments, r.books,
        r.stages, r.substeps, r.attempts, r.progress, messages => r.messages,
        checkpoints => r.checkpoints) a
    where c.stream = 'model:' || ($1::jsonb ->> 'stream')";

/// The statement of a kind of call, and whether its second column is the book's row. The number is
/// drawn last, while the call holds its locks.
fn query(name: &str) -> (String, bool) {
    let call = |call: &str| {
        let columns = "nextval('model.turn'), to_jsonb(f), f.book_id";
        (format!("select {columns} from {ARGS}, bindery.{call} f"), true)
    };
    let update = |set: &str| {
        let columns = "nextval('model.turn'), to_jsonb(b), b.book_id";
        let update = format!("update bindery.book_status b set {set}");
        (format!("{update} from {ARGS} where b.book_id = a.book_id returning {columns}"), true)
    };
    match name {
        "register" => call("register_book(a.book_id, pipeline => a.pipeline)"),
        "transition" => call(
            "transition_book(a.book_id, a.to_status, a.message, a.expected_revision, a.attempt)",
        ),
        "report" => call(
            "report_progress(a.book_id, a.substep, a.progress, a.done, a.total,
                message => a.message, checkpoint => a.checkpoint, stage => a.stage,
                attempt => a.attempt)",
        ),
        "plan" => call("plan_substeps(a.book_id, a.stage, a.substeps, a.expected_revision)"),
        "fail" => call("fail_book(a.book_id, message => a.message, attempt => a.attempt)"),
        "resume" => call("resume_book(a.book_id, a.expected_revision)"),
        "cancel" => call("cancel_book(a.book_id, expected_revision => a.expected_revision)"),
        "rewind" => {
            call("rewind_book(a.book_id, a.to_status, expected_revision => a.expected_revision)")
        }
        "begin" => {
            let call = "bindery.begin_stage(a.book_id, a.to_status) f";
            (format!("select nextval('model.turn'), f from {ARGS}, {call}"), false)
        }
        "heartbeat" => {
            let call = "bindery.heartbeat(a.book_id, a.attempt)";
            (format!("select nextval('model.turn') from {ARGS}, {call}"), false)
        }
        "update" => update("status = a.to_status, message = a.message"),
        "title" => update("title = a.title"),
        _ => (BATCH.to_owned(), false),
    }
}

/// A sweep returns how many books it changed, and the history has which. A session's sweep waits
/// for another's.
async fn sweep(client: &Client) -> Result<Vec<Done>, Error> {
    client.batch_execute("begin").await?;
    client.query("select bindery_internal.take_mutex('sweep', 600000)", &[]).await?;
    let last = "select coalesce(max(h.id), 0) from model.history h where h.actor = 'sweep'";
    let last: i64 = client.query_one(last, &[]).await?.get(0);
    client.query("select bindery.sweep(now() + interval '30 minutes')", &[]).await?;
    let swept = "select nextval('model.turn'), h.book_id, h.to_status from
        (select * from model.history h where h.actor = 'sweep' and h.id > $1 order by h.id) h";
    let mut done = Vec::new();
    for row in client.query(swept, &[&last]).await? {
        let (book, to): (Uuid, String) = (row.get(1), row.get(2));
        let act = Act::Event(json!({"type": "transition", "book_id": book, "to_status": to}));
        done.push(Done { turn: row.get(0), act, row: None });
    }
    client.batch_execute("commit").await?;
    Ok(done)
}
