//! Many sessions at once. Where the order matters, one session holds a lock until the other is seen
//! to wait for it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use bindery_tests::{Database, Servers};
use fastrand::Rng;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_postgres::{Client, Error, Row};
use uuid::Uuid;

use crate::load::seed;
use crate::support::{book_in, book_row, json, pid, refused, transition, until_blocked};

const BOOKS: usize = 20;
const SESSIONS: usize = 8;
const UNITS: i32 = 5;
const WAY: [&str; 4] = ["ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK", "COMPLETED"];

async fn report(
    client: &Client,
    book: Uuid,
    substep: &str,
    done: i32,
    total: i32,
    message: &str,
) -> Result<Row, Error> {
    let query = "select status, revision from bindery.report_progress($1, $2, 
        done => $3::int, total => $4::int, message => $5)";
    client.query_one(query, &[&book, &substep, &done, &total, &message]).await
}

/// What one session does to all books in one round: it tries the transition, which another session
/// may have made already, and reports its own progress.
async fn round(
    client: &Client,
    books: &[Uuid],
    to: &str,
    session: usize,
    mut rng: Rng,
) -> Result<Vec<(Uuid, i64)>> {
    let mut revisions = Vec::new();
    let mut order = books.to_vec();
    rng.shuffle(&mut order);
    for book in order {
        let row = transition(client, book, to).await?;
        ensure!(row.get::<_, &str>("status") == to, "{book} is in {row:?}");
        if to == "CREATING_ARTWORK" {
            for unit in 1..=UNITS {
                let row =
                    report(client, book, &format!("panel_{session}"), unit, UNITS, "drawn").await?;
                revisions.push((book, row.get("revision")));
            }
        } else if to == "ANALYZING" {
            // All sessions report the same substep; a session with a lower count changes only its
            // message.
            for unit in 1..=UNITS {
                let row = report(
                    client,
                    book,
                    "extract_text",
                    unit,
                    UNITS,
                    &format!("{session}: {unit}"),
                )
                .await?;
                revisions.push((book, row.get("revision")));
            }
        }
    }
    Ok(revisions)
}

#[tokio::test]
async fn twenty_books_from_eight_sessions_lose_nothing() -> Result<()> {
    let seed = seed("twenty_books_from_eight_sessions");
    let database = Servers::shared().await?.database().await?;
    let client = database.connect().await?;
    let mut books = Vec::new();
    for _ in 0..BOOKS {
        books.push(book_in(&client, &[]).await?);
    }
    let mut revisions: BTreeMap<Uuid, Vec<i64>> =
        books.iter().map(|book| (*book, vec![1])).collect();
    let mut clients = Vec::new();
    for _ in 0..SESSIONS {
        clients.push(database.connect().await?);
    }
    for (index, to) in WAY.into_iter().enumerate() {
        let mut running = JoinSet::new();
        for (session, client) in clients.drain(..).enumerate() {
            let (books, rng) = (
                books.clone(),
                Rng::with_seed(seed.wrapping_add((index * SESSIONS + session) as u64)),
            );
            running.spawn(async move { (round(&client, &books, to, session, rng).await, client) });
        }
        while let Some(done) = running.join_next().await {
            let (done, client) = done?;
            for (book, revision) in done? {
                revisions.entry(book).or_default().push(revision);
            }
            clients.push(client);
        }
    }

    // One revision per change: four transitions, and each report, because each has a new message or
    // a new count. A transition that was already made is not a change.
    let changes = 1 + WAY.len() + 2 * SESSIONS * UNITS as usize;
    for (book, mut revisions) in revisions {
        let moves = "select array_agg(revision) from bindery.book_events
            where book_id = $1 and revision > 1";
        revisions.extend(client.query_one(moves, &[&book]).await?.get::<_, Vec<i64>>(0));
        revisions.sort_unstable();
        ensure!(
            revisions == (1..=changes as i64).collect::<Vec<_>>(),
            "{book}: every change has its own revision: {revisions:?}"
        );
        let row = book_row(&client, book).await?;
        ensure!(
            row["status"] == "COMPLETED"
                && row["overall_progress"] == json!(100)
                && row["revision"] == changes,
            "{row}"
        );
        let counted = "select jsonb_object_agg(substep, done) from bindery.book_progress
            where book_id = $1 and done is not null";
        let mut expected = json!({"extract_text": UNITS});
        (0..SESSIONS).for_each(|session| expected[format!("panel_{session}")] = json!(UNITS));
        ensure!(json(&client, counted, &[&book]).await? == expected, "{book}");
        let history = "select jsonb_agg(to_status order by revision) from bindery.book_events
            where book_id = $1";
        ensure!(
            json(&client, history, &[&book]).await?
                == json!(["UPLOADED", WAY[0], WAY[1], WAY[2], WAY[3]]),
            "{book}"
        );
    }
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(client.query_one(deadlocks, &[]).await?.get::<_, i64>(0), 0);
    Ok(())
}

