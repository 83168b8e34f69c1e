//! Early events: two streams about one book, a client's calls and the sweeper, in every
//! interleaving of their statements, with aborted transactions and lost answers.

mod database;
mod model;

use stateright::Property;

use crate::{assert_holds, is_violated};
use database::{Event, Fate, Id, Status};
use model::{CLIENT, Part, Protocol, Sharing, State};

const ONCE: &str = "no event takes effect twice";
const ONE_END: &str = "each event up to a position is applied, stale, rejected or early";
const NONE_WAITS: &str = "at rest, no applicable event is early";
const COMES_TO_AN_END: &str = "left alone, each event ends in one way";
const NO_DEADLOCK: &str = "no transactions wait for each other";

/// What must hold of every state, and what must be possible, so that the rest is not vacuous.
fn properties() -> Vec<Property<Protocol>> {
    vec![
        Property::always(ONCE, |protocol: &Protocol, state: &State| {
            protocol.events().all(|id| {
                let ends = state.database.ends_of(id);
                ends.filter(|fate| matches!(fate, Fate::Applied(_))).count() <= 1
            })
        }),
        Property::always(ONE_END, |protocol: &Protocol, state: &State| {
            protocol.events().all(|id| {
                let database = &state.database;
                let waiting = database.early.iter().filter(|other| **other == id).count();
                let is_passed = id.number <= database.positions[id.stream];
                database.ends_of(id).count() + waiting == usize::from(is_passed)
            })
        }),
        Property::always(NONE_WAITS, |protocol: &Protocol, state: &State| {
            !state.is_at_rest() || state.database.clone().settle(protocol.streams).is_empty()
        }),
        Property::always("the events of a stream take effect in order", |_, state: &State| {
            let applied = state.database.ends.iter().filter_map(|(id, fate)| match fate {
                Fate::Applied(_) => Some(id),
                Fate::Stale | Fate::Rejected => None,
            });
            let numbers = [0, 1].map(|stream| {
                let ids = applied.clone().filter(|id| id.stream == stream);
                ids.map(|id| id.number).collect::<Vec<_>>()
            });
            numbers.iter().all(|numbers| numbers.is_sorted())
        }),
        Property::always(
            "a report without a stage counts for the stage that the events before it led to",
            |protocol: &Protocol, state: &State| {
                protocol.events().all(|id| {
                    id.event(protocol.streams) != Event::Report(None)
                        || state.database.ends_of(id).all(|fate| {
                            let Fate::Applied(status) = fate else { return true };
                            follows_its_stream(protocol, state, id, status)
                        })
                })
            },
        ),
        Property::always(COMES_TO_AN_END, |protocol: &Protocol, state: &State| {
            if !state.is_at_rest() {
                return true;
            }
            let database = protocol.left_alone(&state.database);
            protocol.events().all(|id| database.ends_of(id).count() == 1)
        }),
        Property::always(
            "left alone, an event that never becomes applicable is a dead letter",
            |protocol: &Protocol, state: &State| {
                if !state.is_at_rest() {
                    return true;
                }
                let database = protocol.left_alone(&state.database);
                let mut hopeless = protocol.events().filter(|id| protocol.is_never_applicable(*id));
                hopeless.all(|id| database.ends_of(id).eq([Fate::Rejected]))
            },
        ),
        Property::always(NO_DEADLOCK, |_, state: &State| !state.is_deadlocked()),
        Property::sometimes("a registration waits for a batch", |_, state: &State| {
            state.waits_for_slot(CLIENT)
        }),
        Property::sometimes("a batch waits for a registration", |_, state: &State| {
            state.waits_for_slot(1) && state.transactions[0].is_none()
        }),
        Property::sometimes("an event takes effect in a call", |_, state: &State| {
            state.transactions[CLIENT].as_ref().is_some_and(|call| call.applies_event_of(1))
        }),
        Property::sometimes(
            "an event takes effect in another stream's batch",
            |_, state: &State| {
                state.transactions[0].as_ref().is_some_and(|batch| batch.applies_event_of(1))
            },
        ),
        Property::sometimes("an event of a registered book is early", |_, state: &State| {
            state.database.book.is_some() && !state.database.early.is_empty()
        }),
        Property::sometimes("the answer to a batch is lost", |_, state: &State| {
            state.relays.iter().any(|relay| relay.unanswered.is_some())
        }),
        Property::sometimes("an event is stale", |_, state: &State| {
            state.database.ends.iter().any(|(_, fate)| *fate == Fate::Stale)
        }),
        Property::sometimes(
            "an event expires, and the one behind it takes effect",
            |_, state: &State| {
                let ends = &state.database.ends;
                ends.iter().any(|(id, fate)| {
                    let before = Id { number: id.number - 1, ..*id };
                    matches!(fate, Fate::Applied(_)) && ends.contains(&(before, Fate::Rejected))
                })
            },
        ),
        Property::sometimes(
            "each event that can take effect does",
            |protocol: &Protocol, state: &State| {
                protocol.events().all(|id| {
                    let mut ends = state.database.ends_of(id);
                    protocol.is_never_applicable(id)
                        || ends.any(|fate| matches!(fate, Fate::Applied(_)))
                })
            },
        ),
    ]
}

