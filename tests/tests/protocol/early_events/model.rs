//! The transactions that read and write early events, statement by statement: `apply_events` with
//! `lock_books` (sql/relay/apply_events.sql), `defer`, `settle_early` and `expire_early`
//! (sql/relay/early_events.sql), `do_register` (sql/books/register_book.sql) with `start_book`
//! (sql/books/start_book.sql), and `do_transition` (sql/books/transition_book.sql).
//!
//! - Transactions are READ COMMITTED: a statement sees what was committed when it began, and the
//!   writes of its own transaction.
//! - A step is one statement, with those after it that no other transaction can affect. A statement
//!   that waits for a lock is a step that is not possible yet. One that skips locked rows is always
//!   possible.
//! - A transaction can abort at any statement, and the answer to a commit can be lost.
//! - Each stream has one relay. Leases and epochs are the subject of the other model.
//! - An early event can exceed its patience at any moment. The model has no other time.

use stateright::{Model, Property};

use super::database::{Database, Event, Fate, Id, Status, Streams, Verdict, Write};

/// The writers. A relay has the index of its stream.
const RELAYS: [usize; 2] = [0, 1];
pub const CLIENT: usize = 2;
const SWEEPER: usize = 3;
const WRITERS: usize = 4;

/// The bound: the transactions aborted, answers lost and events expired, all together.
const MOST_MISHAPS: u8 = 3;

/// A part of a transaction that a mutation test moves into a second transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The INSERT into early_events.
    Deferral,
    /// The application of the early events that a change of the book made applicable.
    Settling,
    /// The DELETE from early_events of an event that took effect.
    Removal,
}

/// When a registration locks the slot FOR KEY SHARE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Before it inserts the book; not if the book is registered already.
    BeforeInsert,
    /// Before it inserts the book, even if the book is registered already.
    Always,
    /// After it inserted the book.
    AfterInsert,
}

/// The protocol as it is, or with a rule removed.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    pub streams: Streams,
    /// The functions that a client calls, one transaction a call.
    pub calls: &'static [Event],
    /// Whether a batch about an unknown book locks the book's slot and then reads the book again.
    pub batch_locks_slot: bool,
    pub sharing: Sharing,
    /// The part that a second transaction does.
    pub afterwards: Option<Part>,
    /// Whether the sweeper locks the book, or the slot of an unknown book, before it expires an
    /// event.
    pub expiry_locks_book: bool,
    /// Whether the sweeper settles the other early events of the book after it expired one.
    pub expiry_settles: bool,
}

/// A lock on the book's registration slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum SlotLock {
    /// FOR KEY SHARE: compatible with itself.
    Share,
    /// FOR UPDATE.
    Update,
}

