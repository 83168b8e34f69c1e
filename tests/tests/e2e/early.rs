//! Streams that depend on each other, and events that arrive before their book or their stage. They
//! take effect once and as if in order, whatever the daemon and other sessions do.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use bindery_tests::{Daemon, Database, Servers, eventually};
use fastrand::Rng;
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::crash::{check, until_applying};
use crate::faults::long;
use crate::load::{Load, seed};
use crate::oracle::Oracle;
use crate::produce::{Events, Producer};
use crate::support::{
    Counts, Entry, SOON, add, applied_up_to, batches_wait, book_in, book_row, cursor, cursor_when,
    entries, entry, json, pid, until_a_session_is_blocked, until_blocked, until_gone,
};

/// Books at work at the same time.
const AT_ONCE: usize = 16;

/// The events of books whose work is split over two streams, which depend on each other in both
/// directions. Every interleaving of the streams leads each book to the same end.
struct TwoStreams {
    rng: Rng,
    books: Vec<[VecDeque<Entry>; 2]>,
    /// The stream that is ahead for a while, and for how many events.
    ahead: (usize, u32),
    finishing: bool,
}

impl TwoStreams {
    fn new(seed: u64) -> TwoStreams {
        let mut rng = Rng::with_seed(seed);
        let books = (0..AT_ONCE).map(|_| book(&mut rng)).collect();
        TwoStreams { rng, books, ahead: (0, 0), finishing: false }
    }
}

impl Events for TwoStreams {
    fn next(&mut self) -> Option<(usize, Entry)> {
        while !self.books.is_empty() {
            if self.ahead.1 == 0 {
                self.ahead = (self.rng.usize(..2), self.rng.u32(1..200));
            }
            self.ahead.1 -= 1;
            let index = self.rng.usize(..self.books.len());
            let ahead = if self.rng.u32(..8) == 0 { 1 - self.ahead.0 } else { self.ahead.0 };
            for stream in [ahead, 1 - ahead] {
                if let Some(event) = self.books[index][stream].pop_front() {
                    return Some((stream, event));
                }
            }
            if self.finishing {
                self.books.swap_remove(index);
            } else {
                self.books[index] = book(&mut self.rng);
            }
        }
        None
    }

    fn finish(&mut self) {
        self.finishing = true;
    }
}