/// Whether a report that took effect in this status did so behind the events of its stream that
/// lead there, except those that became dead letters.
fn follows_its_stream(protocol: &Protocol, state: &State, report: Id, status: Status) -> bool {
    (1..report.number).map(|number| Id { number, ..report }).all(|before| {
        let Event::Enter(to) = before.event(protocol.streams) else { return true };
        let mut ends = state.database.ends_of(before);
        ends.all(|fate| fate == Fate::Rejected || to <= status)
    })
}

const SOUND: Protocol = Protocol {
    streams: [
        &[Event::Register, Event::Enter(Status::Analyzing), Event::Report(Some(Status::Lettering))],
        &[
            Event::Report(Some(Status::Analyzing)),
            Event::Enter(Status::Drawing),
            Event::Report(None),
        ],
    ],
    calls: &[Event::Register, Event::Enter(Status::Analyzing)],
    batch_locks_slot: true,
    sharing: Sharing::BeforeInsert,
    afterwards: None,
    expiry_locks_book: true,
    expiry_settles: true,
};

#[test]
fn in_every_interleaving_of_two_streams_each_early_event_takes_effect_once_and_in_order() {
    assert_holds(SOUND);
}

#[test]
fn without_the_slot_lock_the_check_finds_a_registration_and_an_early_event_that_miss_each_other() {
    assert!(is_violated(Protocol { batch_locks_slot: false, ..SOUND }, NONE_WAITS));
}

#[test]
fn with_the_slot_locked_after_the_insert_the_check_finds_a_deadlock() {
    assert!(is_violated(Protocol { sharing: Sharing::AfterInsert, ..SOUND }, NO_DEADLOCK));
}

#[test]
fn with_the_slot_locked_for_a_registered_book_too_the_check_finds_a_deadlock() {
    assert!(is_violated(Protocol { sharing: Sharing::Always, ..SOUND }, NO_DEADLOCK));
}

#[test]
fn with_an_event_deferred_after_the_position_moved_the_check_finds_it_lost() {
    let protocol = Protocol { afterwards: Some(Part::Deferral), ..SOUND };
    assert!(is_violated(protocol, COMES_TO_AN_END));
}

#[test]
fn with_early_events_settled_after_the_change_the_check_finds_an_applicable_one_waiting() {
    let protocol = Protocol { afterwards: Some(Part::Settling), ..SOUND };
    assert!(is_violated(protocol, NONE_WAITS));
}

#[test]
fn with_an_early_event_removed_after_its_effect_the_check_finds_it_applied_twice() {
    assert!(is_violated(Protocol { afterwards: Some(Part::Removal), ..SOUND }, ONCE));
}

#[test]
fn without_the_books_lock_the_check_finds_an_event_that_expires_and_takes_effect() {
    assert!(is_violated(Protocol { expiry_locks_book: false, ..SOUND }, ONE_END));
}

#[test]
fn without_settling_after_an_expiry_the_check_finds_an_applicable_event_waiting() {
    assert!(is_violated(Protocol { expiry_settles: false, ..SOUND }, NONE_WAITS));
}