/// Two sessions, of which the first is in a transaction, and a third that watches.
struct Pair {
    first: Client,
    second: Client,
    watcher: Client,
    pids: (i32, i32),
}

async fn pair(database: &Database<'_>) -> Result<Pair> {
    let (first, second) = (database.connect().await?, database.connect().await?);
    let pids = (pid(&first).await?, pid(&second).await?);
    first.batch_execute("begin").await?;
    Ok(Pair { first, second, watcher: database.connect().await?, pids })
}

impl Pair {
    /// Runs `work` in the second session, ends the first's transaction once the second waits for
    /// it, and returns the result of `work`.
    async fn then<T>(&self, end: &str, work: impl Future<Output = T>) -> Result<T> {
        let ending = async {
            until_blocked(&self.watcher, self.pids.1, self.pids.0).await?;
            Ok(self.first.batch_execute(end).await?)
        };
        let (done, ended) = tokio::join!(work, ending);
        ended.map(|()| done)
    }
}

#[tokio::test]
async fn two_reports_on_one_book_both_count() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let pair = pair(&database).await?;
    let book = book_in(&pair.watcher, &["ANALYZING"]).await?;
    report(&pair.first, book, "extract_text", 1, 2, "one").await?;
    let second =
        pair.then("commit", report(&pair.second, book, "detect_chapters", 1, 2, "two")).await??;
    assert_eq!(second.get::<_, i64>("revision"), 4);
    let row = book_row(&pair.watcher, book).await?;
    // (50 * 1 + 50 * 1 + 0 * 2) / 4 of the stage, which is a fifth of the whole.
    assert_eq!(
        (&row["stage_progress"], &row["overall_progress"]),
        (&json!(25), &json!(5)),
        "{row}"
    );
    let done =
        "select jsonb_object_agg(substep, done) from bindery.book_progress where book_id = $1";
    let expected = json!({"extract_text": 1, "detect_chapters": 1, "analyze_characters": null});
    assert_eq!(json(&pair.watcher, done, &[&book]).await?, expected);
    Ok(())
}

#[tokio::test]
async fn a_report_that_waited_for_a_transition_out_of_its_stage_is_stale() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let pair = pair(&database).await?;
    let book = book_in(&pair.watcher, &["ANALYZING"]).await?;
    transition(&pair.first, book, "GENERATING_SCENES").await?;
    let query = "select status, revision from 
        bindery.report_progress($1, 'extract_text', 50, stage => 'ANALYZING')";
    let row = pair.then("commit", pair.second.query_one(query, &[&book])).await??;
    assert_eq!((row.get("status"), row.get("revision")), ("GENERATING_SCENES", 3_i64));
    let reports = "select count(*) from bindery.book_progress where book_id = $1 and progress > 0";
    assert_eq!(pair.watcher.query_one(reports, &[&book]).await?.get::<_, i64>(0), 0);
    Ok(())
}

#[tokio::test]
async fn of_two_equal_transitions_at_once_one_takes_effect_and_the_other_finds_it_done()
-> Result<()> {
    let database = Servers::shared().await?.database().await?;
    for end in ["commit", "rollback"] {
        let pair = pair(&database).await?;
        let book = book_in(&pair.watcher, &[]).await?;
        transition(&pair.first, book, "ANALYZING").await?;
        let second = pair.then(end, transition(&pair.second, book, "ANALYZING")).await??;
        assert_eq!((second.get("status"), second.get("revision")), ("ANALYZING", 2_i64), "{end}");
        let moves = "select count(*) from bindery.book_events
            where book_id = $1 and to_status = 'ANALYZING'";
        assert_eq!(pair.watcher.query_one(moves, &[&book]).await?.get::<_, i64>(0), 1);
        assert_eq!(book_row(&pair.watcher, book).await?["revision"], 2);
    }
    Ok(())
}

