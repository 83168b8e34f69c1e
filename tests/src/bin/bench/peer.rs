//! Bindery compared with a typical hand-written relay in Node.js (tests/bench-peer): the same
//! events and servers, one relay after the other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bindery_tests::{Database, Servers};
use serde::Deserialize;
use tokio::process::Command;
use tokio::time::timeout;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::figure::Figure;
use crate::relay::{SUBSTEPS, at_position, start_books};
use crate::timing::median;

/// The number of measurements. The relay that begins alternates.
const ROUNDS: usize = 3;
/// Each report of a substep is as far as possible from the one before: no read holds both.
const WIDE: Work = Work { books: 20_000, reports: 3 };
/// A read of 5,000 events holds each substep once or twice, a backlog each a hundred times.
const NARROW: Work = Work { books: 1_000, reports: 100 };
const SCHEMA: &str = include_str!("../../../bench-peer/schema.sql");
const ENDS_WITHIN: Duration = Duration::from_secs(300);

/// Three ratios of events a second: first reports, later reports of the same substeps, and reports
/// that coalesce.
pub async fn peer(servers: &Servers, figures: &mut Vec<Figure>) -> Result<()> {
    install().await?;
    let (mut first, mut steady, mut coalesced) =
        (Rates::default(), Rates::default(), Rates::default());
    for round in 0..ROUNDS {
        let bindery_begins = round % 2 == 0;
        let mut wide = Both::start(servers, &WIDE).await?;
        wide.measure(1, 1, bindery_begins, &mut first).await?;
        wide.measure(2, WIDE.reports, bindery_begins, &mut steady).await?;
        let mut narrow = Both::start(servers, &NARROW).await?;
        narrow.measure(1, NARROW.reports, bindery_begins, &mut coalesced).await?;
    }
    let events = |work: &Work, reports: usize| {
        let Work { books, .. } = work;
        format!("{} events, {books} books x {} substeps", work.events(reports), SUBSTEPS.len())
    };
    for (name, rates, what) in [
        ("peer_first_ratio", first, format!("{}, the first report of each", events(&WIDE, 1))),
        (
            "peer_steady_ratio",
            steady,
            format!("{} that have reports already, all in turn", events(&WIDE, WIDE.reports - 1)),
        ),
        (
            "peer_coalesced_ratio",
            coalesced,
            format!("{}, {} reports of each", events(&NARROW, NARROW.reports), NARROW.reports),
        ),
    ] {
        let (bindery, peer) = (median(&rates.bindery)?, median(&rates.peer)?);
        let how = format!(
            "Bindery's {bindery:.0} events/s to {peer:.0} of a hand-written relay in Node.js, \
             medians of {ROUNDS} runs in turn; {what}, synchronous_commit on"
        );
        figures.push(Figure { name, value: bindery / peer, unit: "ratio", how });
    }
    Ok(())
}

/// Reports of three substeps of so many books, each substep `reports` times, the last at 100.
struct Work {
    books: usize,
    reports: usize,
}

impl Work {
    /// How many events so many reports of each substep are.
    fn events(&self, reports: usize) -> usize {
        self.books * SUBSTEPS.len() * reports
    }

    /// The same ids as those of tests/bench-peer/fill.js.
    fn book_ids(&self) -> Result<Vec<Uuid>> {
        (1..=self.books)
            .map(|book| Ok(format!("{book:08x}-0000-4000-8000-000000000000").parse()?))
            .collect()
    }
}

/// Events a second, a value for each round.
#[derive(Default)]
struct Rates {
    bindery: Vec<f64>,
    peer: Vec<f64>,
}

/// Both relays' tables in one database, and a stream for each.
struct Both<'a> {
    servers: &'a Servers,
    database: Database<'a>,
    client: Client,
    work: &'a Work,
    peer_stream: String,
}

