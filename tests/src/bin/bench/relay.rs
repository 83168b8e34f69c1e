//! The relay: how fast it drains a backlog, how soon a single event is a row, and how much memory
//! it takes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bindery_tests::{Daemon, Database, Listener, Servers, eventually};
use redis::aio::MultiplexedConnection;
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::figure::Figure;

const BOOKS: usize = 1_000;
pub const SUBSTEPS: [&str; 3] = ["extract_text", "detect_chapters", "analyze_characters"];
const EVENTS: usize = 300_000;
/// No two events are about the same substep: many books in turn, or fewer books of many planned
/// substeps, one book after the other.
const WIDE_BOOKS: usize = 20_000;
const LONG_BOOKS: usize = 600;
const PAGES: usize = 100;
/// Commands a pipeline when filling a stream.
const PIPELINE: usize = 5_000;
const LONE_EVENTS: usize = 2_000;

/// 300,000 progress events over 1,000 books x 3 substeps, in one stream before the daemon starts.
pub async fn drain(servers: &Servers, figures: &mut Vec<Figure>) -> Result<()> {
    let database = servers.database().await?;
    let drained = drained(servers, &database, &Work::declared(BOOKS, EVENTS)).await?;
    let rate = EVENTS as f64 / drained.took.as_secs_f64();
    let how = format!(
        "{EVENTS} events, {BOOKS} books x {} substeps, one stream, synchronous_commit on",
        SUBSTEPS.len()
    );
    figures.push(Figure { name: "drain_rate", value: rate, unit: "events/s", how });
    figures.push(Figure {
        name: "drain_of_bare_xread",
        value: drained.bare.as_secs_f64() / drained.took.as_secs_f64(),
        unit: "ratio",
        how: format!(
            "a loop that reads the same stream and discards it takes {:.2} s",
            drained.bare.as_secs_f64()
        ),
    });
    figures.push(Figure {
        name: "drain_memory",
        value: drained.memory,
        unit: "MB",
        how: "the daemon's peak resident memory during this".to_owned(),
    });
    Ok(())
}

/// The same where nothing coalesces: each event is about another substep.
pub async fn wide(servers: &Servers, figures: &mut Vec<Figure>) -> Result<()> {
    let books = Work::declared(WIDE_BOOKS, WIDE_BOOKS * SUBSTEPS.len());
    let spread = Work { streams: 2, ..Work::declared(WIDE_BOOKS, WIDE_BOOKS * SUBSTEPS.len()) };
    let pages = Work {
        books: LONG_BOOKS,
        substeps: (1..=PAGES).map(|page| format!("page_{page}")).collect(),
        planned: true,
        events: LONG_BOOKS * PAGES,
        book_by_book: true,
        streams: 1,
    };
    for (rate, memory, work) in [
        ("wide_rate", "wide_memory", books),
        ("wide_two_streams_rate", "wide_two_streams_memory", spread),
        ("pages_rate", "pages_memory", pages),
    ] {
        let database = servers.database().await?;
        let drained = drained(servers, &database, &work).await?;
        let seconds = drained.took.as_secs_f64();
        let how = format!(
            "{} events, each about another substep, {} books x {} substeps, {}, {} stream(s); \
             {:.0} rows written a second",
            work.events,
            work.books,
            work.substeps.len(),
            if work.book_by_book { "one book after the other" } else { "in turn" },
            work.streams,
            drained.rows as f64 / seconds
        );
        figures.push(Figure {
            name: rate,
            value: work.events as f64 / seconds,
            unit: "events/s",
            how,
        });
        figures.push(Figure {
            name: memory,
            value: drained.memory,
            unit: "MB",
            how: "the daemon's peak resident memory during this".to_owned(),
        });
    }
    Ok(())
}

