//! The cost of a report in a stage of 3 and in one of 10,000 substeps, in time and write-ahead log;
//! and the cost of reading the status of the latter.

use anyhow::{Context, Result, ensure};
use bindery_tests::Servers;
use serde_json::json;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use crate::figure::Figure;
use crate::timing::{Times, ratio};

const FEW: usize = 3;
const MANY: usize = 10_000;
/// The most substeps of a definition.
const DECLARED: usize = 256;
/// Measured calls of each kind.
const CALLS: usize = 2_000;
const STATUS_CALLS: usize = 200;
/// More than any substep's reports: none is finished, and each report changes something.
const TOTAL: f64 = 1e6;
/// The longest message, in characters of three bytes.
const MESSAGE: &str = "repeat('語', 8192)";
const REPORT: &str = "select * from bindery.report_progress($1, $2, done => $3, total => $4)";
const STATUS: &str = "select bindery.get_book_status($1)";

/// Ratios of the time of a report, bytes of log a report, and the status of a book with 10,000
/// substeps.
pub async fn stage(servers: &Servers, figures: &mut Vec<Figure>) -> Result<()> {
    let database = servers.database().await?;
    let client = database.connect().await?;
    let report = client.prepare(REPORT).await?;
    for (declared, timings) in [
        (false, &[("stage_width_ratio", "off"), ("stage_width_ratio_sync", "on")][..]),
        (true, &[("stage_width_ratio_declared", "off")][..]),
    ] {
        let (kind, size) = if declared { ("declared", DECLARED) } else { ("planned", MANY) };
        eprintln!("stage: {FEW} and {size} {kind} substeps");
        let mut few = Stage::start(&client, FEW, declared).await?;
        let mut many = Stage::start(&client, size, declared).await?;
        warm_up(&client, &report, [&mut few, &mut many]).await?;
        for (name, commit) in timings {
            client.batch_execute(&format!("set synchronous_commit = {commit}")).await?;
            let (mut at_few, mut at_many) = (Times::default(), Times::default());
            for _ in 0..CALLS {
                few.report(&client, &report, &mut at_few).await?;
                many.report(&client, &report, &mut at_many).await?;
            }
            let (value, medians) = ratio(&at_many, &at_few)?;
            let how = format!(
                "report_progress in a stage of {size} {kind} substeps to one of {FEW}, {medians}; \
                 {CALLS} calls of each in turn, synchronous_commit {commit}"
            );
            figures.push(Figure { name, value, unit: "ratio", how });
        }
        if !declared {
            for (name, stage) in [("stage_wal_few", &mut few), ("stage_wal_many", &mut many)] {
                let how = format!(
                    "write-ahead log a report in a stage of {} substeps, mean of {CALLS} without \
                     full-page images, wal_level logical",
                    stage.substeps.len()
                );
                let value = stage.log_of_a_report(&client, &report).await?;
                figures.push(Figure { name, value, unit: "bytes", how });
            }
        }
    }
    status(&client, figures).await
}

/// A book in a stage of this many substeps.
struct Stage {
    book: Uuid,
    substeps: Vec<String>,
    reports: usize,
}

impl Stage {
    /// Starts a book, and its stage with substeps that the pipeline declares or the book plans.
    async fn start(client: &Client, size: usize, declared: bool) -> Result<Stage> {
        let book = Uuid::new_v4();
        let substeps: Vec<String> = (1..=size).map(|number| format!("page_{number}")).collect();
        let list =
            json!(substeps.iter().map(|name| json!({ "substep": name })).collect::<Vec<_>>());
        let mut working = json!({ "name": "WORKING", "weight": 1 });
        if declared {
            working["substeps"] = list.clone();
        } else {
            working["open_substeps"] = json!(true);
        }
        let definition = json!({ "states": [{ "name": "NEW" }, working, { "name": "DONE" }] });
        let define = "select bindery.define_pipeline('benchmark', $1)";
        client.query(define, &[&definition]).await?;
        client
            .query("select * from bindery.register_book($1, null, 'benchmark')", &[&book])
            .await?;
        client.query("select * from bindery.transition_book($1, 'WORKING')", &[&book]).await?;
        if !declared {
            let plan = "select * from bindery.plan_substeps($1, 'WORKING', $2)";
            client.query(plan, &[&book, &list]).await?;
        }
        let query = "select substeps_total from bindery.book_status where book_id = $1";
        let total: i32 = client.query_one(query, &[&book]).await?.get(0);
        ensure!(
            usize::try_from(total)? == size,
            "the stage has {total} substeps instead of {size}"
        );
        Ok(Stage { book, substeps, reports: 0 })
    }