impl<'a> Both<'a> {
    async fn start(servers: &'a Servers, work: &'a Work) -> Result<Both<'a>> {
        let database = servers.database().await?;
        let client = database.connect().await?;
        let books = work.book_ids()?;
        eprintln!("peer: starting {} books", work.books);
        start_books(&client, &books).await?;
        client.batch_execute(SCHEMA).await?;
        let insert = "insert into peer.book_status (book_id, status, current_stage)
            select b, 'ANALYZING', 'ANALYZING' from unnest($1::uuid[]) b";
        client.execute(insert, &[&books]).await?;
        client.batch_execute("vacuum (analyze)").await?;
        let peer_stream = format!("{}:peer", database.stream());
        Ok(Both { servers, database, client, work, peer_stream })
    }

    /// Adds the reports number `from` to `to` of each substep to both streams, lets one relay apply
    /// them and then the other, and compares what they wrote.
    async fn measure(
        &mut self,
        from: usize,
        to: usize,
        bindery_begins: bool,
        rates: &mut Rates,
    ) -> Result<()> {
        let events = self.work.events(to + 1 - from);
        eprintln!("peer: {events} events");
        let last = self.fill(self.database.stream(), from, to).await?;
        self.fill(&self.peer_stream, from, to).await?;
        for bindery in [bindery_begins, !bindery_begins] {
            // So that neither relay pays for the other's full-page images.
            self.client.batch_execute("checkpoint").await?;
            if bindery {
                rates.bindery.push(events as f64 / self.run_bindery(&last).await?.as_secs_f64());
            } else {
                rates.peer.push(events as f64 / self.run_peer(events).await?.as_secs_f64());
            }
        }
        self.check(to).await
    }

    /// Fills a stream; returns the last entry's id.
    async fn fill(&self, stream: &str, from: usize, to: usize) -> Result<String> {
        let numbers = [self.work.books, self.work.reports, from, to].map(|n| n.to_string());
        let mut arguments = vec!["fill.js", stream];
        arguments.extend(numbers.iter().map(String::as_str));
        Ok(self.node(&arguments).await?.trim().to_owned())
    }

    /// The daemon, from its lease to the last entry's commit.
    async fn run_bindery(&self, last: &str) -> Result<Duration> {
        let stream = self.database.stream();
        let mut daemon = self.database.daemon_unready(&[])?;
        let first = at_position(&self.client, stream, None).await?;
        let took = at_position(&self.client, stream, Some(last)).await? - first;
        ensure!(daemon.sigterm().await?.success(), "the daemon did not stop cleanly");
        Ok(took)
    }

    /// The peer, from the start of its first read to its last commit.
    async fn run_peer(&self, events: usize) -> Result<Duration> {
        let printed = self.node(&["relay.js", &self.peer_stream, &events.to_string()]).await?;
        let run: PeerRun = serde_json::from_str(&printed).with_context(|| printed.clone())?;
        ensure!(run.events == events, "the peer applied {} of {events} events", run.events);
        Ok(Duration::from_secs_f64(run.seconds))
    }

    /// Checks that both have applied everything: the same books and substeps with the same
    /// percentages.
    async fn check(&self, reports: usize) -> Result<()> {
        let query = "select applied, stale, early, rejected
            from bindery.relay_cursors where stream = $1 and holder is null";
        let row = self.client.query_one(query, &[&self.database.stream()]).await?;
        let counts: [i64; 4] = [0, 1, 2, 3].map(|column| row.get(column));
        let events = i64::try_from(self.work.events(reports))?;
        ensure!(counts == [events, 0, 0, 0], "applied, stale, early, rejected are {counts:?}");
        let query = "select
            (select count(*) from bindery.book_progress b join peer.book_progress p
              on p.book_id = b.book_id and p.stage = b.stage and p.substep = b.substep
                and p.progress = b.progress::numeric),
            (select count(*) from bindery.book_status b join peer.book_status p
              on p.book_id = b.book_id and p.overall_progress = b.overall_progress::numeric)";
        let row = self.client.query_one(query, &[]).await?;
        let equal: [i64; 2] = [0, 1].map(|column| row.get(column));
        let books = i64::try_from(self.work.books)?;
        let substeps = i64::try_from(self.work.events(1))?;
        ensure!(
            equal == [substeps, books],
            "{equal:?} of {substeps} substeps and {books} books are equal"
        );
        Ok(())
    }

    /// Runs a program of tests/bench-peer to its end; returns its output.
    async fn node(&self, arguments: &[&str]) -> Result<String> {
        let running = Command::new("node")
            .args(arguments)
            .current_dir(folder())
            .env("DATABASE_URL", self.database.url())
            .env("REDIS_URL", self.servers.redis_url())
            .kill_on_drop(true)
            .output();
        let output = timeout(ENDS_WITHIN, running)
            .await
            .with_context(|| format!("node {arguments:?} did not end"))?
            .context("no node; run: make setup")?;
        ensure!(
            output.status.success(),
            "node {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// What the peer prints.
#[derive(Deserialize)]
struct PeerRun {
    events: usize,
    seconds: f64,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bench-peer")
}

/// Installs the peer's packages, unless they are installed already; the lock file pins every
/// version.
async fn install() -> Result<()> {
    let npm = |arguments: &'static [&'static str]| {
        Command::new("npm")
            .args(arguments)
            .current_dir(folder())
            .env("npm_config_fetch_retries", "6")
            .output()
    };
    if !npm(&["ls", "--all"]).await.context("no npm; run: make setup")?.status.success() {
        eprintln!("peer: installing its packages (npm ci)");
        let output = npm(&["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).await?;
        ensure!(output.status.success(), "npm ci: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
