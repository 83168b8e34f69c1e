//! The bounded buffer between the work and the sender.
//!
//! The events of a book stay in their order; a substep waits in it once, and a newer report merges
//! into the one that waits. When the bound is reached, the oldest reports and heartbeats go first;
//! an event of another type is dropped only when nothing else is left to drop, and then it is the
//! newest one. What is dropped is counted.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use bindery_core::event::Event;
use uuid::Uuid;

use crate::session::Session;

/// The approximate size of an event without its texts, in bytes.
const OVERHEAD: usize = 512;

/// Something that waits to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub number: u64,
    pub book_id: Uuid,
    pub session: Option<Arc<Session>>,
    pub content: Content,
    pub bytes: usize,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// An event as it is.
    Event(Event),
    /// The newest report of a substep of the session.
    Report(String),
    /// A heartbeat of the session's worker.
    Heartbeat,
}

#[derive(Debug)]
pub(crate) struct Buffer {
    max_events: usize,
    max_bytes: usize,
    waiting: VecDeque<Item>,
    bytes: usize,
    /// The number of the item that was added last.
    pub last_number: u64,
    pub dropped: u64,
}

impl Item {
    fn is_droppable(&self) -> bool {
        !matches!(self.content, Content::Event(_))
    }

    fn is_begin(&self) -> bool {
        matches!(&self.content, Content::Event(event) if event.kind.name() == "begin")
    }

    /// Lets a later report of its substep queue again.
    fn unqueue(&self) {
        if let (Some(session), Content::Report(substep)) = (&self.session, &self.content)
            && let Some(substep) = session.state().substeps.get_mut(substep)
        {
            substep.is_queued = false;
        }
    }
}

impl Buffer {
    pub fn new(max_events: usize, max_bytes: usize) -> Self {
        Self {
            max_events,
            max_bytes,
            waiting: VecDeque::new(),
            bytes: 0,
            last_number: 0,
            dropped: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether an event of a book waits.
    pub fn has(&self, book_id: Uuid) -> bool {
        self.waiting.iter().any(|item| item.book_id == book_id)
    }

    /// The lowest waiting number, of one book or of all.
    pub fn oldest(&self, book_id: Option<Uuid>) -> Option<u64> {
        let mut items = self.waiting.iter();
        items.find(|item| book_id.is_none_or(|book| item.book_id == book)).map(|item| item.number)
    }

    /// Appends an event; returns false without room.
    pub fn add(
        &mut self,
        book_id: Uuid,
        session: Option<Arc<Session>>,
        content: Content,
        texts: usize,
    ) -> bool {
        self.last_number += 1;
        let number = self.last_number;
        let item = Item { number, book_id, session, content, bytes: OVERHEAD + texts };
        if !self.make_room(item.bytes) {
            self.dropped += 1;
            return false;
        }
        self.bytes += item.bytes;
        self.waiting.push_back(item);
        true
    }

    /// Takes up to so many items, each book's in its order. A book's part ends after a `begin`, so
    /// that its outcome is known before what follows is sent.
    pub fn take(&mut self, at_most: usize, max_bytes: usize) -> Vec<Item> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        let (mut left, mut waits) = (Vec::new(), HashSet::new());
        while taken.len() < at_most && bytes < max_bytes {
            let Some(item) = self.waiting.pop_front() else { break };
            if waits.contains(&item.book_id) {
                left.push(item);
                continue;
            }
            if item.is_begin() {
                waits.insert(item.book_id);
            }
            bytes += item.bytes;
            self.bytes -= item.bytes;
            item.unqueue();
            taken.push(item);
        }
        for item in left.into_iter().rev() {
            self.waiting.push_front(item);
        }
        taken
    }

    /// Drops the waiting events of a session that is over.
    pub fn drop_session(&mut self, session: &Arc<Session>) {
        self.remove(|item| item.session.as_ref().is_some_and(|it| Arc::ptr_eq(it, session)));
    }

    fn remove(&mut self, is_meant: impl Fn(&Item) -> bool) {
        let bytes = &mut self.bytes;
        self.waiting.retain(|item| {
            let stays = !is_meant(item);
            if !stays {
                *bytes -= item.bytes;
            }
            stays
        });
    }

    fn make_room(&mut self, bytes: usize) -> bool {
        let is_full = |buffer: &Self| {
            buffer.waiting.len() >= buffer.max_events || buffer.bytes + bytes > buffer.max_bytes
        };
        while is_full(self) {
            let Some(place) = self.waiting.iter().position(Item::is_droppable) else { break };
            let Some(item) = self.waiting.remove(place) else { break };
            self.bytes -= item.bytes;
            self.dropped += 1;
            item.unqueue();
        }
        !is_full(self)
    }
}
