//! Which status may follow which, and why another may not.
//!
//! A book in a state goes forward along `next`, back along `rework`, or halts. `FAILED` resumes to the stage that failed, or
//! is cancelled. The final state and `CANCELLED` are followed by nothing. A rewind is an operator's step back: to any state
//! that lies before the book's own, whatever the edges and guards say.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::machine::{CANCELLED, Edge, FAILED, Machine};

/// The guard that holds once every substep of the current stage is done, and there is at least one.
pub const SUBSTEPS_COMPLETE: &str = "substeps_complete";
/// The guard that holds while the current stage has attempts left.
pub const ATTEMPTS_LEFT: &str = "attempts_left";

/// What is known about a book when its guards are asked. A fact that is missing counts as one that does not hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Whether every substep of the current stage is done, and there is at least one.
    pub substeps_complete: Option<bool>,
    /// Whether the current attempt is below the stage's `max_attempts`.
    pub attempts_left: Option<bool>,
    /// What the guards that are SQL functions said, by name.
    #[serde(deserialize_with = "null_is_none")]
    pub guards: BTreeMap<String, bool>,
    /// Whether this is an operator's step back, which [`rewind_targets`] allows and no guard forbids, and not an ordinary
    /// change. Absent: it is none.
    pub rewind: Option<bool>,
}

impl Facts {
    /// What this says about a guard; `None` where it says nothing.
    pub fn holds(&self, guard: &str) -> Option<bool> {
        match guard {
            SUBSTEPS_COMPLETE => self.substeps_complete,
            ATTEMPTS_LEFT => self.attempts_left,
            function => self.guards.get(function).copied(),
        }
    }
}

/// The statuses that may follow, guards aside: forward, back, then `FAILED` and `CANCELLED`.
///
/// `stage` is the state a halted book was last in; absent, a `FAILED` book resumes to the initial state. Nothing follows a
/// status that the pipeline does not have.
pub fn next_statuses(machine: &Machine, status: &str, stage: Option<&str>) -> Vec<String> {
    following(machine, status, stage).into_iter().map(str::to_owned).collect()
}

/// The states that an operator may take a book back to: all from which forward edges lead to the one it is in, in the
/// pipeline's order, then for a `FAILED` book the one it failed in.
///
/// `stage` is as for [`next_statuses`]. From the final state, from `CANCELLED` and from a status that the pipeline does not have
/// nothing leads back.
pub fn rewind_targets(machine: &Machine, status: &str, stage: Option<&str>) -> Vec<String> {
    earlier(machine, status, stage).into_iter().map(str::to_owned).collect()
}

/// Why a book may not change from `status` to `target`, for people; `None` where it may. With [`Facts::rewind`] the change is
/// judged as a step back, else as an ordinary one.
pub fn transition_error(
    machine: &Machine,
    status: &str,
    stage: Option<&str>,
    target: &str,
    facts: &Facts,
) -> Option<String> {
    if !machine.has_status(status) {
        let states = machine.states().iter().map(|state| state.name.as_str());
        let all: Vec<&str> = states.chain([FAILED, CANCELLED]).collect();
        return Some(format!("This pipeline has no state {status}; its states are {}.", list(&all, "and")));
    }
    if status == CANCELLED || status == machine.final_state().name {
        return Some(format!("{status} is final; nothing follows it."));
    }
    if facts.rewind == Some(true) {
        return rewind_error(machine, status, stage, target);
    }
    let allowed = following(machine, status, stage);
    if allowed.contains(&target) {
        let edge = machine.state(status).and_then(|state| state.next.iter().find(|edge| edge.to == target));
        return edge.and_then(|edge| unmet_guard(status, edge, facts));
    }
    let problem = if target == status {
        format!("A book in {status} is already in {status}")
    } else if machine.has_status(target) {
        format!("A book in {status} cannot go to {target}")
    } else {
        format!("This pipeline has no state {target}")
    };
    Some(format!("{problem}; from {status} it may go to {}.", list(&allowed, "or")))
}

fn rewind_error(machine: &Machine, status: &str, stage: Option<&str>, target: &str) -> Option<String> {
    let allowed = earlier(machine, status, stage);
    if allowed.is_empty() {
        return Some(format!("A book in {status} cannot be rewound; there is no earlier state."));
    }
    if allowed.contains(&target) {
        return None;
    }
    let problem = if target == status {
        format!("A book in {status} is already in {status}; it")
    } else if machine.has_status(target) {
        format!("A book in {status} cannot be rewound to {target}; it")
    } else {
        format!("This pipeline has no state {target}; a book in {status}")
    };
    Some(format!("{problem} may be rewound to {}.", list(&allowed, "or")))
}

fn earlier<'a>(machine: &'a Machine, status: &str, stage: Option<&str>) -> Vec<&'a str> {
    let failed = status == FAILED;
    let current = if failed { machine.current(status, stage) } else { machine.state(status) };
    let Some(current) = current.filter(|state| !state.is_final) else {
        return Vec::new();
    };
    let states = machine.states().iter().map(|state| state.name.as_str());
    states.filter(|name| machine.reaches(name, &current.name)).chain(failed.then_some(current.name.as_str())).collect()
}

fn following<'a>(machine: &'a Machine, status: &str, stage: Option<&str>) -> Vec<&'a str> {
    if status == FAILED {
        // Where the stage is no state of this pipeline there is nothing to resume to.
        let resumed = machine.current(status, stage).map(|state| state.name.as_str());
        return resumed.into_iter().chain([CANCELLED]).collect();
    }
    match machine.state(status) {
        Some(state) if !state.is_final => {
            let forward = state.next.iter().map(|edge| edge.to.as_str());
            let back = state.rework.iter().map(String::as_str);
            forward.chain(back).chain([FAILED, CANCELLED]).collect()
        }
        _ => Vec::new(),
    }
}

fn unmet_guard(status: &str, edge: &Edge, facts: &Facts) -> Option<String> {
    let guard = edge.guard.as_deref()?;
    let why: Cow<'_, str> = match (facts.holds(guard), guard) {
        (Some(true), _) => return None,
        (None, _) => "nothing is known about it".into(),
        (Some(false), SUBSTEPS_COMPLETE) => format!("not every substep of {status} is done").into(),
        (Some(false), ATTEMPTS_LEFT) => format!("{status} has no attempts left").into(),
        (Some(false), _) => "it said no".into(),
    };
    Some(format!("The guard {guard} of {status} -> {} does not hold: {why}.", edge.to))
}

/// `A`, `A or B`, `A, B or C`.
fn list(names: &[&str], conjunction: &str) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [head @ .., last] => format!("{} {conjunction} {last}", head.join(", ")),
    }
}

fn null_is_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, bool>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
