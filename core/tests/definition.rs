//! Definitions: the compiled machine, and every possible fault.

#![allow(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

mod common;

use bindery_core::definition::{MAX_DECLARED_SUBSTEPS, compile};
use bindery_core::machine::Machine;
use common::{any_json, comic, comic_definition, definition};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

/// The faults of a definition, `path: problem` each.
fn faults(definition: &Value) -> Vec<String> {
    compile(definition).err().into_iter().flatten().map(|fault| fault.to_string()).collect()
}

/// Three states, with the keys of the middle one, and of the last.
fn faults_in(middle: Value, last: Value) -> Vec<String> {
    let named = |name: &str, mut keys: Value| {
        keys["name"] = json!(name);
        keys
    };
    faults(&json!({"states": [{"name": "A", "weight": 1}, named("B", middle), named("C", last)]}))
}

#[test]
fn the_comic_pipeline_compiles_to_this() {
    let machine = serde_json::to_value(comic()).unwrap();
    assert_eq!(machine["total_weight"], 100.0);
    assert_eq!(machine["auto_advance"], false);
    assert_eq!(
        machine["states"][1],
        json!({"name": "ANALYZING", "label": "Reading the book", "weight": 20.0, "start": 0.0,
            "final": false, "next": [{"to": "GENERATING_SCENES", "guard": null}], "rework": [],
            "substeps": [{"substep": "extract_text", "label": "Extract text", "weight": 1.0},
                {"substep": "detect_chapters", "label": "Detect chapters", "weight": 1.0},
                {"substep": "analyze_characters", "label": "Analyze characters", "weight": 2.0}],
            "open_substeps": false, "stall_after": 120.0, "max_attempts": 3, "retry_after": 30.0})
    );
    assert_eq!(
        machine["states"][4],
        json!({"name": "COMPLETED", "label": "Completed", "weight": 0.0, "start": 100.0,
            "final": true, "next": [], "rework": [], "substeps": [], "open_substeps": false,
            "stall_after": null, "max_attempts": null, "retry_after": null})
    );
    let starts: Vec<f64> = comic().states().iter().map(|state| state.start).collect();
    assert_eq!(starts, [0.0, 0.0, 20.0, 50.0, 100.0]);
}

#[test]
fn a_state_starts_at_the_heaviest_path_to_it() {
    let machine = common::branching();
    let start = |name: &str| machine.state(name).unwrap().start;
    assert_eq!(
        [start("DRAFT"), start("PREVIEW"), start("PRINT"), start("SHIPPED")],
        [0.0, 10.0, 15.0, 100.0]
    );
    assert_eq!(machine.total_weight(), 100.0);
    // The weights of alternative branches do not add up.
    let either = compile(&json!({"states": [
        {"name": "A", "weight": 1, "next": ["B", "C"]}, {"name": "B", "weight": 4, "next": ["D"]},
        {"name": "C", "weight": 9}, {"name": "D"}]}))
    .unwrap();
    assert_eq!(either.total_weight(), 10.0);
}

#[test]
fn edges_may_lead_up_the_page() {
    let machine = compile(&json!({"states": [
        {"name": "A", "weight": 1, "next": ["C"]}, {"name": "B", "weight": 2, "next": ["D"]},
        {"name": "C", "weight": 3, "next": ["B"]}, {"name": "D"}]}))
    .unwrap();
    assert_eq!(machine.state("B").unwrap().start, 4.0);
    assert!(machine.reaches("C", "B") && !machine.reaches("B", "C"));
}

#[test]
fn null_counts_as_left_out() {
    let with = json!({"auto_advance": null, "states": [
        {"name": "A", "weight": 1, "label": null, "next": null, "rework": null, "substeps": null,
            "open_substeps": null, "stall_after": null, "max_attempts": null, "retry_after": null},
        {"name": "B", "weight": null}]});
    let without = json!({"states": [{"name": "A", "weight": 1}, {"name": "B"}]});
    assert_eq!(compile(&with), compile(&without));
}

