//! The cost of a step of the Rust client's `track` above the bare loop.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result};
use bindery_client::Client;
use bindery_tests::Servers;

use crate::figure::Figure;
use crate::timing::median;

const STEPS: u64 = 1_000_000;
const ROUNDS: usize = 5;

/// Nanoseconds a step, while the reports go to Redis.
pub async fn track(servers: &Servers, figures: &mut Vec<Figure>) -> Result<()> {
    eprintln!("track: {ROUNDS} loops of {STEPS} steps");
    let client = Client::builder().url(servers.redis_url()).stream("bench:track").build()?;
    let book = client.book("track").register()?;
    let stage = book.stage("ANALYZING").begin().await?;
    let mut costs = Vec::new();
    for round in 0..ROUNDS {
        let start = Instant::now();
        for step in 0..STEPS {
            black_box(step);
        }
        let bare = start.elapsed();
        let start = Instant::now();
        for step in stage.track(&format!("round_{round}"), 0..STEPS) {
            black_box(step?);
        }
        let above = start.elapsed().saturating_sub(bare);
        costs.push(above.as_secs_f64() * 1e9 / 1e6);
    }
    stage.finish()?;
    let how = format!(
        "a step of the Rust client's track above the bare loop, median of {ROUNDS} loops of \
         {STEPS} steps while their reports go to Redis"
    );
    let value = median(&costs).context("nothing was measured")?;
    figures.push(Figure { name: "track_step", value, unit: "ns", how });
    Ok(())
}
