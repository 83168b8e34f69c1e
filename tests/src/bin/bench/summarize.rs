//! The two kernels' summarize, next to each other.

use anyhow::{Context, Result, ensure};
use bindery_tests::{Servers, connect, run_binderyd};
use serde_json::{Value, json};
use tokio_postgres::{Client, Statement};

use crate::figure::Figure;
use crate::timing::{Times, ratio};

/// A statement's calls: enough that the statement itself counts for nothing.
const CALLS: i32 = 200;
const ROUNDS: usize = 30;
/// The machine comes out of a row each time, as it does in the schema, so nothing is worked out while planning.
const QUERY: &str = "
    select count(bindery_core.summarize(c.machine, c.status, c.status, c.substeps)), min(c.substeps::text)
    from (select p.machine, 'WORKING' as status, $1::jsonb as substeps, n from bindery.pipelines p, generate_series(1, $2) n
        where p.name = 'benchmark' offset 0) as c";

/// A figure a size of stage: how many times as long the portable kernel takes.
pub async fn summarize(servers: &Servers, figures: &mut Vec<Figure>) -> Result<()> {
    let (native, portable) = (kernel(servers, "native").await?, kernel(servers, "portable").await?);
    for (name, size) in [("summarize_5_ratio", 5), ("summarize_100_ratio", 100)] {
        eprintln!("summarize: a stage of {size} substeps");
        let define = "select bindery.define_pipeline('benchmark', $1)";
        let definition = json!({"states": [{"name": "BEGUN"}, {"name": "WORKING", "weight": 1, "substeps":
            (1..=size).map(|n| json!({"name": format!("substep_{n}")})).collect::<Vec<_>>()}, {"name": "OVER"}]});
        let rows: Value = (1..=size)
            .map(|n| {
                json!({"substep": format!("substep_{n}"), "weight": null, "progress": f64::from(n % 7) * 14.3,
                "done": n, "total": size, "unit": "page", "message": null})
            })
            .collect();
        let mut prepared = Vec::new();
        for client in [&native, &portable] {
            client.execute("delete from bindery.pipelines where name = 'benchmark'", &[]).await?;
            client.query(define, &[&definition]).await?;
            prepared.push(client.prepare(QUERY).await?);
        }
        let (with, without) = (prepared.first().context("native")?, prepared.last().context("portable")?);
        ensure!(answer(&native, &rows).await? == answer(&portable, &rows).await?, "the kernels differ");
        let (mut fast, mut slow) = (Times::default(), Times::default());
        for _ in 0..ROUNDS {
            calls(&mut fast, &native, with, &rows).await?;
            calls(&mut slow, &portable, without, &rows).await?;
        }
        let (value, medians) = ratio(&slow, &fast)?;
        let how = format!(
            "portable to native, {medians} for {CALLS} calls in a statement; a stage of {size} reported substeps"
        );
        figures.push(Figure { name, value, unit: "ratio", how });
    }
    Ok(())
}

async fn kernel(servers: &Servers, kernel: &str) -> Result<Client> {
    let url = servers.blank_database().await?;
    let migrated = run_binderyd(&["migrate", "--kernel", kernel, "--database-url", &url]).await?;
    ensure!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    connect(&url).await
}

async fn answer(client: &Client, rows: &Value) -> Result<Value> {
    let query = "select bindery_core.summarize(machine, 'WORKING', 'WORKING', $1) from bindery.pipelines where name = 'benchmark'";
    Ok(client.query_one(query, &[rows]).await?.get(0))
}

async fn calls(times: &mut Times, client: &Client, query: &Statement, rows: &Value) -> Result<()> {
    times.measure(client, query, &[rows, &CALLS]).await?;
    Ok(())
}
