//! `run`: one relay a stream, one subscriber a channel, the outbox's publisher, the sweeper and the
//! HTTP port. Without Redis: only the last two.

use std::collections::{BTreeMap, BTreeSet};
use std::num::TryFromIntError;
use std::sync::Arc;
use std::time::Duration;

use tracing::info;
use uuid::Uuid;

use crate::answers;
use crate::broadcasts::Broadcaster;
use crate::channel::Subscriber;
use crate::commands::{Relaying, Subject};
use crate::options::RunOptions;
use crate::outbox::Publisher;
use crate::process::Process;
use crate::relay::{Announcer, Origin, Relay};
use crate::source::RedisUrl;
use crate::source::channel::Channel;
use crate::sweep::Sweeper;

/// How long applied entries of a channel's stream are kept without `--retain`.
const CHANNEL_RETAIN: Duration = Duration::from_secs(3600);

/// Runs until SIGTERM or SIGINT.
pub async fn run(options: RunOptions) -> anyhow::Result<()> {
    let mut process = Process::begin(&options.http).await?;
    let database = &options.database.database_url;
    let sources = if let Some(redis) = &options.redis_url {
        relay(&options, redis, &mut process)?
    } else {
        answers::watch(database, &mut process);
        0
    };
    let subject = Subject {
        database: database.clone(),
        http: options.http.clone(),
        relaying: options.redis_url.clone().map(|redis| Relaying {
            redis,
            sources: options.sources.clone(),
            outbox: options.outbox.clone(),
            trims: options.retain.is_some(),
        }),
    };
    beside_relays(process, subject, options.sweep, sources).await
}

/// Runs the parts that need no Redis until SIGTERM or SIGINT, beside relays of `sources` sources.
pub async fn beside_relays(
    mut process: Process,
    subject: Subject,
    sweep: Duration,
    sources: usize,
) -> anyhow::Result<()> {
    let (stop, state) = (process.stop.clone(), process.state.clone());
    let database = &subject.database;
    if !sweep.is_zero() {
        let sweeper = Sweeper { every: sweep, database: database.clone(), state };
        process.tasks.spawn(sweeper.run(stop.clone()));
    }
    let broadcaster = Broadcaster::new(database.clone());
    process.tasks.spawn(broadcaster.run(stop));
    process.until_stopped(subject, sources).await
}

/// Starts the relays, subscribers and the publisher; returns the number of sources.
fn relay(
    options: &RunOptions,
    redis: &RedisUrl,
    process: &mut Process,
) -> Result<usize, TryFromIntError> {
    let (stop, state) = (process.stop.clone(), process.state.clone());
    let (tasks, database) = (&mut process.tasks, &options.database.database_url);
    let holder = format!("binderyd {} {}", std::process::id(), Uuid::new_v4());
    state.set_holder(&holder);
    let streams = streams(options);
    let relayed = streams.len();
    let of_channels: BTreeSet<String> =
        options.sources.channels.iter().map(Channel::stream).collect();
    let announcer = Announcer::new(
        holder.clone(),
        streams.keys().cloned().collect(),
        database.clone(),
        options.lease,
    );
    for (stream, origin) in streams {
        // Before HTTP answers, so that /readyz lists the stream as not held from the start.
        state.update(&stream, |_| ());
        let retain = match &origin {
            // BullMQ trims its own streams, which other programs may read, too.
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
            database: database.clone(),
            redis: redis.clone(),
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
            redis: redis.clone(),
            lease: options.lease,
            state: state.clone(),
        };
        tasks.spawn(subscriber.run(stop.clone()));
    }
    if !options.outbox.is_empty() {
        let publisher = Publisher {
            stream: options.outbox.clone(),
            database: database.clone(),
            redis: redis.clone(),
            state,
        };
        tasks.spawn(publisher.run(stop));
    }
    info!(streams = options.sources.streams.join(","), "relaying");
    Ok(relayed + options.sources.channels.len())
}

/// The streams, each once, with their origins.
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
