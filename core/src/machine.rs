//! The compiled pipeline: with every default, every edge and every start.
//!
//! A machine comes from [`crate::definition::compile`], or from its own JSON
//! ([`Machine::from_json`]), which is what the database keeps. Either way it holds what the other
//! modules rely on: names are unique, edges lead to states that exist and form no cycle, and the
//! last state alone is final.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::object::{Object, objects};

/// The status of a book that stopped because something went wrong; it may be resumed. Every
/// pipeline has it.
pub const FAILED: &str = "FAILED";
/// The status of a book that was stopped permanently. Every pipeline has it.
pub const CANCELLED: &str = "CANCELLED";
/// The substep of a stage that declares none, and of a report that names none.
pub const ALL: &str = "all";
/// The most states a pipeline may have.
pub const MAX_STATES: usize = 64;

/// A forward edge: a state that may follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// The name of the state it leads to.
    pub to: String,
    /// The condition of the edge: `substeps_complete`, `attempts_left`, the name of an SQL
    /// function, or none.
    #[serde(default)]
    pub guard: Option<String>,
}

/// A declared part of a state's work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Substep {
    /// Its key, lower snake case, unique in its state.
    pub substep: String,
    /// Its name for people.
    pub label: String,
    /// Its share of the state's work, relative to the other substeps; finite, at least 0.
    pub weight: f64,
}

/// A state of a pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Its name, upper snake case, unique in its pipeline.
    pub name: String,
    /// Its name for people.
    pub label: String,
    /// Its share of the pipeline's work, relative to the other states; finite, at least 0. A state
    /// of weight 0 is no stage.
    pub weight: f64,
    /// The weight that lies before it, on the heaviest path from the initial state.
    pub start: f64,
    /// Whether a book is complete here. True of the last state alone.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// The states that may follow.
    #[serde(deserialize_with = "objects")]
    pub next: Vec<Edge>,
    /// The earlier states it may go back to.
    pub rework: Vec<String>,
    /// Its declared substeps, in order.
    #[serde(deserialize_with = "objects")]
    pub substeps: Vec<Substep>,
    /// Whether undeclared substeps are accepted.
    pub open_substeps: bool,
    /// Seconds of silence after which a book in this state counts as stalled; `None`: never.
    #[serde(default)]
    pub stall_after: Option<f64>,
    /// How many attempts it may take without an operator; `None`: any number.
    #[serde(default, deserialize_with = "whole_number")]
    pub max_attempts: Option<i32>,
    /// Seconds until the first automatic resume; `None`: it does not resume automatically.
    #[serde(default)]
    pub retry_after: Option<f64>,
}

impl State {
    /// Whether work is done here that counts towards the whole: a state of weight above 0.
    pub fn is_stage(&self) -> bool {
        self.weight > 0.0
    }

    /// The declared substep of this key.
    pub fn substep(&self, substep: &str) -> Option<&Substep> {
        self.substeps.iter().find(|declared| declared.substep == substep)
    }

    /// Whether this state takes reports on the substep without the book having planned it: it is
    /// declared, or any is welcome, or none is declared and this is the one that every such state
    /// has, [`ALL`].
    pub fn takes_substep(&self, substep: &str) -> bool {
        self.open_substeps
            || (self.substeps.is_empty() && substep == ALL)
            || self.substep(substep).is_some()
    }
}

/// A compiled pipeline. Immutable: a version of a pipeline never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Object<Stored>")]
pub struct Machine {
    states: Vec<State>,
    total_weight: f64,
    auto_advance: bool,
    /// One bit set a state: bit `b` of entry `a` means that forward edges lead from state `a` to
    /// state `b`.
    #[serde(skip)]
    reach: Vec<u64>,
}

/// The JSON is not a compiled machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// Not the JSON of a machine: a key is missing, or a value has another type.
    #[error("this is not a compiled pipeline")]
    Json(#[from] serde_json::Error),
    /// The JSON of a machine that breaks an invariant.
    #[error("this is not a compiled pipeline: {0}")]
    Broken(String),
}

/// A machine's JSON before its invariants are checked.
#[derive(Deserialize)]
struct Stored {
    #[serde(deserialize_with = "objects")]
    states: Vec<State>,
    total_weight: f64,
    auto_advance: bool,
}

impl TryFrom<Object<Stored>> for Machine {
    type Error = MachineError;

    fn try_from(Object(stored): Object<Stored>) -> Result<Self, MachineError> {
        Self::build(stored.states, stored.total_weight, stored.auto_advance)
    }
}