#[test]
fn durations_become_seconds() {
    let seconds = |text: &str| {
        let machine = compile(
            &json!({"states": [{"name": "A", "weight": 1, "stall_after": text}, {"name": "B"}]}),
        );
        machine.ok().and_then(|machine| machine.initial().stall_after)
    };
    for (text, expected) in [
        ("1 second", 1.0),
        ("0.5 seconds", 0.5),
        ("2 minutes", 120.0),
        ("1.5 hours", 5400.0),
        ("3650 days", 315_360_000.0),
    ] {
        assert_eq!(seconds(text), Some(expected), "{text}");
    }
    for text in [
        "",
        "1",
        "seconds",
        "1  second",
        " 1 second",
        "1 second ",
        "-1 second",
        "+1 second",
        "0 seconds",
        "0.0 days",
        "1e3 seconds",
        "1. seconds",
        ".5 seconds",
        "1,5 hours",
        "2 weeks",
        "1 Second",
        "inf days",
        "nan days",
        "3650.1 days",
        "99999999999999999999 seconds",
    ] {
        assert_eq!(seconds(text), None, "{text:?}");
    }
}

#[test]
fn a_definition_that_is_not_a_pipeline_is_refused() {
    assert_eq!(faults(&json!(null)), ["$: expected an object with the key states, found null"]);
    assert_eq!(faults(&json!([])), ["$: expected an object with the key states, found an array"]);
    assert_eq!(faults(&json!({})), ["$.states: is missing; expected an array of states"]);
    assert_eq!(
        faults(&json!({"states": "A"})),
        ["$.states: expected an array of states, found \"A\""]
    );
    assert_eq!(
        faults(&json!({"states": [], "auto_advance": "yes", "Pipeline name": 1})),
        [
            "$[\"Pipeline name\"]: is no key that is known here; known are states, auto_advance",
            "$.auto_advance: expected true or false, found \"yes\"",
            "$.states: expected 2 to 64 states, found 0",
        ]
    );
}

#[test]
fn there_are_two_to_sixty_four_states() {
    let chain = |count: usize| {
        let state = |index: usize| -> Value {
            json!({"name": format!("S{index}"), "weight": u8::from(index + 1 < count)})
        };
        json!({"states": (0..count).map(state).collect::<Vec<_>>()})
    };
    assert_eq!(
        faults(&json!({"states": [{"name": "A"}]})),
        [
            "$.states: expected 2 to 64 states, found 1",
            "$.states: expected at least one state of a weight above 0",
        ]
    );
    assert!(faults(&chain(2)).is_empty() && faults(&chain(64)).is_empty());
    assert_eq!(faults(&chain(65)), ["$.states: expected 2 to 64 states, found 65"]);
}

#[test]
fn names_have_their_form_and_are_unique() {
    const FORM: &str = "a name of the form [A-Z][A-Z0-9_]*, up to 63 characters";
    let long = "A".repeat(64);
    let definition = json!({"states": [
        {"name": "A", "weight": 1}, {"name": "analyzing"}, {"name": 5}, {}, {"name": "A"},
        {"name": "FAILED"},
        {"name": "CANCELLED"}, {"name": long}, {"name": null}, "B", {"name": "Z"}]});
    assert_eq!(
        faults(&definition),
        [
            format!("$.states[1].name: expected {FORM}, found \"analyzing\""),
            format!("$.states[2].name: expected {FORM}, found 5"),
            format!("$.states[3].name: is missing; expected {FORM}"),
            "$.states[4].name: A is the name of an earlier state; names are unique".to_owned(),
            "$.states[5].name: FAILED is a state that every pipeline has; choose another name"
                .to_owned(),
            "$.states[6].name: CANCELLED is a state that every pipeline has; choose another name"
                .to_owned(),
            format!("$.states[7].name: expected {FORM}, found \"{}\" and more", "A".repeat(40)),
            format!("$.states[8].name: expected {FORM}, found null"),
            "$.states[9]: expected a state, an object with a name, found \"B\"".to_owned(),
        ]
    );
}