#[tokio::test]
async fn of_two_different_transitions_at_once_the_second_is_judged_by_the_first() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    for (end, wins) in [("commit", false), ("rollback", true)] {
        let pair = pair(&database).await?;
        let book = book_in(&pair.watcher, &[]).await?;
        transition(&pair.first, book, "CANCELLED").await?;
        match pair.then(end, transition(&pair.second, book, "ANALYZING")).await? {
            Ok(_) => ensure!(wins, "both took effect"),
            lost => ensure!(
                !wins && refused(lost)? == ("PT409".into(), "illegal_transition".into()),
                "{end}"
            ),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_transition_that_expects_a_revision_notices_a_change_that_it_waited_for() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let pair = pair(&database).await?;
    let book = book_in(&pair.watcher, &["ANALYZING"]).await?;
    report(&pair.first, book, "extract_text", 1, 2, "one").await?;
    let query =
        "select from bindery.transition_book($1, 'GENERATING_SCENES', expected_revision => 2)";
    let second = pair.then("commit", pair.second.query_one(query, &[&book])).await?;
    assert_eq!(refused(second)?, ("PT409".into(), "stale_revision".into()));
    assert_eq!(book_row(&pair.watcher, book).await?["status"], "ANALYZING");
    Ok(())
}

#[tokio::test]
async fn a_book_registered_twice_at_once_is_one_book() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let pair = pair(&database).await?;
    let book = Uuid::new_v4();
    let register = "select revision from bindery.register_book($1)";
    pair.first.query_one(register, &[&book]).await?;
    let row = pair.then("commit", pair.second.query_one(register, &[&book])).await??;
    assert_eq!(row.get::<_, i64>(0), 1);
    let history = "select count(*) from bindery.book_events where book_id = $1";
    assert_eq!(pair.watcher.query_one(history, &[&book]).await?.get::<_, i64>(0), 1);
    Ok(())
}

/// The batches of two relays have the same two books in opposite orders. A third session holds the
/// higher book until both wait: one relay holds the lower book and waits for the higher, the other
/// waits for the lower. If books were locked in the batches' order, the relays would deadlock.
#[tokio::test]
async fn batches_in_opposite_orders_do_not_deadlock() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let (holder, one, two) =
        (database.connect().await?, database.connect().await?, database.connect().await?);
    let watcher = database.connect().await?;
    let mut books =
        [book_in(&watcher, &["ANALYZING"]).await?, book_in(&watcher, &["ANALYZING"]).await?];
    books.sort_unstable();
    let [low, high] = books;
    for (client, stream) in [(&one, "one"), (&two, "two")] {
        client.query("select from bindery.acquire_stream($1, $1)", &[&stream]).await?;
    }
    let (holding, first, second) = (pid(&holder).await?, pid(&one).await?, pid(&two).await?);
    holder.batch_execute("begin").await?;
    holder
        .query("select from bindery.book_status where book_id = $1 for no key update", &[&high])
        .await?;

    let applying_one = apply(&one, "one", [high, low], "extract_text");
    let applying_two = async {
        until_blocked(&watcher, first, holding).await?;
        let both_wait = async {
            // It waits for the first, which has the lower book and waits for the higher.
            until_blocked(&watcher, second, first).await?;
            holder.batch_execute("rollback").await.context("the holder")
        };
        let (applied, released) =
            tokio::join!(apply(&two, "two", [low, high], "detect_chapters"), both_wait);
        released.and(applied)
    };
    let (one, two) = tokio::join!(applying_one, applying_two);
    assert_eq!((one?, two?), (2, 2));
    for book in books {
        assert_eq!(book_row(&watcher, book).await?["stage_progress"], 50);
    }
    Ok(())
}

async fn apply(client: &Client, stream: &str, books: [Uuid; 2], substep: &str) -> Result<i64> {
    // In different segments, so that one report comes after the other.
    let event = |segment: usize| {
        let book = books[segment];
        json!({
            "type": "progress", "id": "1-0", "segment": segment, "book_id": book,
            "substep": substep, "progress": 100,
        })
    };
    let events = json!([event(0), event(1)]);
    let query = "select applied from bindery.apply_events($1, 1, '2-0', $2)";
    Ok(client.query_one(query, &[&stream, &events]).await?.get(0))
}
