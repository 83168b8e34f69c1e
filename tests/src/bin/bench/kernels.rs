//! The functions that every report and every read call, in the native and the portable kernel.

use anyhow::{Context, Result, ensure};
use bindery_tests::{Servers, connect, run_binderyd};
use tokio_postgres::Client;

use crate::figure::Figure;
use crate::timing::{Times, ratio};

/// Calls per statement: so many that the cost of the statement itself is negligible.
const CALLS: i32 = 2_000;
const ROUNDS: usize = 30;

/// Figure, call, and the source of its arguments. The machine comes from a row each time, as it
/// does in the schema, so nothing is computed while planning.
const FUNCTIONS: [(&str, &str, &str); 2] = [
    (
        "percentages_ratio",
        "bindery_core.progress_percentages(200, n % 200, 1.5e17 + n, 2e11, 20, 30)",
        "(select n from generate_series(1, $1) n offset 0) as c",
    ),
    (
        "stages_ratio",
        "bindery_core.stage_list(c.machine, 'ANALYZING', 'ANALYZING', n % 100)",
        "(select p.machine, n from bindery.pipelines p, generate_series(1, $1) n
            where p.name = 'comic' and p.version = 1 offset 0) as c",
    ),
];

/// One figure per function: how many times as long the portable kernel takes.
pub async fn kernels(servers: &Servers, figures: &mut Vec<Figure>) -> Result<()> {
    let (native, portable) = (kernel(servers, "native").await?, kernel(servers, "portable").await?);
    for (name, call, source) in FUNCTIONS {
        eprintln!("{name}");
        let answers = format!("select string_agg(({call})::text, ' ' order by n) from {source}");
        ensure!(
            answer(&native, &answers).await? == answer(&portable, &answers).await?,
            "{name}: the kernels differ"
        );
        let query = format!("select count({call}) from {source}");
        let (mut fast, mut slow) = (Times::default(), Times::default());
        let (with, without) = (native.prepare(&query).await?, portable.prepare(&query).await?);
        for _ in 0..ROUNDS {
            fast.measure(&native, &with, &[&CALLS]).await?;
            slow.measure(&portable, &without, &[&CALLS]).await?;
        }
        let (value, medians) = ratio(&slow, &fast)?;
        let how = format!("portable to native, {medians} for {CALLS} calls in a statement");
        figures.push(Figure { name, value, unit: "ratio", how });
    }
    Ok(())
}

async fn answer(client: &Client, query: &str) -> Result<String> {
    let answer: Option<String> = client.query_one(query, &[&CALLS]).await?.get(0);
    answer.context("no answer")
}

async fn kernel(servers: &Servers, kernel: &str) -> Result<Client> {
    let url = servers.blank_database().await?;
    let migrated = run_binderyd(&["migrate", "--kernel", kernel, "--database-url", &url]).await?;
    ensure!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    connect(&url).await
}
