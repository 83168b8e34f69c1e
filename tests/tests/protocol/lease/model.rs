//! The steps of the protocol: `acquire_stream`, `renew_stream` and `release_stream`
//! (sql/relay/lease.sql), `lock_cursor` and `apply_events` (sql/relay/apply_events.sql), and the
//! daemon's session (daemon/src/relay/session.rs).
//!
//! - A request is in flight until the server executes it, which can be long after its sender has
//!   died or reconnected; or it never arrives. A step of the server is a transaction. Its answer
//!   arrives at once or never: a late answer is the same as a daemon that is idle in between.
//! - A paused daemon takes no step while the other daemon and the clock do, so the interleavings
//!   contain pauses of every length.
//! - The lease can expire at any moment. The model has no other time: safety must not depend on it.
//! - What a batch does to books and early events is the subject of the other model.

use stateright::{Model, Property};

/// The stream's entries are 1 to this; a batch has one or more of them.
pub const EVENTS: u8 = 3;
/// Bounds: the epochs, and the connections lost and daemons killed. How often the lease expires has
/// no bound of its own.
const MOST_EPOCHS: u8 = 3;
const MOST_MISHAPS: u8 = 2;

/// When the position moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// In the transaction that applies the batch, as in apply_events.
    Within,
    /// In a transaction of its own behind that.
    After,
    /// In a transaction of its own before that.
    Before,
}

/// The protocol as it is, or with a rule removed.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    /// Whether the database refuses an epoch that is not the newest.
    pub epoch_is_checked: bool,
    /// When the position moves.
    pub moves: Move,
}

/// A row of relay_cursors, and the events that took effect, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Database {
    pub position: u8,
    pub epoch: u8,
    pub holder: Option<Holder>,
    pub lease_lasts: bool,
    pub effects: Vec<u8>,
}

/// A daemon's name, which changes with a crash: its index and its life.
pub type Holder = (usize, u8);

/// What a daemon has in memory. It loses all of it with its connection or its life.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Daemon {
    lives: u8,
    connections: u8,
    lease: Option<Lease>,
    waits: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Lease {
    epoch: u8,
    position: u8,
    /// The other half of a batch, where the position moves in a transaction of its own.
    then: Option<Ask>,
}

/// What a request calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ask {
    Acquire,
    Renew {
        epoch: u8,
    },
    Apply {
        epoch: u8,
        after: u8,
        to: u8,
    },
    /// Only where the position moves in a transaction of its own.
    MoveTo {
        epoch: u8,
        to: u8,
    },
    Release {
        epoch: u8,
    },
}

/// A request in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    daemon: usize,
    life: u8,
    connection: u8,
    ask: Ask,
}

impl State {
    /// The daemons are alike, so a state in which they have changed places is the same state.
    fn sort_daemons(&mut self) {
        if self.daemons[0] <= self.daemons[1] {
            return;
        }
        self.daemons.swap(0, 1);
        self.requests.iter_mut().for_each(|request| request.daemon = 1 - request.daemon);
        self.requests.sort_unstable();
        if let Some((daemon, _)) = &mut self.database.holder {
            *daemon = 1 - *daemon;
        }
    }

