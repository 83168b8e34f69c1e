//! Watches all books with one query for all readers who see the same books.
//!
//! Readers with the same role, claims and owner share a board. Its task queries Postgres as one of
//! them, so row-level security holds for each event, and many readers cost Postgres as much as one.
//! Events are numbered, and each reader takes them in this order from shared memory. A reader that
//! needs an event that is no longer kept reads the current status of the books that it missed.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use postgres_types::{ToSql, Type};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_postgres::Transaction;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::auth::{Caller, Role};
use super::error::ApiError;
use super::hub::Marks;
use super::live::Live;
use super::pool::{Intent, begin};
use super::query::ask;
use super::sse::{AT_MOST_EVERY, event, with_since};

/// How many of the newest books are checked without a mark.
const WATCHED: i64 = 1000;
/// The maximum number of known books; the oldest are dropped first.
const KNOWN: usize = 2000;
/// The interval at which health is computed: computing it for each book in every poll would cost
/// too much.
const HEALTH_EVERY: Duration = Duration::from_secs(14);
/// The maximum number of books that are read and sent at once.
const AT_ONCE: usize = 20;
/// The maximum size of one read, in bytes; a single status is no larger.
const MOST_BYTES: i64 = 256 * 1024;
/// The size of the events kept for slower readers; those of the last read are always kept.
const KEPT_BYTES: usize = 1024 * 1024;
/// How many changed books are remembered for slow readers; a reader that missed more must read the
/// list again.
const REMEMBERED: usize = 2000;

/// The boards that have readers.
#[derive(Debug, Default)]
pub struct Boards(Mutex<HashMap<Key, Weak<Board>>>);

/// The callers who see the same books.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    role: Role,
    /// None for `service_role`, whose policies do not use claims.
    claims: Option<Arc<str>>,
    owner: Option<Uuid>,
}

/// The events that some readers share. The task ends when the board is dropped.
#[derive(Debug)]
struct Board {
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    kept: Mutex<Kept>,
    progress: watch::Sender<Progress>,
    /// How many readers have taken all events and wait for more.
    waiting: watch::Sender<usize>,
}

#[derive(Debug, Clone)]
enum Progress {
    /// The first query has not finished.
    Starting,
    /// Events up to this number are available.
    At(u64),
    /// A query failed; there will be no more events.
    Ended(ApiError),
}

/// The events, and the books they are about.
#[derive(Debug, Default)]
struct Kept {
    /// The number of the last event.
    last: u64,
    /// The last events, without a gap, the oldest first.
    events: VecDeque<Bytes>,
    bytes: usize,
    /// Each book's last event, and the books by the number of their last event.
    numbers: HashMap<Uuid, u64>,
    books: BTreeMap<u64, Uuid>,
    /// Books whose last event has this number or a lower one may be forgotten.
    forgotten: u64,
    /// The number of the last event that each reader has taken.
    readers: HashMap<u64, u64>,
    /// The number of readers that have joined, which names the next one.
    joined: u64,
}

/// A reader of a board.
#[derive(Debug)]
pub struct Reader {
    board: Arc<Board>,
    name: u64,
    taken: u64,
    owner: Option<Uuid>,
    progress: watch::Receiver<Progress>,
}

/// What a reader does next.
#[derive(Debug, PartialEq)]
enum Step {
    Wait,
    /// Send this event, which is the next one.
    Send(Bytes),
    /// Read these books; with the number of each one's last event.
    Read(Vec<(u64, Uuid)>),
    TooSlow,
}

impl Boards {
    /// Joins the board of the callers who see the same books. Fails if the first query fails.
    pub async fn join(
        &self,
        live: &Live,
        caller: &Caller,
        owner: Option<Uuid>,
    ) -> Result<Reader, ApiError> {
        let board = self.board(live, caller, owner);
        let mut progress = board.shared.progress.subscribe();
        let started = progress
            .wait_for(|progress| !matches!(progress, Progress::Starting))
            .await
            .map_err(|_gone| ApiError::unavailable())?
            .clone();
        if let Progress::Ended(error) = started {
            return Err(error);
        }
        let (name, taken) = board.shared.kept().join();
        Ok(Reader { board, name, taken, owner, progress })
    }

