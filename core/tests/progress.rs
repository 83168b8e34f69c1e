//! The arithmetic of progress.

#![allow(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

mod common;

use bindery_core::machine::{CANCELLED, FAILED, Machine};
use bindery_core::progress::{
    StageState, SubstepProgress, SubstepRow, SubstepState, SummaryError, percent_of, summarize,
};
use common::{branching, comic, machine};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

fn rows(rows: Value) -> Vec<SubstepRow> {
    serde_json::from_value(rows).unwrap()
}

/// `overall` and `stage_progress` of a comic in this stage.
fn percents(stage: &str, own: Value) -> (f64, f64) {
    let (machine, rows) = (comic(), rows(own));
    let summary = summarize(&machine, stage, Some(stage), &rows).unwrap();
    (summary.overall, summary.stage_progress)
}

fn row(substep: &str, progress: f64) -> Value {
    json!({"substep": substep, "progress": progress})
}

#[test]
fn a_comic_on_its_way() {
    assert_eq!(percents("UPLOADED", json!([])), (0.0, 0.0));
    assert_eq!(percents("UPLOADED", json!([row("all", 100.0)])), (0.0, 100.0));
    // ANALYZING weighs 20 of 100; its substeps weigh 1, 1 and 2.
    assert_eq!(percents("ANALYZING", json!([])), (0.0, 0.0));
    assert_eq!(percents("ANALYZING", json!([row("extract_text", 40.0)])), (2.0, 10.0));
    assert_eq!(percents("ANALYZING", json!([row("extract_text", 100.0)])), (5.0, 25.0));
    assert_eq!(percents("ANALYZING", json!([row("analyze_characters", 50.0)])), (5.0, 25.0));
    assert_eq!(percents("ANALYZING", json!([row("extract_text", 33.0), row("detect_chapters", 1.0)])), (1.7, 8.5));
    let all = json!([row("extract_text", 100.0), row("detect_chapters", 100.0), row("analyze_characters", 100.0)]);
    assert_eq!(percents("ANALYZING", all), (20.0, 100.0));
    assert_eq!(percents("GENERATING_SCENES", json!([row("write_prompts", 50.0)])), (27.5, 25.0));
    // CREATING_ARTWORK declares none and takes any, of weight 1.
    assert_eq!(percents("CREATING_ARTWORK", json!([])), (50.0, 0.0));
    assert_eq!(percents("CREATING_ARTWORK", json!([row("page_1", 100.0), row("page_2", 25.0)])), (81.25, 62.5));
    // All but complete is not complete.
    assert_eq!(percents("CREATING_ARTWORK", json!([row("page_1", 100.0)])), (99.99, 100.0));
    assert_eq!(percents("CREATING_ARTWORK", json!([row("page_1", 99.999)])), (99.99, 99.99));
}

#[test]
fn a_summary_has_this_shape() {
    let machine = comic();
    let own = rows(json!([
        {"substep": "zeta", "progress": 12.345, "weight": null, "done": null, "attempt": 3},
        {"substep": "analyze_characters", "weight": 4, "progress": 100, "done": 7, "total": 7, "unit": "character"},
        {"substep": "beta", "weight": 2, "progress": null, "message": "soon"},
    ]));
    let summary = summarize(&machine, FAILED, Some("ANALYZING"), &own).unwrap();
    assert_eq!(
        serde_json::to_value(summary).unwrap(),
        json!({
            "overall": 9.16, "stage_progress": 45.82,
            "substeps": [
                {"name": "extract_text", "label": "Extract text", "weight": 1.0, "state": "pending", "progress": 0.0},
                {"name": "detect_chapters", "label": "Detect chapters", "weight": 1.0, "state": "pending", "progress": 0.0},
                {"name": "analyze_characters", "label": "Analyze characters", "weight": 4.0, "state": "done",
                 "progress": 100.0, "done": 7.0, "total": 7.0, "unit": "character"},
                {"name": "beta", "label": "Beta", "weight": 2.0, "state": "pending", "progress": 0.0, "message": "soon"},
                {"name": "zeta", "label": "Zeta", "weight": 1.0, "state": "active", "progress": 12.35},
            ],
            "stages": [
                {"name": "ANALYZING", "label": "Reading the book", "state": "failed", "progress": 45.82},
                {"name": "GENERATING_SCENES", "label": "Generating scenes", "state": "pending", "progress": 0.0},
                {"name": "CREATING_ARTWORK", "label": "Creating artwork", "state": "pending", "progress": 0.0},
            ],
        })
    );
}

