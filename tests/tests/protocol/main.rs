//! The relay's protocol (acquire, renew, apply, release), with two daemons and three events, in every interleaving.
//!
//! `model` has the steps, and what can befall them; here stands what must hold, and that the check would notice if it did not.

mod model;

use model::{EVENTS, Move, Protocol, State};
use stateright::{Checker, HasDiscoveries, Model, Property};

/// That nothing is lost: not in the stream, and not in what the position says of it.
const COMES_TO_THE_END: &str = "whatever has happened, a daemon that is left alone applies the rest";

/// What must hold of every state, and what must be met somewhere, so that the rest is not true of nothing.
fn properties() -> Vec<Property<Protocol>> {
    vec![
        Property::always("none is applied twice", |_, state: &State| {
            state.database.effects.iter().enumerate().all(|(at, event)| !state.database.effects[..at].contains(event))
        }),
        Property::always("they are applied in order", |_, state: &State| state.database.effects.is_sorted()),
        Property::always("none is passed over", |_, state: &State| {
            (1..=state.database.position).all(|event| state.database.effects.contains(&event))
        }),
        Property::always(COMES_TO_THE_END, |protocol: &Protocol, state: &State| {
            protocol.left_alone(state.clone()).database.effects.into_iter().eq(1..=EVENTS)
        }),
        Property::sometimes("all are applied, after the stream was taken over", |_, state: &State| {
            state.database.position == EVENTS && state.database.epoch > 1
        }),
        Property::sometimes("a batch comes too late", |_, state: &State| {
            state.batches().any(|(epoch, ..)| epoch < state.database.epoch)
        }),
        Property::sometimes("a batch takes effect, and nobody hears of it", |_, state: &State| {
            state.batches().any(|(epoch, _, heard)| epoch == state.database.epoch && !heard)
        }),
        Property::sometimes("a batch takes effect after its daemon has died", |_, state: &State| {
            state.batches().any(|(epoch, has_died, _)| epoch == state.database.epoch && has_died)
        }),
    ]
}

/// The check finds a way to break this property.
fn is_broken(protocol: Protocol, property: &'static str) -> bool {
    let once_found = HasDiscoveries::AnyOf([property].into());
    let checker = protocol.checker().threads(2).finish_when(once_found).spawn_bfs().join();
    if let Some(path) = checker.discovery(property) {
        println!("{property}: broken by {:#?}", path.into_actions());
        return true;
    }
    false
}

const SOUND: Protocol = Protocol { epoch_is_checked: true, moves: Move::Within };

#[test]
fn in_every_interleaving_each_event_takes_effect_once_and_in_order() {
    let checker = SOUND.checker().threads(2).spawn_bfs().join();
    println!("{} states, up to {} steps deep", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
    assert!(checker.is_done(), "every state within the bounds was looked at");
}

#[test]
fn without_the_epoch_the_check_finds_an_event_applied_twice() {
    assert!(is_broken(Protocol { epoch_is_checked: false, ..SOUND }, "none is applied twice"));
}

#[test]
fn with_the_position_moved_afterwards_the_check_finds_an_event_applied_twice() {
    assert!(is_broken(Protocol { moves: Move::After, ..SOUND }, "none is applied twice"));
}

#[test]
fn with_the_position_moved_before_the_check_finds_an_event_lost() {
    assert!(is_broken(Protocol { moves: Move::Before, ..SOUND }, COMES_TO_THE_END));
}
