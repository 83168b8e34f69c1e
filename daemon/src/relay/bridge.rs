//! Entries of a BullMQ queue's stream with their jobs' data, and the jobs that wait in the queue.
//!
//! BullMQ may use a job's id again once the job is removed, so an id does not name a job: each
//! `added` entry begins another one. A job's hash belongs to the newest `added` entry of its id,
//! which the relay may not have read yet. So a hash is read in one transaction with the stream's
//! newest entries.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bindery_core::stream_id::StreamId;
use redis::RedisError;
use uuid::Uuid;

use super::Relay;
use crate::source::bullmq::{Job, Queue, QueueEntry, Unusable, WAITING};
use crate::source::job_data::JobReader;
use crate::source::link::{Link, Received};
use crate::source::{Decoded, Entry, Raw};

/// The maximum number of jobs whose data is remembered: a job may be removed before its entries are
/// read.
const REMEMBERED: usize = 10_000;
/// The maximum number of jobs whose data is read at once.
const AT_ONCE: usize = 50;
/// The target size of one read of data: Redis holds the whole reply in memory.
const AT_ONCE_BYTES: usize = 4 * 1024 * 1024;
/// How many entries one search reads ahead.
const AHEAD: usize = 500;
/// The maximum number of remembered jobs that were added after the translated entries.
const MAX_AHEAD: usize = 200_000;
/// The maximum number of waiting jobs whose books are read.
const MAX_WAITING: usize = 200_000;
/// The maximum size of a job's id, in bytes.
const MAX_ID: usize = 1024;
/// How long a part of a reply of Redis may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The books with a job that waits in the queue, each with the latest attempt that such a job
/// names; `None` where one names none.
pub type WaitingBooks = BTreeMap<Uuid, Option<i32>>;

/// Turns entries of a queue's stream into events.
pub struct Bridge {
    queue: Arc<Queue>,
    redis: Link,
    jobs: HashMap<String, Slot>,
    /// The ids of `jobs` in the order in which their data was read.
    order: VecDeque<String>,
    /// The id up to which the stream was searched for added jobs.
    searched: StreamId,
    /// The newest `added` entry of each id among the entries that are not translated yet.
    added: HashMap<String, StreamId>,
    /// The books of the jobs that waited when they were listed last.
    waiting: HashMap<String, Option<(Uuid, Option<i32>)>>,
    at_once: usize,
}

/// The known jobs with one id.
#[derive(Debug, Default)]
struct Slot {
    /// The job that the next entry is about.
    now: Option<Known>,
    /// The job that this `added` entry begins.
    next: Option<(StreamId, Known)>,
}

/// The data of a job.
#[derive(Debug, Clone)]
enum Known {
    Book(Job),
    /// It is about no book.
    Unusable {
        why: Unusable,
        is_rejected: bool,
    },
}

impl From<Result<Job, Unusable>> for Known {
    fn from(read: Result<Job, Unusable>) -> Self {
        read.map_or_else(|why| Self::Unusable { why, is_rejected: false }, Self::Book)
    }
}

impl Bridge {
    /// Connects, and reads the data of the active jobs: they may be removed before their next entry
    /// is read. `position` is that of the entry that was translated last.
    pub async fn connect(
        relay: &Relay,
        queue: Arc<Queue>,
        position: StreamId,
    ) -> Result<Self, RedisError> {
        let redis = Link::connect(&relay.redis, &relay.stream, PATIENCE).await?;
        let mut bridge = Self {
            queue,
            redis,
            jobs: HashMap::new(),
            order: VecDeque::new(),
            searched: position,
            added: HashMap::new(),
            waiting: HashMap::new(),
            at_once: 1,
        };
        bridge.search_to_the_end().await?;
        let (active, last) = (bridge.queue.key("active"), (REMEMBERED - 1).to_string());
        bridge.redis.ask(&[b"LRANGE", active.as_bytes(), b"0", last.as_bytes()]).await?;
        let mut jobs = Vec::new();
        for _ in 0..bridge.redis.array().await? {
            jobs.push(bridge.id().await?);
        }
        bridge.read_jobs(jobs).await?;
        Ok(bridge)
    }