    fn board(&self, live: &Live, caller: &Caller, owner: Option<Uuid>) -> Arc<Board> {
        let claims = (caller.role != Role::Service).then(|| caller.claims.clone());
        let key = Key { role: caller.role, claims, owner };
        let mut boards = lock(&self.0);
        let alive =
            |board: &Arc<Board>| !matches!(*board.shared.progress.borrow(), Progress::Ended(_));
        if let Some(board) = boards.get(&key).and_then(Weak::upgrade).filter(alive) {
            return board;
        }
        boards.retain(|_, board| board.strong_count() > 0);
        let shared = Arc::new(Shared {
            kept: Mutex::default(),
            progress: watch::Sender::new(Progress::Starting),
            waiting: watch::Sender::new(0),
        });
        let task = tokio::spawn(run_board(live.clone(), caller.clone(), owner, shared.clone()));
        let board = Arc::new(Board { shared, _task: AbortOnDropHandle::new(task) });
        boards.insert(key, Arc::downgrade(&board));
        board
    }
}

/// Runs a board, and publishes the error that ends it.
async fn run_board(live: Live, caller: Caller, owner: Option<Uuid>, shared: Arc<Shared>) {
    let Err(error) = try_run_board(&live, &caller, owner, &shared).await;
    shared.progress.send_replace(Progress::Ended(error));
}

async fn try_run_board(
    live: &Live,
    caller: &Caller,
    owner: Option<Uuid>,
    shared: &Shared,
) -> Result<std::convert::Infallible, ApiError> {
    // Subscribe before the first read: later changes leave a mark.
    let subscription = live.hub.subscribe(None);
    let mut listing = Listing::begin(live, caller, owner).await?;
    shared.progress.send_replace(Progress::At(0));
    let mut waiting = shared.waiting.subscribe();
    let mut more = false;
    let mut poll_at = Instant::now() + live.poll_interval();
    let mut read_at = Instant::now();
    loop {
        // Do not query while no reader waits.
        let _ = waiting.wait_for(|waiting| *waiting > 0).await;
        sleep_until(read_at).await;
        let mut marks = Marks::default();
        if !more {
            tokio::select! {
                left = subscription.marks() => marks = left,
                () = sleep_until(poll_at) => (),
            }
        }
        if Instant::now() >= poll_at {
            marks.unknown = true;
            poll_at = Instant::now() + live.poll_interval();
        }
        // Changes during the read leave a new mark.
        read_at = Instant::now() + AT_MOST_EVERY;
        let events;
        (events, more) = listing.next_events(live, caller, marks).await?;
        if !events.is_empty() {
            let last = shared.kept().add(events);
            shared.progress.send_replace(Progress::At(last));
        }
    }
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }
}

impl Kept {
    fn join(&mut self) -> (u64, u64) {
        self.joined += 1;
        self.readers.insert(self.joined, self.last);
        (self.joined, self.last)
    }

    /// Adds events and drops those that all readers have taken; returns the last number.
    fn add(&mut self, events: Vec<(Uuid, Bytes)>) -> u64 {
        let before = self.last;
        for (book, event) in events {
            self.last += 1;
            if let Some(earlier) = self.numbers.insert(book, self.last) {
                self.books.remove(&earlier);
            }
            self.books.insert(self.last, book);
            self.bytes += event.len();
            self.events.push_back(event);
        }
        let taken = self.readers.values().copied().min().unwrap_or(before);
        while self.first() <= taken || self.bytes > KEPT_BYTES && self.first() <= before {
            let Some(event) = self.events.pop_front() else { break };
            self.bytes -= event.len();
        }
        while let Some((&number, &book)) = self.books.first_key_value()
            && (number <= taken || self.books.len() > REMEMBERED)
        {
            self.books.pop_first();
            self.numbers.remove(&book);
            self.forgotten = number;
        }
        self.last
    }

    /// The number of the first event that is kept.
    fn first(&self) -> u64 {
        self.last + 1 - self.events.len() as u64
    }

    /// The next step of a reader that has taken the events up to this number.
    fn step(&mut self, reader: u64, taken: u64) -> Step {
        self.readers.insert(reader, taken);
        if taken == self.last {
            return Step::Wait;
        }
        if let Some(at) = (taken + 1).checked_sub(self.first())
            && let Some(event) = usize::try_from(at).ok().and_then(|at| self.events.get(at))
        {
            return Step::Send(event.clone());
        }
        if taken < self.forgotten {
            return Step::TooSlow;
        }
        let missed = self.books.range(taken + 1..).take(AT_ONCE);
        Step::Read(missed.map(|(number, book)| (*number, *book)).collect())
    }
}