impl Machine {
    /// Reads a machine from its JSON.
    ///
    /// # Errors
    /// [`MachineError`] if the JSON is not a result of [`crate::definition::compile`], such as an
    /// uncompiled definition.
    pub fn from_json(json: &Value) -> Result<Self, MachineError> {
        Object::<Stored>::deserialize(json)?.try_into()
    }

    /// The states in the pipeline's order: the first is initial, the last is final.
    pub fn states(&self) -> &[State] {
        &self.states
    }

    /// The weight of the heaviest path from the initial state to the final one; finite and above 0.
    pub fn total_weight(&self) -> f64 {
        self.total_weight
    }

    /// Where the state lies in the whole, in percent: what lies before it, and its own share.
    pub fn stage_span(&self, state: &State) -> (f64, f64) {
        (100.0 * state.start / self.total_weight, 100.0 * state.weight / self.total_weight)
    }

    /// Whether a report for the next stage makes the transition to it.
    pub fn auto_advance(&self) -> bool {
        self.auto_advance
    }

    /// The state of this name. `FAILED` and `CANCELLED` are not among them: they have no weight,
    /// work or edges of their own.
    pub fn state(&self, name: &str) -> Option<&State> {
        self.states.iter().find(|state| state.name == name)
    }

    /// The state every book begins in.
    pub fn initial(&self) -> &State {
        &self.states[0]
    }

    /// The state in which a book is complete.
    pub fn final_state(&self) -> &State {
        &self.states[self.states.len() - 1]
    }

    /// Whether forward edges lead from one state to the other, over any number of states between;
    /// no state leads to itself. False if either state does not exist.
    pub fn reaches(&self, from: &str, to: &str) -> bool {
        match (self.position(from), self.position(to)) {
            (Some(from), Some(to)) => self.reach[from] & (1 << to) != 0,
            _ => false,
        }
    }

    /// Whether a book may have this status at all.
    pub fn has_status(&self, status: &str) -> bool {
        is_halted(status) || self.state(status).is_some()
    }

    /// Whether work on a book of this status has ended: it is halted or complete.
    pub fn is_over(&self, status: &str) -> bool {
        is_halted(status) || status == self.final_state().name
    }

    /// The state a book is in or, once halted or complete, was last in: the one named by `stage`;
    /// where that is absent, the one its status names, and for a halted book the initial one.
    /// `None` where that is no state that work is done in.
    pub fn current(&self, status: &str, stage: Option<&str>) -> Option<&State> {
        let state = match stage {
            Some(stage) => self.state(stage)?,
            None if is_halted(status) => self.initial(),
            None => self.state(status)?,
        };
        (!state.is_final).then_some(state)
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.states.iter().position(|state| state.name == name)
    }

    /// Creates a machine, and checks its invariants.
    pub(crate) fn build(
        states: Vec<State>,
        total_weight: f64,
        auto_advance: bool,
    ) -> Result<Self, MachineError> {
        let broken = |problem: String| Err(MachineError::Broken(problem));
        if !(2..=MAX_STATES).contains(&states.len()) {
            return broken(format!("it has {} states", states.len()));
        }
        if !(total_weight.is_finite() && total_weight > 0.0) {
            return broken(format!("its total weight is {total_weight}"));
        }
        let last = states.len() - 1;
        let mut machine = Self { reach: vec![0; states.len()], states, total_weight, auto_advance };
        let mut direct = vec![0_u64; last + 1];
        for (index, state) in machine.states.iter().enumerate() {
            if is_halted(&state.name) || machine.position(&state.name) != Some(index) {
                return broken(format!("the name {} is taken", state.name));
            }
            let weights = [state.weight, state.start]
                .into_iter()
                .chain(state.substeps.iter().map(|s| s.weight));
            if weights.into_iter().any(|weight| !(weight.is_finite() && weight >= 0.0)) {
                return broken(format!("a weight of {} is no weight", state.name));
            }
            if state.is_final != (index == last) || state.next.is_empty() != (index == last) {
                return broken(format!("{} must lead on, or be last and final", state.name));
            }
            for name in state.next.iter().map(|edge| &edge.to).chain(&state.rework) {
                if machine.position(name).is_none() {
                    return broken(format!("{} leads to {name}, which is no state", state.name));
                }
            }
            direct[index] = state
                .next
                .iter()
                .filter_map(|edge| machine.position(&edge.to))
                .fold(0, |set, to| set | 1 << to);
        }
        machine.reach = closure(&direct);
        if let Some(index) = (0..=last).find(|&index| machine.reach[index] & (1 << index) != 0) {
            return broken(format!(
                "forward edges lead from {0} back to {0}",
                machine.states[index].name
            ));
        }
        Ok(machine)
    }
}

