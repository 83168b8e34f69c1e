//! Entries of a BullMQ queue's stream with their jobs' data.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use redis::RedisError;
use redis::aio::MultiplexedConnection;

use super::Relay;
use crate::source::bullmq::{Job, Queue, QueueEntry, Unusable};
use crate::source::{Entry, Raw, Said};

/// The most jobs whose data is remembered: a job may be removed when it is done, before its entries
/// are read.
const REMEMBERED: usize = 10_000;
/// The most jobs whose data is read at once; it may be large.
const AT_ONCE: usize = 50;
/// How long an answer of Redis may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Turns entries of a queue's stream into events.
pub struct Bridge {
    queue: Arc<Queue>,
    redis: MultiplexedConnection,
    jobs: HashMap<String, Known>,
    /// The jobs in the order in which their data was read.
    order: VecDeque<String>,
}

/// What is known of a job.
#[derive(Debug, Clone)]
enum Known {
    Book(Job),
    /// It is about no book.
    Unusable {
        why: Unusable,
        is_rejected: bool,
    },
}

impl Bridge {
    /// Connects, and reads the data of the active jobs: they may be removed before their next entry
    /// is read.
    pub async fn connect(relay: &Relay, queue: Arc<Queue>) -> Result<Self, RedisError> {
        let mut redis = relay.redis.connect(&relay.stream, PATIENCE).await?;
        let last = isize::try_from(REMEMBERED).unwrap_or(isize::MAX) - 1;
        let active: Vec<String> = redis::cmd("LRANGE")
            .arg(queue.active())
            .arg(0)
            .arg(last)
            .query_async(&mut redis)
            .await?;
        let mut bridge = Self { queue, redis, jobs: HashMap::new(), order: VecDeque::new() };
        bridge.read_jobs(active).await?;
        Ok(bridge)
    }

    /// Each entry as one event or none.
    pub async fn translate(&mut self, entries: Vec<Entry<Raw>>) -> Result<Vec<Entry>, RedisError> {
        let entries: Vec<_> =
            entries.into_iter().map(|(id, raw)| (id, QueueEntry::of(raw))).collect();
        self.read_jobs(entries.iter().filter_map(|(_, entry)| entry.job.clone()).collect()).await?;
        let events = entries.into_iter().map(|(id, entry)| (id, self.event(&entry))).collect();
        self.forget();
        Ok(events)
    }

    fn event(&mut self, entry: &QueueEntry) -> Said {
        if !entry.is_relevant() {
            return None;
        }
        match self.jobs.get_mut(entry.job.as_deref()?)? {
            Known::Book(job) => entry.event(&self.queue, job),
            // One dead letter a job is enough.
            Known::Unusable { is_rejected: true, .. } => None,
            Known::Unusable { why, is_rejected } => {
                *is_rejected = true;
                entry.rejection(&self.queue, *why)
            }
        }
    }

    /// Reads the data of jobs that are not known yet.
    async fn read_jobs(&mut self, named: Vec<String>) -> Result<(), RedisError> {
        let unknown: HashSet<String> =
            named.into_iter().filter(|job| !self.jobs.contains_key(job)).collect();
        let unknown: Vec<String> = unknown.into_iter().collect();
        for some in unknown.chunks(AT_ONCE) {
            let mut asked = redis::pipe();
            for job in some {
                asked.cmd("HGET").arg(self.queue.job(job)).arg("data");
            }
            let data: Vec<Option<Vec<u8>>> = asked.query_async(&mut self.redis).await?;
            for (job, data) in some.iter().zip(data) {
                let known = match Job::of(data.as_deref()) {
                    Ok(job) => Known::Book(job),
                    Err(why) => Known::Unusable { why, is_rejected: false },
                };
                self.jobs.insert(job.clone(), known);
                self.order.push_back(job.clone());
            }
        }
        Ok(())
    }

    /// Forgets the jobs that have been known for longest.
    fn forget(&mut self) {
        while self.order.len() > REMEMBERED {
            if let Some(job) = self.order.pop_front() {
                self.jobs.remove(&job);
            }
        }
    }
}
