//! Chunks of a stream, read ahead while a batch is being applied. Redis may come and go meanwhile.

use bindery_core::stream_id::StreamId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::{Relay, pauses};
use crate::metrics;
use crate::source::{Chunk, Reader};

/// Chunks that wait to be coalesced. One is enough to read the next while one is worked on, and bounds the memory.
const CHUNKS_AHEAD: usize = 1;

/// A task that reads; it ends when this is dropped.
pub struct Feed {
    chunks: mpsc::Receiver<Chunk>,
    _task: JoinSet<()>,
}

impl Feed {
    /// Starts to read what comes after `position`.
    pub fn start(relay: &Relay, position: StreamId) -> Self {
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let mut task = JoinSet::new();
        task.spawn(read_on(relay.clone(), position, sender));
        Self { chunks, _task: task }
    }

    /// The next chunk; `None` where the reading task has ended, which only a panic in it can bring about.
    pub async fn next(&mut self) -> Option<Chunk> {
        self.chunks.recv().await
    }
}

/// Reads until nobody wants it any more; reconnects as often as it takes.
async fn read_on(relay: Relay, mut position: StreamId, chunks: mpsc::Sender<Chunk>) {
    let stream = relay.stream.as_str();
    let mut pauses = pauses();
    loop {
        let failure = match Reader::connect(&relay.redis, stream, position).await {
            Err(error) => error,
            Ok(mut reader) => loop {
                let chunk = match reader.next().await {
                    Ok(chunk) => chunk,
                    Err(error) => break error,
                };
                relay.state.update(stream, |state| {
                    if !state.redis {
                        info!(stream, "reading from Redis goes on");
                        (state.redis, state.problem) = (true, None);
                    }
                });
                pauses = self::pauses();
                let Some(&(last, _)) = chunk.entries.last() else { continue };
                position = last;
                if chunks.send(chunk).await.is_err() {
                    return;
                }
            },
        };
        ::metrics::counter!(metrics::FAILURES, "stream" => stream.to_owned(), "side" => "redis").increment(1);
        relay.state.update(stream, |state| {
            if state.redis {
                warn!(stream, error = %failure, "reading from Redis failed; it goes on as soon as it can");
            }
            (state.redis, state.problem) = (false, Some(format!("Redis: {failure}")));
        });
        tokio::time::sleep(pauses.next().unwrap_or(super::MAX_PAUSE)).await;
    }
}