/// Small events, then a burst of large ones: as large as an event may be, and far larger.
pub async fn large(servers: &Servers, figures: &mut Vec<Figure>) -> Result<()> {
    const SMALL: usize = 18_000;
    const CHECKPOINTS: usize = 2_000;
    const CHECKPOINT_BYTES: usize = 60 * 1024;
    const HUGE: usize = 200;
    const HUGE_BYTES: usize = 1024 * 1024;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let books = analyzing(&client, BOOKS).await?;
    let mut redis = servers.redis().await?;
    eprintln!("filling: {SMALL} small events, {CHECKPOINTS} large ones, {HUGE} that are too large");
    load(&mut redis, database.stream(), &books, &Work::declared(BOOKS, SMALL)).await?;
    let mut last = None;
    let checkpoint = format!("\"{}\"", "x".repeat(CHECKPOINT_BYTES));
    for number in 0..CHECKPOINTS {
        let book = books[number % books.len()].to_string();
        let fields = [
            ("type", "progress"),
            ("book_id", book.as_str()),
            ("substep", SUBSTEPS[number % SUBSTEPS.len()]),
            ("progress", "100"),
            ("checkpoint", &checkpoint),
        ];
        last = Some(database.add(&mut redis, &fields).await?);
    }
    let huge = "x".repeat(HUGE_BYTES);
    for _ in 0..HUGE {
        last = Some(database.add(&mut redis, &[("type", "heartbeat"), ("huge", &huge)]).await?);
    }
    let last = last.context("no event was added")?;
    eprintln!("starting the daemon");
    let daemon = database.daemon_unready(&[])?;
    let first = at_position(&client, database.stream(), None).await?;
    let took = at_position(&client, database.stream(), Some(&last)).await? - first;
    let counts = counts(&client, &[database.stream().to_owned()]).await?;
    ensure!(
        counts == [i64::try_from(SMALL + CHECKPOINTS)?, 0, 0, i64::try_from(HUGE)?],
        "applied, stale, early, rejected are {counts:?}"
    );
    let how = format!(
        "the daemon's peak resident memory: {SMALL} small events, {CHECKPOINTS} with 60 KiB, \
         {HUGE} entries of 1 MiB, in {:.1} s",
        took.as_secs_f64()
    );
    figures.push(Figure { name: "large_memory", value: peak_memory(&daemon)?, unit: "MB", how });
    Ok(())
}

/// The content of the stream: equally many reports of each substep of each book; the last is at
/// 100.
struct Work {
    books: usize,
    substeps: Vec<String>,
    /// Whether the books plan their substeps, instead of those of the pipeline.
    planned: bool,
    events: usize,
    /// Whether a book's events are adjacent; else each substep of all books in turn.
    book_by_book: bool,
    /// The number of streams that share the books.
    streams: usize,
}

impl Work {
    /// The books' stage. The one for plans declares no substeps that would remain beside a plan.
    fn stage(&self) -> &'static str {
        if self.planned { "CREATING_ARTWORK" } else { "ANALYZING" }
    }

    fn declared(books: usize, events: usize) -> Work {
        let substeps = SUBSTEPS.map(str::to_owned).into();
        Work { books, substeps, planned: false, events, book_by_book: false, streams: 1 }
    }
}

struct Drained {
    /// From the lease to the last event's commit.
    took: Duration,
    /// The time to read the streams without applying anything.
    bare: Duration,
    /// Rows written: a substep's for each event, and a book's for each of its revisions.
    rows: i64,
    /// Megabytes.
    memory: f64,
}