/// The events of one book in each of the two streams.
///
/// An event has one effect in every interleaving, because it names its stage or follows a
/// transition of its own stream, and because the transition out of a stage follows all reports of
/// that stage in the same stream, or names an attempt that comes after them.
fn book(rng: &mut Rng) -> [VecDeque<Entry>; 2] {
    let id = Uuid::from_u128(rng.u128(..)).to_string();
    let event =
        |fields: &[(&str, &str)]| entry(fields.iter().copied().chain([("book_id", id.as_str())]));
    let mut streams = [VecDeque::new(), VecDeque::new()];
    // Which stream has the first part differs from book to book.
    let first = rng.usize(..2);
    let second = 1 - first;
    let mut reports =
        |to: &mut VecDeque<Entry>, fields: &[(&str, &str)], until: u32, total: u32| {
            for done in 1..=until {
                let (done, total) = (done.to_string(), total.to_string());
                let counted = [("type", "progress"), ("done", &*done), ("total", &*total)];
                to.push_back(event(&[&counted, fields].concat()));
            }
            if until > 1 && rng.bool() {
                to.push_back(event(&[&[("type", "progress"), ("progress", "1")], fields].concat()));
            }
        };
    let open = [("chapter_1", 3), ("chapter_2", 5), ("cover", 2)];

    streams[first].push_back(event(&[("type", "register"), ("title", "Of Two Streams")]));
    let plan = r#"[{"substep": "chapter_1", "weight": 0.3}, {"substep": "cover", "weight": 7}]"#;
    streams[first].push_back(event(&[
        ("type", "plan"),
        ("stage", "CREATING_ARTWORK"),
        ("substeps", plan),
    ]));
    streams[first].push_back(event(&[("type", "transition"), ("to_status", "ANALYZING")]));

    for substep in ["extract_text", "detect_chapters", "analyze_characters"] {
        let fields = [("stage", "ANALYZING"), ("substep", substep)];
        reports(&mut streams[second], &fields, 4, 4);
    }
    streams[second].push_back(event(&[("type", "begin"), ("to_status", "GENERATING_SCENES")]));

    let scenes = ("stage", "GENERATING_SCENES");
    let split = [scenes, ("substep", "split_scenes"), ("attempt", "1")];
    let prompts = [scenes, ("substep", "write_prompts")];
    if first == 0 {
        reports(&mut streams[first], &split, 6, 6);
        reports(&mut streams[first], &prompts, 3, 3);
        streams[first].push_back(event(&[
            ("type", "transition"),
            ("to_status", "CREATING_ARTWORK"),
            ("attempt", "1"),
        ]));
        for (substep, total) in open {
            let fields = [("stage", "CREATING_ARTWORK"), ("substep", substep)];
            reports(&mut streams[second], &fields, total, total);
        }
    } else {
        // The stage fails and is resumed in one stream, and the other has the second attempt.
        reports(&mut streams[first], &split, 4, 6);
        reports(&mut streams[first], &[&prompts[..], &[("checkpoint", "7")]].concat(), 2, 3);
        streams[first].push_back(event(&[("type", "fail"), scenes, ("attempt", "1")]));
        streams[first].push_back(event(&[
            ("type", "begin"),
            ("to_status", "GENERATING_SCENES"),
            ("attempt", "2"),
        ]));
        let split = [scenes, ("substep", "split_scenes"), ("attempt", "2")];
        reports(&mut streams[second], &split, 6, 6);
        reports(&mut streams[second], &[&prompts[..], &[("attempt", "2")]].concat(), 3, 3);
        streams[second].push_back(event(&[
            ("type", "transition"),
            ("to_status", "CREATING_ARTWORK"),
            ("attempt", "2"),
        ]));
        // Reports without a stage count for the stage of the transition before them.
        for (substep, total) in open {
            reports(&mut streams[second], &[("substep", substep)], total, total);
        }
    }
    streams[second].push_back(event(&[("type", "heartbeat"), ("stage", "CREATING_ARTWORK")]));
    streams[second].push_back(event(&[("type", "transition"), ("to_status", "COMPLETED")]));
    streams
}

/// One daemon on both streams.
fn daemon_on(servers: &Servers, database: &Database<'_>, streams: &[String]) -> Result<Daemon> {
    let mut args = vec!["--outbox", "", "--sweep", "0", "--max-batch", "60", "--lease", "200ms"];
    args.extend(streams.iter().flat_map(|stream| ["--stream", stream.as_str()]));
    Daemon::spawn(servers, database.url(), &args)
}

/// How many events of both streams are applied or deferred.
async fn arrived(client: &Client, streams: &[String]) -> Result<i64> {
    let query = "select coalesce(sum(applied + stale + early + rejected), 0)::bigint
        from bindery.relay_cursors where stream = any ($1)";
    Ok(client.query_one(query, &[&streams]).await?.get(0))
}

/// Makes a batch commit whose answer is lost: the daemon is killed while the batch waits for a book
/// that this session holds.
async fn lose_an_answer(
    database: &Database<'_>,
    client: &Client,
    daemon: &mut Daemon,
) -> Result<()> {
    let holder = database.connect().await?;
    // A book that is not complete, so more of its events are to come; the outer condition checks
    // this again under the lock.
    let hold = "select book_id from bindery.book_status where book_id = (
            select book_id from bindery.book_status
            where status <> 'COMPLETED' order by created_at desc limit 1)
        and status <> 'COMPLETED' for update";
    eventually(SOON, "a book at work", async || {
        holder.batch_execute("begin").await?;
        if holder.query_opt(hold, &[]).await?.is_some() {
            return Ok(());
        }
        holder.batch_execute("rollback").await?;
        Err(anyhow!("there is none"))
    })
    .await?;
    let session = until_a_session_is_blocked(client, pid(&holder).await?).await?;
    daemon.sigkill().await?;
    holder.batch_execute("rollback").await?;
    until_gone(client, session).await
}

