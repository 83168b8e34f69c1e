//! The rows about one book and two streams, and the rules by which an event takes effect.
//!
//! The verdicts are those of `transition_verdict`, `begin_verdict` and `report_verdict` for a
//! pipeline of four stages in a row. `settle` is `settle_early` (sql/relay/early_events.sql).

/// An event's id: the index of its stream, and its place there, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id {
    pub stream: usize,
    pub number: u8,
}

/// A book's status, in the order of its pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    Uploaded,
    Analyzing,
    Drawing,
    /// No event and no call of the tests leads here.
    Lettering,
}

/// An event, or a client's call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    Register,
    /// A transition or a begin.
    Enter(Status),
    /// Progress of this stage; without one, of the stage that the events before it led to.
    Report(Option<Status>),
}

/// The entries of both streams.
pub type Streams = [&'static [Event]; 2];

/// How an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It took effect, with the book in this status behind it.
    Applied(Status),
    Stale,
    /// It became a dead letter.
    Rejected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Early,
    Stale,
}

impl Event {
    pub fn verdict(self, book: Option<Status>) -> Verdict {
        let Some(status) = book else {
            return if self == Self::Register { Verdict::Accept } else { Verdict::Early };
        };
        match self {
            Self::Enter(to) if to < status => Verdict::Stale,
            Self::Enter(to) if to as u8 > status as u8 + 1 => Verdict::Early,
            Self::Report(Some(stage)) if stage < status => Verdict::Stale,
            Self::Report(Some(stage)) if stage > status => Verdict::Early,
            _ => Verdict::Accept,
        }
    }

    /// Whether its meaning depends on the events before it in its stream.
    pub fn depends_on_order(self) -> bool {
        self == Self::Report(None)
    }
}

/// A change of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Write {
    /// A new row of book_status.
    Insert,
    Enter(Status),
    /// A new row of early_events.
    Keep(Id),
    /// That row deleted.
    Remove(Id),
    /// The event's effect, its dead letter, or the count of stale events.
    End(Id, Fate),
    /// The position of a stream.
    Move(usize, u8),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Database {
    pub book: Option<Status>,
    pub positions: [u8; 2],
    /// early_events, in the order of arrival.
    pub early: Vec<Id>,
    /// The ends of events, by stream; of one stream in the order in which they took place.
    pub ends: Vec<(Id, Fate)>,
}

impl Database {
    pub fn write(&mut self, write: Write) {
        match write {
            Write::Insert => self.book = Some(Status::Uploaded),
            Write::Enter(status) => self.book = Some(status),
            Write::Keep(id) => self.early.push(id),
            Write::Remove(id) => self.early.retain(|other| *other != id),
            Write::End(id, fate) => {
                let at = self.ends.partition_point(|(other, _)| other.stream <= id.stream);
                self.ends.insert(at, (id, fate));
            }
            Write::Move(stream, to) => self.positions[stream] = to,
        }
    }

    /// How an event ended: each of its ends, of which there should be one at most.
    pub fn ends_of(&self, id: Id) -> impl Iterator<Item = Fate> {
        self.ends.iter().filter(move |(other, _)| *other == id).map(|(_, fate)| *fate)
    }

    /// Applies the early events of the book that are applicable, in order, until none is.
    pub fn settle(mut self, streams: Streams) -> Vec<Write> {
        let mut writes = Vec::new();
        if self.book.is_none() {
            return writes;
        }
        let mut again = true;
        while again {
            again = false;
            let mut is_blocked = [false; 2];
            for id in self.early.clone() {
                let event = id.event(streams);
                if event.depends_on_order() && is_blocked[id.stream] {
                    continue;
                }
                let verdict = event.verdict(self.book);
                if verdict == Verdict::Early {
                    is_blocked[id.stream] = true;
                    continue;
                }
                let from = writes.len();
                writes.push(Write::Remove(id));
                writes.extend(self.take_effect(event, Some(id), verdict));
                writes[from..].iter().for_each(|write| self.write(*write));
                again = true;
            }
        }
        writes
    }

    /// The effect of an event that is not early, on a registered book.
    pub fn take_effect(&self, event: Event, id: Option<Id>, verdict: Verdict) -> Vec<Write> {
        let mut writes = Vec::new();
        let mut status = self.book.unwrap_or(Status::Uploaded);
        if let (Event::Enter(to), Verdict::Accept) = (event, verdict)
            && to != status
        {
            writes.push(Write::Enter(to));
            status = to;
        }
        let fate = if verdict == Verdict::Stale { Fate::Stale } else { Fate::Applied(status) };
        writes.extend(id.map(|id| Write::End(id, fate)));
        writes
    }
}

impl Id {
    pub fn event(self, streams: Streams) -> Event {
        streams[self.stream][usize::from(self.number) - 1]
    }
}
