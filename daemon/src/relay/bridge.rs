//! What a queue of BullMQ tells, with what has to be known besides: the jobs' data, and where their books stand.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bindery_core::stream_id::StreamId;
use postgres_types::Type;
use redis::RedisError;
use redis::aio::MultiplexedConnection;
use tokio_postgres::Client;
use tracing::debug;
use uuid::Uuid;

use super::Relay;
use crate::database::{self, DatabaseError};
use crate::pauses::{MAX_PAUSE, pauses};
use crate::source::bullmq::{Job, Place, Queue, Told, Unusable};
use crate::source::{Entry, Raw, Said};

/// So many jobs are remembered: one may be removed when it is done, before that is read.
const REMEMBERED: usize = 10_000;
/// So many jobs' data are asked for at once; it may be large.
const AT_ONCE: usize = 50;
/// How long an answer of Redis may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Turns entries of a queue's stream into events.
pub struct Bridge {
    relay: Relay,
    queue: Arc<Queue>,
    redis: MultiplexedConnection,
    postgres: Option<Client>,
    jobs: HashMap<String, Known>,
    /// The jobs in the order in which they came to be known.
    order: VecDeque<String>,
    /// Where books will stand once the entry of this id is applied.
    ahead: HashMap<Uuid, (StreamId, Place)>,
}

/// What is known of a job.
#[derive(Debug, Clone)]
enum Known {
    Book(Job),
    /// It is about no book; whether a dead letter says so.
    Unusable {
        why: Unusable,
        told: bool,
    },
}

impl Bridge {
    /// Connects, and learns of the jobs that are worked on: what becomes of them may be all that is left to read.
    pub async fn connect(relay: &Relay, queue: Arc<Queue>) -> Result<Self, RedisError> {
        let mut redis = relay.redis.connect(&relay.stream, PATIENCE).await?;
        let last = isize::try_from(REMEMBERED).unwrap_or(isize::MAX) - 1;
        let active: Vec<String> =
            redis::cmd("LRANGE").arg(queue.active()).arg(0).arg(last).query_async(&mut redis).await?;
        let mut bridge = Self {
            relay: relay.clone(),
            queue,
            redis,
            postgres: None,
            jobs: HashMap::new(),
            order: VecDeque::new(),
            ahead: HashMap::new(),
        };
        bridge.learn(active).await?;
        Ok(bridge)
    }

    /// What the entries say, each one event or nothing.
    pub async fn translate(&mut self, entries: Vec<Entry<Raw>>) -> Result<Vec<Entry>, RedisError> {
        let told: Vec<(StreamId, Told)> = entries.into_iter().map(|(id, raw)| (id, Told::of(raw))).collect();
        self.learn(told.iter().filter_map(|(_, told)| told.job.clone()).collect()).await?;
        let mut places = self.places(&told).await;
        let said = told.into_iter().map(|(id, told)| (id, self.said(id, &told, &mut places))).collect();
        self.forget();
        Ok(said)
    }

    fn said(&mut self, id: StreamId, told: &Told, places: &mut HashMap<Uuid, Place>) -> Said {
        if !told.matters() {
            return None;
        }
        match self.jobs.get_mut(told.job.as_deref()?)? {
            Known::Book(job) => {
                let book = job.book();
                let place = book.and_then(|book| places.get(&book).copied()).unwrap_or(Place::Elsewhere);
                if let (Some(book), Some(place)) = (book, told.leads_to(place)) {
                    places.insert(book, place);
                    self.ahead.insert(book, (id, place));
                }
                told.says(&self.queue, job, place)
            }
            // Once a job is enough.
            Known::Unusable { told: true, .. } => None,
            Known::Unusable { why, told: is_told } => {
                *is_told = true;
                told.says_of_unusable(&self.queue, *why)
            }
        }
    }

    /// Reads the data of jobs that are not known yet.
    async fn learn(&mut self, named: Vec<String>) -> Result<(), RedisError> {
        let unknown: HashSet<String> = named.into_iter().filter(|job| !self.jobs.contains_key(job)).collect();
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
                    Err(why) => Known::Unusable { why, told: false },
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

    /// Where the books stand that it matters of, once all that was read before is applied.
    async fn places(&mut self, told: &[(StreamId, Told)]) -> HashMap<Uuid, Place> {
        let needed = told.iter().filter(|(_, told)| told.needs_place()).filter_map(|(_, told)| {
            match self.jobs.get(told.job.as_deref()?)? {
                Known::Book(job) => job.book(),
                Known::Unusable { .. } => None,
            }
        });
        let needed: HashSet<Uuid> = needed.collect();
        // Before Postgres is asked: what is applied meanwhile, it may know already or not.
        let mut applied = StreamId::default();
        self.relay.state.update(&self.relay.stream, |state| applied = state.position);
        self.ahead.retain(|_, (id, _)| *id > applied);
        let (ahead, asked): (Vec<Uuid>, Vec<Uuid>) = needed.into_iter().partition(|book| self.ahead.contains_key(book));
        let mut places: HashMap<Uuid, Place> =
            ahead.into_iter().filter_map(|book| Some((book, self.ahead.get(&book)?.1))).collect();
        if asked.is_empty() {
            return places;
        }
        let mut waits = pauses();
        loop {
            match self.ask(&asked).await {
                Ok(answer) => {
                    places.extend(answer);
                    return places;
                }
                // Whoever applies what was read tells of it; until Postgres answers, nothing can be applied either.
                Err(error) => {
                    debug!(stream = self.relay.stream, error = %error, "where books stand could not be asked");
                    self.postgres = None;
                    tokio::time::sleep(waits.next().unwrap_or(MAX_PAUSE)).await;
                }
            }
        }
    }

    async fn ask(&mut self, books: &[Uuid]) -> Result<Vec<(Uuid, Place)>, DatabaseError> {
        let client = match &mut self.postgres {
            Some(client) => client,
            none => none.insert(database::connect(&self.relay.database).await?),
        };
        let books: Vec<String> = books.iter().map(Uuid::to_string).collect();
        let rows = client
            .query_typed(
                "select book_id::text, place from bindery.place_of_books($1, $2::text[]::uuid[])",
                &[(&self.queue.stage, Type::TEXT), (&books, Type::TEXT_ARRAY)],
            )
            .await?;
        let mut places = Vec::with_capacity(rows.len());
        for row in rows {
            let place = match row.try_get(1)? {
                "before" => Place::Before,
                "failed" => Place::Failed,
                _ => Place::Elsewhere,
            };
            places.extend(row.try_get::<_, &str>(0)?.parse().map(|book| (book, place)));
        }
        Ok(places)
    }
}