#[tokio::test]
async fn two_streams_that_depend_on_each_other_end_alike_whenever_the_daemon_dies() -> Result<()> {
    let seed = seed("two_streams_that_depend_on_each_other");
    let mut rng = Rng::with_seed(seed);
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    batches_wait(&client).await?;
    let streams = ["one", "two"].map(|name| format!("{}:{name}", database.stream()));
    let mut daemon = daemon_on(servers, &database, &streams)?;
    let producer = Producer::to_streams(servers, &streams, TwoStreams::new(seed))?;

    for kill in 1..=if long() { 100 } else { 12 } {
        let wanted = arrived(&client, &streams).await? + rng.i64(1..1_500);
        eventually(SOON, "more events to be applied", async || {
            let arrived = arrived(&client, &streams).await?;
            if arrived >= wanted { Ok(()) } else { Err(anyhow!("{arrived} of {wanted}")) }
        })
        .await?;
        match kill % 3 {
            0 => lose_an_answer(&database, &client, &mut daemon).await?,
            1 => until_applying(&client).await?,
            _ => {}
        }
        daemon.sigkill().await?;
        println!(
            "kill {kill} at {} of {} events",
            arrived(&client, &streams).await?,
            producer.added()
        );
        daemon = daemon_on(servers, &database, &streams)?;
    }
    let produced = producer.finish().await?;
    assert!(produced.failures.is_empty(), "Redis was not touched");

    let (mut oracles, mut counts) =
        ([Oracle::new(&client).await?, Oracle::new(&client).await?], Counts::default());
    let mut redis = servers.redis().await?;
    let mut all = Vec::new();
    for (number, stream) in streams.iter().enumerate() {
        let of_stream = entries(&mut redis, stream).await?;
        let (last, _) = of_stream.last().context("no entries")?;
        let applied = applied_up_to(&client, stream, last).await?.counts;
        ensure!(applied.all() == i64::try_from(of_stream.len())?, "{stream}: {applied:?}");
        counts = counts + applied;
        all.push(of_stream.into_iter().map(move |(_, entry)| (number, entry)));
    }
    // One stream after the other in both orders, as the extremes of all interleavings.
    let [one, two] = &all[..] else { return Err(anyhow!("two streams")) };
    one.clone().chain(two.clone()).for_each(|(stream, entry)| oracles[0].feed(stream, entry));
    two.clone().chain(one.clone()).for_each(|(stream, entry)| oracles[1].feed(stream, entry));
    for oracle in &oracles {
        ensure!(oracle.counts.early > 0 && oracle.counts.stale + oracle.counts.rejected == 0);
        oracle.check(&client).await?;
    }
    println!("{counts:?} of {} books", oracles[0].books());
    ensure!(counts.early > 0 && counts.stale + counts.rejected == 0, "{counts:?}");
    let unfinished = "select (select count(*) from bindery.book_status
            where status <> 'COMPLETED' or overall_progress <> 100),
        (select count(*) from bindery.dead_letters), (select count(*) from bindery.early_events)";
    let row = client.query_one(unfinished, &[]).await?;
    let left: [i64; 3] = [row.get(0), row.get(1), row.get(2)];
    assert_eq!(left, [0, 0, 0], "books unfinished, dead letters, early events");
    Ok(())
}

/// The same events in batches of one and in batches of the full size.
#[tokio::test]
async fn the_effect_of_events_does_not_depend_on_the_batches() -> Result<()> {
    let seed = seed("what_becomes_of_events");
    let servers = Servers::shared().await?;
    let mut redis = servers.redis().await?;
    for max_batch in ["1", "7", "10000"] {
        let database = servers.database().await?;
        let client = database.connect().await?;
        let mut load = Load::new(seed);
        for event in std::iter::from_fn(|| load.next()).take(3_000) {
            add(&mut redis, database.stream(), &event).await?;
        }
        let _daemon = database.daemon(&["--outbox", "", "--max-batch", max_batch]).await?;
        check(servers, &database, &client)
            .await
            .with_context(|| format!("batches of {max_batch}"))?;
    }
    Ok(())
}

/// A database, a daemon on it, and an unregistered book.
struct Ground<'a> {
    database: Database<'a>,
    client: Client,
    redis: MultiplexedConnection,
    book: Uuid,
}

