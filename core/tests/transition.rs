//! Which status may follow which.

#![allow(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

mod common;

use bindery_core::machine::{CANCELLED, FAILED};
use bindery_core::transition::{
    Facts, TransitionVerdict, begin_verdict, next_statuses, rewind_targets, transition_error,
    transition_verdict,
};
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
    assert_eq!(
        next_statuses(&machine, "PRINT", None),
        ["SHIPPED", "DISPUTED", "PREVIEW", "DRAFT", FAILED, CANCELLED]
    );
    assert_eq!(
        next_statuses(&comic(), "UPLOADED", Some("UPLOADED")),
        ["ANALYZING", FAILED, CANCELLED]
    );
    for over in ["COMPLETED", CANCELLED, "NOWHERE", ""] {
        assert!(next_statuses(&comic(), over, Some("ANALYZING")).is_empty(), "{over}");
    }
}

#[test]
fn a_failed_book_resumes_in_its_stage() {
    assert_eq!(next_statuses(&comic(), FAILED, Some("ANALYZING")), ["ANALYZING", CANCELLED]);
    assert_eq!(next_statuses(&comic(), FAILED, None), ["UPLOADED", CANCELLED]);
    assert_eq!(next_statuses(&comic(), FAILED, Some("NOWHERE")), [CANCELLED]);
    assert_eq!(error(FAILED, Some("ANALYZING"), "ANALYZING"), None);
    assert_eq!(error(FAILED, None, "UPLOADED"), None);
    assert_eq!(error(FAILED, Some("ANALYZING"), CANCELLED), None);
    assert_eq!(
        error(FAILED, Some("ANALYZING"), "GENERATING_SCENES").unwrap(),
        "A book in FAILED cannot go to GENERATING_SCENES; from FAILED it may go to ANALYZING or \
         CANCELLED."
    );
}

#[test]
fn a_refusal_lists_the_allowed_statuses() {
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
    assert_eq!(
        error("ANALYZING", None, "DONE").unwrap(),
        format!("This pipeline has no state DONE; {allowed}")
    );
    assert_eq!(
        error("COMPLETED", None, "UPLOADED").unwrap(),
        "COMPLETED is final; nothing follows it."
    );
    assert_eq!(error(CANCELLED, None, FAILED).unwrap(), "CANCELLED is final; nothing follows it.");
    assert_eq!(
        error("LOST", None, "UPLOADED").unwrap(),
        "This pipeline has no state LOST; its states are UPLOADED, ANALYZING, GENERATING_SCENES, \
         CREATING_ARTWORK, COMPLETED, FAILED and CANCELLED."
    );
}

#[test]
fn a_guard_holds_only_where_it_is_known_to() {
    let machine = branching();
    let facts = |json| serde_json::from_value::<Facts>(json).unwrap();
    let error = |status: &str, target: &str, json| {
        transition_error(&machine, status, None, target, &facts(json))
    };
    assert_eq!(error("DRAFT", "PREVIEW", json!({})), None);
    assert_eq!(error("DRAFT", "PRINT", json!({"substeps_complete": true})), None);
    assert_eq!(
        error("DRAFT", "PRINT", json!({"substeps_complete": false})).unwrap(),
        "The guard substeps_complete of DRAFT -> PRINT does not hold: not every substep of DRAFT \
         is done."
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
        error("PRINT", "SHIPPED", json!({"guards": {"other": true}, "substeps_complete": true}))
            .unwrap(),
        "The guard has_address of PRINT -> SHIPPED does not hold: nothing is known about it."
    );
}

fn rewind(status: &str, stage: Option<&str>, target: &str) -> Option<String> {
    let facts = Facts { rewind: Some(true), ..Facts::default() };
    transition_error(&comic(), status, stage, target, &facts)
}

