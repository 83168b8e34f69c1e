//! A service that adds events as fast as Redis takes them, one by one, and tries again until each is acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result};
use bindery_tests::{Servers, eventually};
use redis::aio::MultiplexedConnection;
use tokio::task::JoinHandle;

use crate::load::Load;
use crate::support::{Entry, SOON, add};

/// A running producer.
pub struct Producer {
    shared: Arc<Shared>,
    task: JoinHandle<Result<Produced>>,
}

#[derive(Default)]
struct Shared {
    finishing: AtomicBool,
    failures: AtomicUsize,
    added: AtomicUsize,
}

/// What a producer has done.
pub struct Produced {
    /// Every event that Redis acknowledged, in order.
    pub acknowledged: Vec<(String, Entry)>,
    /// How often Redis did not answer; whether the event was added then, nobody knows.
    pub failures: usize,
}

impl Producer {
    /// Starts to add a load's events to a stream.
    pub async fn start(servers: &Servers, stream: &str, load: Load) -> Result<Producer> {
        let shared = Arc::new(Shared::default());
        let redis = servers.redis().await?;
        let client = redis::Client::open(servers.redis_url())?;
        let task = tokio::spawn(produce(client, redis, stream.to_owned(), load, Arc::clone(&shared)));
        Ok(Producer { shared, task })
    }

    /// How often Redis did not answer so far.
    pub fn failures(&self) -> usize {
        self.shared.failures.load(Ordering::Relaxed)
    }

    /// How many events were acknowledged so far.
    pub fn added(&self) -> usize {
        self.shared.added.load(Ordering::Relaxed)
    }

    /// Lets the books that were begun come to their end, and stops then.
    pub async fn finish(self) -> Result<Produced> {
        self.shared.finishing.store(true, Ordering::Relaxed);
        self.task.await?
    }
}

async fn produce(
    client: redis::Client,
    mut redis: MultiplexedConnection,
    stream: String,
    mut load: Load,
    shared: Arc<Shared>,
) -> Result<Produced> {
    let mut acknowledged = Vec::new();
    loop {
        if shared.finishing.load(Ordering::Relaxed) {
            load.finish();
        }
        let Some(event) = load.next() else { break };
        let id = match add(&mut redis, &stream, &event).await {
            Ok(id) => id,
            Err(_) => {
                shared.failures.fetch_add(1, Ordering::Relaxed);
                eventually(SOON, "Redis to take an event again", async || {
                    redis = client.get_multiplexed_async_connection().await?;
                    add(&mut redis, &stream, &event).await
                })
                .await
                .context("producing")?
            }
        };
        acknowledged.push((id, event));
        shared.added.fetch_add(1, Ordering::Relaxed);
    }
    Ok(Produced { acknowledged, failures: shared.failures.load(Ordering::Relaxed) })
}
