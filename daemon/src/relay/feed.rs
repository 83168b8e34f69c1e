//! Chunks of a stream, read ahead while a batch is being applied. Redis may come and go meanwhile.

use std::time::SystemTime;

use bindery_core::stream_id::StreamId;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::Relay;
use crate::metrics;
use crate::pauses::{MAX_PAUSE, pauses};
use crate::source::{Chunk, Reader};

/// Chunks that wait to be coalesced. One is enough to read the next while one is worked on, and bounds the memory.
const CHUNKS_AHEAD: usize = 1;

/// What one read brought; empty where nothing came for a while.
pub struct Read {
    /// The entries.
    pub chunk: Chunk,
    /// The latest moment of Postgres's clock that was known before the read began.
    pub moment: SystemTime,
}

/// A task that reads; it ends when this is dropped.
pub struct Feed {
    reads: mpsc::Receiver<Read>,
    moments: watch::Sender<SystemTime>,
    _task: JoinSet<()>,
}

impl Feed {
    /// Starts to read what comes after `position`. The moment is one that Postgres has told.
    pub fn start(relay: &Relay, position: StreamId, moment: SystemTime) -> Self {
        let (sender, reads) = mpsc::channel(CHUNKS_AHEAD);
        let (moments, known) = watch::channel(moment);
        let mut task = JoinSet::new();
        task.spawn(read_on(relay.clone(), position, known, sender));
        Self { reads, moments, _task: task }
    }

    /// Postgres has told another moment: what is read from now on is read after it.
    pub fn tell(&self, moment: SystemTime) {
        self.moments.send_replace(moment);
    }

    /// The next read; `None` where the reading task has ended, which only a panic in it can bring about.
    pub async fn next(&mut self) -> Option<Read> {
        self.reads.recv().await
    }
}

/// Reads until nobody wants it any more; reconnects as often as it takes.
async fn read_on(relay: Relay, mut position: StreamId, known: watch::Receiver<SystemTime>, reads: mpsc::Sender<Read>) {
    let stream = relay.stream.as_str();
    let mut pauses = pauses();
    loop {
        // Half of what is between two renewals, so that each can say of the one before that the stream was at its end.
        let failure = match Reader::connect(&relay.redis, stream, position, relay.renewal() / 2).await {
            Err(error) => error,
            Ok(mut reader) => loop {
                let moment = *known.borrow();
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
                pauses = crate::pauses::pauses();
                position = chunk.entries.last().map_or(position, |&(last, _)| last);
                if reads.send(Read { chunk, moment }).await.is_err() {
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
        tokio::time::sleep(pauses.next().unwrap_or(MAX_PAUSE)).await;
    }
}