/// A whole number in any notation: 3.0 is 3, in the database as well.
fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i32>, D::Error> {
    let Some(number) = Option::<f64>::deserialize(deserializer)? else {
        return Ok(None);
    };
    #[allow(
        clippy::cast_possible_truncation,
        reason = "what does not fit is refused by the comparison"
    )]
    let whole = number as i32;
    if f64::from(whole) == number {
        Ok(Some(whole))
    } else {
        Err(D::Error::custom("expected a whole number"))
    }
}

/// Whether a book of this status was stopped before it was complete.
pub fn is_halted(status: &str) -> bool {
    status == FAILED || status == CANCELLED
}

/// Computes all states that each state leads to from its direct edges: one bit per state, one entry
/// per state.
pub(crate) fn closure(direct: &[u64]) -> Vec<u64> {
    let mut reach = direct.to_vec();
    for via in 0..reach.len() {
        let beyond = reach[via];
        for from in &mut reach {
            if *from & (1 << via) != 0 {
                *from |= beyond;
            }
        }
    }
    reach
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn state(name: &str, next: &[&str], is_final: bool) -> Value {
        let next: Vec<Value> = next.iter().map(|to| json!({"to": to, "guard": null})).collect();
        json!({"name": name, "label": name, "weight": if is_final { 0.0 } else { 1.0 },
            "start": 0.0, "final": is_final, "next": next, "rework": [], "substeps": [],
            "open_substeps": false, "stall_after": null, "max_attempts": null, "retry_after": null})
    }

    fn machine(states: &[Value]) -> Result<Machine, MachineError> {
        Machine::from_json(&json!({"states": states, "total_weight": 3.0, "auto_advance": false}))
    }

    #[test]
    fn a_state_reaches_what_lies_ahead_and_not_itself() {
        let machine = machine(&[
            state("A", &["B", "C"], false),
            state("B", &["D"], false),
            state("C", &["D"], false),
            state("D", &[], true),
        ])
        .unwrap();
        assert!(
            machine.reaches("A", "D") && machine.reaches("A", "B") && machine.reaches("C", "D")
        );
        assert!(
            !machine.reaches("B", "C") && !machine.reaches("A", "A") && !machine.reaches("D", "A")
        );
        assert!(!machine.reaches("A", "NOWHERE") && !machine.reaches(FAILED, "A"));
    }

    #[test]
    fn json_that_breaks_an_invariant_is_not_a_machine() {
        let cases = [
            (machine(&[state("A", &[], true)]), "it has 1 states"),
            (machine(&[state("A", &["A"], false), state("A", &[], true)]), "the name A is taken"),
            (
                machine(&[state(FAILED, &["B"], false), state("B", &[], true)]),
                "the name FAILED is taken",
            ),
            (
                machine(&[state("A", &["C"], false), state("B", &[], true)]),
                "A leads to C, which is no state",
            ),
            (
                machine(&[state("A", &[], false), state("B", &[], true)]),
                "A must lead on, or be last and final",
            ),
            (
                machine(&[
                    state("A", &["B"], false),
                    state("B", &["A", "C"], false),
                    state("C", &[], true),
                ]),
                "forward edges lead from A back to A",
            ),
        ];
        for (machine, problem) in cases {
            let problem = format!("this is not a compiled pipeline: {problem}");
            assert_eq!(machine.unwrap_err().to_string(), problem);
        }
    }

    #[test]
    fn a_definition_is_not_a_machine() {
        assert!(Machine::from_json(&json!({"states": [{"name": "A"}, {"name": "B"}]})).is_err());
        assert!(Machine::from_json(&json!(null)).is_err());
    }

    #[test]
    fn sixty_four_states_are_fine() {
        let names: Vec<String> = (0..64).map(|index| format!("S{index}")).collect();
        let states: Vec<Value> = (0..64)
            .map(|index| match names.get(index + 1) {
                Some(next) => state(&names[index], &[next], false),
                None => state(&names[index], &[], true),
            })
            .collect();
        let machine = machine(&states).unwrap();
        assert!(machine.reaches("S0", "S63") && !machine.reaches("S63", "S0"));
    }
}
