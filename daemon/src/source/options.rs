//! The options for sources, of `run` and `doctor`.

use clap::Args;

use super::bullmq::{PREFIX, Queue};
use super::channel::Channel;

/// Streams, queues and channels.
#[derive(Debug, Clone, Args)]
pub struct SourceOptions {
    /// A stream to relay; may be repeated.
    #[arg(long = "stream", env = "BINDERY_STREAMS", value_delimiter = ',', default_value = "bindery:events", value_parser = crate::cli::stream)]
    pub streams: Vec<String>,
    /// A queue of BullMQ whose jobs do a stage's work, as QUEUE=STAGE or QUEUE=STAGE/substep; may
    /// be repeated.
    #[arg(long, env = "BINDERY_BULLMQ", value_name = "QUEUE=STAGE", value_delimiter = ',')]
    bullmq: Vec<Queue>,
    /// The prefix of the keys of BullMQ's queues.
    #[arg(long, env = "BINDERY_BULLMQ_PREFIX", value_name = "PREFIX", default_value = PREFIX, value_parser = crate::cli::stream)]
    bullmq_prefix: String,
    /// A channel of Redis Pub/Sub whose messages are events, as in an entry's field `data`; may be
    /// repeated. Messages published while no daemon is subscribed are lost.
    #[arg(
        long = "channel",
        env = "BINDERY_CHANNELS",
        value_name = "CHANNEL",
        value_delimiter = ','
    )]
    pub channels: Vec<Channel>,
}

impl SourceOptions {
    /// The queues, with their keys.
    pub fn queues(&self) -> impl Iterator<Item = Queue> {
        self.bullmq.iter().map(|queue| queue.clone().with_prefix(&self.bullmq_prefix))
    }
}
