//! A steady stream of events: how long each takes from `XADD` until a reader of the write-ahead log sees it in `book_status`; what the
//! daemon takes meanwhile, and when nothing happens.

use std::collections::{HashMap, VecDeque};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bindery_tests::{Daemon, Database, Servers, program};
use redis::aio::MultiplexedConnection;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::figure::Figure;
use crate::relay::{SUBSTEPS, analyzing, peak_memory};

const RATE: usize = 5_000;
const BOOKS: usize = 1_000;
const WARM: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(30);
/// Events are sent this often, as many as are due.
const TICK: Duration = Duration::from_millis(2);
const IDLE: Duration = Duration::from_secs(20);
/// More than any substep is told: none is finished, and each report changes something.
const TOTAL: usize = 1_000;
const SLOT: &str = "bindery_bench";

/// What is on its way: of each substep the reports that no row has shown, with the moment that they were due.
type Underway = Arc<Mutex<HashMap<(String, &'static str), VecDeque<(usize, Instant)>>>>;

/// 5,000 events a second for 30 seconds, warm; then nothing at all.
pub async fn steady(servers: &Servers, figures: &mut Vec<Figure>) -> Result<()> {
    let database = servers.database().await?;
    let client = database.connect().await?;
    let books: Vec<String> = analyzing(&client, BOOKS).await?.iter().map(Uuid::to_string).collect();
    let daemon = database.daemon(&["--sweep", "5"]).await?;
    allow_wal2json(&client).await?;
    client.query("select pg_create_logical_replication_slot($1, 'wal2json')", &[&SLOT]).await?;
    let underway = Underway::default();
    let mut reader = follow(database.url()).await?;
    let lines = BufReader::with_capacity(1 << 20, reader.stdout.take().context("its output is piped")?);
    let seen = tokio::spawn(watch(lines, underway.clone()));

    eprintln!("steady: {RATE} events/s for {} s", (WARM + MEASURED).as_secs());
    let mut redis = servers.redis().await?;
    let began = Instant::now();
    let produced = produce(&mut redis, &database, &books, &underway, &daemon).await?;
    until_all_is_seen(&underway).await?;
    let took = began.elapsed();
    let memory = peak_memory(&daemon)?;
    let own = own_p99(&daemon).await?;
    client.batch_execute("checkpoint").await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    eprintln!("idle: {} s of nothing", IDLE.as_secs());
    let idle = cores(&daemon, tokio::time::sleep(IDLE)).await?;
    reader.kill().await?;
    let mut latencies: Vec<Duration> = seen
        .await??
        .into_iter()
        .filter(|(due, _)| *due >= began + WARM)
        .map(|(due, seen)| seen.saturating_duration_since(due))
        .collect();
    client.query("select pg_drop_replication_slot($1)", &[&SLOT]).await.ok();
    let events = produced.events;
    ensure!(
        latencies.len() >= RATE * usize::try_from(MEASURED.as_secs())? * 9 / 10,
        "{} were measured",
        latencies.len()
    );
    latencies.sort();
    for (name, part) in [("steady_p50", 0.50), ("steady_p99", 0.99), ("steady_max", 1.0)] {
        let at = latencies[((latencies.len() - 1) as f64 * part) as usize];
        let how = format!(
            "{RATE} events/s over {BOOKS} books x {} substeps, from XADD to the row at a reader of the log, {} events after {} s of warming up",
            SUBSTEPS.len(),
            latencies.len(),
            WARM.as_secs()
        );
        figures.push(Figure { name, value: at.as_secs_f64() * 1000.0, unit: "ms", how });
    }
    let how = "the bound under which the daemon's own histogram has 99 of 100, to the commit's answer".to_owned();
    figures.push(Figure { name: "steady_own_p99", value: own * 1000.0, unit: "ms", how });
    let rate = events as f64 / took.as_secs_f64();
    figures.push(Figure {
        name: "steady_rate",
        value: rate,
        unit: "events/s",
        how: "of these, until the last was seen".to_owned(),
    });
    figures.push(Figure {
        name: "steady_cpu",
        value: produced.cores,
        unit: "cores",
        how: "the daemon meanwhile".to_owned(),
    });
    figures.push(Figure {
        name: "steady_memory",
        value: memory,
        unit: "MB",
        how: "the daemon's peak resident memory".to_owned(),
    });
    let how = format!("the daemon, nothing to do for {} s; outbox and sweeper on", IDLE.as_secs());
    figures.push(Figure { name: "idle_cpu", value: idle * 100.0, unit: "% of core", how });
    Ok(())
}

/// The newest minor versions of Postgres want to be told which plugins a slot may have; older ones have no such setting.
async fn allow_wal2json(client: &Client) -> Result<()> {
    let query = "select setting from pg_settings where name = 'output_plugin_libraries'";
    if client.query_opt(query, &[]).await?.is_none() {
        return Ok(());
    }
    client.batch_execute("alter system set output_plugin_libraries = pgoutput, test_decoding, wal2json").await?;
    client.batch_execute("select pg_reload_conf()").await?;
    bindery_tests::eventually(Duration::from_secs(10), "the setting to be read", async || {
        let setting: String = client.query_one(query, &[]).await?.get(0);
        anyhow::ensure!(setting.contains("wal2json"), "it is {setting}");
        anyhow::Ok(())
    })
    .await
}

struct Produced {
    events: usize,
    cores: f64,
}

/// Sends what is due, tick by tick. Each event counts from the moment it was due, so a late tick makes it no younger.
async fn produce(
    redis: &mut MultiplexedConnection,
    database: &Database<'_>,
    books: &[String],
    underway: &Underway,
    daemon: &Daemon,
) -> Result<Produced> {
    let began = Instant::now();
    let mut sent = 0;
    let total = TOTAL.to_string();
    let (mut before, mut measured) = (None, 0.0);
    while began.elapsed() < WARM + MEASURED {
        if before.is_none() && began.elapsed() >= WARM {
            before = Some((Instant::now(), cpu(daemon)?));
        }
        let due = (began.elapsed().as_secs_f64() * RATE as f64) as usize;
        let mut pipeline = redis::pipe();
        for number in sent..due {
            let (book, substep) = (&books[number % books.len()], SUBSTEPS[number / books.len() % SUBSTEPS.len()]);
            let done = number / (books.len() * SUBSTEPS.len()) + 1;
            let moment = began + Duration::from_secs_f64(number as f64 / RATE as f64);
            lock(underway).entry((book.clone(), substep)).or_default().push_back((done, moment));
            let done = done.to_string();
            let fields = [
                ("type", "progress"),
                ("book_id", book),
                ("stage", "ANALYZING"),
                ("substep", substep),
                ("done", &done),
                ("total", &total),
                ("unit", "page"),
                ("attempt", "1"),
            ];
            pipeline.xadd(database.stream(), "*", &fields).ignore();
        }
        if due > sent {
            pipeline.query_async::<()>(redis).await?;
        }
        sent = due;
        tokio::time::sleep(TICK).await;
    }
    if let Some((at, used)) = before {
        measured = (cpu(daemon)? - used).as_secs_f64() / at.elapsed().as_secs_f64();
    }
    Ok(Produced { events: sent, cores: measured })
}

/// A reader of the log, as Realtime is one: it is sent each commit's changes as soon as they are on the disk.
async fn follow(url: &str) -> Result<Child> {
    let child = program("pg_recvlogical")
        .await?
        .args(["--dbname", url, "--slot", SLOT, "--start", "--file", "-", "--no-loop", "--fsync-interval", "0"])
        .args(["-o", "format-version=2", "-o", "add-tables=bindery.book_status", "-o", "include-transaction=false"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    Ok(child)
}

#[derive(Deserialize)]
struct Change {
    columns: Vec<Column>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    value: serde_json::Value,
}

#[derive(Deserialize)]
struct Substep {
    name: String,
    done: Option<f64>,
}

/// Each event's moment, and when a row with it, or with a later report of the same, was seen.
async fn watch(
    mut lines: BufReader<tokio::process::ChildStdout>,
    underway: Underway,
) -> Result<Vec<(Instant, Instant)>> {
    let mut seen = Vec::with_capacity(RATE * usize::try_from((WARM + MEASURED).as_secs())?);
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line).await? == 0 {
            return Ok(seen);
        }
        let now = Instant::now();
        let change: Change = serde_json::from_str(&line).with_context(|| line.clone())?;
        let value = |name: &str| {
            change.columns.iter().find(|column| column.name == name).and_then(|column| column.value.as_str())
        };
        let (Some(book), Some(substeps)) = (value("book_id"), value("substeps")) else { continue };
        let substeps: Vec<Substep> = serde_json::from_str(substeps).with_context(|| substeps.to_owned())?;
        let mut underway = lock(&underway);
        for Substep { name, done } in substeps {
            let (Some(name), Some(done)) = (SUBSTEPS.into_iter().find(|known| *known == name), done) else { continue };
            let Some(waiting) = underway.get_mut(&(book.to_owned(), name)) else { continue };
            while let Some(&(number, due)) = waiting.front().filter(|(number, _)| *number as f64 <= done) {
                debug_assert!(number > 0);
                waiting.pop_front();
                seen.push((due, now));
            }
        }
    }
}

async fn until_all_is_seen(underway: &Underway) -> Result<()> {
    bindery_tests::eventually(Duration::from_secs(60), "every event to be seen", async || {
        let left: usize = lock(underway).values().map(VecDeque::len).sum();
        if left == 0 { Ok(()) } else { Err(format!("{left} are not")) }
    })
    .await
}

/// The least bound of `bindery_relay_end_to_end_seconds` under which 99 of 100 events are.
async fn own_p99(daemon: &Daemon) -> Result<f64> {
    let metrics = daemon.get("/metrics").await?.body;
    let mut buckets = Vec::new();
    for line in metrics.lines() {
        let Some((_, bound)) =
            line.strip_prefix("bindery_relay_end_to_end_seconds_bucket").and_then(|rest| rest.split_once("le=\""))
        else {
            continue;
        };
        let (bound, count) = bound.split_once("\"} ").with_context(|| line.to_owned())?;
        buckets.push((bound.parse::<f64>()?, count.parse::<f64>()?));
    }
    let all = buckets.last().context("no histogram")?.1;
    let bound = buckets.into_iter().find(|(_, count)| *count >= all * 0.99);
    Ok(bound.context("no bound")?.0)
}

/// How much of a core the daemon takes until this is over.
async fn cores(daemon: &Daemon, until: impl Future<Output = ()>) -> Result<f64> {
    let (began, before) = (Instant::now(), cpu(daemon)?);
    until.await;
    Ok((cpu(daemon)? - before).as_secs_f64() / began.elapsed().as_secs_f64())
}

/// Processor time of all the daemon's threads so far, by the scheduler's own nanoseconds.
fn cpu(daemon: &Daemon) -> Result<Duration> {
    let pid = daemon.pid().context("the daemon has ended")?;
    let mut nanoseconds = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = std::fs::read_to_string(task?.path().join("schedstat"))?;
        nanoseconds += stat.split_whitespace().next().context("no number")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