#[test]
fn stages_are_behind_here_or_ahead() {
    let machine = comic();
    let states = |status: &str, stage: Option<&str>| {
        let summary = summarize(&machine, status, stage, &[]).unwrap();
        summary.stages.iter().map(|stage| stage.state).collect::<Vec<_>>()
    };
    use StageState::{Active, Cancelled, Done, Failed, Pending};
    assert_eq!(states("UPLOADED", None), [Pending, Pending, Pending]);
    assert_eq!(states("GENERATING_SCENES", None), [Done, Active, Pending]);
    assert_eq!(states(FAILED, Some("GENERATING_SCENES")), [Done, Failed, Pending]);
    assert_eq!(states(CANCELLED, Some("CREATING_ARTWORK")), [Done, Done, Cancelled]);
    assert_eq!(states(FAILED, None), [Pending, Pending, Pending]);
    assert_eq!(states("COMPLETED", Some("CREATING_ARTWORK")), [Done, Done, Done]);
}

#[test]
fn complete_is_exactly_100() {
    let (machine, own) = (comic(), rows(json!([row("page_1", 10.0)])));
    let summary = summarize(&machine, "COMPLETED", Some("CREATING_ARTWORK"), &own).unwrap();
    assert_eq!((summary.overall, summary.stage_progress, summary.substeps.len()), (100.0, 100.0, 1));
    assert!(summary.stages.iter().all(|stage| stage.progress == 100.0));
    assert!(summarize(&machine, "COMPLETED", None, &own).unwrap().substeps.is_empty());
}

#[test]
fn the_halted_keep_the_value_they_halted_at() {
    let (machine, own) = (comic(), rows(json!([row("split_scenes", 50.0)])));
    for status in ["GENERATING_SCENES", FAILED, CANCELLED] {
        let summary = summarize(&machine, status, Some("GENERATING_SCENES"), &own).unwrap();
        assert_eq!((summary.overall, summary.stage_progress), (27.5, 25.0), "{status}");
    }
}

#[test]
fn what_the_pipeline_does_not_know_is_an_error() {
    let machine = comic();
    let error = |status: &str, stage| summarize(&machine, status, stage, &[]).unwrap_err();
    assert_eq!(error("LOST", Some("ANALYZING")), SummaryError::UnknownStatus("LOST".into()));
    assert_eq!(error("ANALYZING", Some("LOST")), SummaryError::UnknownStage("LOST".into()));
    assert_eq!(error(FAILED, Some("COMPLETED")), SummaryError::UnknownStage("COMPLETED".into()));
    assert_eq!(error("LOST", None).to_string(), "this pipeline has no state LOST");
    assert_eq!(error(FAILED, Some("LOST")).to_string(), "this pipeline has no stage LOST");
}

#[test]
fn odd_rows_do_no_harm() {
    let machine = comic();
    let odd = |progress, weight| SubstepRow {
        substep: "page".into(),
        progress: Some(progress),
        weight: Some(weight),
        ..SubstepRow::default()
    };
    for (progress, weight, expected) in [
        (f64::NAN, 1.0, 0.0),
        (-5.0, 1.0, 0.0),
        (500.0, 1.0, 100.0),
        (50.0, 0.0, 0.0),
        (50.0, -1.0, 0.0),
        (50.0, f64::NAN, 0.0),
        (50.0, f64::INFINITY, 0.0),
        (50.0, f64::MAX, 0.0),
        (50.0, 1e-300, 50.0),
    ] {
        let own = [odd(progress, weight)];
        let summary = summarize(&machine, "CREATING_ARTWORK", None, &own).unwrap();
        assert_eq!(summary.stage_progress, expected, "{progress} {weight}");
    }
    let twice = rows(json!([row("page", 10.0), row("page", 90.0)]));
    let summary = summarize(&machine, "CREATING_ARTWORK", None, &twice).unwrap();
    assert_eq!((summary.substeps.len(), summary.stage_progress), (1, 10.0));
}

#[test]
fn parts_that_do_not_add_up_exactly_still_make_100() {
    let machine = comic();
    let own: Vec<SubstepRow> = (0..10)
        .map(|index| SubstepRow {
            substep: format!("page_{index}"),
            weight: Some(0.1),
            progress: Some(100.0),
            ..SubstepRow::default()
        })
        .collect();
    let summary = summarize(&machine, "CREATING_ARTWORK", None, &own).unwrap();
    assert_eq!(summary.stage_progress, 100.0);
    // And what hardly weighs anything, but is not done, keeps the stage from being.
    let own = rows(
        json!([{"substep": "a", "weight": 1e9, "progress": 100}, {"substep": "b", "weight": 1e-9, "progress": 0}]),
    );
    let summary = summarize(&machine, "CREATING_ARTWORK", None, &own).unwrap();
    assert_eq!(summary.stage_progress, 99.99);
}