#[test]
fn a_rewind_goes_to_any_state_before() {
    let targets = |status: &str, stage: Option<&str>| rewind_targets(&comic(), status, stage);
    assert_eq!(targets("CREATING_ARTWORK", None), ["UPLOADED", "ANALYZING", "GENERATING_SCENES"]);
    assert_eq!(targets("UPLOADED", Some("UPLOADED")), [""; 0]);
    // A failed book may start over where it failed.
    assert_eq!(targets(FAILED, Some("ANALYZING")), ["UPLOADED", "ANALYZING"]);
    assert_eq!(targets(FAILED, None), ["UPLOADED"]);
    assert_eq!(targets(FAILED, Some("NOWHERE")), [""; 0]);
    for over in ["COMPLETED", CANCELLED, "NOWHERE", ""] {
        assert_eq!(targets(over, Some("ANALYZING")), [""; 0], "{over}");
    }
    assert_eq!(rewind("CREATING_ARTWORK", None, "UPLOADED"), None);
    assert_eq!(rewind(FAILED, Some("ANALYZING"), "ANALYZING"), None);
    // Without edges that lead back: branches beside the book's own are not before it.
    let branches = branching();
    assert_eq!(rewind_targets(&branches, "DISPUTED", None), ["DRAFT", "PREVIEW", "PRINT"]);
    assert_eq!(rewind_targets(&branches, FAILED, Some("PREVIEW")), ["DRAFT", "PREVIEW"]);
}

#[test]
fn a_refused_rewind_lists_its_targets() {
    let back = "may be rewound to UPLOADED or ANALYZING.";
    for target in ["CREATING_ARTWORK", "COMPLETED", FAILED, CANCELLED] {
        assert_eq!(
            rewind("GENERATING_SCENES", None, target).unwrap(),
            format!("A book in GENERATING_SCENES cannot be rewound to {target}; it {back}")
        );
    }
    assert_eq!(
        rewind("GENERATING_SCENES", None, "GENERATING_SCENES").unwrap(),
        format!("A book in GENERATING_SCENES is already in GENERATING_SCENES; it {back}")
    );
    assert_eq!(
        rewind(FAILED, Some("ANALYZING"), FAILED).unwrap(),
        format!("A book in FAILED is already in FAILED; it {back}")
    );
    assert_eq!(
        rewind("GENERATING_SCENES", None, "DRAWING").unwrap(),
        format!("This pipeline has no state DRAWING; a book in GENERATING_SCENES {back}")
    );
    for (status, stage) in [("UPLOADED", None), (FAILED, Some("NOWHERE"))] {
        assert_eq!(
            rewind(status, stage, "ANALYZING").unwrap(),
            format!("A book in {status} cannot be rewound; there is no earlier state.")
        );
    }
    for over in ["COMPLETED", CANCELLED] {
        let refusal = rewind(over, Some("CREATING_ARTWORK"), "ANALYZING").unwrap();
        assert_eq!(refusal, format!("{over} is final; nothing follows it."));
    }
    assert!(
        rewind("LOST", None, "UPLOADED")
            .unwrap()
            .starts_with("This pipeline has no state LOST; its states are")
    );
    // Explicitly not a rewind, it is an ordinary change.
    let facts = Facts { rewind: Some(false), ..Facts::default() };
    assert_eq!(
        transition_error(&comic(), "ANALYZING", None, "UPLOADED", &facts),
        error("ANALYZING", None, "UPLOADED")
    );
}

fn verdicts(
    status: &str,
    stage: Option<&str>,
    facts: &Facts,
) -> Vec<(String, &'static str, &'static str)> {
    let machine = branching();
    let states = machine.states().iter().map(|state| state.name.as_str());
    let targets = states.chain([FAILED, CANCELLED, "NOWHERE"]);
    let verdict = |target: &str| {
        let transition = transition_verdict(&machine, status, stage, target, facts).code();
        (
            target.to_owned(),
            transition,
            begin_verdict(&machine, status, stage, target, facts).code(),
        )
    };
    targets.map(verdict).collect()
}

fn expected(
    verdicts: [(&str, &'static str, &'static str); 8],
) -> Vec<(String, &'static str, &'static str)> {
    verdicts.map(|(target, transition, begin)| (target.to_owned(), transition, begin)).to_vec()
}

