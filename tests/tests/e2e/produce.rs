//! A service that adds events at a steady rate, one by one, and tries again until each is acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use bindery_tests::{Servers, eventually};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::load::Load;
use crate::support::{Entry, SOON, add};

/// Events a millisecond: a load that a daemon with small batches is always a little behind of.
const A_MILLISECOND: usize = 2;

/// A running producer.
pub struct Producer {
    shared: Arc<Shared>,
    task: JoinHandle<Result<Produced>>,
}

#[derive(Default)]
struct Shared {
    finishing: AtomicBool,
    added: AtomicUsize,
}

/// What a producer has done.
pub struct Produced {
    /// Every event that Redis acknowledged, in order.
    pub acknowledged: Vec<(String, Entry)>,
    /// When Redis did not answer, by how many were acknowledged before. Whether the next was added then, nobody knows.
    pub failures: Vec<usize>,
}

impl Producer {
    /// Starts to add a load's events to a stream.
    pub fn start(servers: &Servers, stream: &str, load: Load) -> Result<Producer> {
        let shared = Arc::new(Shared::default());
        let client = redis::Client::open(servers.redis_url())?;
        let (stream, for_task) = (stream.to_owned(), Arc::clone(&shared));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // A thread of its own, so that it keeps adding whatever the test waits for.
        let task = tokio::task::spawn_blocking(move || runtime.block_on(produce(client, stream, load, for_task)));
        Ok(Producer { shared, task })
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

async fn produce(client: redis::Client, stream: String, mut load: Load, shared: Arc<Shared>) -> Result<Produced> {
    let mut redis = client.get_multiplexed_async_connection().await?;
    let (mut acknowledged, mut failures) = (Vec::new(), Vec::new());
    let mut pace = interval(Duration::from_millis(1));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if shared.added.load(Ordering::Relaxed).is_multiple_of(A_MILLISECOND) {
            pace.tick().await;
        }
        if shared.finishing.load(Ordering::Relaxed) {
            load.finish();
        }
        let Some(event) = load.next() else { break };
        let id = match add(&mut redis, &stream, &event).await {
            Ok(id) => id,
            Err(_) => {
                failures.push(acknowledged.len());
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
    Ok(Produced { acknowledged, failures })
}