/// Fills the streams, lets a daemon drain them, and checks the rows.
async fn drained(servers: &Servers, database: &Database<'_>, work: &Work) -> Result<Drained> {
    let client = database.connect().await?;
    let books = analyzing(&client, work.books).await?;
    if work.planned {
        let plan: Vec<_> = work.substeps.iter().map(|name| json!({ "substep": name })).collect();
        for stage in ["GENERATING_SCENES", work.stage()] {
            let query = "select count(*) from unnest($1::uuid[]) b, bindery.transition_book(b, $2)";
            client.query(query, &[&books, &stage]).await?;
        }
        let query = "select count(*) from unnest($1::uuid[]) b, bindery.plan_substeps(b, $2, $3)";
        client.query(query, &[&books, &work.stage(), &json!(plan)]).await?;
    }
    let mut redis = servers.redis().await?;
    eprintln!("filling: {} events", work.events);
    let further = (1..work.streams).map(|number| format!("{}:{number}", database.stream()));
    let streams: Vec<String> =
        std::iter::once(database.stream().to_owned()).chain(further).collect();
    let mut lasts = Vec::new();
    let mut bare = Duration::ZERO;
    for (number, stream) in streams.iter().enumerate() {
        let last =
            load(&mut redis, stream, &shared_out(&books, number, work.streams), work).await?;
        bare += bare_xread(&mut redis, stream, &last).await?;
        lasts.push(last);
    }
    let revisions = "select sum(revision)::bigint from bindery.book_status";
    let before: i64 = client.query_one(revisions, &[]).await?.get(0);
    eprintln!("starting the daemon");
    let named: Vec<&str> = streams[1..].iter().flat_map(|stream| ["--stream", stream]).collect();
    let daemon = database.daemon_unready(&named)?;
    let first = at_position(&client, &streams[0], None).await?;
    let mut took = Duration::ZERO;
    for (stream, last) in streams.iter().zip(&lasts) {
        took = took.max(at_position(&client, stream, Some(last)).await? - first);
    }

    let counts = counts(&client, &streams).await?;
    let events = i64::try_from(work.events)?;
    ensure!(counts == [events, 0, 0, 0], "applied, stale, early, rejected are {counts:?}");
    let rows = events + client.query_one(revisions, &[]).await?.get::<_, i64>(0) - before;
    let unfinished = "select count(*) from bindery.book_status where stage_progress < 100";
    let unfinished: i64 = client.query_one(unfinished, &[]).await?.get(0);
    ensure!(unfinished == 0, "{unfinished} books are not at 100 percent of their stage");
    Ok(Drained { took, bare, rows, memory: peak_memory(&daemon)? })
}

/// How many events of these streams were applied, stale, early and rejected.
async fn counts(client: &Client, streams: &[String]) -> Result<[i64; 4]> {
    let query = "select sum(applied)::bigint, sum(stale)::bigint, sum(early)::bigint,
        sum(rejected)::bigint from bindery.relay_cursors where stream = any ($1)";
    let row = client.query_one(query, &[&streams]).await?;
    Ok([0, 1, 2, 3].map(|column| row.get(column)))
}

/// One event at a time, from before its XADD until its NOTIFY arrives.
pub async fn latency(servers: &Servers, figures: &mut Vec<Figure>) -> Result<()> {
    let database = servers.database().await?;
    let client = database.connect().await?;
    let books = analyzing(&client, 1).await?;
    let book = books.first().context("one book")?.to_string();
    let mut redis = servers.redis().await?;
    let _daemon = database.daemon(&[]).await?;
    let mut seen = Listener::start(database.url()).await?;
    eprintln!("latency: {LONE_EVENTS} events, one after another");
    let mut took = Vec::with_capacity(LONE_EVENTS);
    for number in 1..=LONE_EVENTS {
        let (done, total) = (number.to_string(), LONE_EVENTS.to_string());
        let start = Instant::now();
        database
            .add(
                &mut redis,
                &[
                    ("type", "progress"),
                    ("book_id", &book),
                    ("substep", "extract_text"),
                    ("done", &done),
                    ("total", &total),
                ],
            )
            .await?;
        seen.next().await?;
        took.push(start.elapsed());
    }
    took.sort();
    for (name, part) in [("latency_p50", 0.50), ("latency_p99", 0.99)] {
        let at = took[((took.len() - 1) as f64 * part) as usize];
        let how =
            format!("{LONE_EVENTS} events one after another, from XADD to NOTIFY at a client");
        figures.push(Figure { name, value: at.as_secs_f64() * 1000.0, unit: "ms", how });
    }
    Ok(())
}

/// New books in ANALYZING.
pub async fn analyzing(client: &Client, count: usize) -> Result<Vec<Uuid>> {
    let books: Vec<Uuid> = (0..count).map(|_| Uuid::new_v4()).collect();
    start_books(client, &books).await?;
    Ok(books)
}