#[test]
fn values_have_their_types_and_limits() {
    let faults = faults_in(
        json!({"label": "", "weight": -1, "next": "C", "rework": {}, "substeps": 3,
            "open_substeps": 1, "stall_after": 120, "max_attempts": 0, "retry_after": "soon",
            "colour": "red"}),
        json!({}),
    );
    const DURATION: &str = "a number above 0 and a unit (seconds, minutes, hours or days), \
        such as \"30 seconds\", up to 3650 days";
    assert_eq!(
        faults,
        [
            "$.states[1].colour: is no key that is known here; known are name, label, weight, \
             next, rework, substeps, open_substeps, stall_after, max_attempts, retry_after"
                .to_owned(),
            "$.states[1].label: expected a text of 1 to 200 characters, found \"\"".to_owned(),
            "$.states[1].weight: expected 0, or a number from 0.000000001 to 1000000000, \
             found -1"
                .to_owned(),
            "$.states[1].next: expected an array of the states that may follow, \
             found \"C\""
                .to_owned(),
            "$.states[1].rework: expected an array of the names of earlier states, \
             found an object"
                .to_owned(),
            "$.states[1].substeps: expected an array of substeps, found 3".to_owned(),
            "$.states[1].open_substeps: expected true or false, found 1".to_owned(),
            format!("$.states[1].stall_after: expected {DURATION}, found 120"),
            "$.states[1].max_attempts: expected a whole number from 1, found 0".to_owned(),
            format!("$.states[1].retry_after: expected {DURATION}, found \"soon\""),
        ]
    );
    for weight in [json!("1"), json!(1.1e9), json!(0.9e-9), json!(true)] {
        assert_eq!(faults_in(json!({"weight": weight}), json!({})).len(), 1, "{weight}");
        let substeps = json!([{"substep": "a", "weight": weight}]);
        assert_eq!(faults_in(json!({"substeps": substeps}), json!({})).len(), 1, "{weight}");
    }
    for weight in [json!(0), json!(1e-9), json!(1e9)] {
        let substeps = json!([{"substep": "a", "weight": weight}, {"substep": "b"}]);
        assert!(
            faults_in(json!({"weight": weight, "substeps": substeps}), json!({})).is_empty(),
            "{weight}"
        );
    }
    for attempts in [json!(1.5), json!(-3), json!(2_147_483_648_i64), json!("3")] {
        assert_eq!(faults_in(json!({"max_attempts": attempts}), json!({})).len(), 1, "{attempts}");
    }
    assert!(
        faults_in(json!({"max_attempts": 3.0, "weight": 0, "label": "ß".repeat(200)}), json!({}))
            .is_empty()
    );
    assert_eq!(faults_in(json!({"label": "ß".repeat(201)}), json!({})).len(), 1);
}

#[test]
fn substeps_have_their_rules() {
    const FORM: &str = "a key of the form [a-z][a-z0-9_]*, up to 63 characters";
    let substeps = json!([{"substep": "a"}, {"substep": "a"}, {"substep": "B"}, {}, "c",
        {"substep": "d", "weight": "2"},
        {"substep": "e", "label": 5, "name": "e"}]);
    assert_eq!(
        faults_in(json!({"substeps": substeps}), json!({})),
        [
            "$.states[1].substeps[1].substep: a is the key of an earlier substep; keys are unique \
             in a state"
                .to_owned(),
            format!("$.states[1].substeps[2].substep: expected {FORM}, found \"B\""),
            format!("$.states[1].substeps[3].substep: is missing; expected {FORM}"),
            "$.states[1].substeps[4]: expected an object with the key substep, \
             found \"c\""
                .to_owned(),
            "$.states[1].substeps[5].weight: expected 0, or a number from 0.000000001 to \
             1000000000, found \"2\""
                .to_owned(),
            "$.states[1].substeps[6].name: is no key that is known here; \
             known are substep, label, weight"
                .to_owned(),
            "$.states[1].substeps[6].label: expected a text of 1 to 200 characters, \
             found 5"
                .to_owned(),
        ]
    );
    assert_eq!(
        faults_in(
            json!({"substeps": [{"substep": "a", "weight": 0}, {"substep": "b", "weight": 0}]}),
            json!({})
        ),
        ["$.states[1].substeps: expected at least one substep of a weight above 0"]
    );
    let many = |count: usize| {
        json!((0..count).map(|index| json!({"substep": format!("s{index}")})).collect::<Vec<_>>())
    };
    assert!(faults_in(json!({"substeps": many(MAX_DECLARED_SUBSTEPS)}), json!({})).is_empty());
    assert_eq!(
        faults_in(json!({"substeps": many(MAX_DECLARED_SUBSTEPS + 1)}), json!({})),
        ["$.states[1].substeps: expected up to 256 substeps, found 257"]
    );
}

