//! Shared parts of the tests: the pipeline that ships with Bindery, random pipelines, and random
//! lives of books.

// Each test file uses a part of it.
#![allow(dead_code)]
#![allow(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

use bindery_core::definition::compile;
use bindery_core::event::{
    Event, EventKind, Fail, Heartbeat, Plan, PlannedSubstep, Progress, Register, Transition,
};
use bindery_core::machine::{Machine, is_halted};
use bindery_core::progress::SubstepProgress;
use bindery_core::transition::next_statuses;
use bindery_model::Book;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use uuid::Uuid;

/// Twice the usual number of cases, for large spaces. PROPTEST_CASES sets the usual number.
pub fn twice_as_many() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases.saturating_mul(2), ..usual }
}

/// The definition of the pipeline `comic`.
pub fn comic_definition() -> Value {
    json!({"states": [
        {"name": "UPLOADED", "label": "Uploaded"},
        {"name": "ANALYZING", "label": "Reading the book", "weight": 20, "stall_after": "2 minutes",
         "max_attempts": 3, "retry_after": "30 seconds",
         "substeps": [{"substep": "extract_text"}, {"substep": "detect_chapters"},
            {"substep": "analyze_characters", "weight": 2}]},
        {"name": "GENERATING_SCENES", "weight": 30,
            "substeps": [{"substep": "split_scenes"}, {"substep": "write_prompts"}]},
        {"name": "CREATING_ARTWORK", "weight": 50, "open_substeps": true},
        {"name": "COMPLETED"}
    ]})
}

/// The pipeline `comic`.
pub fn comic() -> Machine {
    compile(&comic_definition()).unwrap()
}

/// A pipeline with edges in both directions: a preview that may be skipped, a check that may send
/// back, guards.
pub fn branching() -> Machine {
    compile(&json!({"auto_advance": true, "states": [
        {"name": "DRAFT", "weight": 10,
         "next": ["PREVIEW", {"to": "PRINT", "guard": "substeps_complete"}],
         "max_attempts": 2, "substeps": [{"substep": "write"}, {"substep": "check"}]},
        {"name": "PREVIEW", "weight": 5, "next": ["PRINT"], "rework": ["DRAFT"]},
        {"name": "PRINT", "weight": 85, "rework": ["PREVIEW", "DRAFT"],
         "next": [{"to": "SHIPPED", "guard": "has_address"},
                  {"to": "DISPUTED", "guard": "attempts_left"}]},
        {"name": "DISPUTED"},
        {"name": "SHIPPED"}
    ]}))
    .unwrap()
}

#[derive(Debug, Clone)]
struct StateSeed {
    weight: u8,
    parent: Index,
    more: u8,
    guards: u16,
    rework: u8,
    substeps: Vec<u8>,
    open: bool,
    max_attempts: Option<u8>,
}

/// Definitions without a fault: random graphs with branches, ways back, guards, substeps of every
/// sort.
pub fn definition() -> impl Strategy<Value = Value> {
    let seed = (
        prop_oneof![2 => Just(0_u8), 5 => 1..=50_u8],
        any::<Index>(),
        any::<u8>(),
        any::<u16>(),
        any::<u8>(),
        vec(0..5_u8, 0..4),
        prop::bool::weighted(0.3),
        prop::option::of(1..4_u8),
    );
    let seed =
        seed.prop_map(|(weight, parent, more, guards, rework, substeps, open, max_attempts)| {
            StateSeed { weight, parent, more, guards, rework, substeps, open, max_attempts }
        });
    (vec(seed, 1..8), any::<bool>(), any::<u64>())
        .prop_map(|(seeds, auto_advance, order)| define(&seeds, auto_advance, order))
}

/// Machines of such definitions.
pub fn machine() -> impl Strategy<Value = Machine> {
    definition().prop_map(|definition| compile(&definition).unwrap())
}

