//! Which status may follow which, and why another may not.
//!
//! A book in a state goes forward along `next`, back along `rework`, or halts. `FAILED` resumes to
//! the stage that failed, or is cancelled. The final state and `CANCELLED` are followed by nothing.
//! A rewind is an operator's step back: to any state that lies before the book's own, whatever the
//! edges and guards allow.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::machine::{CANCELLED, Edge, FAILED, Machine, State};

/// The guard that holds once every substep of the current stage is done, and there is at least one.
pub const SUBSTEPS_COMPLETE: &str = "substeps_complete";
/// The guard that holds while the current stage has attempts left.
pub const ATTEMPTS_LEFT: &str = "attempts_left";

/// Facts about a book for its guards. A missing fact counts as one that does not hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Whether every substep of the current stage is done, and there is at least one.
    pub substeps_complete: Option<bool>,
    /// Whether the current attempt is below the stage's `max_attempts`.
    pub attempts_left: Option<bool>,
    /// The results of the guards that are SQL functions, by name.
    #[serde(deserialize_with = "null_is_none")]
    pub guards: BTreeMap<String, bool>,
    /// Whether this is a rewind, which [`rewind_targets`] allows and no guard forbids, instead of
    /// an ordinary transition. Absent: it is not.
    pub rewind: Option<bool>,
}

impl Facts {
    /// The fact for a guard; `None` if there is none.
    pub fn holds(&self, guard: &str) -> Option<bool> {
        match guard {
            SUBSTEPS_COMPLETE => self.substeps_complete,
            ATTEMPTS_LEFT => self.attempts_left,
            function => self.guards.get(function).copied(),
        }
    }
}

/// The verdict on an event that asks for another status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransitionVerdict {
    /// The book has that status already: no effect.
    None,
    /// It is allowed now.
    Accept,
    /// It is not allowed now, and a later change of the book can make it so: it waits.
    Early,
    /// It is stale: it is counted, and has no effect.
    Stale,
    /// It can never apply: it is rejected.
    Illegal,
}

impl TransitionVerdict {
    /// The verdict as SQL names it.
    pub fn code(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Accept => "accept",
            Self::Early => "early",
            Self::Stale => "stale",
            Self::Illegal => "illegal",
        }
    }
}

impl fmt::Display for TransitionVerdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

/// What becomes of a transition event. The first that holds:
///
/// - `none`: the book has the status `target`.
/// - `accept`: [`transition_error`] allows it.
/// - `early`: forward edges lead from the book's stage to `target`, and the book is neither
///   complete nor `CANCELLED`. Of a book that is not `FAILED`, a direct edge whose guard does not
///   hold counts only if the guard is `substeps_complete`.
/// - `stale`: forward edges lead from `target` to the book's stage; or the book is complete or
///   `CANCELLED`, and `target` is a status of the pipeline.
/// - `illegal`: anything else.
///
/// `stage` is as for [`next_statuses`].
pub fn transition_verdict(
    machine: &Machine,
    status: &str,
    stage: Option<&str>,
    target: &str,
    facts: &Facts,
) -> TransitionVerdict {
    if status == target {
        return TransitionVerdict::None;
    }
    if transition_error(machine, status, stage, target, facts).is_none() {
        return TransitionVerdict::Accept;
    }
    let waits = |edge: &Edge| edge.guard.as_deref() == Some(SUBSTEPS_COMPLETE);
    match machine.state(status).and_then(|state| edge_to(state, target)) {
        Some(edge) if !waits(edge) => TransitionVerdict::Illegal,
        _ => by_place(machine, status, stage, target),
    }
}

