//! From JSON to states, each value on its own: keys, types, names, limits.

use std::collections::HashSet;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::values::{
    array, boolean, checked_name, duration, label, max_attempts, present, state_name, unknown_keys,
    weight,
};
use super::{Faults, MAX_DECLARED_SUBSTEPS, MAX_STATES, MIN_STATES};
use crate::machine::{Edge, State, Substep, is_halted};
use crate::name::{is_guard_name, is_substep_name};

/// A pipeline as written. Faulty values are left out, so that everything else can still be checked.
#[derive(Default)]
pub(super) struct Pipeline {
    pub states: Vec<Written>,
    pub auto_advance: bool,
}

/// A state as written.
pub(super) struct Written {
    /// Without its start, and with `next` only as far as it was written.
    pub state: State,
    /// Whether other states may refer to the name.
    pub named: bool,
    /// Whether the weight is as written, or left out.
    pub weight_known: bool,
    /// Whether `next` and `rework` are as written, or left out.
    pub edges_known: bool,
    /// Whether `next` was written.
    pub has_next: bool,
}

pub(super) fn pipeline(definition: &Value, faults: &mut Faults) -> Pipeline {
    let Some(keys) = definition.as_object() else {
        faults.expected("$", "an object with the key states", definition);
        return Pipeline::default();
    };
    unknown_keys(keys, &["states", "auto_advance"], "$", faults);
    let at = |key: &str| format!("$.{key}");
    let auto_advance = boolean(keys, "auto_advance", &at, faults);
    let Some(states) = keys.get("states") else {
        faults.add("$.states", "is missing; expected an array of states");
        return Pipeline::default();
    };
    let Some(states) = states.as_array() else {
        faults.expected("$.states", "an array of states", states);
        return Pipeline::default();
    };
    if !(MIN_STATES..=MAX_STATES).contains(&states.len()) {
        let found = states.len();
        faults.add(
            "$.states",
            format!("expected {MIN_STATES} to {MAX_STATES} states, found {found}"),
        );
    }
    let mut names = HashSet::new();
    let states = states.iter().enumerate().map(|(index, value)| {
        let is_final = index + 1 == states.len();
        state(value, &format!("$.states[{index}]"), is_final, &mut names, faults)
    });
    Pipeline { states: states.collect(), auto_advance }
}

/// The replacement of a state that is not an object, which is already reported.
static NO_KEYS: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

const STATE_KEYS: [&str; 10] = [
    "name",
    "label",
    "weight",
    "next",
    "rework",
    "substeps",
    "open_substeps",
    "stall_after",
    "max_attempts",
    "retry_after",
];

fn state<'a>(
    value: &'a Value,
    path: &str,
    is_final: bool,
    names: &mut HashSet<&'a str>,
    faults: &mut Faults,
) -> Written {
    let keys = value.as_object().unwrap_or_else(|| {
        faults.expected(path, "a state, an object with a name", value);
        &NO_KEYS
    });
    unknown_keys(keys, &STATE_KEYS, path, faults);
    let at = |key: &str| format!("{path}.{key}");
    let found = match keys.get("name") {
        // A state that is not an object is already reported.
        None if !value.is_object() => None,
        name => state_name(name, &at("name"), faults),
    };
    let named = found.is_some_and(|name| match (is_halted(name), names.insert(name)) {
        (true, _) => {
            faults.add(
                at("name"),
                format!("{name} is a state that every pipeline has; choose another name"),
            );
            false
        }
        (false, false) => {
            faults.add(
                at("name"),
                format!("{name} is the name of an earlier state; names are unique"),
            );
            false
        }
        (false, true) => true,
    });
    let name = found.unwrap_or_default();
    let label = label(keys, name, &at, faults);
    let weight = weight(keys, &at, faults);
    let before = faults.0.len();
    let (next, rework) = (edges(keys, &at, faults), rework(keys, &at, faults));
    let edges_known = value.is_object() && faults.0.len() == before;
    let state = State {
        name: name.to_owned(),
        label,
        weight: weight.unwrap_or(0.0),
        start: 0.0,
        is_final,
        next,
        rework,
        substeps: substeps(keys, &at, faults),
        open_substeps: boolean(keys, "open_substeps", &at, faults),
        stall_after: duration(keys, "stall_after", &at, faults),
        max_attempts: max_attempts(keys, &at, faults),
        retry_after: duration(keys, "retry_after", &at, faults),
    };
    if is_final {
        final_state(&state, &at, faults);
    }
    let weight_known = weight.is_some() || present(keys, "weight").is_none();
    Written { state, named, weight_known, edges_known, has_next: present(keys, "next").is_some() }
}

