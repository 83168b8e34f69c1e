//! A steady stream of events: the time of each from `XADD` until a reader of the write-ahead log
//! has it, and the daemon's use of CPU and memory, under load and idle.

use std::collections::{HashMap, VecDeque};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
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
const WARM: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(30);
/// The interval of sending: each tick sends all events that are due.
const TICK: Duration = Duration::from_millis(2);
const IDLE: Duration = Duration::from_secs(20);
/// More reports than any substep gets: none is finished, and each report changes something.
const TOTAL: usize = 1_000;
const SLOT: &str = "bindery_bench";

/// The number of books that share the events. Each event is about another book, then another
/// substep of all books, so the more books, the longer until the next event about the same substep.
struct Load {
    books: usize,
    /// The names of the figures: three latencies, the daemon's own p99, rate, CPU and memory.
    names: [&'static str; 7],
}

/// A substep has an event every 0.6 s, a book every 0.2 s: a batch that is late coalesces some.
const BUSY_BOOKS: Load = Load {
    books: 1_000,
    names: [
        "steady_p50",
        "steady_p99",
        "steady_max",
        "steady_own_p99",
        "steady_rate",
        "steady_cpu",
        "steady_memory",
    ],
};
/// A substep has an event every 12 s, a book every 4 s: nothing coalesces.
const MANY_BOOKS: Load = Load {
    books: 20_000,
    names: [
        "steady_wide_p50",
        "steady_wide_p99",
        "steady_wide_max",
        "steady_wide_own_p99",
        "steady_wide_rate",
        "steady_wide_cpu",
        "steady_wide_memory",
    ],
};

/// 5,000 events a second for 30 seconds, after a warm-up; then an idle daemon.
pub async fn steady(servers: &Servers, figures: &mut Vec<Figure>) -> Result<()> {
    for load in [MANY_BOOKS, BUSY_BOOKS] {
        let database = servers.database().await?;
        let daemon = run(servers, &database, &load, figures).await?;
        if load.books == BUSY_BOOKS.books {
            idle(&database.connect().await?, &daemon, figures).await?;
        }
    }
    Ok(())
}

/// One load, and the daemon, which continues to run.
async fn run(
    servers: &Servers,
    database: &Database<'_>,
    load: &Load,
    figures: &mut Vec<Figure>,
) -> Result<Daemon> {
    let client = database.connect().await?;
    let books: Vec<String> =
        analyzing(&client, load.books).await?.iter().map(Uuid::to_string).collect();
    client.batch_execute("vacuum (analyze)").await?;
    let daemon = database.daemon(&["--sweep", "5"]).await?;
    allow_wal2json(&client).await?;
    client.query("select pg_create_logical_replication_slot($1, 'wal2json')", &[&SLOT]).await?;
    let events = Shared::default();
    let mut reader = follow(database.url()).await?;
    let lines = BufReader::with_capacity(1 << 20, reader.stdout.take().context("no stdout")?);
    let mut watching = tokio::spawn(watch(lines, events.clone()));

    eprintln!(
        "steady: {} books, {RATE} events/s for {} s",
        load.books,
        (WARM + MEASURED).as_secs()
    );
    let mut redis = servers.redis().await?;
    let before = revisions(&client).await?;
    let began = Instant::now();
    let produced = produce(&mut redis, database, &books, &events, &daemon).await?;
    tokio::select! {
        all = until_all_are_seen(&events, produced.events) => all?,
        ended = &mut watching => {
            ended??;
            bail!("pg_recvlogical ended early");
        }
    }
    let took = began.elapsed();
    let changes = revisions(&client).await? - before;
    let memory = peak_memory(&daemon)?;
    let own = own_p99(&daemon).await?;
    reader.kill().await?;
    watching.await??;
    bindery_tests::eventually(Duration::from_secs(10), "the slot to be free", async || {
        client.query("select pg_drop_replication_slot($1)", &[&SLOT]).await
    })
    .await?;

    let mut latencies: Vec<Duration> = lock(&events)
        .seen
        .iter()
        .filter(|(due, _)| *due >= began + WARM)
        .map(|(due, seen)| seen.saturating_duration_since(*due))
        .collect();
    latencies.sort();
    let [p50, p99, max, own_name, rate, cpu, memory_name] = load.names;
    for (name, part) in [(p50, 0.50), (p99, 0.99), (max, 1.0)] {
        let at = latencies[((latencies.len() - 1) as f64 * part) as usize];
        let how = format!(
            "{RATE} events/s over {} books x {} substeps, from XADD to both rows at a reader of \
             the log; {} events after a warm-up of {} s",
            load.books,
            SUBSTEPS.len(),
            latencies.len(),
            WARM.as_secs()
        );
        figures.push(Figure { name, value: at.as_secs_f64() * 1000.0, unit: "ms", how });
    }
    let how = "the bound under which the daemon's own histogram has 99 of 100 events; it ends at \
        the commit's answer"
        .to_owned();
    figures.push(Figure { name: own_name, value: own * 1000.0, unit: "ms", how });
    let how =
        format!("until the last was seen; {changes} revisions for {} events", produced.events);
    let value = produced.events as f64 / took.as_secs_f64();
    figures.push(Figure { name: rate, value, unit: "events/s", how });
    let how = "the daemon during this".to_owned();
    figures.push(Figure { name: cpu, value: produced.cores, unit: "cores", how });
    let how = "the daemon's peak resident memory".to_owned();
    figures.push(Figure { name: memory_name, value: memory, unit: "MB", how });
    Ok(daemon)
}

/// The daemon's use without events.
async fn idle(client: &Client, daemon: &Daemon, figures: &mut Vec<Figure>) -> Result<()> {
    client.batch_execute("checkpoint").await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    eprintln!("steady: idle for {} s", IDLE.as_secs());
    let idle = cores(daemon, tokio::time::sleep(IDLE)).await?;
    let how = format!("the daemon, idle for {} s; outbox and sweeper on", IDLE.as_secs());
    figures.push(Figure { name: "idle_cpu", value: idle * 100.0, unit: "% of core", how });
    Ok(())
}

/// The sum of all books' revisions, which is the number of visible changes.
async fn revisions(client: &Client) -> Result<i64> {
    let query = "select sum(revision)::bigint from bindery.book_status";
    Ok(client.query_one(query, &[]).await?.get(0))
}

/// The newest minor versions of Postgres have a list of the plugins that a slot may use; older ones
/// have no such setting.
async fn allow_wal2json(client: &Client) -> Result<()> {
    let query = "select setting from pg_settings where name = 'output_plugin_libraries'";
    if client.query_opt(query, &[]).await?.is_none() {
        return Ok(());
    }
    client
        .batch_execute(
            "alter system set output_plugin_libraries = pgoutput, test_decoding, wal2json",
        )
        .await?;
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

/// Events on their way, and those that have arrived.
#[derive(Default)]
struct Events {
    /// For each book and substep, its reports that no row has shown, with the time they were due.
    underway: HashMap<(String, &'static str), VecDeque<(usize, Instant)>>,
    /// For each arrived event, when it was due and when it was seen.
    seen: Vec<(Instant, Instant)>,
}

type Shared = Arc<Mutex<Events>>;

/// Sends what is due, tick by tick. An event's latency counts from the time it was due, so a late
/// tick does not hide any.
async fn produce(
    redis: &mut MultiplexedConnection,
    database: &Database<'_>,
    books: &[String],
    events: &Shared,
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
            let (book, substep) =
                (&books[number % books.len()], SUBSTEPS[number / books.len() % SUBSTEPS.len()]);
            let done = number / (books.len() * SUBSTEPS.len()) + 1;
            let moment = began + Duration::from_secs_f64(number as f64 / RATE as f64);
            let key = (book.clone(), substep);
            lock(events).underway.entry(key).or_default().push_back((done, moment));
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

/// A reader of the log, like Realtime: it receives each commit's changes once they are on disk.
async fn follow(url: &str) -> Result<Child> {
    let child = program("pg_recvlogical")
        .await?
        .args(["--dbname", url, "--slot", SLOT, "--start", "--file", "-", "--no-loop"])
        .args(["--fsync-interval", "0", "-o", "format-version=2", "-o", "include-types=false"])
        .args(["-o", "add-tables=bindery.book_progress,bindery.book_status"])
        .args(["-o", "include-transaction=false"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    Ok(child)
}

#[derive(Deserialize)]
struct Change {
    table: String,
    columns: Vec<Column>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    value: serde_json::Value,
}

impl Change {
    fn value(&self, name: &str) -> Option<&serde_json::Value> {
        self.columns.iter().find(|column| column.name == name).map(|column| &column.value)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.value(name)?.as_str()
    }
}

/// Records when each event is seen: its row of `book_progress`, or that of a later report of the
/// same substep, and then, in the same commit, its book's row of `book_status`.
async fn watch(mut lines: BufReader<tokio::process::ChildStdout>, events: Shared) -> Result<()> {
    let mut without_book: HashMap<String, Vec<Instant>> = HashMap::new();
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let now = Instant::now();
        let change: Change = serde_json::from_str(&line).with_context(|| line.clone())?;
        let book = change.text("book_id").context("a row without book_id")?;
        if change.table == "book_status" {
            let arrived = without_book.remove(book).unwrap_or_default();
            lock(&events).seen.extend(arrived.into_iter().map(|due| (due, now)));
            continue;
        }
        let Some(done) = change.value("done").and_then(serde_json::Value::as_f64) else { continue };
        let substep = change.text("substep").context("a row without substep")?;
        let Some(substep) = SUBSTEPS.into_iter().find(|known| *known == substep) else { continue };
        let mut events = lock(&events);
        let Some(waiting) = events.underway.get_mut(&(book.to_owned(), substep)) else { continue };
        while let Some((_, due)) = waiting.pop_front_if(|(number, _)| *number as f64 <= done) {
            without_book.entry(book.to_owned()).or_default().push(due);
        }
    }
}

async fn until_all_are_seen(events: &Shared, sent: usize) -> Result<()> {
    bindery_tests::eventually(Duration::from_secs(60), "every event to be seen", async || {
        let seen = lock(events).seen.len();
        if seen == sent { Ok(()) } else { Err(format!("{seen} of {sent}")) }
    })
    .await
}

/// The least bound of `bindery_relay_end_to_end_seconds` that 99 of 100 events are under.
async fn own_p99(daemon: &Daemon) -> Result<f64> {
    let metrics = daemon.get("/metrics").await?.body;
    let mut buckets = Vec::new();
    for line in metrics.lines() {
        let Some((_, bound)) = line
            .strip_prefix("bindery_relay_end_to_end_seconds_bucket")
            .and_then(|rest| rest.split_once("le=\""))
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

/// The daemon's share of a core until this is over.
async fn cores(daemon: &Daemon, until: impl Future<Output = ()>) -> Result<f64> {
    let (began, before) = (Instant::now(), cpu(daemon)?);
    until.await;
    Ok((cpu(daemon)? - before).as_secs_f64() / began.elapsed().as_secs_f64())
}

/// CPU time of all the daemon's threads so far, from the scheduler.
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