#[test]
fn rounding_is_half_up() {
    let shown = |progress| percents("CREATING_ARTWORK", json!([row("page", progress)])).1;
    assert_eq!([shown(12.344), shown(12.345), shown(0.005), shown(0.004)], [12.34, 12.35, 0.01, 0.0]);
    assert_eq!([shown(99.99), shown(99.995), shown(99.999_999)], [99.99, 99.99, 99.99]);
    let machine = comic();
    let own = rows(json!([row("page", 0.001)]));
    let summary = summarize(&machine, "CREATING_ARTWORK", None, &own).unwrap();
    assert_eq!((summary.substeps[0].state, summary.substeps[0].progress), (SubstepState::Active, 0.0));
}

#[test]
fn done_of_total_makes_percent() {
    assert_eq!([percent_of(0.0, 3.0), percent_of(7.0, 100.0), percent_of(3.0, 12.0)], [0.0, 7.0, 25.0]);
    assert_eq!([percent_of(3.0, 3.0), percent_of(0.1, 0.1), percent_of(f64::MAX, f64::MAX)], [100.0; 3]);
    assert_eq!(percent_of(f64::MAX / 4.0, f64::MAX), 25.0);
    assert!(percent_of(9_007_199_254_740_990.0, 9_007_199_254_740_991.0) < 100.0);
    assert!(percent_of(1e300_f64.next_down(), 1e300) < 100.0);
}

#[test]
fn branches_not_taken_are_pending_until_left_behind() {
    let machine = branching();
    let summary = summarize(&machine, "PRINT", None, &[]).unwrap();
    assert_eq!(summary.stages.iter().map(|stage| stage.progress).collect::<Vec<_>>(), [100.0, 100.0, 0.0]);
    assert_eq!(summary.overall, 15.0);
}

fn some_row() -> impl Strategy<Value = SubstepRow> {
    let name = prop_oneof![Just("sub_0"), Just("sub_1"), Just("sub_2"), Just("all"), Just("other")];
    let number = prop_oneof![
        6 => 0.0..=100.0,
        2 => Just(100.0),
        1 => any::<f64>(),
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::MAX), Just(f64::MIN_POSITIVE), Just(-0.0)],
    ];
    (name, prop::option::of(number.clone()), prop::option::of(number)).prop_map(|(name, weight, progress)| SubstepRow {
        substep: name.to_owned(),
        weight,
        progress,
        ..SubstepRow::default()
    })
}

fn report() -> impl Strategy<Value = SubstepProgress> {
    (0..=10_u8, prop::option::of(1..20_u8), prop::option::of("[ab]"), prop::option::of(0..3_u8)).prop_map(
        |(progress, total, message, checkpoint)| SubstepProgress {
            progress: f64::from(progress) * 10.0,
            done: total.map(|total| f64::from(total * progress) / 10.0),
            total: total.map(f64::from),
            unit: total.map(|total| format!("unit {total}")),
            message,
            checkpoint: checkpoint.map(Value::from),
        },
    )
}

fn merged<'a>(reports: impl IntoIterator<Item = &'a SubstepProgress>) -> SubstepProgress {
    reports.into_iter().fold(SubstepProgress::default(), |mut all, report| {
        all.merge(report.clone());
        all
    })
}