    /// Translates each entry into one event or none.
    pub async fn translate(&mut self, entries: Vec<Entry<Raw>>) -> Result<Vec<Entry>, RedisError> {
        let entries: Vec<_> =
            entries.into_iter().map(|(id, raw)| (id, QueueEntry::of(raw))).collect();
        let (mut named, mut seen) = (Vec::new(), HashSet::new());
        for (id, entry) in &entries {
            self.searched = self.searched.max(*id);
            let Some(job) = &entry.job else { continue };
            if entry.is_added() {
                self.note_added(job.clone(), *id);
            }
            if seen.insert(job) {
                named.push(job.clone());
            }
        }
        named.retain(|job| self.newest(job).is_none());
        self.read_jobs(named).await?;
        let last = entries.last().map(|&(id, _)| id);
        let events = entries.into_iter().map(|(id, entry)| (id, self.event(id, &entry))).collect();
        self.added.retain(|_, added| last.is_none_or(|last| *added > last));
        self.forget();
        Ok(events)
    }

    /// The books of the jobs that wait in the queue now; `None` if too many jobs wait.
    pub async fn waiting(&mut self) -> Result<Option<WaitingBooks>, RedisError> {
        let keys = WAITING.map(|(command, of)| (command, self.queue.key(of)));
        let lists = keys
            .each_ref()
            .map(|(command, key)| [command.as_bytes(), key.as_bytes(), &b"0"[..], &b"-1"[..]]);
        // In one transaction: a job that moves from one list to another is in one of them.
        let mut questions: Vec<&[&[u8]]> = vec![&[b"MULTI"]];
        questions.extend(lists.iter().map(|words| &words[..]));
        questions.push(&[b"EXEC"]);
        self.redis.ask_all(&questions).await?;
        for _ in 0..=lists.len() {
            self.redis.ok().await?;
        }
        let (mut known, mut unknown, mut too_many) = (HashMap::new(), Vec::new(), false);
        for _ in 0..self.redis.array().await? {
            for _ in 0..self.redis.array().await? {
                let job = self.id().await?;
                if known.len() + unknown.len() >= MAX_WAITING {
                    too_many = true;
                } else if let Some(book) = self.waiting.remove(&job) {
                    known.insert(job, book);
                } else if let Some(newest) = self.newest(&job) {
                    known.insert(job, newest.book());
                } else {
                    unknown.push(job);
                }
            }
        }
        self.waiting = known;
        if too_many {
            return Ok(None);
        }
        while !unknown.is_empty() {
            let some = unknown.split_off(unknown.len().saturating_sub(self.at_once));
            for (job, read) in self.read_data(some, false).await?.0 {
                self.waiting.insert(job, Known::from(read).book());
            }
        }
        let mut books = WaitingBooks::new();
        for &(book, attempt) in self.waiting.values().flatten() {
            let latest = books.entry(book).or_insert(attempt);
            *latest = latest.zip(attempt).map(|(one, other)| one.max(other));
        }
        Ok(Some(books))
    }

    fn event(&mut self, id: StreamId, entry: &QueueEntry) -> Decoded {
        let job = entry.job.as_deref()?;
        if let Some(slot) = self.jobs.get_mut(job) {
            if entry.is_added() {
                slot.now = None;
            }
            // Its `added` entry may have been trimmed before it was read.
            if let Some((_, known)) = slot.next.take_if(|(since, _)| *since <= id) {
                slot.now = Some(known);
            }
        }
        if !entry.is_relevant() {
            return None;
        }
        if !self.jobs.contains_key(job) {
            self.order.push_back(job.to_owned());
        }
        let slot = self.jobs.entry(job.to_owned()).or_default();
        match slot.now.get_or_insert_with(|| Known::from(Err(Unusable::Gone))) {
            Known::Book(job) => entry.event(&self.queue, job),
            // One dead letter a job is enough.
            Known::Unusable { is_rejected: true, .. } => None,
            Known::Unusable { why, is_rejected } => {
                *is_rejected = true;
                entry.rejection(&self.queue, *why)
            }
        }
    }

    /// The newest job with this id, if its data is known.
    fn newest(&self, job: &str) -> Option<&Known> {
        let slot = self.jobs.get(job)?;
        match self.added.get(job) {
            None => slot.now.as_ref(),
            Some(id) => slot.next.as_ref().filter(|(since, _)| since == id).map(|(_, known)| known),
        }
    }