#[test]
fn an_event_for_another_status_is_judged_by_where_that_lies() {
    let none = Facts::default();
    // The edge to PRINT waits for substeps_complete.
    assert_eq!(
        verdicts("DRAFT", None, &none),
        expected([
            ("DRAFT", "none", "none"),
            ("PREVIEW", "accept", "accept"),
            ("PRINT", "early", "early"),
            ("DISPUTED", "early", "early"),
            ("SHIPPED", "early", "illegal"),
            (FAILED, "accept", "illegal"),
            (CANCELLED, "accept", "illegal"),
            ("NOWHERE", "illegal", "illegal"),
        ])
    );
    // A worker takes no book back by rework. The guards of PRINT are not `substeps_complete`.
    assert_eq!(
        verdicts("PRINT", Some("PRINT"), &none),
        expected([
            ("DRAFT", "accept", "stale"),
            ("PREVIEW", "accept", "stale"),
            ("PRINT", "none", "none"),
            ("DISPUTED", "illegal", "early"),
            ("SHIPPED", "illegal", "illegal"),
            (FAILED, "accept", "illegal"),
            (CANCELLED, "accept", "illegal"),
            ("NOWHERE", "illegal", "illegal"),
        ])
    );
    let met =
        Facts { attempts_left: Some(true), substeps_complete: Some(true), ..Facts::default() };
    assert_eq!(verdicts("DRAFT", None, &met)[2], ("PRINT".to_owned(), "accept", "accept"));
    assert_eq!(verdicts("PRINT", None, &met)[3], ("DISPUTED".to_owned(), "accept", "accept"));
}

#[test]
fn an_event_for_a_halted_or_complete_book_is_judged_by_the_stage_it_was_in() {
    let none = Facts::default();
    assert_eq!(
        verdicts(FAILED, Some("PREVIEW"), &none),
        expected([
            ("DRAFT", "stale", "stale"),
            ("PREVIEW", "accept", "accept"),
            ("PRINT", "early", "early"),
            ("DISPUTED", "early", "early"),
            ("SHIPPED", "early", "illegal"),
            (FAILED, "none", "illegal"),
            (CANCELLED, "accept", "illegal"),
            ("NOWHERE", "illegal", "illegal"),
        ])
    );
    // A guard that is asked after the resume.
    assert_eq!(
        verdicts(FAILED, Some("PRINT"), &none)[3],
        ("DISPUTED".to_owned(), "early", "early")
    );
    for (status, stage) in
        [(CANCELLED, Some("PREVIEW")), ("SHIPPED", Some("PRINT")), ("SHIPPED", None)]
    {
        let complete = if status == "SHIPPED" { "none" } else { "stale" };
        let cancelled = if status == CANCELLED { "none" } else { "stale" };
        assert_eq!(
            verdicts(status, stage, &none),
            expected([
                ("DRAFT", "stale", "stale"),
                ("PREVIEW", "stale", "stale"),
                ("PRINT", "stale", "stale"),
                ("DISPUTED", "stale", "stale"),
                ("SHIPPED", complete, "illegal"),
                (FAILED, "stale", "illegal"),
                (CANCELLED, cancelled, "illegal"),
                ("NOWHERE", "illegal", "illegal"),
            ])
        );
    }
    // A status or stage of another pipeline.
    for (status, stage) in [("LOST", None), (FAILED, Some("LOST"))] {
        assert_eq!(verdicts(status, stage, &none)[1], ("PREVIEW".to_owned(), "illegal", "illegal"));
    }
}