    /// Reports the next substep, one after the other, each time one unit more.
    async fn report(
        &mut self,
        client: &Client,
        statement: &Statement,
        times: &mut Times,
    ) -> Result<()> {
        let size = self.substeps.len();
        let done = (self.reports / size + 1) as f64;
        let substep = &self.substeps[self.reports % size];
        let parameters: [&(dyn ToSql + Sync); 4] = [&self.book, substep, &done, &TOTAL];
        let rows = times.measure(client, statement, &parameters).await?;
        ensure!(rows.len() == 1, "a report gave {} rows", rows.len());
        self.reports += 1;
        Ok(())
    }

    /// Bytes of write-ahead log a report.
    async fn log_of_a_report(&mut self, client: &Client, statement: &Statement) -> Result<f64> {
        let position = client.query_one("select pg_current_wal_insert_lsn()::text", &[]).await?;
        let position: String = position.get(0);
        for _ in 0..CALLS {
            self.report(client, statement, &mut Times::default()).await?;
        }
        let query = "select (pg_current_wal_insert_lsn() - $1::text::pg_lsn)::double precision";
        let bytes: f64 = client.query_one(query, &[&position]).await?.get(0);
        Ok(bytes / CALLS as f64)
    }
}

/// Reports every substep once after a checkpoint, so that each page is already in the log. Both
/// books get the same number of reports.
async fn warm_up(client: &Client, report: &Statement, stages: [&mut Stage; 2]) -> Result<()> {
    client.batch_execute("set synchronous_commit = off").await?;
    client.batch_execute("vacuum (analyze)").await?;
    client.batch_execute("checkpoint").await?;
    for stage in stages {
        for _ in 0..MANY {
            stage.report(client, report, &mut Times::default()).await?;
        }
    }
    Ok(())
}

/// The status of a book whose 10,000 substeps all have the longest message.
async fn status(client: &Client, figures: &mut Vec<Figure>) -> Result<()> {
    eprintln!("stage: the status of {MANY} substeps with long messages");
    client.batch_execute("set synchronous_commit = off").await?;
    let stage = Stage::start(client, MANY, false).await?;
    let report = client
        .prepare(&format!(
            "select count(*) from unnest($2::text[]) with ordinality s(substep, n),
                bindery.report_progress($1, s.substep, n % 100, message => {MESSAGE})"
        ))
        .await?;
    // In small transactions: the replaced versions of the book's row stay until each ends.
    for substeps in stage.substeps.chunks(100) {
        client.query(&report, &[&stage.book, &substeps]).await?;
    }
    client.batch_execute("vacuum (analyze)").await?;
    let mut times = Times::default();
    let read = client.prepare(STATUS).await?;
    for _ in 0..STATUS_CALLS {
        times.measure(client, &read, &[&stage.book]).await?;
    }
    let query = "select octet_length(s::text), jsonb_array_length(s -> 'substeps')
        from bindery.get_book_status($1) s";
    let row = client.query_one(query, &[&stage.book]).await?;
    let (bytes, shown): (i32, i32) = (row.get(0), row.get(1));
    ensure!(shown > 0, "the status shows no substep");
    let what = format!("of a book with {MANY} substeps with messages of 8,192 characters");
    figures.push(Figure {
        name: "stage_status_p50",
        value: times.median().context("no call")? / 1000.0,
        unit: "ms",
        how: format!("get_book_status {what}, {STATUS_CALLS} calls"),
    });
    figures.push(Figure {
        name: "stage_status_size",
        value: f64::from(bytes) / 1024.0,
        unit: "KiB",
        how: format!("the JSON text of get_book_status {what}, which shows {shown} of them"),
    });
    Ok(())
}
