//! A service that adds events one by one at a steady rate, and retries each until it is
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

/// Events per tick: a load that keeps a daemon with small batches slightly behind.
const A_TICK: usize = 2;
const TICK: Duration = Duration::from_millis(1);

/// How long a slow Redis may take to answer. A stopped one fails at once.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// The source of the events.
pub trait Events: Send + 'static {
    /// The next event and the index of its stream; `None` at the end.
    fn next(&mut self) -> Option<(usize, Entry)>;

    /// Begins no new books; the remaining events end those that were begun.
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

/// A test that fails drops the producer unfinished; without this, its runtime would wait for the
/// thread.
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

/// The result of a producer.
pub struct Produced {
    /// Every event that Redis acknowledged, in order.
    pub acknowledged: Vec<(String, Entry)>,
    /// For each failure of Redis, how many events were acknowledged before it. Whether the next one
    /// was added is then unknown.
    pub failures: Vec<usize>,
}

impl Producer {
    /// Starts a producer that adds a load's events to a stream.
    pub fn start(servers: &Servers, stream: &str, load: Load) -> Result<Producer> {
        Producer::sharing(servers, stream, load, 1)
    }

    /// The same, for one of several streams: together they get the rate of one.
    pub fn sharing(servers: &Servers, stream: &str, load: Load, streams: u32) -> Result<Producer> {
        Producer::start_with(servers, vec![stream.to_owned()], load, TICK * streams)
    }

    /// Starts a producer that adds each event to the stream it belongs to.
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
        // An own thread, so that it keeps adding whatever the test waits for.
        let task = tokio::task::spawn_blocking(move || {
            runtime.block_on(produce(client, streams, events, tick, for_task))
        });
        Ok(Producer { shared, task: Some(task) })
    }

    /// How many events are acknowledged so far.
    pub fn added(&self) -> usize {
        self.shared.added.load(Ordering::Relaxed)
    }

    /// Ends the books that were begun, then stops.
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
    // The client's default limits of one and of half a second are too short on a busy machine.
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
