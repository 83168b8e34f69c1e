//! The options for sources, of `run` and `doctor`.

use clap::Args;

use super::bullmq::{PREFIX, Queue};
use super::channel::Channel;

/// Streams, queues and channels.
#[derive(Debug, Clone, Args)]
pub struct SourceOptions {
    /// A stream to relay; may be repeated.
    #[arg(long = "stream", env = "BINDERY_STREAMS", value_delimiter = ',', default_value = "bindery:events", value_parser = stream_name)]
    pub streams: Vec<String>,
    /// A queue of BullMQ whose jobs do a stage's work, as QUEUE=STAGE or QUEUE=STAGE/substep; may
    /// be repeated.
    #[arg(long, env = "BINDERY_BULLMQ", value_name = "QUEUE=STAGE", value_delimiter = ',')]
    bullmq: Vec<Queue>,
    /// The prefix of the keys of BullMQ's queues.
    #[arg(long, env = "BINDERY_BULLMQ_PREFIX", value_name = "PREFIX", default_value = PREFIX, value_parser = stream_name)]
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

/// The names that `bindery.acquire_stream` accepts.
fn stream_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    if (1..=512).contains(&name.chars().count()) {
        Ok(name.to_owned())
    } else {
        Err("must be a name of 1 to 512 characters".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_without_a_name_is_wrong_usage() {
        assert!(stream_name(" ").is_err());
        assert_eq!(stream_name(" a ").as_deref(), Ok("a"));
    }
}