/// What becomes of an event by which a worker begins the state `target`. The first that holds:
///
/// - `illegal`: `target` is no state of the pipeline in which work is done (the final state,
///   `FAILED`, `CANCELLED` or unknown).
/// - `none`: the book has the status `target`.
/// - `accept`: the book `FAILED` in `target`, which this resumes; or a forward edge whose guard
///   holds leads there.
/// - `early`, `stale`: as for [`transition_verdict`]; a guard that does not hold may hold later,
///   whichever it is.
/// - `illegal`: anything else. In particular, no book is sent back along `rework`.
pub fn begin_verdict(
    machine: &Machine,
    status: &str,
    stage: Option<&str>,
    target: &str,
    facts: &Facts,
) -> TransitionVerdict {
    if machine.state(target).is_none_or(|state| state.is_final) {
        return TransitionVerdict::Illegal;
    }
    if status == target {
        return TransitionVerdict::None;
    }
    let is_allowed = if status == FAILED {
        machine.current(status, stage).is_some_and(|state| state.name == target)
    } else {
        let edge = machine.state(status).and_then(|state| edge_to(state, target));
        edge.is_some_and(|edge| {
            edge.guard.as_deref().is_none_or(|guard| facts.holds(guard) == Some(true))
        })
    };
    if is_allowed { TransitionVerdict::Accept } else { by_place(machine, status, stage, target) }
}

/// The verdict on a target that is not allowed now, by where it lies from the book's stage.
fn by_place(
    machine: &Machine,
    status: &str,
    stage: Option<&str>,
    target: &str,
) -> TransitionVerdict {
    if status == CANCELLED || status == machine.final_state().name {
        let is_known = machine.has_status(target);
        return if is_known { TransitionVerdict::Stale } else { TransitionVerdict::Illegal };
    }
    match at_work(machine, status, stage) {
        Some(current) if machine.reaches(&current.name, target) => TransitionVerdict::Early,
        Some(current) if machine.reaches(target, &current.name) => TransitionVerdict::Stale,
        _ => TransitionVerdict::Illegal,
    }
}

/// The state that a book which is neither complete nor `CANCELLED` is in or, once `FAILED`, was
/// last in.
fn at_work<'a>(machine: &'a Machine, status: &str, stage: Option<&str>) -> Option<&'a State> {
    let current =
        if status == FAILED { machine.current(status, stage) } else { machine.state(status) };
    current.filter(|state| !state.is_final)
}

fn edge_to<'a>(state: &'a State, target: &str) -> Option<&'a Edge> {
    state.next.iter().find(|edge| edge.to == target)
}

/// The statuses that may follow, guards aside: forward, back, then `FAILED` and `CANCELLED`.
///
/// `stage` is the state a halted book was last in; absent, a `FAILED` book resumes to the initial
/// state. Nothing follows a status that the pipeline does not have.
pub fn next_statuses(machine: &Machine, status: &str, stage: Option<&str>) -> Vec<String> {
    following(machine, status, stage).into_iter().map(str::to_owned).collect()
}

/// The states that an operator may rewind a book to: all from which forward edges lead to the one
/// it is in, in the pipeline's order, then for a `FAILED` book the one it failed in.
///
/// `stage` is as for [`next_statuses`]. There are none for the final state, for `CANCELLED`, and
/// for a status that the pipeline does not have.
pub fn rewind_targets(machine: &Machine, status: &str, stage: Option<&str>) -> Vec<String> {
    earlier(machine, status, stage).into_iter().map(str::to_owned).collect()
}

/// Why a book may not change from `status` to `target`, for people; `None` if it may.
/// [`Facts::rewind`] makes the change a rewind, else it is an ordinary transition.
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
        return Some(format!(
            "This pipeline has no state {status}; its states are {}.",
            list(&all, "and")
        ));
    }
    if status == CANCELLED || status == machine.final_state().name {
        return Some(format!("{status} is final; nothing follows it."));
    }
    if facts.rewind == Some(true) {
        return rewind_error(machine, status, stage, target);
    }
    let allowed = following(machine, status, stage);
    if allowed.contains(&target) {
        let edge = machine.state(status).and_then(|state| edge_to(state, target));
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

fn rewind_error(
    machine: &Machine,
    status: &str,
    stage: Option<&str>,
    target: &str,
) -> Option<String> {
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
    let Some(current) = at_work(machine, status, stage) else {
        return Vec::new();
    };
    let states = machine.states().iter().map(|state| state.name.as_str());
    states
        .filter(|name| machine.reaches(name, &current.name))
        .chain(failed.then_some(current.name.as_str()))
        .collect()
}

fn following<'a>(machine: &'a Machine, status: &str, stage: Option<&str>) -> Vec<&'a str> {
    if status == FAILED {
        // If the stage is not a state of this pipeline, the book has no state to resume to.
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

fn null_is_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, bool>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
