//! `docs/state_machine.md` shows the machine of the pipeline `comic`: its diagram and tables agree
//! with the rules for the definition that ships with the schema.

#![allow(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

use std::collections::BTreeSet;

use bindery_core::definition::compile;
use bindery_core::machine::{CANCELLED, FAILED, Machine};
use bindery_core::transition::{next_statuses, rewind_targets};

const PAGE: &str = include_str!("../../docs/state_machine.md");
const SHIPPED: &str = include_str!("../../sql/pipelines/comic.sql");

/// The machine of the definition in the shipped SQL, where it is the only object in quotes.
fn shipped() -> Machine {
    let begin = SHIPPED.find("'{").unwrap() + 1;
    let end = SHIPPED.rfind("}'").unwrap() + 1;
    compile(&serde_json::from_str(&SHIPPED[begin..end]).unwrap()).unwrap()
}

/// The lines of the page's one diagram, without the first, which names its kind.
fn diagram() -> impl Iterator<Item = &'static str> {
    let (_, rest) = PAGE.split_once("```mermaid\nstateDiagram-v2\n").unwrap();
    let (diagram, rest) = rest.split_once("```\n").unwrap();
    assert!(!rest.contains("```mermaid"), "another diagram, which no test checks");
    diagram.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// A line of the diagram: the parts before and after the colon.
fn parts(line: &str) -> (String, String) {
    let (what, label) = line.split_once(" : ").unwrap_or((line, ""));
    (what.to_owned(), label.to_owned())
}

fn to_set(lines: Vec<(String, String)>) -> BTreeSet<(String, String)> {
    let count = lines.len();
    let set: BTreeSet<_> = lines.into_iter().collect();
    assert_eq!(set.len(), count, "a line is there twice");
    set
}

#[test]
fn every_edge_is_drawn_and_no_other() {
    let machine = shipped();
    let mut edges = vec![(format!("[*] --> {}", machine.initial().name), String::new())];
    for over in [&machine.final_state().name, CANCELLED] {
        assert!(next_statuses(&machine, over, None).is_empty());
        edges.push((format!("{over} --> [*]"), String::new()));
    }
    for state in machine.states().iter().filter(|state| !state.is_final) {
        for to in next_statuses(&machine, &state.name, Some(&state.name)) {
            let edge = state.next.iter().find(|edge| edge.to == to);
            let label = match (to.as_str(), edge) {
                (FAILED, _) => "fail",
                (CANCELLED, _) => "cancel",
                (_, Some(edge)) => edge.guard.as_deref().unwrap_or_default(),
                (_, None) => "rework",
            };
            edges.push((format!("{} --> {to}", state.name), label.to_owned()));
        }
        for to in
            next_statuses(&machine, FAILED, Some(&state.name)).iter().filter(|to| *to != CANCELLED)
        {
            edges.push((format!("{FAILED} --> {to}"), "resume".to_owned()));
        }
    }
    assert!(next_statuses(&machine, FAILED, None).iter().any(|to| to == CANCELLED));
    edges.push((format!("{FAILED} --> {CANCELLED}"), "cancel".to_owned()));

    let drawn = diagram().filter(|line| line.contains("-->")).map(parts).collect();
    assert_eq!(to_set(drawn), to_set(edges));
}

#[test]
fn every_state_is_named_and_no_other() {
    let states =
        shipped().states().iter().map(|state| (state.name.clone(), state.label.clone())).collect();
    let named = diagram().filter(|line| !line.contains("-->")).map(parts).collect();
    assert_eq!(to_set(named), to_set(states));
}

#[test]
fn every_rewind_is_listed_and_no_other() {
    let machine = shipped();
    let (_, rest) = PAGE.split_once("| from | to |\n|---|---|\n").unwrap();
    let listed = rest.lines().take_while(|line| line.starts_with('|')).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        (cells[0].replace('`', ""), cells[1].replace('`', ""))
    });
    let working = machine.states().iter().filter(|state| !state.is_final);
    let targets = working
        .map(|state| (state.name.clone(), rewind_targets(&machine, &state.name, None).join(", ")));
    assert_eq!(to_set(listed.collect()), to_set(targets.collect()));
    for state in machine.states().iter().filter(|state| !state.is_final) {
        let once_failed = rewind_targets(&machine, FAILED, Some(&state.name));
        assert_eq!(once_failed.last(), Some(&state.name));
        assert_eq!(
            once_failed[..once_failed.len() - 1],
            rewind_targets(&machine, &state.name, None)
        );
    }
}