    /// The epochs of batches in flight, each with whether its sender has died, and whether its
    /// sender would receive the answer.
    pub fn batches(&self) -> impl Iterator<Item = (u8, bool, bool)> {
        self.requests.iter().filter_map(|request| {
            let Ask::Apply { epoch, .. } = request.ask else { return None };
            let sender = &self.daemons[request.daemon];
            let has_died = sender.lives != request.life;
            Some((epoch, has_died, !has_died && sender.connections == request.connection))
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct State {
    pub database: Database,
    pub daemons: [Daemon; 2],
    /// Sorted, so that equal sets are equal states: any of them can arrive first.
    pub requests: Vec<Request>,
    /// Connections lost and daemons killed so far.
    pub mishaps: u8,
}

/// One step of a daemon, of the server or of the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Send(usize, Ask),
    Arrive(Request),
    ArriveAndLoseTheAnswer(Request),
    NeverArrive(Request),
    LoseTheConnection(usize),
    Crash(usize),
    LeaseExpires,
}

/// The database's refusal.
struct Refused;

impl Protocol {
    /// What a daemon that waits for no answer can request.
    fn asks(&self, daemon: &Daemon, asks: &mut Vec<Ask>) {
        let Some(Lease { epoch, position, then }) = daemon.lease else {
            return asks.push(Ask::Acquire);
        };
        if let Some(ask) = then {
            return asks.push(ask);
        }
        asks.extend([Ask::Renew { epoch }, Ask::Release { epoch }]);
        asks.extend((position + 1..=EVENTS).map(|to| match self.moves {
            Move::Within | Move::After => Ask::Apply { epoch, after: position, to },
            Move::Before => Ask::MoveTo { epoch, to },
        }));
    }

    fn send(state: &mut State, index: usize, ask: Ask) -> Request {
        let daemon = &mut state.daemons[index];
        daemon.waits = true;
        let request =
            Request { daemon: index, life: daemon.lives, connection: daemon.connections, ask };
        state.requests.push(request);
        state.requests.sort_unstable();
        request
    }

    /// The server executes a request in one transaction. Its sender receives the answer if it still
    /// has the connection and the answer is not lost.
    fn arrive(&self, state: &mut State, request: Request, answered: bool) {
        state.requests.retain(|other| *other != request);
        let outcome = self.transact(state, request);
        let index = request.daemon;
        let sender = &state.daemons[index];
        let is_there = (sender.lives, sender.connections) == (request.life, request.connection);
        if !is_there {
            return;
        }
        if !answered {
            return disconnect(&mut state.daemons[index]);
        }
        let (epoch, position) = (state.database.epoch, state.database.position);
        let daemon = &mut state.daemons[index];
        daemon.waits = false;
        daemon.lease = match (outcome, request.ask, daemon.lease) {
            // The daemon drops what it has in memory; the next acquire returns the position.
            (Err(Refused), ..) | (Ok(()), Ask::Release { .. }, _) => None,
            (Ok(()), Ask::Acquire, _) => Some(Lease { epoch, position, then: None }),
            (Ok(()), Ask::Renew { .. }, lease) => lease,
            (Ok(()), ask, lease) => lease.map(|lease| self.after(lease, ask)),
        };
    }

    /// What a daemon has in memory once its batch, or half of it, was answered.
    fn after(&self, lease: Lease, ask: Ask) -> Lease {
        let epoch = lease.epoch;
        match (self.moves, ask) {
            (Move::After, Ask::Apply { to, .. }) => {
                Lease { then: Some(Ask::MoveTo { epoch, to }), ..lease }
            }
            (Move::Before, Ask::MoveTo { to, .. }) => {
                Lease { then: Some(Ask::Apply { epoch, after: lease.position, to }), ..lease }
            }
            (_, Ask::Apply { to, .. } | Ask::MoveTo { to, .. }) => {
                Lease { position: to, then: None, ..lease }
            }
            _ => lease,
        }
    }

    fn transact(&self, state: &mut State, request: Request) -> Result<(), Refused> {
        let database = &mut state.database;
        let is_newest =
            |database: &Database, epoch| database.epoch == epoch && database.holder.is_some();
        match request.ask {
            Ask::Acquire => {
                let holder = (request.daemon, request.life);
                if database.lease_lasts && database.holder.is_some_and(|other| other != holder) {
                    return Err(Refused);
                }
                database.epoch += 1;
                (database.holder, database.lease_lasts) = (Some(holder), true);
            }
            Ask::Renew { epoch } => {
                if !is_newest(database, epoch) {
                    return Err(Refused);
                }
                database.lease_lasts = true;
            }
            Ask::Release { epoch } => {
                if database.epoch != epoch {
                    return Err(Refused);
                }
                database.epoch += 1;
                (database.holder, database.lease_lasts) = (None, false);
            }
            Ask::Apply { epoch, after, to } => {
                let epoch_is_over = self.epoch_is_checked && !is_newest(database, epoch);
                // The position is compared in each variant but the one that moves it before.
                if epoch_is_over || (self.moves != Move::Before && to <= database.position) {
                    return Err(Refused);
                }
                database.effects.extend(after + 1..=to);
                database.lease_lasts |= database.holder.is_some();
                if self.moves == Move::Within {
                    database.position = to;
                }
            }
            Ask::MoveTo { epoch, to } => {
                if (self.epoch_is_checked && !is_newest(database, epoch)) || to <= database.position
                {
                    return Err(Refused);
                }
                database.position = to;
            }
        }
        Ok(())
    }

    /// The state that follows if nothing more goes wrong: requests in flight are lost, the lease
    /// expires, and one daemon, restarted, acquires the stream and applies the rest.
    pub fn left_alone(&self, database: &Database) -> Database {
        let mut state = State { database: database.clone(), ..State::default() };
        state.database.lease_lasts = false;
        loop {
            let mut asks = Vec::new();
            self.asks(&state.daemons[0], &mut asks);
            asks.retain(|ask| !matches!(ask, Ask::Renew { .. } | Ask::Release { .. }));
            let Some(ask) = asks.pop() else { return state.database };
            let request = Self::send(&mut state, 0, ask);
            self.arrive(&mut state, request, true);
        }
    }
}

fn disconnect(daemon: &mut Daemon) {
    daemon.connections += 1;
    (daemon.lease, daemon.waits) = (None, false);
}

fn crash(daemon: &mut Daemon) {
    daemon.lives += 1;
    (daemon.lease, daemon.waits) = (None, false);
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        for (index, daemon) in state.daemons.iter().enumerate() {
            if !daemon.waits {
                let mut asks = Vec::new();
                self.asks(daemon, &mut asks);
                steps.extend(asks.into_iter().map(|ask| Step::Send(index, ask)));
            }
            if state.mishaps < MOST_MISHAPS {
                steps.extend([Step::LoseTheConnection(index), Step::Crash(index)]);
            }
        }
        for request in &state.requests {
            steps.push(Step::Arrive(*request));
            if state.mishaps < MOST_MISHAPS {
                steps.extend([Step::ArriveAndLoseTheAnswer(*request), Step::NeverArrive(*request)]);
            }
        }
        if state.database.lease_lasts {
            steps.push(Step::LeaseExpires);
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        next.mishaps +=
            u8::from(!matches!(step, Step::Send(..) | Step::Arrive(_) | Step::LeaseExpires));
        match step {
            Step::Send(index, ask) => {
                Self::send(&mut next, index, ask);
            }
            Step::Arrive(request) => self.arrive(&mut next, request, true),
            Step::ArriveAndLoseTheAnswer(request) => self.arrive(&mut next, request, false),
            Step::NeverArrive(request) => {
                next.requests.retain(|other| *other != request);
                let sender = &mut next.daemons[request.daemon];
                if (sender.lives, sender.connections) == (request.life, request.connection) {
                    disconnect(sender);
                }
            }
            Step::LoseTheConnection(index) => disconnect(&mut next.daemons[index]),
            Step::Crash(index) => crash(&mut next.daemons[index]),
            Step::LeaseExpires => next.database.lease_lasts = false,
        }
        next.sort_daemons();
        Some(next)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.database.epoch <= MOST_EPOCHS
    }

    fn properties(&self) -> Vec<Property<Self>> {
        super::properties()
    }
}