impl<'a> Ground<'a> {
    async fn new(servers: &'a Servers) -> Result<Ground<'a>> {
        let database = servers.database().await?;
        let client = database.connect().await?;
        batches_wait(&client).await?;
        let redis = servers.redis().await?;
        Ok(Ground { database, client, redis, book: Uuid::new_v4() })
    }

    fn stream(&self) -> &str {
        self.database.stream()
    }

    async fn daemon(&self) -> Result<Daemon> {
        self.database.daemon(&["--outbox", ""]).await
    }

    async fn add(&mut self, fields: &[(&str, &str)]) -> Result<String> {
        let book = self.book.to_string();
        self.add_about(&book, fields).await
    }

    async fn add_about(&mut self, book: &str, fields: &[(&str, &str)]) -> Result<String> {
        let event = entry(fields.iter().copied().chain([("book_id", book)]));
        Ok(add(&mut self.redis, self.database.stream(), &event).await?)
    }

    /// A transition and a report that needs it; returns the last one's id.
    async fn add_work(&mut self) -> Result<String> {
        self.add(&[("type", "transition"), ("to_status", "ANALYZING")]).await?;
        self.add(&[("type", "progress"), ("substep", "extract_text"), ("progress", "100")]).await
    }

    /// Whether the work has taken effect and no event waits.
    async fn worked(&self) -> Result<()> {
        let row = book_row(&self.client, self.book).await?;
        ensure!(
            (&row["status"], &row["stage_progress"]) == (&json!("ANALYZING"), &json!(25)),
            "{row}"
        );
        let query = "select (select count(*) from bindery.early_events),
            (select count(*) from bindery.dead_letters)";
        let row = self.client.query_one(query, &[]).await?;
        let left: [i64; 2] = [row.get(0), row.get(1)];
        ensure!(left == [0, 0], "{left:?} early events and dead letters");
        Ok(())
    }

    async fn deadlocks(&self) -> Result<i64> {
        let query = "select deadlocks from pg_stat_database where datname = current_database()";
        Ok(self.client.query_one(query, &[]).await?.get(0))
    }
}

const REGISTER: &str = "select from bindery.register_book($1)";

#[tokio::test]
async fn events_that_arrive_while_their_book_is_being_registered_wait_for_the_commit() -> Result<()>
{
    let mut at = Ground::new(Servers::shared().await?).await?;
    let _daemon = at.daemon().await?;
    let registrar = at.database.connect().await?;
    registrar.batch_execute("begin").await?;
    registrar.query(REGISTER, &[&at.book]).await?;
    let last = at.add_work().await?;
    until_a_session_is_blocked(&at.client, pid(&registrar).await?).await?;
    assert_eq!(cursor(&at.client, at.stream()).await?.counts.all(), 0);
    registrar.batch_execute("commit").await?;
    let counts = applied_up_to(&at.client, at.stream(), &last).await?.counts;
    assert_eq!(counts, Counts { applied: 2, ..Counts::default() });
    at.worked().await
}

#[tokio::test]
async fn events_whose_books_registration_is_rolled_back_are_kept_for_the_next_one() -> Result<()> {
    let mut at = Ground::new(Servers::shared().await?).await?;
    let _daemon = at.daemon().await?;
    let registrar = at.database.connect().await?;
    registrar.batch_execute("begin").await?;
    registrar.query(REGISTER, &[&at.book]).await?;
    let last = at.add_work().await?;
    until_a_session_is_blocked(&at.client, pid(&registrar).await?).await?;
    registrar.batch_execute("rollback").await?;
    let counts = applied_up_to(&at.client, at.stream(), &last).await?.counts;
    assert_eq!(counts, Counts { early: 2, ..Counts::default() });
    // By a plain INSERT, without Bindery's functions.
    let insert = "insert into bindery.book_status (book_id) values ($1)";
    registrar.execute(insert, &[&at.book]).await?;
    at.worked().await
}

/// The batch waits for another of its books while the registration is committed.
#[tokio::test]
async fn a_book_that_is_registered_while_its_batch_waits_for_another_book_gets_its_events()
-> Result<()> {
    let mut at = Ground::new(Servers::shared().await?).await?;
    let other = book_in(&at.client, &["ANALYZING"]).await?;
    let holder = at.database.connect().await?;
    holder.batch_execute("begin").await?;
    let hold = "select from bindery.book_status where book_id = $1 for update";
    holder.query(hold, &[&other]).await?;
    // Both books in one batch: the daemon starts after them.
    at.add_about(&other.to_string(), &[("type", "heartbeat")]).await?;
    let last = at.add_work().await?;
    let _daemon = at.daemon().await?;
    until_a_session_is_blocked(&at.client, pid(&holder).await?).await?;
    at.client.query(REGISTER, &[&at.book]).await?;
    holder.batch_execute("rollback").await?;
    let counts = applied_up_to(&at.client, at.stream(), &last).await?.counts;
    assert_eq!(counts, Counts { applied: 3, ..Counts::default() });
    at.worked().await
}

/// Holds a transaction that defers an early event, right after the INSERT, for as long as another
/// session has the advisory lock 42.
const HOLD_DEFERRALS: &str = "
    create function public.hold() returns trigger language plpgsql as $$
    begin
      perform pg_advisory_xact_lock(42);
      return null;
    end $$;
    create trigger hold after insert on bindery.early_events
    for each row execute function public.hold();";

#[tokio::test]
async fn a_registration_waits_for_a_batch_that_keeps_events_of_its_book_and_applies_them()
-> Result<()> {
    let mut at = Ground::new(Servers::shared().await?).await?;
    at.client.batch_execute(HOLD_DEFERRALS).await?;
    let (holder, registrar) = (at.database.connect().await?, at.database.connect().await?);
    holder.batch_execute("select pg_advisory_lock(42)").await?;
    let _daemon = at.daemon().await?;
    let last = at.add_work().await?;
    let relay = until_a_session_is_blocked(&at.client, pid(&holder).await?).await?;
    let (waiting, book) = (pid(&registrar).await?, at.book);
    let (registered, released) =
        tokio::join!(async { registrar.query(REGISTER, &[&book]).await }, async {
            until_blocked(&at.client, waiting, relay).await?;
            Ok::<_, anyhow::Error>(holder.batch_execute("select pg_advisory_unlock(42)").await?)
        });
    registered?;
    released?;
    let counts = applied_up_to(&at.client, at.stream(), &last).await?.counts;
    assert_eq!(counts.early, counts.all(), "{counts:?}");
    eventually(SOON, "the work to take effect", async || at.worked().await).await
}

/// The batch holds the book's registration slot when the client registers the book, and then
/// reaches a registration itself.
#[tokio::test]
async fn a_registration_by_call_and_one_by_event_behind_early_events_do_not_deadlock() -> Result<()>
{
    let mut at = Ground::new(Servers::shared().await?).await?;
    at.client.batch_execute(HOLD_DEFERRALS).await?;
    let (holder, registrar) = (at.database.connect().await?, at.database.connect().await?);
    holder.batch_execute("select pg_advisory_lock(42)").await?;
    at.add_work().await?;
    let last = at.add(&[("type", "register")]).await?;
    let _daemon = at.daemon().await?;
    let relay = until_a_session_is_blocked(&at.client, pid(&holder).await?).await?;
    let (waiting, book) = (pid(&registrar).await?, at.book);
    let (registered, released) =
        tokio::join!(async { registrar.query(REGISTER, &[&book]).await }, async {
            until_blocked(&at.client, waiting, relay).await?;
            Ok::<_, anyhow::Error>(holder.batch_execute("select pg_advisory_unlock(42)").await?)
        });
    registered?;
    released?;
    let counts = applied_up_to(&at.client, at.stream(), &last).await?.counts;
    assert_eq!(counts, Counts { applied: 1, early: 2, ..Counts::default() });
    at.worked().await?;
    assert_eq!(at.deadlocks().await?, 0);
    Ok(())
}

/// A batch defers events of an unknown book and registers known ones again, while sessions register
/// books in the same slots.
#[tokio::test]
async fn registrations_at_once_by_calls_and_events_of_two_streams_never_deadlock() -> Result<()> {
    let seed = seed("registrations_at_once");
    let servers = Servers::shared().await?;
    let at = Ground::new(servers).await?;
    let streams = ["one", "two"].map(|name| format!("{}:{name}", at.stream()));
    let _daemon = daemon_on(servers, &at.database, &streams)?;
    let books: Vec<Uuid> = (0..400).map(|_| Uuid::new_v4()).collect();
    let mut running = tokio::task::JoinSet::new();
    for number in 0..4 {
        let mut rng = Rng::with_seed(seed.wrapping_add(number));
        let mut books = books.clone();
        rng.shuffle(&mut books);
        let client = at.database.connect().await?;
        let stream = usize::try_from(number)?;
        let mut redis = servers.redis().await?;
        let stream = streams.get(stream).cloned();
        running.spawn(async move {
            let mut last = None;
            for book in books {
                let Some(stream) = &stream else {
                    client.query(REGISTER, &[&book]).await?;
                    continue;
                };
                let id = book.to_string();
                let event = |fields: &[(&str, &str)]| {
                    entry(fields.iter().copied().chain([("book_id", id.as_str())]))
                };
                let heartbeat = event(&[("type", "heartbeat")]);
                add(&mut redis, stream, &heartbeat).await?;
                add(&mut redis, stream, &event(&[("type", "register")])).await?;
                last = Some((stream.clone(), add(&mut redis, stream, &heartbeat).await?));
            }
            Ok::<_, anyhow::Error>(last)
        });
    }
    while let Some(written) = running.join_next().await {
        if let Some((stream, last)) = written?? {
            let counts = applied_up_to(&at.client, &stream, &last).await?.counts;
            ensure!((counts.stale, counts.rejected) == (0, 0), "{counts:?}");
        }
    }
    let left = "select count(*) from bindery.early_events";
    assert_eq!(at.client.query_one(left, &[]).await?.get::<_, i64>(0), 0);
    assert_eq!(at.deadlocks().await?, 0);
    Ok(())
}

/// The event that the others need never arrives.
#[tokio::test]
async fn after_its_patience_an_early_event_is_rejected_and_those_behind_it_take_effect()
-> Result<()> {
    let mut at = Ground::new(Servers::shared().await?).await?;
    at.client.query(REGISTER, &[&at.book]).await?;
    let _daemon = at.daemon().await?;
    at.add(&[("type", "transition"), ("to_status", "ANALYZING")]).await?;
    at.add(&[("type", "fail"), ("attempt", "7")]).await?;
    at.client
        .batch_execute("update bindery.settings set patience = '1 hour' where only_row")
        .await?;
    let last =
        at.add(&[("type", "progress"), ("substep", "extract_text"), ("progress", "100")]).await?;
    let counts = applied_up_to(&at.client, at.stream(), &last).await?.counts;
    assert_eq!(counts, Counts { applied: 1, early: 2, ..Counts::default() });
    // One of the two has waited too long.
    let older = "update bindery.early_events set at = at - interval '2 hours'
        where payload ->> 'type' = 'fail'";
    assert_eq!(at.client.execute(older, &[]).await?, 1);
    let swept = json(&at.client, "select bindery.sweep()", &[]).await?;
    assert_eq!(swept["expired"], 1, "{swept}");
    let letters =
        "select jsonb_agg(jsonb_build_array(reason, payload ->> 'type')) from bindery.dead_letters";
    assert_eq!(json(&at.client, letters, &[]).await?, json!([["attempt_ahead", "fail"]]));
    at.client.batch_execute("truncate bindery.dead_letters").await?;
    at.worked().await
}

#[tokio::test]
async fn a_sweep_that_rejects_an_early_event_leaves_a_book_that_is_locked_for_the_next_one()
-> Result<()> {
    let mut at = Ground::new(Servers::shared().await?).await?;
    at.client.query(REGISTER, &[&at.book]).await?;
    let _daemon = at.daemon().await?;
    let last = at.add(&[("type", "heartbeat"), ("attempt", "7")]).await?;
    applied_up_to(&at.client, at.stream(), &last).await?;
    at.client.batch_execute("update bindery.early_events set at = at - interval '1 day'").await?;
    let holder = at.database.connect().await?;
    holder.batch_execute("begin").await?;
    let hold = "select from bindery.book_status where book_id = $1 for no key update";
    holder.query(hold, &[&at.book]).await?;
    let sweep = "select bindery.sweep()";
    let swept: Value = timeout(Duration::from_secs(30), json(&at.client, sweep, &[]))
        .await
        .context("the sweep waits for the book")??;
    assert_eq!(swept["expired"], 0, "{swept}");
    holder.batch_execute("rollback").await?;
    assert_eq!(json(&at.client, sweep, &[]).await?["expired"], 1);
    Ok(())
}

/// A stream that is ahead reports a later attempt before the resume.
#[tokio::test]
async fn reports_without_a_stage_wait_behind_early_ones_of_their_stream_and_of_no_other()
-> Result<()> {
    let servers = Servers::shared().await?;
    for max_batch in ["1", "1000"] {
        let mut at = Ground::new(servers).await?;
        let other = format!("{}:other", at.stream());
        at.client.query(REGISTER, &[&at.book]).await?;
        at.client
            .query("select from bindery.transition_book($1, 'ANALYZING')", &[&at.book])
            .await?;
        at.add(&[("type", "heartbeat"), ("attempt", "2")]).await?;
        // No event waits behind a heartbeat.
        at.add(&[("type", "progress"), ("substep", "extract_text"), ("progress", "10")]).await?;
        at.add(&[
            ("type", "progress"),
            ("substep", "detect_chapters"),
            ("progress", "60"),
            ("attempt", "2"),
        ])
        .await?;
        at.add(&[
            ("type", "progress"),
            ("substep", "extract_text"),
            ("progress", "20"),
            ("attempt", "1"),
        ])
        .await?;
        let last = at
            .add(&[
                ("type", "progress"),
                ("stage", "ANALYZING"),
                ("substep", "analyze_characters"),
                ("progress", "30"),
            ])
            .await?;
        let book = at.book.to_string();
        let of_other = entry([
            ("type", "progress"),
            ("book_id", &book),
            ("substep", "detect_chapters"),
            ("progress", "40"),
        ]);
        let last_of_other = add(&mut at.redis, &other, &of_other).await?;
        let args = ["--outbox", "", "--max-batch", max_batch, "--stream", &other];
        let _daemon = at.database.daemon(&args).await?;
        let counts = applied_up_to(&at.client, at.stream(), &last).await?.counts;
        assert_eq!(counts, Counts { applied: 2, early: 3, ..Counts::default() });
        let counts = applied_up_to(&at.client, &other, &last_of_other).await?.counts;
        assert_eq!(counts, Counts { applied: 1, ..Counts::default() });
        let progress = "select jsonb_object_agg(substep, progress)
            from bindery.book_progress where book_id = $1";
        let before = json!({"extract_text": 10, "detect_chapters": 40, "analyze_characters": 30});
        assert_eq!(json(&at.client, progress, &[&at.book]).await?, before, "{max_batch}");
        for status in ["FAILED", "ANALYZING"] {
            let query = "select from bindery.transition_book($1, $2)";
            at.client.query(query, &[&at.book, &status]).await?;
        }
        // The report of attempt 1 is stale in attempt 2, which keeps no report without a
        // checkpoint.
        let after = json!({"extract_text": 0, "detect_chapters": 60, "analyze_characters": 0});
        assert_eq!(json(&at.client, progress, &[&at.book]).await?, after, "{max_batch}");
        let left = "select count(*) from bindery.early_events";
        assert_eq!(at.client.query_one(left, &[]).await?.get::<_, i64>(0), 0);
        cursor_when(&at.client, at.stream(), "the cursor", |cursor| cursor.counts.early == 3)
            .await?;
    }
    Ok(())
}

/// The other stream waits for the same event, and its report is early without another try.
#[tokio::test]
async fn a_failure_waits_behind_an_early_report_like_one_of_another_stream() -> Result<()> {
    let mut at = Ground::new(Servers::shared().await?).await?;
    let other = format!("{}:other", at.stream());
    at.client.query(REGISTER, &[&at.book]).await?;
    let to = "select from bindery.transition_book($1, $2)";
    at.client.query(to, &[&at.book, &"ANALYZING"]).await?;
    let _daemon = at.database.daemon(&["--outbox", "", "--stream", &other]).await?;
    let book = at.book.to_string();
    let report = [
        ("type", "progress"),
        ("stage", "GENERATING_SCENES"),
        ("attempt", "2"),
        ("progress", "50"),
        ("substep", "split_scenes"),
    ];
    let last = at.add(&report).await?;
    applied_up_to(&at.client, at.stream(), &last).await?;
    let of_other = entry(report.into_iter().chain([("book_id", &*book)]));
    add(&mut at.redis, &other, &of_other).await?;
    let failed = entry([("type", "fail"), ("book_id", &*book)]);
    let last = add(&mut at.redis, &other, &failed).await?;
    applied_up_to(&at.client, &other, &last).await?;
    at.client.query(to, &[&at.book, &"GENERATING_SCENES"]).await?;
    let row = book_row(&at.client, at.book).await?;
    assert_eq!((&row["status"], &row["attempt"]), (&json!("GENERATING_SCENES"), &json!(1)));
    for status in ["FAILED", "GENERATING_SCENES"] {
        at.client.query(to, &[&at.book, &status]).await?;
    }
    let row = book_row(&at.client, at.book).await?;
    assert_eq!(
        (&row["status"], &row["attempt"], &row["stage_progress"]),
        (&json!("FAILED"), &json!(2), &json!(25)),
        "the reports of attempt 2 come first, then the failure"
    );
    Ok(())
}

#[tokio::test]
async fn a_begin_of_a_later_attempt_waits_for_the_failure_before_it() -> Result<()> {
    let mut at = Ground::new(Servers::shared().await?).await?;
    let _daemon = at.daemon().await?;
    at.client.query(REGISTER, &[&at.book]).await?;
    at.add(&[("type", "begin"), ("to_status", "ANALYZING"), ("attempt", "2")]).await?;
    let last = at.add(&[("type", "begin"), ("to_status", "ANALYZING"), ("attempt", "1")]).await?;
    let counts = applied_up_to(&at.client, at.stream(), &last).await?.counts;
    assert_eq!(counts, Counts { applied: 1, early: 1, ..Counts::default() });
    let failed = at.add(&[("type", "fail"), ("attempt", "1")]).await?;
    // It waits behind the `begin`, which waits for it.
    applied_up_to(&at.client, at.stream(), &failed).await?;
    assert_eq!(book_row(&at.client, at.book).await?["status"], "ANALYZING");
    let failed = at.add(&[("type", "fail"), ("attempt", "1"), ("stage", "ANALYZING")]).await?;
    let late = at.add(&[("type", "begin"), ("to_status", "ANALYZING"), ("attempt", "1")]).await?;
    let counts = applied_up_to(&at.client, at.stream(), &late).await?.counts;
    assert_eq!(counts, Counts { applied: 2, stale: 1, early: 2, rejected: 0 }, "{failed}");
    let row = book_row(&at.client, at.book).await?;
    assert_eq!((&row["status"], &row["attempt"]), (&json!("ANALYZING"), &json!(2)));
    Ok(())
}

#[tokio::test]
async fn a_report_that_moves_its_book_on_counts_before_an_early_transition_that_follows()
-> Result<()> {
    let mut at = Ground::new(Servers::shared().await?).await?;
    let definition = json!({"auto_advance": true, "states": [
        {"name": "QUEUED"}, {"name": "READING", "weight": 1}, {"name": "DRAWING", "weight": 1},
        {"name": "DONE"}]});
    at.client.query("select bindery.define_pipeline('brief', $1)", &[&definition]).await?;
    let register = "select from bindery.register_book($1, pipeline => 'brief')";
    at.client.query(register, &[&at.book]).await?;
    let _daemon = at.daemon().await?;
    at.add(&[("type", "transition"), ("to_status", "DRAWING")]).await?;
    let last = at.add(&[("type", "progress"), ("stage", "READING"), ("progress", "40")]).await?;
    let counts = applied_up_to(&at.client, at.stream(), &last).await?.counts;
    assert_eq!(counts, Counts { applied: 1, early: 1, ..Counts::default() });
    assert_eq!(book_row(&at.client, at.book).await?["status"], "DRAWING");
    let read = "select to_jsonb(progress) from bindery.book_progress
        where book_id = $1 and stage = 'READING'";
    assert_eq!(json(&at.client, read, &[&at.book]).await?, 40);
    Ok(())
}