/// Registers these books and starts ANALYZING. Their outbox rows are removed, so that the daemon
/// does not publish them during a measurement; reports write none.
pub async fn start_books(client: &Client, books: &[Uuid]) -> Result<()> {
    for function in ["register_book(b)", "transition_book(b, 'ANALYZING')"] {
        let query = format!("select count(*) from unnest($1::uuid[]) b, bindery.{function}");
        client.query(&query, &[&books]).await?;
    }
    client.batch_execute("truncate bindery.outbox").await?;
    Ok(())
}

/// The books of one of several streams.
fn shared_out(books: &[Uuid], number: usize, streams: usize) -> Vec<Uuid> {
    books.iter().skip(number).step_by(streams).copied().collect()
}

/// Adds one stream's events about these books; returns the last one's id.
async fn load(
    redis: &mut MultiplexedConnection,
    stream: &str,
    books: &[Uuid],
    work: &Work,
) -> Result<String> {
    let books: Vec<String> = books.iter().map(Uuid::to_string).collect();
    let (substeps, rounds) = (work.substeps.len(), books.len() * work.substeps.len());
    let events = work.events / work.streams;
    let total = (events / rounds).to_string();
    let mut last = None;
    for from in (0..events).step_by(PIPELINE) {
        let mut pipeline = redis::pipe();
        for number in from..events.min(from + PIPELINE) {
            let done = (number / rounds + 1).to_string();
            let (book, substep) = if work.book_by_book {
                (number / substeps % books.len(), number % substeps)
            } else {
                (number % books.len(), number / books.len() % substeps)
            };
            pipeline.xadd(
                stream,
                "*",
                &[
                    ("type", "progress"),
                    ("book_id", &books[book]),
                    ("stage", work.stage()),
                    ("substep", &work.substeps[substep]),
                    ("done", &done),
                    ("total", &total),
                    ("unit", "page"),
                    ("attempt", "1"),
                ],
            );
        }
        let ids: Vec<String> = pipeline.query_async(redis).await?;
        last = ids.last().cloned();
    }
    last.context("no event was added")
}

/// The duration of a loop that reads the stream with the client library and discards it.
async fn bare_xread(
    redis: &mut MultiplexedConnection,
    stream: &str,
    last: &str,
) -> Result<Duration> {
    let start = Instant::now();
    let mut position = "0-0".to_owned();
    while position != last {
        let reply: redis::Value = redis::cmd("XREAD")
            .arg("COUNT")
            .arg(5_000)
            .arg("STREAMS")
            .arg(stream)
            .arg(&position)
            .query_async(redis)
            .await?;
        position = last_id(&reply).context("the stream ended early")?;
    }
    Ok(start.elapsed())
}

/// The last entry's id in `[[stream, [[id, fields], …]]]`.
fn last_id(reply: &redis::Value) -> Option<String> {
    let stream = reply.as_sequence()?.first()?.as_sequence()?;
    let entry = stream.get(1)?.as_sequence()?.last()?.as_sequence()?;
    redis::from_redis_value_ref(entry.first()?).ok()
}

/// Waits until the stream has this position, or for `None` until a relay holds the stream; returns
/// the time of that.
pub async fn at_position(client: &Client, stream: &str, position: Option<&str>) -> Result<Instant> {
    eventually(Duration::from_secs(120), "the relay to reach this position", async || {
        let query = "select position from bindery.relay_cursors
            where stream = $1 and holder is not null";
        let row = client.query_opt(query, &[&stream]).await.map_err(|error| error.to_string())?;
        let now: Option<String> = row.map(|row| row.get(0));
        match (&now, position) {
            (Some(_), None) => Ok(Instant::now()),
            (Some(now), Some(wanted)) if now == wanted => Ok(Instant::now()),
            _ => Err(format!("the position is {now:?}")),
        }
    })
    .await
}

/// Megabytes, from Linux's own accounting.
pub fn peak_memory(daemon: &Daemon) -> Result<f64> {
    let pid = daemon.pid().context("the daemon has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("no VmHWM")?;
    let kilobytes: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kilobytes / 1024.0)
}