impl Reader {
    /// The next event, or several. Cancel-safe.
    pub async fn next(&mut self, live: &Live, caller: &Caller) -> Result<Bytes, ApiError> {
        loop {
            let step = self.board.shared.kept().step(self.name, self.taken);
            match step {
                Step::Wait => self.wait().await?,
                Step::Send(event) => {
                    self.taken += 1;
                    return Ok(event);
                }
                Step::Read(missed) => {
                    let (events, taken) = catch_up(live, caller, self.owner, &missed).await?;
                    self.taken = taken;
                    return Ok(events);
                }
                Step::TooSlow => return Err(too_slow()),
            }
        }
    }

    async fn wait(&mut self) -> Result<(), ApiError> {
        let _waiting = Waiting::begin(&self.board.shared.waiting);
        let taken = self.taken;
        let there = |progress: &Progress| match progress {
            Progress::Starting => false,
            Progress::At(last) => *last > taken,
            Progress::Ended(_) => true,
        };
        match self.progress.wait_for(there).await.as_deref() {
            Ok(Progress::Ended(error)) => Err(error.clone()),
            Ok(_) => Ok(()),
            Err(_gone) => Err(ApiError::unavailable()),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.board.shared.kept().readers.remove(&self.name);
    }
}

/// Counts a reader as waiting until it is dropped.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|waiting| *waiting += 1);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

fn too_slow() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too_slow",
        "more books have changed than are remembered for a slow reader",
        "Connect again, and read the list.",
    )
}

/// The current status of books whose events are no longer kept, as many as fit; and the number up
/// to which the reader then has all events.
async fn catch_up(
    live: &Live,
    caller: &Caller,
    owner: Option<Uuid>,
    missed: &[(u64, Uuid)],
) -> Result<(Bytes, u64), ApiError> {
    // Slow readers must not take all connections to Postgres.
    let _turn = live.catching_up.acquire().await.map_err(|_closed| ApiError::unavailable())?;
    let mut client = live.pool.get().await?;
    let transaction = begin(&mut client, caller, Intent::Read).await?;
    let books: Vec<Uuid> = missed.iter().map(|(_, book)| *book).collect();
    let read = read(&transaction, caller, owner, &books, &vec![None; books.len()]).await?;
    let mut events = String::new();
    let mut taken = 0;
    for (number, book) in missed {
        match read.get(book) {
            Some(Read { status: Some(status), seen }) => events.push_str(&event(seen.0, status)),
            Some(Read { status: None, .. }) => break,
            None => events.push_str(&gone(*book)),
        }
        taken = *number;
    }
    Ok((events.into(), taken))
}

fn gone(book: Uuid) -> String {
    format!("event: book_gone\ndata: {{\"book_id\":\"{book}\"}}\n\n")
}

/// Ignores poisoning: the data is consistent after each assignment, even if a panic follows.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The state of each book as sent last, and the books to send next.
#[derive(Debug)]
struct Listing {
    owner: Option<Uuid>,
    sent: HashMap<Uuid, Seen>,
    due: BTreeSet<Uuid>,
    health_at: Instant,
}

type Seen = (i64, Option<String>);

impl Listing {
    /// The current books; each reader reads their first status itself.
    async fn begin(live: &Live, caller: &Caller, owner: Option<Uuid>) -> Result<Self, ApiError> {
        let mut client = live.pool.get().await?;
        let transaction = begin(&mut client, caller, Intent::Read).await?;
        let sent = read_revisions(&transaction, caller, owner, &[], true).await?;
        Ok(Self { owner, sent, due: BTreeSet::new(), health_at: Instant::now() })
    }

    /// Events for some of the due and marked books, 256 KiB at most; and whether more are due.
    async fn next_events(
        &mut self,
        live: &Live,
        caller: &Caller,
        marks: Marks,
    ) -> Result<(Vec<(Uuid, Bytes)>, bool), ApiError> {
        let mut client = live.pool.get().await?;
        let transaction = begin(&mut client, caller, Intent::Read).await?;
        self.due.extend(marks.books);
        if marks.unknown {
            let known: Vec<Uuid> = self.sent.keys().copied().collect();
            let health = self.health_at.elapsed() >= HEALTH_EVERY;
            let now = read_revisions(&transaction, caller, self.owner, &known, health).await?;
            self.due.extend(differences(&self.sent, &now, health));
            if health {
                self.health_at = Instant::now();
            }
            if self.sent.len() > KNOWN {
                let newest = read_revisions(&transaction, caller, self.owner, &[], false).await?;
                self.sent.retain(|book, _| newest.contains_key(book));
            }
        }
        let some: Vec<Uuid> = self.due.iter().take(AT_ONCE).copied().collect();
        let events = if some.is_empty() {
            Vec::new()
        } else {
            self.events_for(&transaction, caller, &some).await?
        };
        Ok((events, !self.due.is_empty()))
    }

