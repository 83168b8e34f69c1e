//! Sixteen sessions at the same ten books, each with random calls and batches of events, legal or
//! not. No two deadlock, every error is one of Bindery's, and what was accepted, done again in
//! `bindery-core` in the order in which it took effect, gives exactly the same rows.
//!
//! That order is known because each call draws a number while it holds the locks on the books that
//! it changed: of two calls on one book, the one with the lower number came first.

mod calls;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bindery_core::definition::compile;
use bindery_core::event::Event;
use bindery_model::Outcome;
use bindery_tests::Servers;
use fastrand::Rng;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_postgres::Client;
use uuid::Uuid;

use self::calls::{Act, Call, Done, Shelf};
use crate::load::seed;
use crate::oracle::{Oracle, plain};
use crate::support::refusal;

const SESSIONS: usize = 16;
const CALLS: usize = 20_000;

/// The errors that a call may return.
const REFUSALS: [&str; 8] = [
    "illegal_transition",
    "stage_left",
    "stale_revision",
    "not_failed",
    "stage_not_reached",
    "attempt_ahead",
    "unknown_stage",
    "unknown_substep",
];

/// The history is copied as it is written, because the sessions prune it. Early events wait as long
/// as the test lasts, because the model has no clock.
const SCHEMA: &str = "
    update bindery.settings set patience = '30 days' where only_row;
    create schema model;
    create sequence model.turn;
    create table model.history
      (like bindery.book_events, id bigint generated always as identity);
    create function model.copy() returns trigger language plpgsql as $$
    begin
      insert into model.history select (new).*;
      return null;
    end
    $$;
    create trigger copy after insert on bindery.book_events 
    for each row execute function model.copy();";

/// A pipeline with everything that makes the order matter: a way back, a guard, reports that move
/// the book on, open substeps.
fn definition() -> Value {
    json!({"auto_advance": true, "states": [
        {"name": "QUEUED"},
        {"name": "READING", "weight": 20, "max_attempts": 3,
         "stall_after": "1 minute", "retry_after": "10 seconds",
         "substeps": [{"substep": "first"}, {"substep": "second", "weight": 2}]},
        {"name": "DRAWING", "weight": 50, "open_substeps": true, "stall_after": "1 minute",
         "retry_after": "1 second"},
        {"name": "CHECKING", "weight": 30, "rework": ["DRAWING"],
         "next": [{"to": "DONE", "guard": "substeps_complete"}]},
        {"name": "DONE"}
    ]})
}

/// How often something was done, and how often it was refused.
type Tally = BTreeMap<&'static str, (usize, usize)>;

/// One session's share of the calls.
async fn session(
    client: Client,
    number: usize,
    shelf: Arc<Shelf>,
    mut rng: Rng,
) -> Result<(Vec<Done>, Tally)> {
    let stream = format!("model:{number}");
    client.query("select from bindery.acquire_stream($1, $1, '1 hour')", &[&stream]).await?;
    let caught_up = "update bindery.relay_cursors set caught_up_at = now() + interval '1 hour'
        where stream = $1";
    client.execute(caught_up, &[&stream]).await?;
    let (mut done, mut tally) = (Vec::new(), Tally::new());
    for _ in 0..CALLS / SESSIONS {
        let call = Call::random(&mut rng, &shelf, number);
        let counts = tally.entry(call.name).or_default();
        match call.run(&client).await {
            Ok(made) => {
                counts.0 += 1;
                for made in made {
                    shelf.saw(made.row.as_ref());
                    done.push(made);
                }
            }
            Err(error) => {
                counts.1 += 1;
                let (state, detail) = refusal(&error);
                let code = detail["code"].as_str().unwrap_or_default();
                // These wait at most 5 s for locks and then have no effect; a relay sends its batch
                // again.
                if state == "55P03" && matches!(call.name, "batch" | "prune") {
                    continue;
                }
                if !(state.starts_with("PT4") && REFUSALS.contains(&code)) {
                    bail!("{}: {} gave {state} {detail}: {error:?}", call.name, call.args);
                }
                if detail["allowed"].as_array().is_some_and(Vec::is_empty) {
                    shelf.ended(&call.args);
                }
            }
        }
        // A complete book makes room for a new one.
        while let Some(place) = shelf.vacancy() {
            let fresh = Call::register(Uuid::new_v4());
            for made in fresh.run(&client).await? {
                shelf.saw(made.row.as_ref());
                shelf.fill(place, made.row.as_ref())?;
                done.push(made);
            }
        }
    }
    Ok((done, tally))
}

