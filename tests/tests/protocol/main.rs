//! The relay's protocol in the model checker stateright: every interleaving within the bounds that
//! each model names, and mutation tests. With a rule removed from the protocol, the checker finds a
//! violation.

mod early_events;
mod lease;

use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker, HasDiscoveries, Model};

/// Checks every state within the model's bounds.
fn assert_holds<M>(protocol: M)
where
    M: Model<State: Clone + Debug + Hash + PartialEq + Send + Sync> + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let checker = protocol.checker().threads(2).spawn_bfs().join();
    println!("{} states, up to {} steps deep", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
    assert!(checker.is_done(), "every state within the bounds was checked");
}

/// Whether the checker finds a violation of this property.
fn is_violated<M>(protocol: M, property: &'static str) -> bool
where
    M: Model<State: Clone + Debug + Hash + PartialEq + Send + Sync> + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let once_found = HasDiscoveries::AnyOf([property].into());
    let checker = protocol.checker().threads(2).finish_when(once_found).spawn_bfs().join();
    let Some(path) = checker.discovery(property) else { return false };
    println!("{property}: violated by {:#?}", path.into_actions());
    true
}