    /// Events for these books: the changes since the last event, or the whole status. A book that
    /// does not fit stays due.
    async fn events_for(
        &mut self,
        transaction: &Transaction<'_>,
        caller: &Caller,
        books: &[Uuid],
    ) -> Result<Vec<(Uuid, Bytes)>, ApiError> {
        let since: Vec<Option<i64>> =
            books.iter().map(|book| self.sent.get(book).map(|sent| sent.0)).collect();
        let mut read = read(transaction, caller, self.owner, books, &since).await?;
        let mut events = Vec::new();
        for book in books {
            let event = match read.remove(book) {
                // It does not fit.
                Some(Read { status: None, .. }) => continue,
                Some(Read { status: Some(status), seen }) => {
                    let event = event(seen.0, &status);
                    (self.sent.insert(*book, seen.clone()) != Some(seen)).then_some(event)
                }
                // No event for a book that was never sent.
                None => self.sent.remove(book).map(|_| gone(*book)),
            };
            self.due.remove(book);
            events.extend(event.map(|event| (*book, Bytes::from(event))));
        }
        Ok(events)
    }
}

/// A book as it was read.
struct Read {
    /// None if it does not fit.
    status: Option<String>,
    seen: Seen,
}

/// Reads those of these books that the caller may see: the changes since a revision, or the whole
/// status. Includes the status of as many books, from the first on, as fit.
async fn read(
    transaction: &Transaction<'_>,
    caller: &Caller,
    owner: Option<Uuid>,
    books: &[Uuid],
    since: &[Option<i64>],
) -> Result<HashMap<Uuid, Read>, ApiError> {
    // `offset 0`: the function is called once a book, not at each use of its result.
    let query = format!(
        "select case when f.place = 1 or f.bytes <= $4 then f.status end, \
           f.revision, f.health, f.book_id from ( \
           select d.*, pg_catalog.row_number() over o as place, \
             pg_catalog.sum(pg_catalog.octet_length(d.status)) over o as bytes \
           from ( \
             select b.book_id, a.number, ({status})::text as status, \
               (s ->> 'revision')::bigint as revision, s ->> 'health' as health \
             from unnest($1::uuid[], $3::bigint[]) with ordinality a(book_id, since, number) \
             join bindery.book_status b using (book_id) \
             cross join lateral ( \
               select bindery_internal.listed_status(b.*, a.since) offset 0) c(s) \
             where $2::uuid is null or b.owner_id = $2) d \
           window o as (order by d.number)) f",
        status = with_since("s", "a.since")
    );
    let values: [(&(dyn ToSql + Sync), Type); 4] = [
        (&books, Type::UUID_ARRAY),
        (&owner, Type::UUID),
        (&since, Type::INT8_ARRAY),
        (&MOST_BYTES, Type::INT8),
    ];
    let rows = ask(transaction, caller, &query, &values).await?;
    let failed = |error: tokio_postgres::Error| ApiError::from_postgres(&error, true);
    rows.iter()
        .map(|row| {
            let seen = (row.try_get(1).map_err(failed)?, row.try_get(2).map_err(failed)?);
            let read = Read { status: row.try_get(0).map_err(failed)?, seen };
            Ok((row.try_get(3).map_err(failed)?, read))
        })
        .collect()
}

/// The books whose revision or health (if `health`) differs, or that are in only one of the maps.
fn differences(
    sent: &HashMap<Uuid, Seen>,
    now: &HashMap<Uuid, Seen>,
    health: bool,
) -> BTreeSet<Uuid> {
    let same = |sent: &Seen, now: &Seen| sent.0 == now.0 && (!health || sent.1 == now.1);
    let new = now
        .iter()
        .filter(|(book, now)| !sent.get(*book).is_some_and(|sent| same(sent, now)))
        .map(|(book, _)| *book);
    let gone = sent.keys().filter(|book| !now.contains_key(*book)).copied();
    new.chain(gone).collect()
}

