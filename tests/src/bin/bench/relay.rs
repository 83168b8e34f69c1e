//! The relay: how fast it drains a backlog, how soon a lone event is a row, and how much memory it takes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bindery_tests::{Daemon, Database, Listener, Servers, eventually};
use redis::aio::MultiplexedConnection;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::figure::Figure;

const BOOKS: usize = 1_000;
const SUBSTEPS: [&str; 3] = ["extract_text", "detect_chapters", "analyze_characters"];
const EVENTS: usize = 300_000;
const WIDE_BOOKS: usize = 20_000;
/// Commands a pipeline when loading the stream.
const PIPELINE: usize = 5_000;
const LONE_EVENTS: usize = 2_000;

/// 300,000 progress events over 1,000 books x 3 substeps, already in one stream when the daemon starts.
pub async fn drain(servers: &Servers, figures: &mut Vec<Figure>) -> Result<()> {
    let database = servers.database().await?;
    let drained = drained(servers, &database, BOOKS, EVENTS).await?;
    let rate = EVENTS as f64 / drained.took.as_secs_f64();
    let how =
        format!("{EVENTS} events, {BOOKS} books x {} substeps, one stream, synchronous_commit on", SUBSTEPS.len());
    figures.push(Figure { name: "drain_rate", value: rate, unit: "events/s", how });
    figures.push(Figure {
        name: "drain_of_bare_xread",
        value: drained.bare.as_secs_f64() / drained.took.as_secs_f64(),
        unit: "ratio",
        how: format!("a loop that reads the same stream and throws it away takes {:.2} s", drained.bare.as_secs_f64()),
    });
    figures.push(Figure {
        name: "drain_memory",
        value: drained.memory,
        unit: "MB",
        how: "the daemon's peak resident memory meanwhile".to_owned(),
    });
    Ok(())
}

/// The same where nothing can be coalesced: each event is another book's or substep's.
pub async fn wide(servers: &Servers, figures: &mut Vec<Figure>) -> Result<()> {
    let database = servers.database().await?;
    let drained = drained(servers, &database, WIDE_BOOKS, WIDE_BOOKS * SUBSTEPS.len()).await?;
    let rows = WIDE_BOOKS * SUBSTEPS.len();
    let how = format!("{rows} events, each another book's or substep's, {WIDE_BOOKS} books");
    figures.push(Figure { name: "wide_rate", value: rows as f64 / drained.took.as_secs_f64(), unit: "rows/s", how });
    figures.push(Figure {
        name: "wide_memory",
        value: drained.memory,
        unit: "MB",
        how: "the daemon's peak resident memory meanwhile".to_owned(),
    });
    Ok(())
}

struct Drained {
    /// From the lease to the last event's commit.
    took: Duration,
    /// What reading the stream alone takes.
    bare: Duration,
    /// Megabytes.
    memory: f64,
}

/// Loads a stream with evenly spread reports that end at 100, then lets a daemon drain it, and looks at every row.
async fn drained(servers: &Servers, database: &Database<'_>, books: usize, events: usize) -> Result<Drained> {
    let client = database.connect().await?;
    let books = analyzing(&client, books).await?;
    let mut redis = servers.redis().await?;
    eprintln!("loading {events} events");
    let last = load(&mut redis, database, &books, events).await?;
    let bare = bare_xread(&mut redis, database.stream(), &last).await?;
    eprintln!("starting the daemon");
    let daemon = database.daemon_unready(&[])?;
    let first = at_position(&client, database.stream(), None).await?;
    let took = at_position(&client, database.stream(), Some(&last)).await? - first;

    let query = "select applied, stale, dead from bindery.relay_cursors where stream = $1";
    let row = client.query_one(query, &[&database.stream()]).await?;
    let counts: (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    ensure!(counts == (i64::try_from(events)?, 0, 0), "applied, stale, dead are {counts:?}");
    let unfinished = "select count(*) from bindery.book_status where stage_progress < 100";
    let unfinished: i64 = client.query_one(unfinished, &[]).await?.get(0);
    ensure!(unfinished == 0, "{unfinished} books are not through their stage");
    Ok(Drained { took, bare, memory: peak_memory(&daemon)? })
}

/// One event at a time, from before XADD to the commit seen by LISTEN.
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
        let how = format!("{LONE_EVENTS} events one after another, from XADD to NOTIFY at a client");
        figures.push(Figure { name, value: at.as_secs_f64() * 1000.0, unit: "ms", how });
    }
    Ok(())
}

/// Books in ANALYZING.
async fn analyzing(client: &Client, count: usize) -> Result<Vec<Uuid>> {
    let books: Vec<Uuid> = (0..count).map(|_| Uuid::new_v4()).collect();
    for function in ["register_book(b)", "transition_book(b, 'ANALYZING')"] {
        client.query(&format!("select count(*) from unnest($1::uuid[]) b, bindery.{function}"), &[&books]).await?;
    }
    Ok(books)
}

/// Adds the events; the last one's id.
async fn load(
    redis: &mut MultiplexedConnection,
    database: &Database<'_>,
    books: &[Uuid],
    events: usize,
) -> Result<String> {
    let books: Vec<String> = books.iter().map(Uuid::to_string).collect();
    let rounds = books.len() * SUBSTEPS.len();
    let total = (events / rounds).to_string();
    let mut last = None;
    for from in (0..events).step_by(PIPELINE) {
        let mut pipeline = redis::pipe();
        for number in from..events.min(from + PIPELINE) {
            let done = (number / rounds + 1).to_string();
            pipeline.xadd(
                database.stream(),
                "*",
                &[
                    ("type", "progress"),
                    ("book_id", &books[number % books.len()]),
                    ("stage", "ANALYZING"),
                    ("substep", SUBSTEPS[number / books.len() % SUBSTEPS.len()]),
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

/// What reading alone takes: the floor under any relay by the same client library.
async fn bare_xread(redis: &mut MultiplexedConnection, stream: &str, last: &str) -> Result<Duration> {
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

/// Waits until the stream's position is this one, or until it is held at all; when that was.
async fn at_position(client: &Client, stream: &str, position: Option<&str>) -> Result<Instant> {
    eventually(Duration::from_secs(120), "the relay to get there", async || {
        let row = client
            .query_opt(
                "select position from bindery.relay_cursors where stream = $1 and holder is not null",
                &[&stream],
            )
            .await
            .map_err(|error| error.to_string())?;
        let now: Option<String> = row.map(|row| row.get(0));
        match (&now, position) {
            (Some(_), None) => Ok(Instant::now()),
            (Some(now), Some(wanted)) if now == wanted => Ok(Instant::now()),
            _ => Err(format!("it is at {now:?}")),
        }
    })
    .await
}

/// Megabytes, from Linux's own accounting.
fn peak_memory(daemon: &Daemon) -> Result<f64> {
    let pid = daemon.pid().context("the daemon has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("no VmHWM")?;
    let kilobytes: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kilobytes / 1024.0)
}
