//! The daemon continues if its log cannot be written or is not read.

use anyhow::{Context, Result, ensure};
use bindery_tests::{Daemon, Servers, eventually};

use crate::support::{SOON, applied_up_to, book_in};

async fn lost(daemon: &Daemon) -> Result<f64> {
    let metrics = daemon.get("/metrics").await?.body;
    let value = metrics
        .lines()
        .find_map(|line| line.strip_prefix("bindery_log_lines_lost_total "))
        .context("no such metric")?;
    Ok(value.parse()?)
}

/// With this log, events are applied, lost lines are counted, and the daemon stops on request.
async fn goes_on_with(log: &str, format: &str) -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let mut redis = servers.redis().await?;
    // Log everything: the more lines, the sooner a pipe is full.
    let shell = format!("export RUST_LOG=trace\n{log}");
    let mut daemon = database.daemon_after(&shell, &["--log-format", format]).await?;
    eventually(SOON, "lines to be lost", async || {
        for _ in 0..100 {
            daemon.get("/healthz").await?;
        }
        let lost = lost(&daemon).await?;
        ensure!(lost > 0.0, "{lost} are lost");
        anyhow::Ok(())
    })
    .await?;
    let book = book_in(&client, &["ANALYZING"]).await?.to_string();
    let progress =
        [("type", "progress"), ("book_id", &*book), ("substep", "extract_text"), ("progress", "9")];
    let last = database.add(&mut redis, &progress).await?;
    applied_up_to(&client, database.stream(), &last).await?;
    ensure!(daemon.get("/readyz").await?.status == 200);
    let ended = daemon.sigterm().await?;
    ensure!(ended.success(), "{ended}");
    Ok(())
}

#[tokio::test]
async fn a_log_on_a_full_disk_stops_nothing() -> Result<()> {
    goes_on_with("exec 2>/dev/full", "text").await?;
    goes_on_with("exec >/dev/full 2>&1", "json").await
}

#[tokio::test]
async fn a_log_pipe_whose_reader_has_ended_stops_nothing() -> Result<()> {
    goes_on_with("exec 2> >(:)", "json").await?;
    goes_on_with("exec > >(:) 2>&1", "text").await
}

#[tokio::test]
async fn a_log_pipe_without_a_reader_stops_nothing() -> Result<()> {
    let fifo = Servers::shared().await?.new_file("log.fifo");
    let fifo = fifo.display();
    // The FIFO is opened for reading and writing, so it has a reader, which never reads.
    goes_on_with(&format!("rm -f {fifo}; mkfifo {fifo}; exec 2<>{fifo}"), "text").await?;
    goes_on_with(&format!("rm -f {fifo}; mkfifo {fifo}; exec 1<>{fifo} 2>&1"), "json").await
}
