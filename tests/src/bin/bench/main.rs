//! The benchmarks: real Postgres, Redis and daemon on this machine. A table, and one JSON line a figure.
//!
//! Figures compare runs on one machine. What each means, and what was measured where, is in docs/benchmarks.md.

mod figure;
mod million;
mod relay;
mod steady;
mod summarize;
mod timing;
mod transition;

use anyhow::Result;

#[tokio::main]
async fn main() -> Result<()> {
    let servers = bindery_tests::Servers::start().await?;
    let mut figures = Vec::new();
    // `make bench ONLY=drain` runs one, `make bench ONLY=rules` a group.
    let only = std::env::args().nth(1);
    let wanted = |group: &str, name: &str| only.as_deref().is_none_or(|only| only == group || only == name);
    if wanted("relay", "drain") {
        relay::drain(&servers, &mut figures).await?;
    }
    if wanted("relay", "wide") {
        relay::wide(&servers, &mut figures).await?;
    }
    if wanted("relay", "large") {
        relay::large(&servers, &mut figures).await?;
    }
    if wanted("relay", "latency") {
        relay::latency(&servers, &mut figures).await?;
    }
    if wanted("relay", "steady") {
        steady::steady(&servers, &mut figures).await?;
    }
    if wanted("rules", "transition") {
        transition::transition(&servers, &mut figures).await?;
    }
    if wanted("rules", "summarize") {
        summarize::summarize(&servers, &mut figures).await?;
    }
    if wanted("rules", "million") {
        million::million(&servers, &mut figures).await?;
    }
    figure::print(&figures);
    Ok(())
}