/// Edges lead from lower to higher numbers, each state but the first has one that leads to it, each
/// but the last one that leads on. The states between are then written down in any order, so that
/// edges also lead up the page.
fn define(seeds: &[StateSeed], auto_advance: bool, order: u64) -> Value {
    let last = seeds.len();
    let mut edges = vec![vec![false; last + 1]; last + 1];
    for to in 1..=last {
        edges[seeds[to - 1].parent.index(to)][to] = true;
    }
    for (from, seed) in seeds.iter().enumerate() {
        for (to, edge) in edges[from].iter_mut().enumerate().skip(from + 1) {
            // A quarter of the possible edges.
            *edge |= seed.more.rotate_left(to as u32) & 3 == 3;
        }
        if !edges[from].contains(&true) {
            edges[from][from + 1] = true;
        }
    }
    let mut reach = edges.clone();
    for via in 0..=last {
        for from in 0..=last {
            for to in 0..=last {
                reach[from][to] |= reach[from][via] && reach[via][to];
            }
        }
    }
    let mut written: Vec<usize> = (0..=last).collect();
    if last > 2 {
        written[1..last].rotate_left(order as usize % (last - 1));
    }
    let state = |(place, &index): (usize, &usize)| {
        let mut state = json!({"name": format!("S{index}")});
        let Some(seed) = seeds.get(index) else {
            return state;
        };
        // The first always has a weight, so that the sum is positive.
        let weight = f64::from(seed.weight) / 4.0 + if index == 0 { 0.5 } else { 0.0 };
        state["weight"] = json!(weight);
        let next: Vec<Value> = (0..=last)
            .filter(|&to| edges[index][to])
            .map(|to| match seed.guards.rotate_left(to as u32) & 7 {
                0 => json!({"to": format!("S{to}"), "guard": "substeps_complete"}),
                1 => json!({"to": format!("S{to}"), "guard": "attempts_left"}),
                2 => json!({"to": format!("S{to}"), "guard": "some_function"}),
                3 => json!({"to": format!("S{to}")}),
                _ => json!(format!("S{to}")),
            })
            .collect();
        if next != [json!(format!("S{}", written[place + 1]))] {
            state["next"] = next.into();
        }
        let back: Vec<String> = (0..index)
            .filter(|&to| reach[to][index] && seed.rework.rotate_left(to as u32) & 1 == 1)
            .map(|to| format!("S{to}"))
            .collect();
        state["rework"] = json!(back);
        let substep = |(number, &weight): (usize, &u8)| {
            let weight = if number == 0 { f64::from(weight) + 0.3 } else { f64::from(weight) };
            json!({"substep": format!("sub_{number}"), "weight": weight})
        };
        state["substeps"] = seed.substeps.iter().enumerate().map(substep).collect();
        state["open_substeps"] = seed.open.into();
        state["max_attempts"] = json!(seed.max_attempts);
        state["stall_after"] = json!(seed.open.then_some("1.5 minutes"));
        state
    };
    let states: Vec<Value> = written.iter().enumerate().map(state).collect();
    json!({"states": states, "auto_advance": auto_advance})
}

/// A step in a book's life, which becomes an event once the book's place is known.
#[derive(Debug, Clone)]
pub enum Step {
    /// A report: stage, substep, attempt, percent or parts, and bits that select unit, message and
    /// checkpoint.
    Report {
        stage: Place,
        substep: Index,
        attempt: Try,
        progress: u8,
        total: Option<u8>,
        extras: u8,
    },
    /// A transition to one of the statuses that may follow.
    Go(Index),
    /// A transition to any status.
    Jump(Index, Try),
    /// The current substeps are all done.
    Finish,
    Fail(Place, Try),
    Resume,
    Beat(Place, Try),
    Plan(Place, u8, Option<u8>),
    Register,
}

#[derive(Debug, Clone)]
pub enum Place {
    Unsaid,
    Current,
    Any(Index),
    Unknown,
}

#[derive(Debug, Clone)]
pub enum Try {
    Unsaid,
    Current,
    Before,
    After,
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        4 => Just(Place::Unsaid),
        6 => Just(Place::Current),
        4 => any::<Index>().prop_map(Place::Any),
        1 => Just(Place::Unknown),
    ]
}

fn attempt() -> impl Strategy<Value = Try> {
    prop_oneof![
        6 => Just(Try::Unsaid),
        6 => Just(Try::Current),
        1 => Just(Try::Before),
        1 => Just(Try::After),
    ]
}

/// Any step, mostly a sensible one.
pub fn step() -> impl Strategy<Value = Step> {
    let report = (
        place(),
        any::<Index>(),
        attempt(),
        0..=100_u8,
        prop::option::weighted(0.3, 1..20_u8),
        any::<u8>(),
    )
        .prop_map(|(stage, substep, attempt, progress, total, extras)| Step::Report {
            stage,
            substep,
            attempt,
            progress,
            total,
            extras,
        });
    prop_oneof![
        12 => report,
        2 => any::<Index>().prop_map(Step::Go),
        1 => (any::<Index>(), attempt()).prop_map(|(to, attempt)| Step::Jump(to, attempt)),
        2 => Just(Step::Finish),
        1 => (place(), attempt()).prop_map(|(stage, attempt)| Step::Fail(stage, attempt)),
        2 => Just(Step::Resume),
        1 => (place(), attempt()).prop_map(|(stage, attempt)| Step::Beat(stage, attempt)),
        1 => (place(), 1..4_u8, prop::option::of(1..5_u8))
            .prop_map(|(stage, n, w)| Step::Plan(stage, n, w)),
        1 => Just(Step::Register),
    ]
}

