//! The daemon: one relay a stream, a subscriber a channel, the outbox's publisher, the sweeper, the HTTP port; and a clean stop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use crate::broadcasts::Broadcaster;
use crate::channel::Subscriber;
use crate::cli::RunOptions;
use crate::files;
use crate::http::{self, Http};
use crate::memory;
use crate::metrics::Exporter;
use crate::outbox::Publisher;
use crate::relay::{Announcer, Origin, Relay};
use crate::service;
use crate::source::channel::Channel;
use crate::state::State;
use crate::sweep::Sweeper;

/// How long a stop may take: what is in flight is finished and the leases released, or given up with a word.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How long readers of streams may take to hear that these end.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// A channel's stream is the daemon's own: without `--retain`, what is applied is kept for so long.
const CHANNEL_RETAIN: Duration = Duration::from_secs(3600);

/// Runs until SIGTERM or SIGINT.
pub async fn run(options: RunOptions) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let files = files::raise_limit();
    let state = State::default();
    let metrics = Exporter::install(state.clone())?;
    let listener = TcpListener::bind(options.http.http).await.with_context(|| {
        format!("{} cannot be listened on; choose another with --http", options.http.http)
    })?;
    let address = listener.local_addr()?;

    let mut tasks = JoinSet::new();
    let holder = format!("binderyd {} {}", std::process::id(), Uuid::new_v4());
    let streams = streams(&options);
    let relayed = streams.len();
    let of_channels: BTreeSet<String> =
        options.sources.channels.iter().map(Channel::stream).collect();
    let announcer = Announcer::new(
        holder.clone(),
        streams.keys().cloned().collect(),
        options.database.database_url.clone(),
        options.lease,
    );
    for (stream, origin) in streams {
        let retain = match &origin {
            // Whoever else reads what BullMQ tells, it is BullMQ that trims it.
            Origin::BullMq(_) => None,
            Origin::Events if of_channels.contains(&stream) => {
                options.retain.or(Some(CHANNEL_RETAIN))
            }
            Origin::Events => options.retain,
        };
        let relay = Relay {
            stream,
            origin,
            holder: holder.clone(),
            database: options.database.database_url.clone(),
            redis: options.redis_url.clone(),
            linger: options.linger,
            max_batch: usize::try_from(options.max_batch)?,
            lease: options.lease,
            retain,
            share: announcer.share(),
            state: state.clone(),
        };
        tasks.spawn(relay.run(stop.clone()));
    }
    tasks.spawn(announcer.run(stop.clone()));
    for channel in &options.sources.channels {
        let subscriber = Subscriber {
            channel: channel.clone(),
            redis: options.redis_url.clone(),
            lease: options.lease,
            state: state.clone(),
        };
        tasks.spawn(subscriber.run(stop.clone()));
    }
    if !options.outbox.is_empty() {
        let publisher = Publisher {
            stream: options.outbox.clone(),
            database: options.database.database_url.clone(),
            redis: options.redis_url.clone(),
            state: state.clone(),
        };
        tasks.spawn(publisher.run(stop.clone()));
    }
    if !options.sweep.is_zero() {
        let sweeper = Sweeper {
            every: options.sweep,
            database: options.database.database_url.clone(),
            state: state.clone(),
        };
        tasks.spawn(sweeper.run(stop.clone()));
    }
    let others = usize::try_from(options.http.http_pool)? + http::BEYOND;
    let sources = relayed + options.sources.channels.len();
    let connections = files::connections(files, options.http.http_connections, sources, others);
    let broadcaster = Broadcaster { database: options.database.database_url.clone() };
    tasks.spawn(broadcaster.run(stop.clone()));
    let http = Http::new(
        &options.http,
        listener,
        connections,
        &options.database.database_url,
        state.clone(),
        metrics.clone(),
        &stop,
    )?;
    // Apart from the others: who keeps a connection open must not hold up the stop. They end with this.
    let mut aside = JoinSet::new();
    aside.spawn(http.serve(stop.clone()));
    aside.spawn(metrics.upkeep());
    aside.spawn(memory::give_back());
    service::ready();
    aside.spawn(service::live(state.clone()));
    info!(http = %address, streams = options.sources.streams.join(","), version = env!("CARGO_PKG_VERSION"), "binderyd runs");

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let asked = async {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
    };
    let outcome = until_stop(asked, &mut tasks, &mut aside).await;
    service::stopping();
    info!("stopping: finishing what is in flight");
    stop.cancel();
    let stopped =
        tokio::time::timeout(STOP_WITHIN, async { while tasks.join_next().await.is_some() {} })
            .await;
    if stopped.is_err() {
        warn!(
            unfinished = tasks.len(),
            "stopped without an answer from Postgres or Redis; what was not applied is still in its stream"
        );
    }
    // Readers of streams are told that these end. Of what runs aside, only serving comes to an end.
    let _ = tokio::time::timeout(TOLD_WITHIN, aside.join_next()).await;
    outcome
}

/// Until a stop is asked for, or a part of the daemon has ended, which only a panic can bring about: then whoever supervises this
/// starts it anew, rather than have a stream held that nobody reads.
async fn until_stop(
    asked: impl Future<Output = ()>,
    tasks: &mut JoinSet<()>,
    aside: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    let ended = tokio::select! {
        () = asked => return Ok(()),
        Some(ended) = tasks.join_next() => ended,
        Some(ended) = aside.join_next() => ended,
    };
    match ended {
        Ok(()) => anyhow::bail!("a part of the daemon has ended by itself; start it again"),
        Err(error) => {
            Err(error).context("a part of the daemon has failed; start it again, nothing is lost")
        }
    }
}

/// The streams, each once, and what is in them.
fn streams(options: &RunOptions) -> BTreeMap<String, Origin> {
    let named = options.sources.streams.iter().map(|stream| (stream.clone(), Origin::Events));
    let queues =
        options.sources.queues().map(|queue| (queue.stream(), Origin::BullMq(Arc::new(queue))));
    let channels =
        options.sources.channels.iter().map(|channel| (channel.stream(), Origin::Events));
    named.chain(queues).chain(channels).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;
    use std::future::pending;

    #[tokio::test]
    async fn a_part_that_panics_ends_the_daemon_and_a_stop_that_is_asked_for_is_no_failure() {
        let (mut tasks, mut aside) = (JoinSet::new(), JoinSet::new());
        tasks.spawn(pending());
        aside.spawn(pending());
        assert!(until_stop(async {}, &mut tasks, &mut aside).await.is_ok());
        aside.spawn(async { panic!("by the test") });
        let error = until_stop(pending(), &mut tasks, &mut aside).await.unwrap_err();
        assert!(error.to_string().contains("start it again"), "{error}");
        tasks.spawn(async { panic!("by the test") });
        assert!(until_stop(pending(), &mut tasks, &mut aside).await.is_err());
    }

    #[test]
    fn a_stream_named_twice_is_relayed_once() {
        let line = ["binderyd", "run", "--database-url=postgresql://h/d", "--redis-url=redis://h/"];
        let named = [
            "--stream=b",
            "--stream=a,b",
            "--bullmq=q=DRAWING",
            "--bullmq-prefix=p",
            "--channel=c",
        ];
        let Command::Run(options) = Cli::parse_from(line.into_iter().chain(named)).command else {
            panic!()
        };
        assert!(streams(&options).keys().eq(["a", "b", "bindery:channel:{c}", "p:q:events"]));
    }
}
