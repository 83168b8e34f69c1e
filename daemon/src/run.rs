//! The daemon: one relay a stream, the outbox's publisher, the sweeper, the HTTP port; and a clean stop.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use crate::cli::RunOptions;
use crate::http::Http;
use crate::metrics;
use crate::outbox::Publisher;
use crate::relay::Relay;
use crate::state::State;
use crate::sweep::Sweeper;

/// How long a stop may take: what is in flight is finished and the leases released, or given up with a word.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Runs until SIGTERM or SIGINT.
pub async fn run(options: RunOptions) -> anyhow::Result<()> {
    let metrics = metrics::install()?;
    let stop = CancellationToken::new();
    let state = State::default();
    let listener = TcpListener::bind(options.http.http)
        .await
        .with_context(|| format!("{} cannot be listened on; choose another with --http", options.http.http))?;
    let address = listener.local_addr()?;

    let mut tasks = JoinSet::new();
    let holder = format!("binderyd {} {}", std::process::id(), Uuid::new_v4());
    for stream in streams(&options.streams) {
        let relay = Relay {
            stream,
            holder: holder.clone(),
            database: options.database.database_url.clone(),
            redis: options.redis_url.clone(),
            linger: options.linger,
            max_batch: usize::try_from(options.max_batch)?,
            lease: options.lease,
            retain: options.retain,
            state: state.clone(),
        };
        tasks.spawn(relay.run(stop.clone()));
    }
    if !options.outbox.is_empty() {
        let publisher = Publisher {
            stream: options.outbox.clone(),
            database: options.database.database_url.clone(),
            redis: options.redis_url.clone(),
        };
        tasks.spawn(publisher.run(stop.clone()));
    }
    if !options.sweep.is_zero() {
        let sweeper = Sweeper { every: options.sweep, database: options.database.database_url.clone() };
        tasks.spawn(sweeper.run(stop.clone()));
    }
    let http = Http::new(&options.http, listener, &options.database.database_url, state, metrics.clone(), &stop)?;
    // Apart from the others: who keeps a connection open must not hold up the stop. They end with this.
    let mut aside = JoinSet::new();
    aside.spawn(http.serve(stop.clone()));
    aside.spawn(metrics::upkeep(metrics));
    info!(http = %address, streams = options.streams.join(","), version = env!("CARGO_PKG_VERSION"), "binderyd runs");

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
    }
    info!("stopping: finishing what is in flight");
    stop.cancel();
    let stopped = tokio::time::timeout(STOP_WITHIN, async { while tasks.join_next().await.is_some() {} }).await;
    if stopped.is_err() {
        warn!(
            unfinished = tasks.len(),
            "stopped without an answer from Postgres or Redis; what was not applied is still in its stream"
        );
    }
    Ok(())
}

/// The streams, each once.
fn streams(named: &[String]) -> BTreeSet<String> {
    named.iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_named_twice_is_relayed_once() {
        let named = ["b", "a", "b"].map(str::to_owned);
        assert!(streams(&named).iter().eq(["a", "b"]));
    }
}