    fn note_added(&mut self, job: String, id: StreamId) {
        self.waiting.remove(&job);
        if self.added.len() < MAX_AHEAD || self.added.contains_key(&job) {
            let newest = self.added.entry(job).or_insert(id);
            *newest = id.max(*newest);
        }
    }

    /// Reads the data of the newest jobs with these ids.
    async fn read_jobs(&mut self, mut ids: Vec<String>) -> Result<(), RedisError> {
        while !ids.is_empty() {
            let some = ids.split_off(ids.len().saturating_sub(self.at_once));
            let (read, is_at_the_end) = self.read_data(some, true).await?;
            if !is_at_the_end {
                // There may be newer jobs with these ids.
                ids.extend(read.into_iter().map(|(job, _)| job));
                self.search_to_the_end().await?;
                continue;
            }
            for (job, data) in read {
                if !self.jobs.contains_key(&job) {
                    self.order.push_back(job.clone());
                }
                let since = self.added.get(&job).copied();
                let slot = self.jobs.entry(job).or_default();
                match since {
                    Some(since) => slot.next = Some((since, data.into())),
                    None => slot.now = Some(data.into()),
                }
            }
        }
        Ok(())
    }

    /// Reads jobs' data; with `search`, in one transaction with the stream's newest entries. Also
    /// returns whether these reached the stream's end.
    async fn read_data(
        &mut self,
        ids: Vec<String>,
        search: bool,
    ) -> Result<(Vec<(String, Result<Job, Unusable>)>, bool), RedisError> {
        let keys: Vec<String> = ids.iter().map(|job| self.queue.key(job)).collect();
        let gets: Vec<[&[u8]; 3]> =
            keys.iter().map(|key| [&b"HGET"[..], key.as_bytes(), b"data"]).collect();
        let range = self.newer_entries();
        let range = range.each_ref().map(Vec::as_slice);
        let mut questions: Vec<&[&[u8]]> = Vec::with_capacity(gets.len() + 3);
        if search {
            questions.push(&[b"MULTI"]);
            questions.push(&range);
        }
        questions.extend(gets.iter().map(|words| &words[..]));
        if search {
            questions.push(&[b"EXEC"]);
        }
        self.redis.ask_all(&questions).await?;
        let mut is_at_the_end = true;
        if search {
            for _ in 0..questions.len() - 1 {
                self.redis.ok().await?;
            }
            self.redis.array().await?;
            is_at_the_end = self.take_newer_entries().await?;
        }
        let (mut read, mut bytes) = (Vec::with_capacity(ids.len()), 0);
        for job in ids {
            let mut reader = JobReader::default();
            let length = self.redis.pieces(|piece| reader.push(piece)).await?;
            bytes += length.unwrap_or_default();
            read.push((job, length.ok_or(Unusable::Gone).and_then(|_| reader.finish())));
        }
        let fitting = AT_ONCE_BYTES / (bytes / read.len().max(1)).max(1);
        self.at_once = fitting.clamp(1, AT_ONCE).min(self.at_once * 4);
        Ok((read, is_at_the_end))
    }

    /// Searches the stream to its end for jobs that were added.
    async fn search_to_the_end(&mut self) -> Result<(), RedisError> {
        loop {
            let words = self.newer_entries();
            self.redis.ask(&words.each_ref().map(Vec::as_slice)).await?;
            if self.take_newer_entries().await? {
                return Ok(());
            }
        }
    }

    fn newer_entries(&self) -> [Vec<u8>; 6] {
        let after = format!("({}", self.searched).into_bytes();
        let (stream, count) = (self.queue.stream().into_bytes(), AHEAD.to_string().into_bytes());
        [b"XRANGE".to_vec(), stream, after, b"+".to_vec(), b"COUNT".to_vec(), count]
    }

    /// Reads the reply to [`Self::newer_entries`]; returns whether it reached the stream's end.
    async fn take_newer_entries(&mut self) -> Result<bool, RedisError> {
        let entries = self.redis.entries_of_range().await?;
        for _ in 0..entries {
            let entry = self.redis.entry(|fields| added_job(fields.iter())).await?;
            self.searched = self.searched.max(entry.id);
            let job = match &entry.received {
                Received::Whole(job) => job.clone(),
                Received::Large { fields, .. } => {
                    added_job(fields.iter().map(|field| (&field.name[..], &field.value[..])))
                }
            };
            if let Some(job) = job {
                self.note_added(job, entry.id);
            }
        }
        Ok(entries < AHEAD)
    }

