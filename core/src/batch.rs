//! Many events, coalesced into few items that have the same effect.
//!
//! Reports of one substep of one book merge into one. *Segments* bound what they merge across. They
//! number the items of a book: the database applies all items of segment 0, then all of segment 1,
//! and so on. So the events of a book take effect in their order, while items of different books
//! share a segment.
//!
//! A transition, begin, fail, plan or register has a segment of its own. Progress within a segment
//! is for one stage and one attempt, as the events name them or not. So two items of a segment
//! never mean the same substep, a report that moves a book to its next stage is applied before what
//! follows it, and of the reports that name no stage either all wait or none.

mod columns;
mod item;

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use serde::ser::{Serialize, Serializer};
use uuid::Uuid;

pub use columns::ProgressColumns;
pub use item::Item;

use crate::event::{Event, EventKind, Progress, Rejection};
use crate::machine::ALL;
use crate::stream_id::StreamId;

/// How much longer the database works on an item that is not progress.
pub const OTHER_WORK: usize = 20;

/// Events of one stream, coalesced. Push them in the stream's order.
#[derive(Debug, Default)]
pub struct Batch {
    /// In the order of their first events.
    items: Vec<Item>,
    /// Each book's current segment.
    books: HashMap<Uuid, Segment>,
    /// The index of an item that accepts more events, by the hash of the values that must be equal.
    mergeable: HashMap<u64, usize>,
    hasher: RandomState,
    events: u64,
    skipped: u64,
    work: usize,
    bytes: usize,
    segments: u32,
    last_id: Option<StreamId>,
}

/// The segment of a book's last item.
#[derive(Debug, Clone, PartialEq)]
struct Segment {
    number: u32,
    holds: Holds,
}

/// The kind of a book's segment, which decides what may join it.
#[derive(Debug, Clone, PartialEq)]
enum Holds {
    /// One lifecycle event only.
    Barrier,
    /// Heartbeats alone, which anything but a lifecycle event may join.
    Heartbeats,
    /// Progress for this stage and attempt as the event names them.
    Progress { stage: Option<String>, attempt: Option<i32> },
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the event of this id, or its rejection. Ids grow from one call to the next.
    pub fn push(&mut self, id: StreamId, parsed: Result<Event, Rejection>) {
        self.events += 1;
        self.last_id = Some(id);
        match parsed {
            Err(rejection) => self.add(Item::rejected(id, rejection)),
            Ok(event) => {
                let number = self.segment_for(&event);
                match self.place_of(&event, number) {
                    None => self.add(Item::event(id, number, event)),
                    Some(Place::Free(hash)) => {
                        self.mergeable.insert(hash, self.items.len());
                        self.add(Item::event(id, number, event));
                    }
                    Some(Place::Taken(index)) => {
                        let item = &mut self.items[index];
                        let before = item.bytes();
                        item.merge(id, event);
                        self.bytes = self.bytes + item.bytes() - before;
                    }
                }
            }
        }
    }

    /// Skips an entry without an event: the position moves past it.
    pub fn skip(&mut self, id: StreamId) {
        self.skipped += 1;
        self.last_id = Some(id);
    }

    /// The number of items.
    pub fn items(&self) -> usize {
        self.items.len()
    }

    /// The number of pushed events, including rejected ones.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The number of skipped entries.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The work for the database in progress items: any other item is applied alone and counts
    /// as [`OTHER_WORK`].
    pub fn work(&self) -> usize {
        self.work
    }

    /// The approximate size of its items' texts and JSON, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of segments: the highest number and one.
    pub fn segments(&self) -> u32 {
        self.segments
    }

    /// The id that was pushed or skipped last.
    pub fn last_id(&self) -> Option<StreamId> {
        self.last_id
    }

    /// Whether nothing was pushed or skipped.
    pub fn is_empty(&self) -> bool {
        self.last_id.is_none()
    }

    /// The items, in the order of their first events.
    pub fn iter(&self) -> std::slice::Iter<'_, Item> {
        self.items.iter()
    }

    /// All items as a JSON array.
    pub fn to_json(&self) -> String {
        // Texts, finite numbers, and keys that are texts: writing them cannot fail.
        serde_json::to_string(self).unwrap_or_else(|_| "[]".to_owned())
    }

    /// The items as `apply_events` takes them: progress as columns, the others as a value that
    /// serializes to a JSON array. The rest of the batch is freed.
    pub fn into_parts(mut self) -> (ProgressColumns, Vec<Item>) {
        let others = self.items.extract_if(.., |item| item.progress().is_none()).collect();
        (ProgressColumns::of(self.items), others)
    }

    fn add(&mut self, item: Item) {
        self.work += if item.progress().is_some() { 1 } else { OTHER_WORK };
        self.bytes += item.bytes();
        self.segments = self.segments.max(item.segment() + 1);
        self.items.push(item);
    }

    /// The segment of this event; opens the book's next one if the event may not join the last.
    fn segment_for(&mut self, event: &Event) -> u32 {
        let holds = match &event.kind {
            EventKind::Progress(progress) => match self.books.get(&event.book_id) {
                Some(Segment { number, holds: Holds::Progress { stage, attempt } })
                    if *stage == progress.stage && *attempt == progress.attempt =>
                {
                    return *number;
                }
                _ => Holds::Progress { stage: progress.stage.clone(), attempt: progress.attempt },
            },
            EventKind::Heartbeat(_) => Holds::Heartbeats,
            EventKind::Transition(_)
            | EventKind::Begin(_)
            | EventKind::Fail(_)
            | EventKind::Plan(_)
            | EventKind::Register(_) => Holds::Barrier,
        };
        let Some(segment) = self.books.get_mut(&event.book_id) else {
            self.books.insert(event.book_id, Segment { number: 0, holds });
            return 0;
        };
        match (&segment.holds, &holds) {
            // A heartbeat joins any progress.
            (Holds::Heartbeats | Holds::Progress { .. }, Holds::Heartbeats) => {}
            (Holds::Heartbeats, Holds::Progress { .. }) => segment.holds = holds,
            _ => *segment = Segment { number: segment.number + 1, holds },
        }
        segment.number
    }

    /// Where the event merges, or later ones find it; `None` if events of its kind do not merge.
    fn place_of(&self, event: &Event, segment: u32) -> Option<Place> {
        let mut hash = match &event.kind {
            EventKind::Progress(Progress { substep, attempt, .. }) => {
                let substep = substep.as_deref().unwrap_or(ALL);
                self.hasher.hash_one((event.book_id, segment, attempt, Some(substep)))
            }
            EventKind::Heartbeat(heartbeat) => {
                self.hasher.hash_one((event.book_id, segment, heartbeat.attempt, None::<&str>))
            }
            _ => return None,
        };
        // On a hash collision, probe the next slot.
        while let Some(&index) = self.mergeable.get(&hash) {
            if self.items[index].merges_with(event, segment) {
                return Some(Place::Taken(index));
            }
            hash = hash.wrapping_add(1);
        }
        Some(Place::Free(hash))
    }
}

/// The place of an event that merges.
enum Place {
    /// Into the item at this index.
    Taken(usize),
    /// A new item, found by this hash from then on.
    Free(u64),
}

impl<'a> IntoIterator for &'a Batch {
    type Item = &'a Item;
    type IntoIter = std::slice::Iter<'a, Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Serialize for Batch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.items)
    }
}
