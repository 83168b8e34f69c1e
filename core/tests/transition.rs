//! Which status may follow which.

#![allow(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

mod common;

use bindery_core::machine::{CANCELLED, FAILED};
use bindery_core::transition::{Facts, next_statuses, transition_error};
use common::{branching, comic, machine};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

fn error(status: &str, stage: Option<&str>, target: &str) -> Option<String> {
    transition_error(&comic(), status, stage, target, &Facts::default())
}

#[test]
fn forward_then_back_then_halted() {
    let machine = branching();
    assert_eq!(next_statuses(&machine, "PRINT", None), ["SHIPPED", "DISPUTED", "PREVIEW", "DRAFT", FAILED, CANCELLED]);
    assert_eq!(next_statuses(&comic(), "UPLOADED", Some("UPLOADED")), ["ANALYZING", FAILED, CANCELLED]);
    for over in ["COMPLETED", CANCELLED, "NOWHERE", ""] {
        assert!(next_statuses(&comic(), over, Some("ANALYZING")).is_empty(), "{over}");
    }
}

#[test]
fn what_failed_resumes_where_it_was() {
    assert_eq!(next_statuses(&comic(), FAILED, Some("ANALYZING")), ["ANALYZING", CANCELLED]);
    assert_eq!(next_statuses(&comic(), FAILED, None), ["UPLOADED", CANCELLED]);
    assert_eq!(next_statuses(&comic(), FAILED, Some("NOWHERE")), [CANCELLED]);
    assert_eq!(error(FAILED, Some("ANALYZING"), "ANALYZING"), None);
    assert_eq!(error(FAILED, None, "UPLOADED"), None);
    assert_eq!(error(FAILED, Some("ANALYZING"), CANCELLED), None);
    assert_eq!(
        error(FAILED, Some("ANALYZING"), "GENERATING_SCENES").unwrap(),
        "A book in FAILED cannot go to GENERATING_SCENES; from FAILED it may go to ANALYZING or CANCELLED."
    );
}

#[test]
fn a_refusal_says_what_would_be_allowed() {
    assert_eq!(error("ANALYZING", Some("ANALYZING"), "GENERATING_SCENES"), None);
    assert_eq!(error("ANALYZING", None, FAILED), None);
    let allowed = "from ANALYZING it may go to GENERATING_SCENES, FAILED or CANCELLED.";
    assert_eq!(
        error("ANALYZING", None, "COMPLETED").unwrap(),
        format!("A book in ANALYZING cannot go to COMPLETED; {allowed}")
    );
    assert_eq!(
        error("ANALYZING", None, "ANALYZING").unwrap(),
        format!("A book in ANALYZING is already in ANALYZING; {allowed}")
    );
    assert_eq!(error("ANALYZING", None, "DONE").unwrap(), format!("This pipeline has no state DONE; {allowed}"));
    assert_eq!(error("COMPLETED", None, "UPLOADED").unwrap(), "COMPLETED is final; nothing follows it.");
    assert_eq!(error(CANCELLED, None, FAILED).unwrap(), "CANCELLED is final; nothing follows it.");
    assert_eq!(
        error("LOST", None, "UPLOADED").unwrap(),
        "This pipeline has no state LOST; its states are UPLOADED, ANALYZING, GENERATING_SCENES, CREATING_ARTWORK, \
         COMPLETED, FAILED and CANCELLED."
    );
}

#[test]
fn a_guard_holds_only_where_it_is_known_to() {
    let machine = branching();
    let facts = |json| serde_json::from_value::<Facts>(json).unwrap();
    let error = |status: &str, target: &str, json| transition_error(&machine, status, None, target, &facts(json));
    assert_eq!(error("DRAFT", "PREVIEW", json!({})), None);
    assert_eq!(error("DRAFT", "PRINT", json!({"substeps_complete": true})), None);
    assert_eq!(
        error("DRAFT", "PRINT", json!({"substeps_complete": false})).unwrap(),
        "The guard substeps_complete of DRAFT -> PRINT does not hold: not every substep of DRAFT is done."
    );
    assert_eq!(
        error("DRAFT", "PRINT", json!({"substeps_complete": null, "guards": null})).unwrap(),
        "The guard substeps_complete of DRAFT -> PRINT does not hold: nothing is known about it."
    );
    assert_eq!(error("PRINT", "DISPUTED", json!({"attempts_left": true})), None);
    assert_eq!(
        error("PRINT", "DISPUTED", json!({"attempts_left": false})).unwrap(),
        "The guard attempts_left of PRINT -> DISPUTED does not hold: PRINT has no attempts left."
    );
    assert_eq!(error("PRINT", "SHIPPED", json!({"guards": {"has_address": true}})), None);
    assert_eq!(
        error("PRINT", "SHIPPED", json!({"guards": {"has_address": false}})).unwrap(),
        "The guard has_address of PRINT -> SHIPPED does not hold: it said no."
    );
    assert_eq!(
        error("PRINT", "SHIPPED", json!({"guards": {"other": true}, "substeps_complete": true})).unwrap(),
        "The guard has_address of PRINT -> SHIPPED does not hold: nothing is known about it."
    );
}

proptest! {
    #[test]
    fn what_may_follow_is_what_is_not_refused(
        machine in machine(), status in any::<Index>(), stage in prop::option::of(any::<Index>()), target in any::<Index>()
    ) {
        let states = machine.states().iter().map(|state| state.name.as_str());
        let all: Vec<&str> = states.chain([FAILED, CANCELLED, "NOWHERE"]).collect();
        let (status, target) = (*status.get(&all), *target.get(&all));
        let stage = stage.map(|stage| *stage.get(&all));
        let facts = Facts {
            substeps_complete: Some(true),
            attempts_left: Some(true),
            guards: [("some_function".to_owned(), true)].into(),
        };
        let allowed = next_statuses(&machine, status, stage);
        let error = transition_error(&machine, status, stage, target, &facts);
        prop_assert_eq!(allowed.iter().any(|allowed| allowed == target), error.is_none(), "{:?}", error);
        if let Some(error) = error {
            prop_assert!(allowed.iter().all(|allowed| error.contains(allowed.as_str())), "{}", error);
        }
    }
}