#[test]
fn edges_have_their_rules() {
    let next = json!([5, {"guard": "x"}, {"to": "C", "guard": "No!", "when": 1}, "C", "c"]);
    const FORM: &str = "a name of the form [A-Z][A-Z0-9_]*, up to 63 characters";
    assert_eq!(
        faults_in(json!({"next": next, "rework": [1, "A", "A"]}), json!({})),
        [
            "$.states[1].next[0]: expected the name of a state, or an object with to and guard, \
             found 5"
                .to_owned(),
            format!("$.states[1].next[1].to: is missing; expected {FORM}"),
            "$.states[1].next[2].when: is no key that is known here; \
             known are to, guard"
                .to_owned(),
            "$.states[1].next[2].guard: expected substeps_complete, attempts_left, or the name of \
             an SQL function, found \"No!\""
                .to_owned(),
            "$.states[1].next[3]: C is listed already; a state has one edge to another".to_owned(),
            format!("$.states[1].next[4]: expected {FORM}, found \"c\""),
            format!("$.states[1].rework[0]: expected {FORM}, found 1"),
            "$.states[1].rework[2]: A is listed already".to_owned(),
        ]
    );
    assert_eq!(
        faults_in(
            json!({"next": ["C", "NOWHERE", "FAILED"], "rework": ["A", "ELSEWHERE"]}),
            json!({})
        ),
        [
            "$.states[1].next: NOWHERE is no state of this pipeline",
            "$.states[1].next: FAILED is no state of this pipeline",
            "$.states[1].rework: ELSEWHERE is no state of this pipeline",
        ]
    );
    for guard in ["substeps_complete", "attempts_left", "has_cover", "shop.has_cover"] {
        assert!(
            faults_in(json!({"next": [{"to": "C", "guard": guard}]}), json!({})).is_empty(),
            "{guard}"
        );
    }
}

#[test]
fn the_last_state_is_final() {
    let last = json!({"weight": 1, "substeps": [{"substep": "a"}], "open_substeps": true,
        "next": ["A"], "rework": ["A"]});
    let faults = faults_in(json!({}), last);
    let paths: Vec<&str> =
        faults.iter().filter_map(|fault| fault.split_once(':')).map(|(path, _)| path).collect();
    assert_eq!(
        paths[..5],
        [
            "$.states[2].weight",
            "$.states[2].substeps",
            "$.states[2].open_substeps",
            "$.states[2].next",
            "$.states[2].rework",
        ]
    );
    assert!(
        faults_in(json!({}), json!({"weight": 0, "next": [], "rework": [], "substeps": []}))
            .is_empty()
    );
}

#[test]
fn some_state_weighs_something() {
    let definition = json!({"states": [{"name": "A"}, {"name": "B", "weight": 0}, {"name": "C"}]});
    assert_eq!(faults(&definition), ["$.states: expected at least one state of a weight above 0"]);
}

#[test]
fn forward_edges_form_no_circle() {
    let definition = json!({"states": [
        {"name": "A", "weight": 1}, {"name": "B", "next": ["C", "E"]}, {"name": "C", "next": ["D"]},
        {"name": "D", "next": ["B", "D"]}, {"name": "E"}]});
    assert_eq!(
        faults(&definition),
        ["$.states[1].next: forward edges lead in a circle: B -> C -> D -> B; a way back \
             belongs into rework"]
    );
    let itself = json!({"states": [{"name": "A", "weight": 1, "next": ["A", "B"]}, {"name": "B"}]});
    assert_eq!(
        faults(&itself),
        ["$.states[0].next: forward edges lead in a circle: A -> A; a way back belongs into \
             rework"]
    );
}

#[test]
fn every_state_is_on_a_way_from_the_first_to_the_last() {
    let definition = json!({"states": [
        {"name": "A", "weight": 1, "next": ["C"]}, {"name": "B", "next": ["D"]},
        {"name": "C", "next": []}, {"name": "D"}]});
    assert_eq!(
        faults(&definition),
        [
            "$.states[0].next: D, the final state, cannot be reached from here",
            "$.states[1]: B cannot be reached from A, where every book begins",
            "$.states[2].next: expected at least one state that may follow; only the last state is \
             final",
            "$.states[3]: D cannot be reached from A, where every book begins",
        ]
    );
}

