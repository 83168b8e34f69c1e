//! The arithmetic of progress.

#![allow(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

mod common;

use bindery_core::machine::{CANCELLED, FAILED, Machine};
use bindery_core::progress::{
    MAX_LISTED_SUBSTEPS, Part, StageState, StageSums, SubstepProgress, SubstepRow, SubstepState,
    SummaryError, micro_percent, percent_of, progress_percentages, snap, snap_done, stage_list,
    summarize, weight_units,
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
fn the_percentages_of_a_comic_follow_its_substeps() {
    assert_eq!(percents("UPLOADED", json!([])), (0.0, 0.0));
    assert_eq!(percents("UPLOADED", json!([row("all", 100.0)])), (0.0, 100.0));
    // ANALYZING weighs 20 of 100; its substeps weigh 1, 1 and 2.
    assert_eq!(percents("ANALYZING", json!([])), (0.0, 0.0));
    assert_eq!(percents("ANALYZING", json!([row("extract_text", 40.0)])), (2.0, 10.0));
    assert_eq!(percents("ANALYZING", json!([row("extract_text", 100.0)])), (5.0, 25.0));
    assert_eq!(percents("ANALYZING", json!([row("analyze_characters", 50.0)])), (5.0, 25.0));
    assert_eq!(
        percents("ANALYZING", json!([row("extract_text", 33.0), row("detect_chapters", 1.0)])),
        (1.7, 8.5)
    );
    let all = json!([
        row("extract_text", 100.0),
        row("detect_chapters", 100.0),
        row("analyze_characters", 100.0)
    ]);
    assert_eq!(percents("ANALYZING", all), (20.0, 100.0));
    assert_eq!(percents("GENERATING_SCENES", json!([row("write_prompts", 50.0)])), (27.5, 25.0));
    // CREATING_ARTWORK declares none and takes any, of weight 1.
    assert_eq!(percents("CREATING_ARTWORK", json!([])), (50.0, 0.0));
    assert_eq!(
        percents("CREATING_ARTWORK", json!([row("page_1", 100.0), row("page_2", 25.0)])),
        (81.25, 62.5)
    );
    // A book whose work is all done is not complete yet.
    assert_eq!(percents("CREATING_ARTWORK", json!([row("page_1", 100.0)])), (99.99, 100.0));
    assert_eq!(percents("CREATING_ARTWORK", json!([row("page_1", 99.999)])), (99.99, 99.99));
}

#[test]
fn a_summary_has_this_shape() {
    let machine = comic();
    let own = rows(json!([
        {"substep": "zeta", "progress": 12.345, "weight": null, "done": null, "attempt": 3},
        {"substep": "analyze_characters", "weight": 4, "progress": 100, "done": 7, "total": 7,
            "unit": "character"},
        {"substep": "beta", "weight": 2, "progress": null, "message": "soon"},
    ]));
    let summary = summarize(&machine, FAILED, Some("ANALYZING"), &own).unwrap();
    assert_eq!((summary.sums.substeps, summary.sums.done), (5, 1));
    assert_eq!(
        serde_json::to_value(summary).unwrap(),
        json!({
            "overall": 9.16, "stage_progress": 45.82,
            "substeps": [
                {"substep": "zeta", "label": "Zeta", "weight": 1.0, "state": "active",
                    "progress": 12.35},
                {"substep": "extract_text", "label": "Extract text", "weight": 1.0,
                    "state": "pending", "progress": 0.0},
                {"substep": "detect_chapters", "label": "Detect chapters", "weight": 1.0,
                    "state": "pending", "progress": 0.0},
                {"substep": "beta", "label": "Beta", "weight": 2.0, "state": "pending",
                    "progress": 0.0, "message": "soon"},
                {"substep": "analyze_characters", "label": "Analyze characters", "weight": 4.0,
                    "state": "done", "progress": 100.0, "done": 7.0, "total": 7.0,
                    "unit": "character"},
            ],
            "stages": [
                {"name": "ANALYZING", "label": "Reading the book", "weight": 20.0,
                    "state": "failed",
                    "progress": 45.82},
                {"name": "GENERATING_SCENES", "label": "Generating scenes", "weight": 30.0,
                    "state": "pending",
                    "progress": 0.0},
                {"name": "CREATING_ARTWORK", "label": "Creating artwork", "weight": 50.0,
                    "state": "pending",
                    "progress": 0.0},
            ],
        })
    );
}

#[test]
fn a_summary_lists_200_substeps_and_counts_all() {
    let own: Vec<SubstepRow> = (0..1000)
        .map(|page| SubstepRow {
            substep: format!("page_{page:03}"),
            progress: Some(if page < 900 { 100.0 } else { 50.0 }),
            ..SubstepRow::default()
        })
        .collect();
    let machine = comic();
    let summary = summarize(&machine, "CREATING_ARTWORK", None, &own).unwrap();
    assert_eq!(summary.substeps.len(), MAX_LISTED_SUBSTEPS);
    assert_eq!(
        (summary.substeps[0].substep, summary.substeps[100].substep),
        ("page_900", "page_000")
    );
    assert_eq!(
        (summary.sums.substeps, summary.sums.done, summary.stage_progress),
        (1000, 900, 95.0)
    );
}

#[test]
fn stages_are_done_active_or_pending() {
    let machine = comic();
    let states = |status: &str, stage: Option<&str>| {
        let stages = stage_list(&machine, status, stage, 12.5).unwrap();
        stages.iter().map(|stage| (stage.state, stage.progress)).collect::<Vec<_>>()
    };
    use StageState::{Active, Cancelled, Done, Failed, Pending};
    let (done, pending) = ((Done, 100.0), (Pending, 0.0));
    assert_eq!(states("UPLOADED", None), [pending; 3]);
    assert_eq!(states("GENERATING_SCENES", None), [done, (Active, 12.5), pending]);
    assert_eq!(states(FAILED, Some("GENERATING_SCENES")), [done, (Failed, 12.5), pending]);
    assert_eq!(states(CANCELLED, Some("CREATING_ARTWORK")), [done, done, (Cancelled, 12.5)]);
    assert_eq!(states(FAILED, None), [pending; 3]);
    assert_eq!(states("COMPLETED", Some("CREATING_ARTWORK")), [done; 3]);
    assert_eq!(states("COMPLETED", None), [done; 3]);
    for (given, shown) in [(-1.0, 0.0), (1e300, 100.0), (f64::NAN, 100.0)] {
        assert_eq!(stage_list(&machine, "ANALYZING", None, given).unwrap()[0].progress, shown);
    }
}

#[test]
fn a_complete_book_is_at_exactly_100() {
    let (machine, own) = (comic(), rows(json!([row("page_1", 10.0)])));
    let summary = summarize(&machine, "COMPLETED", Some("CREATING_ARTWORK"), &own).unwrap();
    assert_eq!(
        (summary.overall, summary.stage_progress, summary.substeps.len()),
        (100.0, 100.0, 1)
    );
    assert!(summary.stages.iter().all(|stage| stage.progress == 100.0));
    assert!(summarize(&machine, "COMPLETED", None, &own).unwrap().substeps.is_empty());
}

#[test]
fn a_halted_book_keeps_its_percentages() {
    let (machine, own) = (comic(), rows(json!([row("split_scenes", 50.0)])));
    for status in ["GENERATING_SCENES", FAILED, CANCELLED] {
        let summary = summarize(&machine, status, Some("GENERATING_SCENES"), &own).unwrap();
        assert_eq!((summary.overall, summary.stage_progress), (27.5, 25.0), "{status}");
    }
}

#[test]
fn a_status_or_stage_of_another_pipeline_is_an_error() {
    let machine = comic();
    let error = |status: &str, stage| summarize(&machine, status, stage, &[]).unwrap_err();
    assert_eq!(error("LOST", Some("ANALYZING")), SummaryError::UnknownStatus("LOST".into()));
    assert_eq!(error("ANALYZING", Some("LOST")), SummaryError::UnknownStage("LOST".into()));
    assert_eq!(error(FAILED, Some("COMPLETED")), SummaryError::UnknownStage("COMPLETED".into()));
    assert_eq!(error("LOST", None).to_string(), "this pipeline has no state LOST");
    assert_eq!(error(FAILED, Some("LOST")).to_string(), "this pipeline has no stage LOST");
    assert_eq!(
        stage_list(&machine, "LOST", None, 0.0),
        Err(SummaryError::UnknownStatus("LOST".into()))
    );
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
        // Weights are kept within 0 to 1e9; below half a unit they weigh nothing.
        (50.0, f64::INFINITY, 50.0),
        (50.0, f64::MAX, 50.0),
        (50.0, 1e-300, 0.0),
        (100.0, 0.0, 100.0),
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
fn a_stage_is_at_100_only_when_every_substep_is_done() {
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
    for weight in [0.0, 1e-9] {
        let own = rows(json!([{"substep": "a", "weight": 1e9, "progress": 100},
                {"substep": "b", "weight": weight}]));
        let summary = summarize(&machine, "CREATING_ARTWORK", None, &own).unwrap();
        assert_eq!(summary.stage_progress, 99.99, "{weight}");
    }
}

#[test]
fn rounding_is_half_up() {
    let shown = |progress| percents("CREATING_ARTWORK", json!([row("page", progress)])).1;
    assert_eq!(
        [shown(12.344), shown(12.345), shown(0.005), shown(0.004)],
        [12.34, 12.35, 0.01, 0.0]
    );
    assert_eq!([shown(99.99), shown(99.995), shown(99.999_999)], [99.99, 99.99, 99.99]);
    let machine = comic();
    let own = rows(json!([row("page", 0.001)]));
    let summary = summarize(&machine, "CREATING_ARTWORK", None, &own).unwrap();
    assert_eq!(
        (summary.substeps[0].state, summary.substeps[0].progress),
        (SubstepState::Active, 0.0)
    );
}

#[test]
fn units_round_half_to_even() {
    assert_eq!(
        [weight_units(1.0), weight_units(1e9), weight_units(1e-9)],
        [1_000_000_000, 1_000_000_000_000_000_000, 1]
    );
    assert_eq!([weight_units(2.5e-9), weight_units(3.5e-9), weight_units(0.4e-9)], [2, 4, 0]);
    assert_eq!(
        [weight_units(f64::NAN), weight_units(-1.0), weight_units(f64::INFINITY)],
        [0, 0, weight_units(1e9)]
    );
    assert_eq!(
        [micro_percent(33.3), micro_percent(0.000_002_5), micro_percent(0.000_003_5)],
        [33_300_000, 2, 4]
    );
    assert_eq!([micro_percent(100.0), micro_percent(1e300)], [100_000_000; 2]);
    assert_eq!(
        [micro_percent(100.0_f64.next_down()), micro_percent(99.999_999_9)],
        [99_999_999; 2]
    );
    assert_eq!([micro_percent(f64::NAN), micro_percent(-1.0)], [0, 0]);
}

#[test]
fn a_percent_within_the_tolerance_of_an_end_is_that_end() {
    for (given, percent) in [
        (0.0, Some(0.0)),
        (-0.0, Some(0.0)),
        (1e-7, Some(0.0)),
        (-1e-7, Some(0.0)),
        (1.1e-7, Some(1.1e-7)),
        (-1.1e-7, None),
        (50.0, Some(50.0)),
        (99.999_999_89, Some(99.999_999_89)),
        (99.999_999_9, Some(100.0)),
        (100.0, Some(100.0)),
        (100.000_000_1, Some(100.0)),
        (100.000_000_11, None),
        (f64::NAN, None),
        (f64::INFINITY, None),
        (f64::NEG_INFINITY, None),
    ] {
        assert_eq!(snap(given), percent, "{given}");
    }
}

#[test]
fn done_of_total_makes_percent() {
    assert_eq!(
        [percent_of(0.0, 3.0), percent_of(7.0, 100.0), percent_of(3.0, 12.0)],
        [0.0, 7.0, 25.0]
    );
    assert_eq!(
        [percent_of(3.0, 3.0), percent_of(0.1, 0.1), percent_of(f64::MAX, f64::MAX)],
        [100.0; 3]
    );
    assert_eq!(percent_of(f64::MAX / 4.0, f64::MAX), 25.0);
    // 0.1 + 0.2 of 0.3.
    assert_eq!(percent_of(0.1 + 0.2, 0.3), 100.0);
    assert_eq!(percent_of(1e300_f64.next_down(), 1e300), 100.0);
    assert!(percent_of(999_999_998.0, 1e9) < 100.0);
    for (done, total, snapped) in [
        (1.0 + 1e-9, 1.0, Some(1.0)),
        (1.0 - 1e-9, 1.0, Some(1.0)),
        (1.0 + 2e-9, 1.0, None),
        (-1e-9, 1.0, Some(0.0)),
        (-2e-9, 1.0, None),
        (0.5, 1.0, Some(0.5)),
        (1.0, 0.0, None),
        (1.0, f64::INFINITY, None),
        (f64::NAN, 1.0, None),
    ] {
        assert_eq!(snap_done(done, total), snapped, "{done} of {total}");
    }
}

#[test]
fn branches_not_taken_are_pending_until_left_behind() {
    let machine = branching();
    let summary = summarize(&machine, "PRINT", None, &[]).unwrap();
    assert_eq!(
        summary.stages.iter().map(|stage| stage.progress).collect::<Vec<_>>(),
        [100.0, 100.0, 0.0]
    );
    assert_eq!(summary.overall, 15.0);
}

#[test]
fn the_percentages_take_any_number() {
    assert_eq!(progress_percentages(2, 1, 1.5e17, 2e9, 20.0, 30.0), [75.0, 42.5]);
    assert_eq!(progress_percentages(0, 0, 5.0, 5.0, 20.0, 30.0), [0.0, 20.0]);
    assert_eq!(progress_percentages(2, 2, 0.0, 0.0, 50.0, 50.0), [100.0, 99.99]);
    assert_eq!(progress_percentages(2, 1, 3.0, 0.0, 50.0, 50.0), [0.0, 50.0]);
    let odd = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN,
        5e-324,
        -0.0,
        1e-320,
        1.0,
        100.0,
    ];
    for points in odd {
        for weight in odd {
            for base in odd {
                for share in odd {
                    let shown = progress_percentages(3, 2, points, weight, base, share);
                    assert!(
                        shown.iter().all(|percent| (0.0..=99.99).contains(percent)),
                        "{shown:?}"
                    );
                }
            }
        }
    }
}

fn some_row() -> impl Strategy<Value = SubstepRow> {
    let name = prop_oneof![Just("sub_0"), Just("sub_1"), Just("sub_2"), Just("all"), Just("other")];
    let number = prop_oneof![
        6 => 0.0..=100.0,
        2 => Just(100.0),
        1 => any::<f64>(),
        1 => prop_oneof![
            Just(f64::NAN),
            Just(f64::INFINITY),
            Just(f64::MAX),
            Just(f64::MIN_POSITIVE),
            Just(-0.0),
        ],
    ];
    (name, prop::option::of(number.clone()), prop::option::of(number)).prop_map(
        |(name, weight, progress)| SubstepRow {
            substep: name.to_owned(),
            weight,
            progress,
            ..SubstepRow::default()
        },
    )
}

/// Substeps of any weight and percent that a stage can have.
fn part() -> impl Strategy<Value = Part> {
    let weight = prop_oneof![
        4 => Just(1.0),
        3 => 1e-9..1e9,
        2 => (-9.0..9.0_f64).prop_map(|exponent| 10_f64.powf(exponent)),
        1 => Just(0.0),
    ];
    let percent =
        prop_oneof![3 => 0.0..=100.0, 2 => Just(100.0), 1 => Just(0.0), 1 => 99.99..=100.0];
    (weight, percent).prop_map(|(weight, percent)| Part { weight, percent })
}

fn report() -> impl Strategy<Value = SubstepProgress> {
    (0..=10_u8, prop::option::of(1..20_u8), prop::option::of("[ab]"), prop::option::of(0..3_u8))
        .prop_map(|(progress, total, message, checkpoint)| SubstepProgress {
            progress: f64::from(progress) * 10.0,
            done: total.map(|total| f64::from(total * progress) / 10.0),
            total: total.map(f64::from),
            unit: total.map(|total| format!("unit {total}")),
            message,
            checkpoint: checkpoint.map(|checkpoint| Value::from(checkpoint).into()),
        })
}

fn merged<'a>(reports: impl IntoIterator<Item = &'a SubstepProgress>) -> SubstepProgress {
    reports.into_iter().fold(SubstepProgress::default(), |mut all, report| {
        all.merge(report.clone());
        all
    })
}

