//! The percentages of a stage of some hundred substeps, under reports from two streams and two
//! sessions and changes of its weights, always equal exactly the sum of its rows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use bindery_core::progress::{Part, StageSums, percent_of};
use bindery_tests::{Daemon, Servers};
use fastrand::Rng;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::load::seed;
use crate::support::{Counts, applied_up_to, book_in, cursor};

const SUBSTEPS: usize = 400;
/// The reports of each writer.
const REPORTS: usize = 3_000;

/// A report: of percent, or of units done.
enum Report {
    Percent(f64),
    Units(f64, f64),
}

impl Report {
    /// Many values have no finite binary fraction, and some complete their substep.
    fn random(rng: &mut Rng) -> Report {
        match rng.u32(..4) {
            0 => Report::Percent(rng.f64() * 100.0),
            1 => Report::Percent(f64::from(rng.u32(..=1_000)) / 10.0),
            _ => {
                let total = f64::from(rng.u32(1..=97)) / if rng.bool() { 1.0 } else { 3.0 };
                Report::Units(total * f64::from(rng.u32(..=7)) / 7.0, total)
            }
        }
    }

    fn percent(&self) -> f64 {
        match *self {
            Report::Percent(percent) => percent,
            Report::Units(done, total) => percent_of(done, total),
        }
    }
}

/// Half of the substeps are planned, the others are open.
fn substep(rng: &mut Rng) -> String {
    format!("panel_{}", rng.usize(..SUBSTEPS))
}

fn weight(rng: &mut Rng) -> f64 {
    match rng.u32(..5) {
        0 => 1e-9,
        1 => 1e9,
        2 => 0.1,
        3 => f64::from(rng.u32(1..100)) / 7.0,
        _ => rng.f64() * 1_000.0 + 1e-6,
    }
}

fn plan(rng: &mut Rng, from: usize, to: usize) -> Value {
    (from..to)
        .map(|number| json!({"substep": format!("panel_{number}"), "weight": weight(rng)}))
        .collect()
}

/// The highest report of each substep.
type Highest = BTreeMap<String, f64>;

fn note(highest: &mut Highest, substep: String, percent: f64) {
    let known = highest.entry(substep).or_default();
    *known = known.max(percent);
}

/// Compares the book's sums and percentages with those of its rows, in one snapshot.
async fn check(client: &Client, book: Uuid) -> Result<Highest> {
    let query = "select b.substeps_total, b.substeps_done, trim_scale(b.substeps_weight)::text,
            trim_scale(b.substeps_points)::text, b.stage_progress, b.overall_progress,
            b.stage_base, b.stage_share, array_agg(g.substep::text), array_agg(g.weight),
            array_agg(g.progress)
        from bindery.book_status b join bindery.book_progress g on g.book_id = b.book_id
            and g.stage = b.current_stage
        where b.book_id = $1 group by b.book_id";
    let row = client.query_one(query, &[&book]).await?;
    let (substeps, weights): (Vec<String>, Vec<f64>) = (row.get(8), row.get(9));
    let progress: Vec<f64> = row.get(10);
    let parts = weights.iter().zip(&progress);
    let sums = StageSums::from_rows(parts.map(|(&weight, &percent)| Part { weight, percent }));
    let stored: (i32, i32, String, String) = (row.get(0), row.get(1), row.get(2), row.get(3));
    let expected = (sums.substeps, sums.done, sums.weight.to_string(), sums.points.to_string());
    ensure!(stored == expected, "sums: stored {stored:?}, the rows give {expected:?}");
    let shown: [f64; 2] = [row.get(4), row.get(5)];
    let expected = sums.percentages(row.get(6), row.get(7));
    ensure!(shown == expected, "percentages: stored {shown:?}, the rows give {expected:?}");
    Ok(substeps.into_iter().zip(progress).collect())
}

