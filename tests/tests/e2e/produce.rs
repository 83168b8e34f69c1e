//! A service that adds events at a steady rate, one by one, and tries again until each is
//! acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use bindery_tests::{Servers, eventually};
use redis::AsyncConnectionConfig;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::load::Load;
use crate::support::{Entry, SOON, add};

/// Events a tick: a load that a daemon with small batches is always a little behind of.
const A_TICK: usize = 2;
const TICK: Duration = Duration::from_millis(1);

/// How long a slow Redis has to answer. One that is away fails at once.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// Where the events come from.
pub trait Events: Send + 'static {
    /// The next event, and the index of its stream; `None` once all have come.
    fn next(&mut self) -> Option<(usize, Entry)>;

    /// Begins no new books; the events that remain end those that were begun.
    fn finish(&mut self);
}

impl Events for Load {
    fn next(&mut self) -> Option<(usize, Entry)> {
        Load::next(self).map(|event| (0, event))
    }

    fn finish(&mut self) {
        Load::finish(self);
    }
}

/// A running producer.
pub struct Producer {
    shared: Arc<Shared>,
    task: Option<JoinHandle<Result<Produced>>>,
}

/// A test that fails drops it unfinished; without this its runtime would wait for the thread.
impl Drop for Producer {
    fn drop(&mut self) {
        self.shared.abandoned.store(true, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Shared {
    finishing: AtomicBool,
    abandoned: AtomicBool,
    added: AtomicUsize,
}

/// What a producer has done.
pub struct Produced {
    /// Every event that Redis acknowledged, in order.
    pub acknowledged: Vec<(String, Entry)>,
    /// For each failure of Redis, how many events were acknowledged before. Whether the next one
    /// was added then is unknown.
    pub failures: Vec<usize>,
}

impl Producer {
    /// Starts to add a load's events to a stream.
    pub fn start(servers: &Servers, stream: &str, load: Load) -> Result<Producer> {
        Producer::sharing(servers, stream, load, 1)
    }

    /// The same, for one of so many streams at once: all of them together get what one alone would.
    pub fn sharing(servers: &Servers, stream: &str, load: Load, streams: u32) -> Result<Producer> {
        Producer::start_with(servers, vec![stream.to_owned()], load, TICK * streams)
    }

    /// Starts to add events to the streams that they name.
    pub fn to_streams(
        servers: &Servers,
        streams: &[String],
        events: impl Events,
    ) -> Result<Producer> {
        Producer::start_with(servers, streams.to_vec(), events, TICK)
    }

    fn start_with(
        servers: &Servers,
        streams: Vec<String>,
        events: impl Events,
        tick: Duration,
    ) -> Result<Producer> {
        let shared = Arc::new(Shared::default());
        let client = redis::Client::open(servers.redis_url())?;
        let for_task = Arc::clone(&shared);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // A thread of its own, so that it keeps adding whatever the test waits for.
        let task = tokio::task::spawn_blocking(move || {
            runtime.block_on(produce(client, streams, events, tick, for_task))
        });
        Ok(Producer { shared, task: Some(task) })
    }

    /// How many events were acknowledged so far.
    pub fn added(&self) -> usize {
        self.shared.added.load(Ordering::Relaxed)
    }

    /// Lets the books that were begun come to their end, and stops then.
    pub async fn finish(mut self) -> Result<Produced> {
        self.shared.finishing.store(true, Ordering::Relaxed);
        self.task.take().context("it has finished already")?.await?
    }
}

async fn produce(
    client: redis::Client,
    streams: Vec<String>,
    mut events: impl Events,
    tick: Duration,
    shared: Arc<Shared>,
) -> Result<Produced> {
    // The client's own limits of a second and of half a second are too little on a busy machine.
    let patient = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWERS_WITHIN))
        .set_response_timeout(Some(ANSWERS_WITHIN));
    let mut redis = client.get_multiplexed_async_connection_with_config(&patient).await?;
    let (mut acknowledged, mut failures) = (Vec::new(), Vec::new());
    let mut pace = interval(tick);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if shared.added.load(Ordering::Relaxed).is_multiple_of(A_TICK) {
            pace.tick().await;
        }
        if shared.finishing.load(Ordering::Relaxed) {
            events.finish();
        }
        if shared.abandoned.load(Ordering::Relaxed) {
            break;
        }
        let Some((stream, event)) = events.next() else { break };
        let stream = streams.get(stream).context("no such stream")?;
        let id = match add(&mut redis, stream, &event).await {
            Ok(id) => id,
            Err(_) => {
                failures.push(acknowledged.len());
                eventually(SOON, "Redis to take an event again", async || {
                    redis = client.get_multiplexed_async_connection_with_config(&patient).await?;
                    add(&mut redis, stream, &event).await
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