proptest! {
    #[test]
    fn any_order_of_rows_gives_the_same_digits(
        (parts, shuffled) in prop::collection::vec(part(), 0..60)
            .prop_flat_map(|parts| (Just(parts.clone()), Just(parts).prop_shuffle())),
        base in 0.0..100.0, share in 0.0..100.0,
    ) {
        let (sums, other) = (StageSums::from_rows(parts), StageSums::from_rows(shuffled));
        prop_assert_eq!(sums, other);
        prop_assert_eq!(sums.percent().to_bits(), other.percent().to_bits());
        prop_assert_eq!(
            sums.percentages(base, share).map(f64::to_bits),
            other.percentages(base, share).map(f64::to_bits),
        );
    }

    /// Substeps come, change and go one by one or several at once: the sums are those of all rows.
    #[test]
    fn incremental_sums_are_the_sums_of_all_rows(
        changes in prop::collection::vec(
            (0..20_usize, prop::option::weighted(0.9, part())),
            0..200,
        ),
        batch in 1..9_usize,
    ) {
        let mut rows: Vec<Option<Part>> = vec![None; 20];
        let (mut one_by_one, mut batched) = (StageSums::default(), StageSums::default());
        for changes in changes.chunks(batch) {
            let before = rows.clone();
            for &(row, new) in changes {
                one_by_one.replace(rows[row], new);
                rows[row] = new;
            }
            for (old, new) in before.into_iter().zip(&rows) {
                batched.replace(old, *new);
            }
            let all = StageSums::from_rows(rows.iter().flatten().copied());
            prop_assert_eq!(one_by_one, all);
            prop_assert_eq!(batched, all);
        }
    }

    #[test]
    fn exactly_100_when_all_are_done_and_below_before(
        mut parts in prop::collection::vec(part(), 1..60),
        place in any::<Index>(),
    ) {
        let all_done = parts.iter().all(|part| part.percent == 100.0);
        let shown = StageSums::from_rows(parts.clone()).percentages(0.0, 100.0);
        prop_assert_eq!(shown[0] == 100.0, all_done);
        prop_assert!(shown[1] <= 99.99 && (all_done || shown[0] <= 99.99));
        parts.iter_mut().for_each(|part| part.percent = 100.0);
        prop_assert_eq!(
            StageSums::from_rows(parts.clone()).percentages(0.0, 100.0),
            [100.0, 99.99],
        );
        let index = place.index(parts.len());
        parts[index].percent = 100.0_f64.next_down();
        prop_assert_eq!(StageSums::from_rows(parts).percentages(0.0, 100.0)[0] <= 99.99, true);
    }

    #[test]
    fn every_stage_has_the_weight_of_its_state_in_the_order_of_the_pipeline(
        machine in machine(),
        place in any::<Index>(),
        progress in 0.0..=100.0,
        halt in prop::option::of(prop::sample::select(&[FAILED, CANCELLED])),
    ) {
        let at = &machine.states()[place.index(machine.states().len() - 1)].name;
        let status = halt.unwrap_or(at);
        let stages = stage_list(&machine, status, Some(at), progress).unwrap();
        let shown: Vec<_> = stages.iter().map(|stage| (stage.name, stage.weight)).collect();
        let states = machine.states().iter().filter(|state| state.weight > 0.0);
        let expected: Vec<_> = states.map(|state| (state.name.as_str(), state.weight)).collect();
        prop_assert_eq!(shown, expected);
        let current = stages.iter().filter(|stage| {
            !matches!(stage.state, StageState::Done | StageState::Pending)
        });
        prop_assert!(current.map(|stage| stage.name).all(|name| name == at));
    }

    #[test]
    fn the_percent_is_the_weighted_mean(parts in prop::collection::vec(part(), 1..60)) {
        let weight: f64 = parts.iter().map(|part| part.weight).sum();
        prop_assume!(weight > 1.0);
        let mean = parts.iter().map(|part| part.weight * part.percent).sum::<f64>() / weight;
        let percent = StageSums::from_rows(parts).percent();
        prop_assert!((percent - mean).abs() < 1e-5, "{} {}", percent, mean);
    }

    #[test]
    fn percents_stay_within_their_bounds(
        machine in machine(),
        status in any::<Index>(),
        stage in any::<Index>(),
        own in prop::collection::vec(some_row(), 0..6),
    ) {
        let states = machine.states().iter().map(|state| state.name.as_str());
        let all: Vec<&str> = states.clone().chain([FAILED, CANCELLED]).collect();
        let status = all[status.index(all.len())];
        let stages: Vec<&str> = states.take(machine.states().len() - 1).collect();
        let stage =
            if machine.is_over(status) { stages[stage.index(stages.len())] } else { status };
        let summary = summarize(&machine, status, Some(stage), &own).unwrap();
        let complete = status == machine.final_state().name;
        prop_assert_eq!(summary.overall == 100.0, complete);
        let percents = [summary.overall, summary.stage_progress];
        let percents =
            percents.into_iter().chain(summary.substeps.iter().map(|substep| substep.progress));
        for percent in percents.chain(summary.stages.iter().map(|stage| stage.progress)) {
            prop_assert!((0.0..=100.0).contains(&percent), "{}", percent);
        }
        if !complete {
            let mut substeps = summary.substeps.iter().peekable();
            let all_done = substeps.peek().is_some()
                && substeps.all(|substep| substep.state == SubstepState::Done);
            prop_assert_eq!(summary.stage_progress == 100.0, all_done);
        }
        for substep in &summary.substeps {
            prop_assert_eq!(substep.progress == 100.0, substep.state == SubstepState::Done);
        }
        prop_assert!(summary.substeps.is_sorted_by_key(|substep| substep.state));
    }

    #[test]
    fn the_order_of_rows_does_not_matter(
        machine in machine(),
        mut own in prop::collection::vec(some_row(), 0..5),
    ) {
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
        machine in machine(),
        own in prop::collection::vec(some_row(), 1..6),
        place in any::<Index>(),
        more in 0.0..=100.0,
    ) {
        let percents = |machine: &Machine, rows: &[SubstepRow]| {
            let summary = summarize(machine, &machine.initial().name, None, rows).unwrap();
            (summary.overall, summary.stage_progress)
        };
        let mut own = own;
        // Of several rows of one substep the first counts.
        own.sort_by(|a, b| a.substep.cmp(&b.substep));
        own.dedup_by(|a, b| a.substep == b.substep);
        for row in &mut own {
            row.progress = row.progress.filter(|progress| progress.is_finite());
        }
        // The row counts before as well: a substep that was not announced makes an open stage
        // longer.
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
        prop_assert_eq!(percent == 100.0, done >= total * (1.0 - 1e-9));
    }

    #[test]
    fn a_percent_that_is_in_range_moves_by_at_most_the_tolerance(percent in -1.0..101.0_f64) {
        match snap(percent) {
            Some(snapped) => {
                prop_assert!((snapped - percent).abs() <= 1.001e-7);
                prop_assert!((0.0..=100.0).contains(&snapped));
            }
            None => prop_assert!(!(0.0..=100.0).contains(&percent)),
        }
    }
}
