//! The steps of the protocol, as sql/450_lease.sql, sql/440_apply_events.sql and daemon/src/relay/session.rs take them.
//!
//! - A request is on its way until the server takes it, which may be long after its sender has gone or has begun anew; or it never
//!   arrives. A server's step is a transaction, and its answer arrives with it or not at all: what arrives later is the same as a
//!   daemon that does nothing in between.
//! - A daemon that is paused takes no step while the others and the clock do, so every interleaving has pauses of every length.
//! - The lease may run out at any moment. Nothing else of time is in here: what is to be safe must not depend on it.

use stateright::{Model, Property};

/// The stream's entries are 1 to this; a batch has any number of them.
pub const EVENTS: u8 = 3;
/// Bounds, so that there is an end: how often the stream is taken or given up, and how often a connection is lost or a daemon
/// killed. How often the lease runs out has no bound of its own.
const MOST_EPOCHS: u8 = 3;
const MOST_MISHAPS: u8 = 2;

/// When the position moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// In the transaction that applies the batch: as it is.
    Within,
    /// In a transaction of its own afterwards: to show that this would not do.
    After,
    /// In a transaction of its own before.
    Before,
}

/// The protocol as it is, or with something taken out of it.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    /// Whether the database asks for the newest epoch before it applies anything.
    pub epoch_is_checked: bool,
    /// When the position moves.
    pub moves: Move,
}

/// A row of relay_cursors, and what the events have done.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Database {
    pub position: u8,
    pub epoch: u8,
    pub holder: Option<Holder>,
    pub lease_lasts: bool,
    pub effects: Vec<u8>,
}

/// A daemon's name, which is another after a crash.
pub type Holder = (usize, u8);

/// What a daemon knows. All of it goes with its connection or its life.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Daemon {
    lives: u8,
    connections: u8,
    lease: Option<Lease>,
    waits: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Lease {
    epoch: u8,
    position: u8,
    /// The other half of a batch, where the position does not move within.
    then: Option<Ask>,
}

/// What a request asks for.
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
    /// Only where the position moves by itself.
    MoveTo {
        epoch: u8,
        to: u8,
    },
    Release {
        epoch: u8,
    },
}

/// A request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    daemon: usize,
    life: u8,
    connection: u8,
    ask: Ask,
}

impl State {
    /// The epochs of batches on their way, each with whether its sender has died, and whether it would hear the answer.
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
    /// In order of their parts, which is none: any may arrive first.
    pub requests: Vec<Request>,
    /// Connections lost and daemons killed so far.
    pub mishaps: u8,
}

/// One step of anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Send(usize, Ask),
    Arrive(Request),
    ArriveAndLoseTheAnswer(Request),
    NeverArrive(Request),
    LoseTheConnection(usize),
    Crash(usize),
    LeaseRunsOut,
}

/// The database's refusal.
struct Refused;

impl Protocol {
    /// What a daemon that waits for nothing may ask for.
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
        let request = Request { daemon: index, life: daemon.lives, connection: daemon.connections, ask };
        state.requests.push(request);
        state.requests.sort_unstable();
        request
    }

    /// The server takes a request: one transaction. Its sender hears of it if it is still there and the answer is not lost.
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
            // It drops what it has in memory, and begins with the position that the next acquire tells.
            (Err(Refused), ..) | (Ok(()), Ask::Release { .. }, _) => None,
            (Ok(()), Ask::Acquire, _) => Some(Lease { epoch, position, then: None }),
            (Ok(()), Ask::Renew { .. }, lease) => lease,
            (Ok(()), ask, lease) => lease.map(|lease| self.after(lease, ask)),
        };
    }

    /// What a daemon knows after its batch, or half of it, was answered.
    fn after(&self, lease: Lease, ask: Ask) -> Lease {
        let epoch = lease.epoch;
        match (self.moves, ask) {
            (Move::After, Ask::Apply { to, .. }) => Lease { then: Some(Ask::MoveTo { epoch, to }), ..lease },
            (Move::Before, Ask::MoveTo { to, .. }) => {
                Lease { then: Some(Ask::Apply { epoch, after: lease.position, to }), ..lease }
            }
            (_, Ask::Apply { to, .. } | Ask::MoveTo { to, .. }) => Lease { position: to, then: None, ..lease },
            _ => lease,
        }
    }

    fn transact(&self, state: &mut State, request: Request) -> Result<(), Refused> {
        let database = &mut state.database;
        let is_newest = |database: &Database, epoch| database.epoch == epoch && database.holder.is_some();
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
                // The position is looked at in any case, unless it has moved before.
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
                if (self.epoch_is_checked && !is_newest(database, epoch)) || to <= database.position {
                    return Err(Refused);
                }
                database.position = to;
            }
        }
        Ok(())
    }

    /// Where it comes to if nothing more goes wrong: the requests on their way are lost, the lease runs out, and one daemon,
    /// started afresh, takes the stream and applies what is left.
    pub fn left_alone(&self, mut state: State) -> State {
        state.requests.clear();
        state.database.lease_lasts = false;
        crash(&mut state.daemons[0]);
        loop {
            let mut asks = Vec::new();
            self.asks(&state.daemons[0], &mut asks);
            asks.retain(|ask| !matches!(ask, Ask::Renew { .. } | Ask::Release { .. }));
            let Some(ask) = asks.pop() else { return state };
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
            steps.push(Step::LeaseRunsOut);
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        next.mishaps += u8::from(!matches!(step, Step::Send(..) | Step::Arrive(_) | Step::LeaseRunsOut));
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
            Step::LeaseRunsOut => next.database.lease_lasts = false,
        }
        Some(next)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.database.epoch <= MOST_EPOCHS
    }

    fn properties(&self) -> Vec<Property<Self>> {
        super::properties()
    }
}