#[test]
fn rework_leads_back() {
    let definition = json!({"states": [
        {"name": "A", "weight": 1, "next": ["B", "C"], "rework": ["D"]},
        {"name": "B", "next": ["D"], "rework": ["C", "A"]},
        {"name": "C", "rework": ["C"]}, {"name": "D"}]});
    assert_eq!(
        faults(&definition),
        [
            "$.states[0].rework: expected states from which A is reached; D is none",
            "$.states[1].rework: expected states from which B is reached; C is none",
            "$.states[2].rework: expected states from which C is reached; C is none",
        ]
    );
}

/// Puts a value in the place of one node of a JSON tree.
fn replace(tree: &mut Value, place: &Index, new: Value) {
    fn count(tree: &Value) -> usize {
        1 + match tree {
            Value::Array(values) => values.iter().map(count).sum(),
            Value::Object(object) => object.values().map(count).sum(),
            _ => 0,
        }
    }
    fn put(tree: &mut Value, left: &mut usize, new: &mut Option<Value>) {
        if *left == 0
            && let Some(new) = new.take()
        {
            *tree = new;
            return;
        }
        *left = left.wrapping_sub(1);
        match tree {
            Value::Array(values) => values.iter_mut().for_each(|value| put(value, left, new)),
            Value::Object(object) => object.values_mut().for_each(|value| put(value, left, new)),
            _ => {}
        }
    }
    put(tree, &mut place.index(count(tree)), &mut Some(new));
}

/// A machine keeps its invariants, and its JSON gives the same machine.
fn is_sound(machine: &Machine) -> Result<(), TestCaseError> {
    let json = serde_json::to_value(machine).unwrap();
    prop_assert_eq!(&Machine::from_json(&json).unwrap(), machine);
    prop_assert_eq!(&serde_json::from_str::<Machine>(&json.to_string()).unwrap(), machine);
    let (first, last) = (&machine.initial().name, &machine.final_state().name);
    prop_assert!(machine.total_weight() > 0.0 && machine.total_weight().is_finite());
    prop_assert_eq!(machine.total_weight(), machine.final_state().start);
    for state in machine.states() {
        prop_assert!(state.name == *first || machine.reaches(first, &state.name));
        prop_assert!(state.name == *last || machine.reaches(&state.name, last));
        prop_assert!(!machine.reaches(&state.name, &state.name));
        for edge in &state.next {
            prop_assert!(machine.state(&edge.to).unwrap().start >= state.start + state.weight);
        }
        for back in &state.rework {
            prop_assert!(machine.reaches(back, &state.name));
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_valid_definition_compiles(definition in definition()) {
        let machine = compile(&definition);
        prop_assert!(machine.is_ok(), "{:?}", machine);
        is_sound(&machine.unwrap())?;
    }

    #[test]
    fn no_json_makes_compile_panic(definition in any_json()) {
        match compile(&definition) {
            Ok(machine) => is_sound(&machine)?,
            Err(faults) => prop_assert!(!faults.is_empty()),
        }
    }

    #[test]
    fn a_definition_with_something_else_in_it_compiles_soundly_or_has_a_fault(
        mut definition in definition(),
        changes in prop::collection::vec((any::<Index>(), any_json()), 1..4),
    ) {
        for (place, new) in changes {
            replace(&mut definition, &place, new);
        }
        match compile(&definition) {
            Ok(machine) => is_sound(&machine)?,
            Err(faults) => prop_assert!(
                faults.iter().all(|fault| fault.path.starts_with('$') && !fault.problem.is_empty()),
            ),
        }
    }

    #[test]
    fn no_json_makes_reading_a_machine_panic(
        machine in definition(),
        place in any::<Index>(),
        new in any_json(),
    ) {
        let mut json = serde_json::to_value(compile(&machine).unwrap()).unwrap();
        replace(&mut json, &place, new);
        let _ = Machine::from_json(&json);
    }
}

#[test]
fn all_faults_come_at_once() {
    let mut definition = comic_definition();
    definition["states"][1]["weight"] = json!("20");
    definition["states"][2]["substeps"][0]["substep"] = json!("Split scenes");
    definition["states"][3]["next"] = json!(["DONE"]);
    let faults = faults(&definition);
    let paths: Vec<&str> =
        faults.iter().filter_map(|fault| fault.split_once(':')).map(|(path, _)| path).collect();
    assert_eq!(
        paths,
        ["$.states[1].weight", "$.states[2].substeps[0].substep", "$.states[3].next"]
    );
}