proptest! {
    #[test]
    fn percents_stay_within_their_bounds(
        machine in machine(), status in any::<Index>(), stage in any::<Index>(), own in prop::collection::vec(some_row(), 0..6)
    ) {
        let states = machine.states().iter().map(|state| state.name.as_str());
        let all: Vec<&str> = states.clone().chain([FAILED, CANCELLED]).collect();
        let status = all[status.index(all.len())];
        let stages: Vec<&str> = states.take(machine.states().len() - 1).collect();
        let stage = if machine.is_over(status) { stages[stage.index(stages.len())] } else { status };
        let summary = summarize(&machine, status, Some(stage), &own).unwrap();
        let complete = status == machine.final_state().name;
        prop_assert_eq!(summary.overall == 100.0, complete);
        let percents = [summary.overall, summary.stage_progress];
        let percents = percents.into_iter().chain(summary.substeps.iter().map(|substep| substep.progress));
        for percent in percents.chain(summary.stages.iter().map(|stage| stage.progress)) {
            prop_assert!((0.0..=100.0).contains(&percent), "{}", percent);
        }
        if !complete && summary.stage_progress == 100.0 {
            let weighty = summary.substeps.iter().filter(|substep| substep.weight > 0.0);
            prop_assert!(weighty.clone().count() > 0 && weighty.clone().all(|substep| substep.state == SubstepState::Done));
        }
        for substep in &summary.substeps {
            prop_assert_eq!(substep.progress == 100.0, substep.state == SubstepState::Done);
        }
    }

    #[test]
    fn all_done_is_100_whatever_it_weighs(weights in prop::collection::vec(0.001..10.0, 1..12)) {
        let done = |(index, &weight)| SubstepRow {
            substep: format!("page_{index}"),
            weight: Some(weight),
            progress: Some(100.0),
            ..SubstepRow::default()
        };
        let (machine, own) = (comic(), weights.iter().enumerate().map(done).collect::<Vec<_>>());
        let summary = summarize(&machine, "CREATING_ARTWORK", None, &own).unwrap();
        prop_assert_eq!(summary.stage_progress, 100.0);
    }

    #[test]
    fn the_order_of_rows_is_nothing(machine in machine(), mut own in prop::collection::vec(some_row(), 0..5)) {
        own.sort_by(|a, b| a.substep.cmp(&b.substep));
        own.dedup_by(|a, b| a.substep == b.substep);
        let reversed: Vec<SubstepRow> = own.iter().rev().cloned().collect();
        let json = |rows: &[SubstepRow]| {
            let summary = summarize(&machine, &machine.initial().name, None, rows).unwrap();
            serde_json::to_string(&summary).unwrap()
        };
        prop_assert_eq!(json(&own), json(&reversed));
    }

    #[test]
    fn more_progress_is_never_less(
        machine in machine(), own in prop::collection::vec(some_row(), 1..6), place in any::<Index>(), more in 0.0..=100.0
    ) {
        let percents = |machine: &Machine, rows: &[SubstepRow]| {
            let summary = summarize(machine, &machine.initial().name, None, rows).unwrap();
            (summary.overall, summary.stage_progress)
        };
        let mut own = own;
        // What counts of each name is its first row.
        own.sort_by(|a, b| a.substep.cmp(&b.substep));
        own.dedup_by(|a, b| a.substep == b.substep);
        for row in &mut own {
            row.weight = row.weight.filter(|weight| (0.0..1e9).contains(weight));
            row.progress = row.progress.filter(|progress| progress.is_finite());
        }
        let before = percents(&machine, &own);
        let index = place.index(own.len());
        own[index].progress = Some(own[index].progress.unwrap_or(0.0).max(more));
        let after = percents(&machine, &own);
        prop_assert!(after.0 >= before.0 && after.1 >= before.1, "{:?} {:?}", before, after);
    }

    #[test]
    fn merging_the_same_again_changes_nothing(first in report(), later in report()) {
        let once = merged([&first, &later]);
        prop_assert_eq!(&merged([&first, &later, &later]), &once);
        prop_assert_eq!(&merged([&once, &once]), &once);
    }

    #[test]
    fn merging_is_associative(a in report(), b in report(), c in report()) {
        let (mut left, mut right) = (a.clone(), b.clone());
        left.merge(b);
        left.merge(c.clone());
        right.merge(c);
        let mut all = a;
        all.merge(right);
        prop_assert_eq!(all, left);
    }

    #[test]
    fn merging_in_any_order_gives_the_same_progress(
        (reports, shuffled) in prop::collection::vec(report(), 0..8)
            .prop_flat_map(|reports| (Just(reports.clone()), Just(reports).prop_shuffle()))
    ) {
        prop_assert_eq!(merged(&reports).progress, merged(&shuffled).progress);
        let highest = reports.iter().map(|report| report.progress).fold(0.0, f64::max);
        prop_assert_eq!(merged(&reports).progress, highest);
    }

    #[test]
    fn parts_are_a_percent(done in 0.0..f64::MAX, total in f64::MIN_POSITIVE..f64::MAX) {
        let (done, total) = (done.min(total), done.max(total));
        let percent = percent_of(done, total);
        prop_assert!((0.0..=100.0).contains(&percent));
        prop_assert_eq!(percent == 100.0, done == total);
    }
}