/// The statement that a transaction executes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Next {
    LockBook,
    LockSlot,
    /// With the slot locked.
    LockBookAgain,
    /// The first of the transaction's tasks.
    Task,
    /// Of a registration.
    ShareSlot,
    /// Of a registration.
    Insert,
    Commit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Task {
    /// An event of a stream, or a client's call.
    Apply(Event, Option<Id>),
    Expire(Id),
    Settle,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Transaction {
    next: Next,
    tasks: Vec<Task>,
    writes: Vec<Write>,
    /// Whether it locked the book's row FOR NO KEY UPDATE, or inserted it.
    holds_book: bool,
    slot: Option<SlotLock>,
    /// Whether a second transaction is to settle its changes of status.
    unsettled: bool,
    /// Whether it is such a second transaction.
    is_second: bool,
}

/// What a stream's relay has in memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Relay {
    position: u8,
    /// The last event of a batch whose answer was lost.
    pub unanswered: Option<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct State {
    pub database: Database,
    pub relays: [Relay; 2],
    /// Calls that the client has made.
    called: u8,
    pub transactions: [Option<Transaction>; WRITERS],
    mishaps: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A relay sends the events up to this one.
    SendBatch {
        stream: usize,
        to: u8,
    },
    /// A relay sends a batch again, as its answer was lost.
    SendAgain {
        stream: usize,
    },
    Call,
    Expire(Id),
    /// A transaction executes its next statement.
    Execute {
        writer: usize,
    },
    /// A batch commits, and the answer is lost.
    CommitUnanswered {
        stream: usize,
    },
    /// A transaction aborts: an error, a crash or a lost connection.
    Abort {
        writer: usize,
    },
}

impl Transaction {
    fn new(next: Next, tasks: Vec<Task>) -> Self {
        Self {
            next,
            tasks,
            writes: Vec::new(),
            holds_book: false,
            slot: None,
            unsettled: false,
            is_second: false,
        }
    }

    fn sees(&self, database: &Database) -> Database {
        let mut view = database.clone();
        self.writes.iter().for_each(|write| view.write(*write));
        view
    }

    fn has_inserted(&self) -> bool {
        self.writes.contains(&Write::Insert)
    }

    /// Whether it deleted this event's row, and so holds the row's lock.
    fn has_removed(&self, id: Id) -> bool {
        self.writes.contains(&Write::Remove(id))
    }

    /// Whether it applies an event of this stream.
    pub fn applies_event_of(&self, stream: usize) -> bool {
        self.writes
            .iter()
            .any(|write| matches!(write, Write::End(id, Fate::Applied(_)) if id.stream == stream))
    }

    fn finish_task(&mut self) {
        self.tasks.remove(0);
        self.next = if self.tasks.is_empty() { Next::Commit } else { Next::Task };
    }
}

impl State {
    pub fn is_at_rest(&self) -> bool {
        self.transactions.iter().all(Option::is_none)
    }

    fn others(&self, writer: usize) -> impl Iterator<Item = (usize, &Transaction)> {
        let all = self.transactions.iter().enumerate();
        all.filter(move |(other, _)| *other != writer)
            .filter_map(|(other, transaction)| Some((other, transaction.as_ref()?)))
    }

    /// The writers whose transactions hold a lock that this transaction's next statement needs.
    fn obstacles(&self, writer: usize, transaction: &Transaction) -> Vec<usize> {
        let is_visible = self.database.book.is_some() && !transaction.holds_book;
        let blocks = |other: &Transaction| match transaction.next {
            Next::LockBook | Next::LockBookAgain => is_visible && other.holds_book,
            Next::LockSlot => other.slot.is_some(),
            Next::ShareSlot => other.slot == Some(SlotLock::Update),
            Next::Insert => other.has_inserted(),
            Next::Task => match transaction.tasks[0] {
                Task::Apply(Event::Register, _) | Task::Expire(_) => false,
                Task::Apply(..) | Task::Settle => is_visible && other.holds_book,
            },
            // The DELETE of a row that the other transaction deleted waits for that transaction.
            Next::Commit => transaction.writes.iter().any(|write| {
                matches!(write, Write::Remove(id) if other.has_removed(*id)) && writer != SWEEPER
            }),
        };
        self.others(writer).filter(|(_, other)| blocks(other)).map(|(other, _)| other).collect()
    }

    /// Whether a writer's transaction waits for another one.
    pub fn waits(&self, writer: usize) -> bool {
        self.transactions[writer]
            .as_ref()
            .is_some_and(|transaction| !self.obstacles(writer, transaction).is_empty())
    }

    pub fn waits_for_slot(&self, writer: usize) -> bool {
        self.waits(writer)
            && self.transactions[writer].as_ref().is_some_and(|transaction| {
                matches!(transaction.next, Next::LockSlot | Next::ShareSlot)
            })
    }

    /// Whether transactions wait for each other in a circle.
    pub fn is_deadlocked(&self) -> bool {
        let mut waiting: Vec<(usize, Vec<usize>)> = (0..WRITERS)
            .filter_map(|writer| {
                let transaction = self.transactions[writer].as_ref()?;
                // The sweeper skips what is locked.
                (writer != SWEEPER).then(|| (writer, self.obstacles(writer, transaction)))
            })
            .filter(|(_, obstacles)| !obstacles.is_empty())
            .collect();
        // Remove those that wait for none that waits, until only circles are left.
        loop {
            let waiters: Vec<usize> = waiting.iter().map(|(writer, _)| *writer).collect();
            waiting.retain(|(_, obstacles)| obstacles.iter().any(|other| waiters.contains(other)));
            if waiting.len() == waiters.len() {
                return !waiting.is_empty();
            }
        }
    }
}

impl Protocol {
    /// All events of both streams.
    pub fn events(&self) -> impl Iterator<Item = Id> {
        RELAYS
            .into_iter()
            .flat_map(|stream| (1..=self.length(stream)).map(move |number| Id { stream, number }))
    }

    fn length(&self, stream: usize) -> u8 {
        self.streams[stream].len() as u8
    }

    /// Whether this event is about a stage to which no event and no call leads.
    pub fn is_never_applicable(&self, id: Id) -> bool {
        let events = self.streams.iter().chain([&self.calls]).copied().flatten();
        let reached = events.filter_map(|event| match event {
            Event::Enter(status) => Some(*status),
            _ => None,
        });
        let last = reached.max().unwrap_or(Status::Uploaded);
        matches!(id.event(self.streams), Event::Report(Some(stage)) if stage > last)
    }

    fn batch(&self, stream: usize, from: u8, to: u8) -> Transaction {
        let ids = (from + 1..=to).map(|number| Id { stream, number });
        let tasks = ids.map(|id| Task::Apply(id.event(self.streams), Some(id))).collect();
        let mut transaction = Transaction::new(Next::LockBook, tasks);
        transaction.writes.push(Write::Move(stream, to));
        transaction
    }

    fn call(event: Event) -> Transaction {
        let next = if event == Event::Register { Next::Task } else { Next::LockBook };
        Transaction::new(next, vec![Task::Apply(event, None)])
    }

    fn expiry(&self, id: Id) -> Transaction {
        let next = if self.expiry_locks_book { Next::LockBook } else { Next::Task };
        Transaction::new(next, vec![Task::Expire(id)])
    }

    /// Begins a transaction with its first statement. If that has to wait, the transaction holds no
    /// lock yet, and beginning later is the same: false.
    fn begin(&self, state: &mut State, writer: usize, transaction: Transaction) -> bool {
        if !state.obstacles(writer, &transaction).is_empty() {
            return false;
        }
        state.transactions[writer] = Some(transaction);
        self.execute(state, writer, true);
        true
    }

    fn execute(&self, state: &mut State, writer: usize, is_answered: bool) {
        let Some(mut transaction) = state.transactions[writer].take() else { return };
        if !state.obstacles(writer, &transaction).is_empty() {
            // Only the sweeper gets here: it skips what is locked.
            return;
        }
        let view = transaction.sees(&state.database);
        match transaction.next {
            Next::LockBook if view.book.is_none() => match writer {
                // PT404 unknown_book.
                CLIENT => {
                    state.called += 1;
                    return;
                }
                SWEEPER => transaction.next = Next::LockSlot,
                _ if self.batch_locks_slot => transaction.next = Next::LockSlot,
                _ => transaction.next = Next::Task,
            },
            // Registered in between: left for the next sweep.
            Next::LockBookAgain if writer == SWEEPER && view.book.is_some() => return,
            Next::LockBook | Next::LockBookAgain => {
                transaction.holds_book = view.book.is_some();
                transaction.next = Next::Task;
            }
            Next::LockSlot => {
                transaction.slot = Some(SlotLock::Update);
                transaction.next = Next::LockBookAgain;
            }
            Next::Task => self.perform(&mut transaction, view),
            Next::ShareSlot => {
                transaction.slot.get_or_insert(SlotLock::Share);
                if self.sharing == Sharing::AfterInsert {
                    self.complete_registration(&mut transaction, view);
                } else {
                    transaction.next = Next::Insert;
                }
            }
            Next::Insert if view.book.is_some() => {
                // ON CONFLICT DO NOTHING: another transaction has registered it.
                transaction.next = Next::Task;
            }
            Next::Insert => {
                transaction.writes.push(Write::Insert);
                transaction.holds_book = true;
                if self.sharing == Sharing::AfterInsert {
                    transaction.next = Next::ShareSlot;
                } else {
                    let view = transaction.sees(&state.database);
                    self.complete_registration(&mut transaction, view);
                }
            }
            Next::Commit => return self.commit(state, writer, transaction, is_answered),
        }
        state.transactions[writer] = Some(transaction);
    }

    fn complete_registration(&self, transaction: &mut Transaction, view: Database) {
        if let Task::Apply(_, Some(id)) = transaction.tasks[0] {
            transaction.writes.push(Write::End(id, Fate::Applied(Status::Uploaded)));
        }
        self.settle(transaction, view);
        transaction.finish_task();
    }

    fn settle(&self, transaction: &mut Transaction, view: Database) {
        if self.afterwards == Some(Part::Settling) && !transaction.is_second {
            transaction.unsettled = true;
        } else {
            transaction.writes.extend(view.settle(self.streams));
        }
    }

    fn perform(&self, transaction: &mut Transaction, mut view: Database) {
        match transaction.tasks[0] {
            Task::Settle => self.settle(transaction, view),
            Task::Expire(id) if view.early.contains(&id) => {
                let writes = [Write::Remove(id), Write::End(id, Fate::Rejected)];
                transaction.writes.extend(writes);
                writes.into_iter().for_each(|write| view.write(write));
                if self.expiry_settles && transaction.holds_book {
                    self.settle(transaction, view);
                }
            }
            Task::Expire(_) => {}
            Task::Apply(Event::Register, _)
                if view.book.is_none()
                    || (self.sharing == Sharing::Always && transaction.slot.is_none()) =>
            {
                transaction.next = if self.sharing == Sharing::AfterInsert {
                    Next::Insert
                } else {
                    Next::ShareSlot
                };
                return;
            }
            Task::Apply(event, id) => {
                // It is not locked yet only if the batch did not lock the slot.
                transaction.holds_book |= view.book.is_some() && event != Event::Register;
                let is_queued = event.depends_on_order()
                    && id.is_some_and(|id| view.early.iter().any(|e| e.stream == id.stream));
                let verdict = if is_queued { Verdict::Early } else { event.verdict(view.book) };
                if verdict == Verdict::Early {
                    // A call gets an error and writes nothing.
                    transaction.writes.extend(id.map(Write::Keep));
                } else {
                    let writes = view.take_effect(event, id, verdict);
                    let is_change = matches!(writes.first(), Some(Write::Enter(_)));
                    transaction.writes.extend(&writes);
                    if is_change {
                        writes.into_iter().for_each(|write| view.write(write));
                        self.settle(transaction, view);
                    }
                }
            }
        }
        transaction.finish_task();
    }

    fn commit(&self, state: &mut State, writer: usize, transaction: Transaction, answered: bool) {
        let is_later = |write: &Write| match self.afterwards {
            Some(Part::Deferral) => matches!(write, Write::Keep(_)),
            Some(Part::Removal) => matches!(write, Write::Remove(_)),
            Some(Part::Settling) | None => false,
        };
        let is_second = transaction.is_second;
        let (later, now): (Vec<_>, Vec<_>) =
            transaction.writes.into_iter().partition(|write| !is_second && is_later(write));
        now.into_iter().for_each(|write| state.database.write(write));
        if transaction.unsettled {
            let second = Transaction::new(Next::LockBook, vec![Task::Settle]);
            state.transactions[writer] = Some(Transaction { is_second: true, ..second });
        } else if !later.is_empty() {
            let second = Transaction::new(Next::Commit, Vec::new());
            state.transactions[writer] =
                Some(Transaction { is_second: true, writes: later, ..second });
        }
        if is_second {
            return;
        }
        match writer {
            CLIENT => state.called += 1,
            SWEEPER => {}
            _ => {
                let position = state.database.positions[writer];
                let relay = &mut state.relays[writer];
                if answered {
                    relay.position = position;
                } else {
                    relay.unanswered = Some(position);
                }
            }
        }
    }

    /// The state that follows if nothing more goes wrong: both relays acquire their positions and
    /// send the rest, and then the events that are still early expire.
    pub fn left_alone(&self, database: &Database) -> Database {
        let mut state = State { database: database.clone(), ..State::default() };
        for stream in RELAYS {
            let from = state.database.positions[stream];
            if from < self.length(stream) {
                self.complete(&mut state, stream, self.batch(stream, from, self.length(stream)));
            }
        }
        while let Some(id) = state.database.early.first().copied() {
            self.complete(&mut state, SWEEPER, self.expiry(id));
        }
        state.database
    }

    fn complete(&self, state: &mut State, writer: usize, transaction: Transaction) {
        self.begin(state, writer, transaction);
        while state.transactions[writer].is_some() {
            self.execute(state, writer, true);
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        for stream in RELAYS {
            let relay = &state.relays[stream];
            if state.transactions[stream].is_some() {
                continue;
            }
            if relay.unanswered.is_some() {
                steps.push(Step::SendAgain { stream });
            } else {
                let rest = relay.position + 1..=self.length(stream);
                steps.extend(rest.map(|to| Step::SendBatch { stream, to }));
            }
        }
        if state.transactions[CLIENT].is_none() && usize::from(state.called) < self.calls.len() {
            steps.push(Step::Call);
        }
        if state.transactions[SWEEPER].is_none() && state.mishaps < MOST_MISHAPS {
            // FOR UPDATE SKIP LOCKED.
            let is_locked = |id| state.others(SWEEPER).any(|(_, other)| other.has_removed(id));
            let early = state.database.early.iter().copied();
            steps.extend(early.filter(|id| !is_locked(*id)).map(Step::Expire));
        }
        for writer in 0..WRITERS {
            let Some(transaction) = &state.transactions[writer] else { continue };
            let can_go_on = writer == SWEEPER || !state.waits(writer);
            if can_go_on {
                steps.push(Step::Execute { writer });
            }
            if state.mishaps < MOST_MISHAPS {
                steps.push(Step::Abort { writer });
                if RELAYS.contains(&writer) && can_go_on && transaction.next == Next::Commit {
                    steps.push(Step::CommitUnanswered { stream: writer });
                }
            }
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        let has_begun = match step {
            Step::SendBatch { stream, to } => {
                let batch = self.batch(stream, state.relays[stream].position, to);
                self.begin(&mut next, stream, batch)
            }
            Step::SendAgain { stream } => {
                // The database refuses the batch by its position, and the relay acquires that.
                let position = state.database.positions[stream];
                next.relays[stream] = Relay { position, unanswered: None };
                state.relays[stream].unanswered <= Some(position)
            }
            Step::Call => {
                let call = Self::call(self.calls[usize::from(state.called)]);
                self.begin(&mut next, CLIENT, call)
            }
            Step::Expire(id) => {
                next.mishaps += 1;
                self.begin(&mut next, SWEEPER, self.expiry(id))
            }
            Step::Execute { writer } => {
                self.execute(&mut next, writer, true);
                true
            }
            Step::CommitUnanswered { stream } => {
                next.mishaps += 1;
                self.execute(&mut next, stream, false);
                true
            }
            Step::Abort { writer } => {
                next.mishaps += 1;
                next.transactions[writer] = None;
                true
            }
        };
        has_begun.then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        super::properties()
    }
}