/// Replays everything in order, and compares each row that a call returned.
fn replay(oracle: &mut Oracle, mut done: Vec<Done>) -> Result<()> {
    done.sort_by_key(|done| done.turn);
    let mut revisions: BTreeMap<Uuid, i64> = BTreeMap::new();
    // What happened to each book, for the message of a failure.
    let mut ways: BTreeMap<Uuid, Vec<String>> = BTreeMap::new();
    for Done { turn, act, row } in done {
        let what = match &act {
            Act::Event(event) => format!("turn {turn}: {event}"),
            Act::Batch(stream, ..) => format!("turn {turn}: a batch of stream {stream}"),
            other => format!("turn {turn}: {other:?}"),
        };
        let book = book_of(&act, row.as_ref());
        if let Some(book) = book {
            ways.entry(book).or_default().push(what.clone());
        }
        // Registering an existing book does not lock it, so that row may be of any moment.
        let registered = matches!(&act, Act::Event(event) if event["type"] == "register");
        // An UPDATE returns the row as it was before the early events that it made applicable.
        let settled = oracle.settled;
        let plain_update = matches!(&act, Act::Event(event) if event["plain"] == true);
        let outcome = match act {
            Act::Nothing => Outcome::Applied,
            // A plain UPDATE to the status that a book has is no change of status.
            Act::Event(event) if plain_update && oracle.status(&event)? == event["to_status"] => {
                Outcome::Applied
            }
            Act::Event(event) => oracle.apply(&parse(event)?),
            Act::Resume(book) => {
                let stage = oracle.stage(book)?.to_owned();
                let event = json!({"type": "transition", "book_id": book, "to_status": stage});
                oracle.apply(&parse(event)?)
            }
            Act::Rewind(book, to) => oracle.rewind(book, &to),
            Act::Batch(stream, events, counts) => {
                let before = oracle.counts;
                let mut books = Vec::new();
                for event in events {
                    let line = format!("{what}: {event}");
                    let event = parse(event)?;
                    books.push(event.book_id);
                    let way = ways.entry(event.book_id).or_default();
                    way.push(format!("{line}: {:?}", oracle.feed_event(stream, event)));
                }
                if oracle.counts != before + counts {
                    let ways: Vec<String> =
                        books.iter().map(|book| ways[book].join("\n  ")).collect();
                    bail!("{what} gave {counts:?}; before:\n  {}", ways.join("\n---\n  "));
                }
                Outcome::Applied
            }
        };
        ensure!(
            matches!(outcome, Outcome::Applied | Outcome::Stale),
            "{what} was accepted, the model gives {outcome:?}; before:\n  {}",
            way(&ways, book)
        );
        let Some(row) = row.filter(|_| !registered) else { continue };
        let id: Uuid = row["book_id"].as_str().context("a book's id")?.parse()?;
        let revision = row["revision"].as_i64().context("a revision")?;
        let last = revisions.insert(id, revision).unwrap_or(0);
        ensure!(last <= revision, "{what}: revision {revision} came after {last}");
        if plain_update && oracle.settled > settled {
            continue;
        }
        same_row(&oracle.row(id)?, &row)
            .with_context(|| format!("{what}; before:\n  {}", way(&ways, book)))?;
    }
    Ok(())
}

fn way(ways: &BTreeMap<Uuid, Vec<String>>, book: Option<Uuid>) -> String {
    book.and_then(|book| ways.get(&book)).map_or_else(String::new, |way| way.join("\n  "))
}

/// Compares a row, as JSON, with the model's, which has the exact sums as text.
fn same_row(model: &Value, row: &Value) -> Result<()> {
    for (name, value) in model.as_object().into_iter().flatten() {
        let expected = match value.as_str().filter(|_| name.starts_with("substeps_")) {
            Some(sum) => json!(sum.parse::<f64>()?),
            None => plain(value),
        };
        ensure!(plain(&row[name]) == expected, "{name} is {}, in the model {value}", row[name]);
    }
    Ok(())
}

/// The only book that a call was about.
fn book_of(act: &Act, row: Option<&Value>) -> Option<Uuid> {
    let id = match act {
        Act::Resume(book) => return Some(*book),
        Act::Event(event) => &event["book_id"],
        _ => &row?["book_id"],
    };
    id.as_str()?.parse().ok()
}

fn parse(event: Value) -> Result<Event> {
    Event::from_json(event).map_err(|rejection| anyhow!("{rejection}"))
}

#[tokio::test]
async fn sixteen_sessions_at_ten_books_never_deadlock_and_agree_with_the_model() -> Result<()> {
    let seed = seed("sixteen_sessions_at_ten_books");
    let database = Servers::shared().await?.database().await?;
    let client = database.connect().await?;
    client.batch_execute(SCHEMA).await?;
    client.query("select bindery.define_pipeline('model', $1)", &[&definition()]).await?;
    let machine = compile(&definition()).map_err(|faults| anyhow!("{faults:?}"))?;

    let shelf = Arc::new(Shelf::default());
    let mut running = JoinSet::new();
    for number in 0..SESSIONS {
        let rng = Rng::with_seed(seed.wrapping_add(number as u64));
        running.spawn(session(database.connect().await?, number, Arc::clone(&shelf), rng));
    }
    let (mut done, mut tally) = (Vec::new(), Tally::new());
    while let Some(ended) = running.join_next().await {
        let (some, counts) = ended??;
        done.extend(some);
        for (name, (accepted, refused)) in counts {
            let sum = tally.entry(name).or_default();
            *sum = (sum.0 + accepted, sum.1 + refused);
        }
    }
    println!("accepted and refused: {tally:?}");
    let (accepted, refused) =
        tally.values().fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1));
    ensure!(
        accepted + refused == CALLS && accepted > CALLS / 3 && refused > CALLS / 20,
        "{accepted} and {refused}"
    );
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(client.query_one(deadlocks, &[]).await?.get::<_, i64>(0), 0);

    let mut oracle = Oracle::with(machine, "model.history");
    replay(&mut oracle, done)?;
    oracle.check(&client).await?;
    let disorder = "select count(*) from (
            select h.at < lag(h.at) over by_book
                or h.revision <= lag(h.revision) over by_book as wrong
            from model.history h
            window by_book as (partition by h.book_id order by h.id)) o
        where o.wrong";
    assert_eq!(
        client.query_one(disorder, &[]).await?.get::<_, i64>(0),
        0,
        "time and revisions only grow"
    );
    Ok(())
}