/// Reports by call.
async fn call(client: Client, book: Uuid, mut rng: Rng) -> Result<Highest> {
    let query = "select from bindery.report_progress($1, $2, $3, $4, $5)";
    let mut highest = Highest::new();
    for _ in 0..REPORTS {
        let (substep, report) = (substep(&mut rng), Report::random(&mut rng));
        let (progress, done, total) = match report {
            Report::Percent(percent) => (Some(percent), None, None),
            Report::Units(done, total) => (None, Some(done), Some(total)),
        };
        client.query(query, &[&book, &substep, &progress, &done, &total]).await?;
        note(&mut highest, substep, report.percent());
    }
    Ok(highest)
}

#[tokio::test]
async fn sums_and_percentages_are_exact_at_every_moment_with_many_writers() -> Result<()> {
    let mut rng = Rng::with_seed(seed("sums_and_percentages_are_exact"));
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let book = book_in(&client, &["ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK"]).await?;
    let planned = plan(&mut rng, 0, SUBSTEPS / 2);
    let plan_query = "select from bindery.plan_substeps($1, 'CREATING_ARTWORK', $2)";
    client.query(plan_query, &[&book, &planned]).await?;

    let streams = ["one", "two"].map(|name| format!("{}:{name}", database.stream()));
    let mut args = vec!["--outbox", "", "--sweep", "0", "--max-batch", "200"];
    args.extend(streams.iter().flat_map(|stream| ["--stream", stream.as_str()]));
    let daemon = Daemon::spawn(servers, database.url(), &args)?;
    daemon.ready().await?;

    let mut writers = JoinSet::new();
    for _ in 0..2 {
        let rng = rng.fork();
        writers.spawn(call(database.connect().await?, book, rng));
    }
    let mut highest = Highest::new();
    let mut redis = servers.redis().await?;
    let mut lasts = [String::new(), String::new()];
    let id = book.to_string();
    let is_over = Arc::new(AtomicBool::new(false));
    let planner = tokio::spawn({
        let (client, mut rng) = (database.connect().await?, rng.fork());
        let is_over = Arc::clone(&is_over);
        async move {
            let mut plans = 0;
            while !is_over.load(Ordering::Relaxed) {
                let from = rng.usize(..SUBSTEPS);
                let planned = plan(&mut rng, from, (from + 20).min(SUBSTEPS));
                client.query(plan_query, &[&book, &planned]).await?;
                plans += 1;
            }
            Ok::<_, anyhow::Error>(plans)
        }
    });
    for _ in 0..REPORTS / 20 {
        for (stream, last) in streams.iter().zip(&mut lasts) {
            let mut pipe = redis::pipe();
            for _ in 0..20 {
                let (substep, report) = (substep(&mut rng), Report::random(&mut rng));
                let command = pipe.cmd("XADD").arg(stream).arg("*");
                command.arg(&["type", "progress", "book_id", &id, "substep", &substep]);
                match report {
                    Report::Percent(percent) => command.arg(&["progress", &percent.to_string()]),
                    Report::Units(done, total) => {
                        command.arg(&["done", &done.to_string(), "total", &total.to_string()])
                    }
                };
                note(&mut highest, substep, report.percent());
            }
            let ids: Vec<String> = pipe.query_async(&mut redis).await?;
            *last = ids.last().context("no id")?.clone();
        }
        check(&client, book).await?;
    }
    while let Some(written) = writers.join_next().await {
        written??.into_iter().for_each(|(substep, percent)| note(&mut highest, substep, percent));
    }
    let mut counts = Counts::default();
    for (stream, last) in streams.iter().zip(&lasts) {
        applied_up_to(&client, stream, last).await?;
        check(&client, book).await?;
        counts = counts + cursor(&client, stream).await?.counts;
    }
    is_over.store(true, Ordering::Relaxed);
    let plans = planner.await??;
    let rows = check(&client, book).await?;

    assert_eq!(counts, Counts { applied: i64::try_from(2 * REPORTS)?, ..Counts::default() });
    ensure!(plans > 10, "only {plans} plans were made");
    for (substep, percent) in rows {
        let expected = highest.remove(&substep).unwrap_or(0.0);
        ensure!(percent == expected, "{substep} is at {percent}, its highest report {expected}");
    }
    ensure!(highest.is_empty(), "these have no row: {highest:?}");
    Ok(())
}