    /// Reads the next job id.
    async fn id(&mut self) -> Result<String, RedisError> {
        Ok(String::from_utf8_lossy(&self.redis.text(MAX_ID).await?).into_owned())
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

impl Known {
    fn book(&self) -> Option<(Uuid, Option<i32>)> {
        match self {
            Self::Book(job) => job.book(),
            Self::Unusable { .. } => None,
        }
    }
}

/// The job that an entry adds.
fn added_job<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Option<String> {
    let field =
        |wanted: &[u8]| fields.clone().find(|(name, _)| *name == wanted).map(|(_, value)| value);
    (field(b"event")? == b"added")
        .then(|| field(b"jobId").map(|job| String::from_utf8_lossy(job).into_owned()))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use bindery_core::event::EventKind;

    const BOOKS: [&str; 2] =
        ["6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b", "018f3c1e-7b2a-7c3d-9e4f-5a6b7c8d9e0f"];

    fn bridge() -> Bridge {
        let (ours, _) = tokio::io::duplex(64);
        Bridge {
            queue: Arc::new("draw=DRAWING".parse().unwrap()),
            redis: Link::new(Box::new(ours), PATIENCE),
            jobs: HashMap::new(),
            order: VecDeque::new(),
            searched: StreamId::ZERO,
            added: HashMap::new(),
            waiting: HashMap::new(),
            at_once: 1,
        }
    }

    fn job(book: usize) -> Known {
        let book_id = BOOKS[book].to_owned();
        Known::from(Ok(Job { book_id, ..Job::default() }))
    }

    /// The outcome of an entry about job 7: the number of the book that begins its stage, or the
    /// code of a rejection.
    fn event(bridge: &mut Bridge, ms: u64, event: &str) -> Option<Result<usize, String>> {
        let fields = [("event", event), ("jobId", "7")];
        let raw = fields.map(|(name, value)| (name.into(), value.into())).to_vec();
        let decoded = bridge.event(StreamId { ms, seq: 0 }, &QueueEntry::of(raw))?;
        Some(match decoded {
            Ok(event) => {
                assert!(matches!(event.kind, EventKind::Begin(_)));
                let book = event.book_id.to_string();
                Ok(BOOKS.iter().position(|known| *known == book).unwrap())
            }
            Err(rejection) => Err(rejection.error.code().to_owned()),
        })
    }

    #[test]
    fn each_added_entry_begins_another_job_with_the_id() {
        let mut bridge = bridge();
        let next = Some((StreamId { ms: 5, seq: 0 }, job(1)));
        bridge.jobs.insert("7".to_owned(), Slot { now: Some(job(0)), next });
        assert_eq!(event(&mut bridge, 1, "active"), Some(Ok(0)));
        assert_eq!(event(&mut bridge, 3, "added"), None);
        let gone = Some(Err("missing_field".to_owned()));
        assert_eq!(event(&mut bridge, 4, "active"), gone, "its data was never read");
        assert_eq!(event(&mut bridge, 4, "active"), None, "one dead letter a job");
        assert_eq!(event(&mut bridge, 5, "added"), None);
        assert_eq!(event(&mut bridge, 6, "active"), Some(Ok(1)));
    }

    #[test]
    fn a_job_is_known_though_its_added_entry_was_trimmed_before_it_was_read() {
        let mut bridge = bridge();
        let next = Some((StreamId { ms: 5, seq: 0 }, job(1)));
        bridge.jobs.insert("7".to_owned(), Slot { now: Some(job(0)), next });
        assert_eq!(event(&mut bridge, 6, "active"), Some(Ok(1)));
    }

    #[tokio::test]
    async fn added_entries_that_were_passed_are_forgotten() {
        let mut bridge = bridge();
        bridge.note_added("1".to_owned(), StreamId { ms: 1, seq: 0 });
        bridge.note_added("2".to_owned(), StreamId { ms: 2, seq: 0 });
        let entry = (StreamId { ms: 1, seq: 0 }, vec![(b"event".to_vec(), b"drained".to_vec())]);
        assert_eq!(bridge.translate(vec![entry]).await.unwrap().len(), 1);
        assert_eq!(bridge.added.keys().collect::<Vec<_>>(), ["2"]);
    }
}