impl Step {
    /// The events of this step for a book of this id in the same place as `book`.
    pub fn events(&self, machine: &Machine, book: &Book, book_id: Uuid) -> Vec<Event> {
        let stage_of = |place: &Place| match place {
            Place::Unsaid => None,
            Place::Current => Some(book.stage().to_owned()),
            Place::Any(index) => Some(index.get(machine.states()).name.clone()),
            Place::Unknown => Some("NOWHERE".to_owned()),
        };
        let attempt_of = |attempt: &Try| match attempt {
            Try::Unsaid => None,
            Try::Current => Some(book.attempt()),
            Try::Before => Some((book.attempt() - 1).max(1)),
            Try::After => Some(book.attempt() + 1),
        };
        let kinds = match self {
            Self::Report { stage, substep, attempt, progress, total, extras } => {
                let names: [Option<&str>; 6] = [
                    None,
                    Some("all"),
                    Some("sub_0"),
                    Some("sub_1"),
                    Some("sub_2"),
                    Some("planned_1"),
                ];
                let total = total.map(f64::from);
                let done = total.map(|total| (f64::from(*progress) / 100.0 * total).floor());
                let report = SubstepProgress {
                    progress: match (done, total) {
                        (Some(done), Some(total)) => {
                            bindery_core::progress::percent_of(done, total)
                        }
                        _ => f64::from(*progress),
                    },
                    done,
                    total,
                    unit: (extras & 1 == 1).then(|| "page".to_owned()),
                    message: (extras & 2 == 2).then(|| format!("message {extras}")),
                    checkpoint: (extras & 12 == 12).then(|| json!({"at": extras}).into()),
                };
                vec![EventKind::Progress(Progress {
                    stage: stage_of(stage),
                    substep: substep.get(&names).map(str::to_owned),
                    attempt: attempt_of(attempt),
                    report,
                })]
            }
            Self::Go(index) => {
                let next = next_statuses(machine, book.status(), Some(book.stage()));
                // Only own steps halt a book, so that books make progress.
                let on: Vec<&String> = next.iter().filter(|to| !is_halted(to)).collect();
                let to = (!on.is_empty()).then(|| index.get(&on));
                to.into_iter().map(|to| goes(to, None)).collect()
            }
            Self::Jump(index, attempt) => {
                let states = machine.states().iter().map(|state| state.name.as_str());
                let all: Vec<&str> = states.chain(["FAILED", "CANCELLED", "NOWHERE"]).collect();
                vec![goes(all[index.index(all.len())], attempt_of(attempt))]
            }
            Self::Finish => {
                let names = machine.state(book.stage()).map(|state| {
                    let declared = state.substeps.iter().map(|declared| declared.substep.clone());
                    let rows = book
                        .rows()
                        .get(book.stage())
                        .into_iter()
                        .flatten()
                        .map(|(name, _)| name.clone());
                    let names: Vec<String> = declared.chain(rows).collect();
                    if names.is_empty() { vec!["all".to_owned()] } else { names }
                });
                let report = SubstepProgress { progress: 100.0, ..SubstepProgress::default() };
                let done = |name| Progress {
                    substep: Some(name),
                    report: report.clone(),
                    ..Progress::default()
                };
                names.into_iter().flatten().map(|name| EventKind::Progress(done(name))).collect()
            }
            Self::Fail(stage, attempt) => {
                vec![EventKind::Fail(Fail {
                    stage: stage_of(stage),
                    attempt: attempt_of(attempt),
                    ..Fail::default()
                })]
            }
            Self::Resume => vec![goes(book.stage(), None)],
            Self::Beat(stage, attempt) => vec![EventKind::Heartbeat(Heartbeat {
                stage: stage_of(stage),
                attempt: attempt_of(attempt),
                message: None,
            })],
            Self::Plan(stage, count, weight) => {
                let substep = |number| PlannedSubstep {
                    substep: format!("planned_{number}"),
                    weight: weight.map(f64::from),
                };
                let stage = stage_of(stage).unwrap_or_else(|| book.stage().to_owned());
                vec![EventKind::Plan(Plan { stage, substeps: (1..=*count).map(substep).collect() })]
            }
            Self::Register => vec![EventKind::Register(Register::default())],
        };
        kinds.into_iter().map(|kind| Event { book_id, at: None, kind }).collect()
    }
}

fn goes(to: &str, attempt: Option<i32>) -> EventKind {
    EventKind::Transition(Transition { to_status: to.to_owned(), attempt, message: None })
}

/// Any JSON, not too deep.
pub fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!(1e308)),
        Just(json!(-1)),
        ".{0,12}".prop_map(Value::from),
        prop_oneof![Just("S0"), Just("S1"), Just("FAILED"), Just("sub_0"), Just("1 day"), Just("")]
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let key = prop_oneof![
            Just("states"),
            Just("name"),
            Just("substep"),
            Just("weight"),
            Just("next"),
            Just("rework"),
            Just("to"),
            Just("guard"),
            Just("substeps"),
            Just("label"),
            Just("stall_after"),
            Just("max_attempts"),
            Just("auto_advance"),
            Just("odd key"),
        ];
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((key.prop_map(str::to_owned), inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}