/// A book ends in the last state: it has no work, and no state follows it.
fn final_state(state: &State, at: &impl Fn(&str) -> String, faults: &mut Faults) {
    if state.weight > 0.0 {
        faults.add(
            at("weight"),
            "the last state is final, no work is done in it: its weight is 0, or left out",
        );
    }
    if !state.substeps.is_empty() {
        faults.add(
            at("substeps"),
            "the last state is final, no work is done in it: it has no substeps",
        );
    }
    if state.open_substeps {
        faults.add(
            at("open_substeps"),
            "the last state is final, no work is done in it: it has no substeps",
        );
    }
    if !state.next.is_empty() {
        faults.add(at("next"), "the last state is final: nothing follows it");
    }
    if !state.rework.is_empty() {
        faults.add(at("rework"), "the last state is final: nothing follows it");
    }
}

fn edges(
    keys: &Map<String, Value>,
    at: &impl Fn(&str) -> String,
    faults: &mut Faults,
) -> Vec<Edge> {
    let mut edges: Vec<Edge> = Vec::new();
    for (index, value) in
        array(keys, "next", "an array of the states that may follow", at, faults).iter().enumerate()
    {
        let path = format!("{}[{index}]", at("next"));
        let (to, guard) = match value {
            Value::Object(edge) => {
                unknown_keys(edge, &["to", "guard"], &path, faults);
                let to = state_name(edge.get("to"), &format!("{path}.to"), faults);
                let guard = present(edge, "guard").and_then(|guard| {
                    const EXPECTED: &str =
                        "substeps_complete, attempts_left, or the name of an SQL function";
                    checked_name(
                        Some(guard),
                        &format!("{path}.guard"),
                        EXPECTED,
                        is_guard_name,
                        faults,
                    )
                });
                (to, guard)
            }
            Value::String(_) => (state_name(Some(value), &path, faults), None),
            _ => {
                faults.expected(
                    &path,
                    "the name of a state, or an object with to and guard",
                    value,
                );
                (None, None)
            }
        };
        let Some(to) = to else { continue };
        if edges.iter().any(|edge| edge.to == to) {
            faults.add(path, format!("{to} is listed already; a state has one edge to another"));
        } else {
            edges.push(Edge { to: to.to_owned(), guard: guard.map(str::to_owned) });
        }
    }
    edges
}

fn rework(
    keys: &Map<String, Value>,
    at: &impl Fn(&str) -> String,
    faults: &mut Faults,
) -> Vec<String> {
    let mut targets: Vec<String> = Vec::new();
    let values = array(keys, "rework", "an array of the names of earlier states", at, faults);
    for (index, value) in values.iter().enumerate() {
        let path = format!("{}[{index}]", at("rework"));
        let Some(name) = state_name(Some(value), &path, faults) else {
            continue;
        };
        if targets.iter().any(|target| target == name) {
            faults.add(path, format!("{name} is listed already"));
        } else {
            targets.push(name.to_owned());
        }
    }
    targets
}

fn substeps(
    keys: &Map<String, Value>,
    at: &impl Fn(&str) -> String,
    faults: &mut Faults,
) -> Vec<Substep> {
    let values = array(keys, "substeps", "an array of substeps", at, faults);
    if values.len() > MAX_DECLARED_SUBSTEPS {
        faults.add(
            at("substeps"),
            format!("expected up to {MAX_DECLARED_SUBSTEPS} substeps, found {}", values.len()),
        );
    }
    let mut known = HashSet::new();
    let (mut substeps, mut sum, mut weights_known) = (Vec::with_capacity(values.len()), 0.0, true);
    for (index, value) in values.iter().enumerate() {
        let path = format!("{}[{index}]", at("substeps"));
        let Some(keys) = value.as_object() else {
            faults.expected(&path, "an object with the key substep", value);
            weights_known = false;
            continue;
        };
        unknown_keys(keys, &["substep", "label", "weight"], &path, faults);
        let at = |key: &str| format!("{path}.{key}");
        const EXPECTED: &str = "a key of the form [a-z][a-z0-9_]*, up to 63 characters";
        let found =
            checked_name(keys.get("substep"), &at("substep"), EXPECTED, is_substep_name, faults);
        if let Some(substep) = found
            && !known.insert(substep)
        {
            let problem =
                format!("{substep} is the key of an earlier substep; keys are unique in a state");
            faults.add(at("substep"), problem);
        }
        let substep = found.unwrap_or_default();
        let label = label(keys, substep, &at, faults);
        let weight =
            if present(keys, "weight").is_some() { weight(keys, &at, faults) } else { Some(1.0) };
        weights_known &= weight.is_some();
        sum += weight.unwrap_or(0.0);
        substeps.push(Substep {
            substep: substep.to_owned(),
            label,
            weight: weight.unwrap_or(0.0),
        });
    }
    if !values.is_empty() && weights_known && sum <= 0.0 {
        faults.add(at("substeps"), "expected at least one substep of a weight above 0");
    }
    substeps
}