proptest! {
    #[test]
    fn a_rewind_goes_back_and_nowhere_else(
        machine in machine(),
        status in any::<Index>(),
        stage in prop::option::of(any::<Index>()),
        target in any::<Index>(),
    ) {
        let states = machine.states().iter().map(|state| state.name.as_str());
        let all: Vec<&str> = states.chain([FAILED, CANCELLED, "NOWHERE"]).collect();
        let (status, target) = (*status.get(&all), *target.get(&all));
        let stage = stage.map(|stage| *stage.get(&all));
        // No guard holds, and none is asked.
        let facts = Facts { rewind: Some(true), ..Facts::default() };
        let targets = rewind_targets(&machine, status, stage);
        let error = transition_error(&machine, status, stage, target, &facts);
        prop_assert_eq!(targets.iter().any(|back| back == target), error.is_none(), "{:?}", error);
        let failed_in = if status == FAILED { machine.current(status, stage) } else { None };
        let current = failed_in.map_or(status, |state| &state.name);
        if error.is_none() {
            let again = failed_in.is_some_and(|state| state.name == target);
            prop_assert!(machine.reaches(target, current) || again);
            prop_assert!(!machine.is_over(target));
        } else {
            let error = error.unwrap_or_default();
            prop_assert!(targets.iter().all(|back| error.contains(back.as_str())), "{}", error);
        }
        // Every earlier state is a target, unless the book has ended.
        let over = status == machine.final_state().name || status == CANCELLED;
        prop_assert!(
            over || !machine.reaches(target, current) || targets.iter().any(|back| back == target)
        );
    }

    #[test]
    fn the_next_statuses_are_those_that_are_not_refused(
        machine in machine(),
        status in any::<Index>(),
        stage in prop::option::of(any::<Index>()),
        target in any::<Index>(),
    ) {
        let states = machine.states().iter().map(|state| state.name.as_str());
        let all: Vec<&str> = states.chain([FAILED, CANCELLED, "NOWHERE"]).collect();
        let (status, target) = (*status.get(&all), *target.get(&all));
        let stage = stage.map(|stage| *stage.get(&all));
        let facts = Facts {
            substeps_complete: Some(true),
            attempts_left: Some(true),
            guards: [("some_function".to_owned(), true)].into(),
            rewind: None,
        };
        let allowed = next_statuses(&machine, status, stage);
        let error = transition_error(&machine, status, stage, target, &facts);
        prop_assert_eq!(
            allowed.iter().any(|allowed| allowed == target),
            error.is_none(),
            "{:?}",
            error,
        );
        if let Some(error) = error {
            prop_assert!(
                allowed.iter().all(|allowed| error.contains(allowed.as_str())),
                "{}",
                error,
            );
        }
    }

    #[test]
    fn early_targets_lie_ahead_and_stale_targets_lie_behind(
        machine in machine(),
        status in any::<Index>(),
        stage in prop::option::of(any::<Index>()),
        target in any::<Index>(),
        complete in any::<bool>(),
    ) {
        let states = machine.states().iter().map(|state| state.name.as_str());
        let all: Vec<&str> = states.chain([FAILED, CANCELLED, "NOWHERE"]).collect();
        let (status, target) = (*status.get(&all), *target.get(&all));
        let stage = stage.map(|stage| *stage.get(&all));
        let facts = Facts { substeps_complete: Some(complete), ..Facts::default() };
        let over = status == CANCELLED || status == machine.final_state().name;
        let failed_in = if status == FAILED { machine.current(status, stage) } else { None };
        let current = failed_in.map_or(status, |state| &state.name);
        let error = transition_error(&machine, status, stage, target, &facts);
        let transition = transition_verdict(&machine, status, stage, target, &facts);
        let begin = begin_verdict(&machine, status, stage, target, &facts);
        prop_assert_eq!(transition == TransitionVerdict::None, status == target);
        prop_assert_eq!(
            transition == TransitionVerdict::Accept,
            status != target && error.is_none(),
        );
        for verdict in [transition, begin] {
            prop_assert!(
                verdict != TransitionVerdict::Early || (!over && machine.reaches(current, target))
            );
            prop_assert!(
                verdict != TransitionVerdict::Stale || over || machine.reaches(target, current)
            );
        }
        // A worker can begin any target of a transition, except along `rework`.
        let works = machine.state(target).is_some_and(|state| !state.is_final);
        prop_assert!(begin != TransitionVerdict::Accept || (works && error.is_none()));
        prop_assert!(works || begin == TransitionVerdict::Illegal);
        let back = machine.reaches(target, current);
        prop_assert!(
            back
                || !works
                || status == target
                || (begin == TransitionVerdict::Accept) == error.is_none(),
        );
    }
}
