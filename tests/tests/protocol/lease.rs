//! Leases and positions: two daemons and one stream of three events, in every interleaving of
//! acquire, renew, apply and release, with lost connections, crashes and lost answers.

mod model;

use stateright::Property;

use crate::{assert_holds, is_violated};
use model::{EVENTS, Move, Protocol, State};

const ONCE: &str = "no event takes effect twice";
/// Neither the stream nor the position loses an event.
const COMES_TO_AN_END: &str = "left alone, a daemon applies the rest";

/// What must hold of every state, and what must be possible, so that the rest is not vacuous.
fn properties() -> Vec<Property<Protocol>> {
    vec![
        Property::always(ONCE, |_, state: &State| {
            let effects = &state.database.effects;
            effects.iter().enumerate().all(|(at, event)| !effects[..at].contains(event))
        }),
        Property::always("events take effect in order", |_, state: &State| {
            state.database.effects.is_sorted()
        }),
        Property::always("each event up to the position took effect", |_, state: &State| {
            (1..=state.database.position).all(|event| state.database.effects.contains(&event))
        }),
        Property::always(COMES_TO_AN_END, |protocol: &Protocol, state: &State| {
            protocol.left_alone(&state.database).effects.into_iter().eq(1..=EVENTS)
        }),
        Property::sometimes("all events take effect, after a takeover", |_, state: &State| {
            state.database.position == EVENTS && state.database.epoch > 1
        }),
        Property::sometimes("a batch has an older epoch", |_, state: &State| {
            state.batches().any(|(epoch, ..)| epoch < state.database.epoch)
        }),
        Property::sometimes("a batch takes effect and is not answered", |_, state: &State| {
            state.batches().any(|(epoch, _, answered)| epoch == state.database.epoch && !answered)
        }),
        Property::sometimes(
            "a batch takes effect after its daemon has died",
            |_, state: &State| {
                state
                    .batches()
                    .any(|(epoch, has_died, _)| epoch == state.database.epoch && has_died)
            },
        ),
    ]
}

const SOUND: Protocol = Protocol { epoch_is_checked: true, moves: Move::Within };

#[test]
fn in_every_interleaving_each_event_takes_effect_once_and_in_order() {
    assert_holds(SOUND);
}

#[test]
fn without_the_epoch_the_check_finds_an_event_applied_twice() {
    assert!(is_violated(Protocol { epoch_is_checked: false, ..SOUND }, ONCE));
}

#[test]
fn with_the_position_moved_afterwards_the_check_finds_an_event_applied_twice() {
    assert!(is_violated(Protocol { moves: Move::After, ..SOUND }, ONCE));
}

#[test]
fn with_the_position_moved_before_the_check_finds_an_event_lost() {
    assert!(is_violated(Protocol { moves: Move::Before, ..SOUND }, COMES_TO_AN_END));
}