/// Reads the revision, and the health if `health`, of these books and of the newest ones.
async fn read_revisions(
    transaction: &Transaction<'_>,
    caller: &Caller,
    owner: Option<Uuid>,
    books: &[Uuid],
    health: bool,
) -> Result<HashMap<Uuid, Seen>, ApiError> {
    let query = "select b.book_id, b.revision, \
           case when not $3 then null \
                when b.status = b.current_stage and b.completed_at is null \
                  then bindery_internal.listed_status(b.*, b.revision) ->> 'health' \
                when b.status = 'FAILED' and b.error ->> 'code' = 'stalled' then 'stalled' end \
         from bindery.book_status b \
         where ($4::uuid is null or b.owner_id = $4) and b.book_id = any ($1 || array( \
           select n.book_id from bindery.book_status n where $4::uuid is null or n.owner_id = $4 \
           order by n.created_at desc limit $2))";
    let values: [(&(dyn ToSql + Sync), Type); 4] = [
        (&books, Type::UUID_ARRAY),
        (&WATCHED, Type::INT8),
        (&health, Type::BOOL),
        (&owner, Type::UUID),
    ];
    let rows = ask(transaction, caller, query, &values).await?;
    let failed = |error: tokio_postgres::Error| ApiError::from_postgres(&error, true);
    rows.iter()
        .map(|row| {
            let seen = (row.try_get(1).map_err(failed)?, row.try_get(2).map_err(failed)?);
            Ok((row.try_get(0).map_err(failed)?, seen))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(books: &[u128]) -> Vec<(Uuid, Bytes)> {
        books.iter().map(|book| (Uuid::from_u128(*book), Bytes::from(vec![b'x'; 1000]))).collect()
    }

    #[test]
    fn readers_share_events_in_order_and_those_taken_by_all_are_dropped() {
        let mut kept = Kept::default();
        let (first, taken) = kept.join();
        assert_eq!((taken, kept.step(first, 0)), (0, Step::Wait));
        assert_eq!(kept.add(events(&[1, 2])), 2);
        let (second, taken) = kept.join();
        assert_eq!(
            (taken, kept.step(second, 2)),
            (2, Step::Wait),
            "what was before is in the list"
        );
        assert!(matches!(kept.step(first, 0), Step::Send(_)));
        assert!(matches!(kept.step(first, 1), Step::Send(_)));
        assert_eq!(kept.step(first, 2), Step::Wait);
        kept.add(events(&[1]));
        assert_eq!((kept.first(), kept.events.len(), kept.bytes), (3, 1, 1000));
        assert_eq!((kept.books.len(), kept.numbers.len()), (1, 1));
    }

    #[test]
    fn a_slow_reader_reads_each_missed_book_once_in_bounded_memory() {
        let mut kept = Kept::default();
        let (slow, _) = kept.join();
        for _ in 0..1000 {
            kept.add(events(&[1, 2, 3, 4, 5]));
        }
        assert!(kept.bytes <= KEPT_BYTES + 5000 && kept.events.len() < 1100, "{}", kept.bytes);
        let missed = |books: &[u128]| {
            let numbers = kept.last - books.len() as u64 + 1..;
            numbers.zip(books.iter().map(|book| Uuid::from_u128(*book))).collect::<Vec<_>>()
        };
        let expected = missed(&[1, 2, 3, 4, 5]);
        assert_eq!(kept.step(slow, 0), Step::Read(expected));
        let books: Vec<u128> = (10..10 + REMEMBERED as u128).collect();
        kept.add(events(&books));
        assert_eq!(kept.books.len(), REMEMBERED);
        assert_eq!(kept.step(slow, 0), Step::TooSlow, "the first five are forgotten");
        let last = kept.last;
        assert!(matches!(kept.step(slow, last - 1), Step::Send(_)));
    }

    #[test]
    fn new_changed_and_removed_books_differ() {
        let of = |books: &[(u128, i64)]| -> HashMap<Uuid, Seen> {
            books
                .iter()
                .map(|(book, revision)| (Uuid::from_u128(*book), (*revision, None)))
                .collect()
        };
        let found =
            differences(&of(&[(1, 1), (2, 1), (3, 1)]), &of(&[(1, 1), (2, 2), (4, 1)]), true);
        assert_eq!(found, [2, 3, 4].map(Uuid::from_u128).into());
        let mut quiet = of(&[(1, 1)]);
        quiet.insert(Uuid::from_u128(1), (1, Some("quiet".to_owned())));
        assert_eq!(differences(&of(&[(1, 1)]), &quiet, true), [Uuid::from_u128(1)].into());
        assert!(differences(&of(&[(1, 1)]), &quiet, false).is_empty());
    }
}
