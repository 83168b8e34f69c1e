//! A book's life: the effect of each event, and the invariants.

#![allow(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

mod common;

use std::collections::BTreeMap;

use bindery_core::event::{Event, EventKind, Progress};
use bindery_core::machine::{CANCELLED, FAILED, Machine};
use bindery_core::report::{Report, Verdict, report_verdict};
use bindery_core::transition::{next_statuses, rewind_targets};
use bindery_model::{Book, Outcome};
use common::{Step, branching, comic, machine, step};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use uuid::Uuid;

struct Life {
    machine: Machine,
    book: Book,
}

impl Life {
    fn of(machine: Machine) -> Self {
        Self { book: Book::register(&machine), machine }
    }

    fn event(&mut self, mut event: Value) -> Outcome {
        event["book_id"] = json!(Uuid::nil());
        let event = Event::from_json(event).unwrap();
        self.book.apply(&self.machine, &event)
    }

    fn go(&mut self, to: &str) -> Outcome {
        self.event(json!({"type": "transition", "to": to}))
    }

    fn report(&mut self, substep: &str, progress: f64) -> Outcome {
        self.event(json!({"type": "progress", "substep": substep, "progress": progress}))
    }

    fn fail(&mut self) -> Outcome {
        self.event(json!({"type": "fail"}))
    }

    fn overall(&self) -> f64 {
        self.book.summary(&self.machine).unwrap().overall
    }

    /// Status, stage and attempt.
    fn place(&self) -> (&str, &str, i32) {
        (self.book.status(), self.book.stage(), self.book.attempt())
    }

    fn progress_of(&self, stage: &str, substep: &str) -> f64 {
        self.book.rows()[stage][substep].progress.progress
    }
}

fn rejected(code: &str) -> Outcome {
    Outcome::Rejected(code.to_owned())
}

fn early(code: &str) -> Outcome {
    Outcome::Early(code.to_owned())
}

#[test]
fn a_comic_from_first_to_last() {
    let mut life = Life::of(comic());
    assert_eq!(life.place(), ("UPLOADED", "UPLOADED", 1));
    assert_eq!(life.go("ANALYZING"), Outcome::Applied);
    for (substep, overall) in
        [("extract_text", 5.0), ("detect_chapters", 10.0), ("analyze_characters", 20.0)]
    {
        assert_eq!(life.report(substep, 100.0), Outcome::Applied);
        assert_eq!(life.overall(), overall);
    }
    assert_eq!(life.go("GENERATING_SCENES"), Outcome::Applied);
    assert_eq!(life.go("CREATING_ARTWORK"), Outcome::Applied);
    assert_eq!(life.report("page_1", 100.0), Outcome::Applied);
    assert_eq!(life.overall(), 99.99);
    assert_eq!(life.go("COMPLETED"), Outcome::Applied);
    assert_eq!((life.place(), life.overall()), (("COMPLETED", "CREATING_ARTWORK", 1), 100.0));
    assert_eq!(life.go("CREATING_ARTWORK"), Outcome::Stale);
    assert_eq!(life.fail(), Outcome::Stale);
    assert_eq!(life.report("page_1", 100.0), Outcome::Stale);
    assert_eq!(life.event(json!({"type": "register"})), Outcome::Applied);
}

#[test]
fn a_resume_keeps_what_is_done_or_has_a_checkpoint() {
    let mut life = Life::of(comic());
    life.go("ANALYZING");
    life.report("extract_text", 100.0);
    life.event(json!({"type": "progress", "substep": "detect_chapters", "done": 4, "total": 8,
        "message": "m", "checkpoint": 4}));
    life.report("analyze_characters", 50.0);
    assert_eq!(life.overall(), 12.5);
    assert_eq!(life.fail(), Outcome::Applied);
    assert_eq!((life.place(), life.overall()), ((FAILED, "ANALYZING", 1), 12.5));
    assert_eq!(life.report("analyze_characters", 60.0), Outcome::Stale);
    assert_eq!(life.go("GENERATING_SCENES"), early("illegal_transition"));
    assert_eq!(life.go("ANALYZING"), Outcome::Applied);
    // Two of the four parts: one whole, one half; the third starts over.
    assert_eq!((life.place(), life.overall()), (("ANALYZING", "ANALYZING", 2), 7.5));
    assert_eq!(
        life.book.rows()["ANALYZING"]["detect_chapters"].progress.message.as_deref(),
        Some("m")
    );
    assert_eq!(life.book.rows()["ANALYZING"]["analyze_characters"].progress, Default::default());
    // The first attempt is over.
    let late =
        json!({"type": "progress", "substep": "analyze_characters", "progress": 99, "attempt": 1});
    assert_eq!(life.event(late), Outcome::Stale);
    assert_eq!(life.event(json!({"type": "fail", "attempt": 1})), Outcome::Stale);
    assert_eq!(life.event(json!({"type": "fail", "attempt": 3})), early("attempt_ahead"));
    assert_eq!(life.event(json!({"type": "fail", "stage": "UPLOADED"})), Outcome::Stale);
    assert_eq!(
        life.event(json!({"type": "fail", "stage": "CREATING_ARTWORK"})),
        early("stage_not_reached")
    );
    assert_eq!(life.event(json!({"type": "fail", "stage": "LOST"})), rejected("unknown_stage"));
    assert_eq!(
        life.event(json!({"type": "transition", "to": "GENERATING_SCENES", "attempt": 1})),
        Outcome::Stale
    );
    assert_eq!(
        life.event(json!({"type": "transition", "to": "GENERATING_SCENES", "attempt": 2})),
        Outcome::Applied
    );
    assert_eq!(life.place(), ("GENERATING_SCENES", "GENERATING_SCENES", 1));
}

#[test]
fn a_heartbeat_changes_nothing_visible() {
    let mut life = Life::of(comic());
    life.go("ANALYZING");
    let before = life.book.clone();
    assert_eq!(
        life.event(json!({"type": "heartbeat", "attempt": 1, "stage": "ANALYZING"})),
        Outcome::Applied
    );
    assert_eq!(life.event(json!({"type": "heartbeat", "attempt": 2})), early("attempt_ahead"));
    assert_eq!(life.event(json!({"type": "heartbeat", "stage": "UPLOADED"})), Outcome::Stale);
    assert_eq!(life.book, before);
    life.fail();
    assert_eq!(life.event(json!({"type": "heartbeat"})), Outcome::Stale);
}

#[test]
fn a_plan_gives_a_book_its_own_substeps() {
    let mut life = Life::of(comic());
    let plan = |stage: &str| {
        json!({"type": "plan", "stage": stage,
            "substeps": [{"name": "chapter_1", "weight": 3}, {"name": "extract_text"},
            {"name": "chapter_2"}]})
    };
    // A plan for a later stage as well.
    assert_eq!(life.event(plan("ANALYZING")), Outcome::Applied);
    life.go("ANALYZING");
    assert_eq!(life.report("chapter_1", 100.0), Outcome::Applied);
    // 3 of 1 + 1 + 2 declared and 3 + 1 planned.
    assert_eq!(life.book.summary(&life.machine).unwrap().stage_progress, 37.5);
    assert_eq!(life.event(plan("ANALYZING")), Outcome::Applied);
    assert_eq!(life.progress_of("ANALYZING", "chapter_1"), 100.0);
    // A plan without a weight leaves the weight as it is.
    let again = json!({"type": "plan", "stage": "ANALYZING", "substeps": [{"name": "chapter_1"}]});
    assert_eq!(life.event(again), Outcome::Applied);
    assert_eq!(life.book.summary(&life.machine).unwrap().stage_progress, 37.5);
    assert_eq!(life.report("chapter_3", 1.0), rejected("unknown_substep"));
    assert_eq!(life.event(plan("UPLOADED")), Outcome::Stale);
    for unknown in ["LOST", "COMPLETED", FAILED] {
        assert_eq!(life.event(plan(unknown)), rejected("unknown_stage"));
    }
    life.go(CANCELLED);
    assert_eq!(life.event(plan("ANALYZING")), Outcome::Stale);
}

#[test]
fn going_back_starts_over() {
    let mut life = Life::of(branching());
    life.report("write", 100.0);
    assert_eq!(
        life.event(json!({"type": "progress", "stage": "PREVIEW", "progress": 40})),
        Outcome::Applied
    );
    assert_eq!(life.place(), ("PREVIEW", "PREVIEW", 1));
    assert_eq!((life.progress_of("PREVIEW", "all"), life.overall()), (40.0, 12.0));
    assert_eq!(life.go("DRAFT"), Outcome::Applied);
    assert_eq!((life.place(), life.progress_of("DRAFT", "write")), (("DRAFT", "DRAFT", 2), 0.0));
}

#[test]
fn a_report_of_an_earlier_visit_is_stale() {
    let mut life = Life::of(branching());
    let late_report = json!({"type": "progress", "stage": "PREVIEW", "progress": 70, "attempt": 1});
    assert_eq!(life.event(late_report.clone()), Outcome::Applied);
    assert_eq!(life.go("DRAFT"), Outcome::Applied);
    // It neither moves the book there again, nor counts when the book has reached it again.
    for kind in ["progress", "fail", "heartbeat"] {
        let mut late = late_report.clone();
        late["type"] = kind.into();
        if kind != "progress" {
            late.as_object_mut().unwrap().remove("progress");
        }
        assert_eq!(life.event(late), Outcome::Stale, "{kind}");
    }
    assert_eq!(
        life.event(json!({"type": "progress", "substep": "write", "progress": 9, "attempt": 1})),
        Outcome::Stale
    );
    let coming = |attempt: i32| -> Value {
        json!({"type": "progress", "stage": "PREVIEW", "progress": 20, "attempt": attempt})
    };
    assert_eq!(life.event(coming(3)), early("attempt_ahead"));
    assert_eq!(life.event(coming(2)), Outcome::Applied);
    assert_eq!(life.place(), ("PREVIEW", "PREVIEW", 2));
    assert_eq!(life.event(late_report), Outcome::Stale);
    assert_eq!(life.progress_of("PREVIEW", "all"), 20.0);
    // A resume counts on as well, and a stage it never was in begins with its first attempt.
    life.fail();
    life.go("PREVIEW");
    assert_eq!(life.place(), ("PREVIEW", "PREVIEW", 3));
    life.go("PRINT");
    assert_eq!(life.place(), ("PRINT", "PRINT", 1));
}

#[test]
fn a_rewind_starts_over_and_asks_no_guard() {
    let mut life = Life::of(branching());
    life.report("write", 100.0);
    life.go("PREVIEW");
    life.go("PRINT");
    life.report("all", 60.0);
    assert_eq!(life.overall(), 66.0);
    assert_eq!(life.book.rewind(&life.machine, "SHIPPED"), rejected("illegal_transition"));
    assert_eq!(life.book.rewind(&life.machine, "DRAFT"), Outcome::Applied);
    assert_eq!((life.place(), life.overall()), (("DRAFT", "DRAFT", 2), 0.0));
    assert_eq!(life.progress_of("DRAFT", "write"), 0.0);
    assert_eq!(life.book.rewind(&life.machine, "DRAFT"), rejected("illegal_transition"));
}

#[test]
fn a_failed_book_starts_over_where_it_failed_by_a_rewind() {
    let mut life = Life::of(comic());
    life.go("ANALYZING");
    life.report("extract_text", 100.0);
    life.event(
        json!({"type": "progress", "substep": "detect_chapters", "progress": 30, "checkpoint": 4}),
    );
    life.fail();
    assert_eq!(
        life.book.rewind(&life.machine, "GENERATING_SCENES"),
        rejected("illegal_transition")
    );
    assert_eq!(life.book.rewind(&life.machine, "ANALYZING"), Outcome::Applied);
    assert_eq!((life.place(), life.overall()), (("ANALYZING", "ANALYZING", 2), 0.0));
    assert_eq!(life.book.rows()["ANALYZING"]["extract_text"].progress, Default::default());
    assert_eq!(life.book.rows()["ANALYZING"]["detect_chapters"].progress, Default::default());
    assert_eq!(life.book.rewind(&life.machine, "UPLOADED"), Outcome::Applied);
    assert_eq!(life.go("ANALYZING"), Outcome::Applied);
    assert_eq!(life.place(), ("ANALYZING", "ANALYZING", 3));
    for to in ["GENERATING_SCENES", "CREATING_ARTWORK", "COMPLETED"] {
        life.go(to);
    }
    assert_eq!(life.book.rewind(&life.machine, "ANALYZING"), rejected("illegal_transition"));
    life = Life::of(comic());
    life.go(CANCELLED);
    assert_eq!(life.book.rewind(&life.machine, "UPLOADED"), rejected("illegal_transition"));
}

#[test]
fn guards_are_asked() {
    let mut life = Life::of(branching());
    assert_eq!(life.go("PRINT"), early("illegal_transition"));
    life.report("write", 100.0);
    assert_eq!(life.go("PRINT"), early("illegal_transition"));
    life.report("check", 100.0);
    assert_eq!(life.go("PRINT"), Outcome::Applied);
    // A guard that is an SQL function cannot be called here, and counts as not met.
    assert_eq!(life.go("SHIPPED"), rejected("illegal_transition"));
    assert_eq!(life.go("DISPUTED"), Outcome::Applied);
    let facts = life.book.facts(&life.machine);
    assert_eq!((facts.substeps_complete, facts.attempts_left), (Some(false), Some(true)));
}

#[test]
fn attempts_run_out() {
    let mut life = Life::of(branching());
    assert_eq!(life.book.facts(&life.machine).attempts_left, Some(true));
    life.fail();
    life.go("DRAFT");
    assert_eq!(
        (life.book.attempt(), life.book.facts(&life.machine).attempts_left),
        (2, Some(false))
    );
}

/// The shown values: the percent of the whole and of the stage.
fn seen(machine: &Machine, book: &Book) -> (f64, f64) {
    let summary = book.summary(machine).unwrap();
    (summary.overall, summary.stage_progress)
}

fn verdict(machine: &Machine, book: &Book, event: &Event) -> Option<Verdict> {
    let EventKind::Progress(Progress { stage, substep, attempt, .. }) = &event.kind else {
        return None;
    };
    let rows = book.rows().get(stage.as_deref().unwrap_or(book.stage()));
    let planned = rows.is_some_and(|rows| rows.contains_key(substep.as_deref().unwrap_or("all")));
    let (stage, substep) = (stage.as_deref(), substep.as_deref());
    let last_attempt = book.last_attempt(stage.unwrap_or(book.stage()));
    let report = Report { stage, substep, attempt: *attempt, planned, last_attempt };
    Some(report_verdict(machine, book.status(), Some(book.stage()), book.attempt(), &report))
}

fn one_life() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 0..60)
}

proptest! {
    #![proptest_config(common::twice_as_many())]

    #[test]
    fn every_life_of_a_book_keeps_the_invariants(
        machine in prop_oneof![3 => machine(), 1 => Just(comic()), 1 => Just(branching())],
        steps in one_life(),
    ) {
        let mut book = Book::register(&machine);
        for step in steps {
            for event in step.events(&machine, &book, Uuid::nil()) {
                let (before, was) = (book.clone(), seen(&machine, &book));
                let allowed = next_statuses(&machine, before.status(), Some(before.stage()));
                let judged = verdict(&machine, &before, &event);
                let outcome = book.apply(&machine, &event);
                let now = seen(&machine, &book);

                for percent in [now.0, now.1] {
                    prop_assert!((0.0..=100.0).contains(&percent), "{}", percent);
                }
                prop_assert_eq!(now.0 == 100.0, book.status() == machine.final_state().name);
                prop_assert!(machine.has_status(book.status()) && book.attempt() >= 1);
                // The book works in the stage of its status, or not at all.
                prop_assert!(machine.is_over(book.status()) || book.status() == book.stage());

                if book.status() != before.status() {
                    prop_assert!(
                        allowed.iter().any(|status| status == book.status()),
                        "{:?}",
                        event,
                    );
                    let forward = machine.reaches(before.status(), book.status());
                    prop_assert!(!forward || now.0 >= was.0, "forward from {:?} to {:?}", was, now);
                }
                if outcome != Outcome::Applied {
                    prop_assert_eq!(&book, &before);
                }
                if let Some(judged) = judged {
                    let expected = match judged {
                        Verdict::Accept | Verdict::Advance => Outcome::Applied,
                        Verdict::Stale => Outcome::Stale,
                        Verdict::StageNotReached | Verdict::AttemptAhead => early(judged.code()),
                        refusal => rejected(refusal.code()),
                    };
                    prop_assert_eq!(&outcome, &expected);
                }
                // A report lowers a percentage only where it adds a substep to an open stage.
                if judged == Some(Verdict::Accept) {
                    let count = |book: &Book| book.summary(&machine).unwrap().sums.substeps;
                    let is_longer = count(&book) > count(&before);
                    prop_assert!(
                        is_longer || (now.0 >= was.0 && now.1 >= was.1),
                        "{:?} took {:?} to {:?}",
                        event,
                        was,
                        now,
                    );
                    let rows_before =
                        before.rows().get(before.stage()).cloned().unwrap_or_default();
                    for (substep, row) in &rows_before {
                        prop_assert!(
                            book.rows()[before.stage()][substep].progress.progress
                                >= row.progress.progress,
                        );
                    }
                    // A repeated event changes nothing.
                    let after = book.clone();
                    book.apply(&machine, &event);
                    prop_assert_eq!(&book, &after);
                }
            }
        }
    }

    /// Entries differ by stage and attempt, so a stale report of an earlier attempt never counts
    /// for the current one.
    #[test]
    fn no_attempt_at_a_stage_is_given_twice(
        machine in prop_oneof![3 => machine(), 1 => Just(branching())],
        steps in prop::collection::vec(
            (step(), prop::option::weighted(0.2, any::<Index>())),
            0..60,
        ),
    ) {
        let mut book = Book::register(&machine);
        let mut visits = BTreeMap::from([(book.stage().to_owned(), 1)]);
        let mut enter = |before: &Book, book: &Book| {
            let entered = book.status() == book.stage()
                && (before.status(), before.attempt()) != (book.status(), book.attempt());
            if entered {
                *visits.entry(book.stage().to_owned()).or_insert(0) += 1;
            }
            visits.get(book.stage()) == Some(&book.attempt())
        };
        for (step, back) in steps {
            for event in step.events(&machine, &book, Uuid::nil()) {
                let before = book.clone();
                book.apply(&machine, &event);
                prop_assert!(enter(&before, &book), "{:?}: {:?}", event, book);
            }
            let targets = rewind_targets(&machine, book.status(), Some(book.stage()));
            if let (Some(back), false) = (back, targets.is_empty()) {
                let (before, target) = (book.clone(), back.get(&targets));
                prop_assert_eq!(book.rewind(&machine, target), Outcome::Applied);
                prop_assert!(enter(&before, &book), "{:?}", book);
                prop_assert_eq!(book.status(), target.as_str());
                prop_assert!(
                    book.rows()
                        .get(target)
                        .into_iter()
                        .flatten()
                        .all(|(_, row)| row.progress == Default::default()),
                );
                prop_assert!(seen(&machine, &book).0 <= seen(&machine, &before).0);
            }
        }
    }

    #[test]
    fn no_report_on_a_declared_substep_lowers_a_percentage(
        reports in prop::collection::vec(
            (0..9_usize, 0.0..=100.0, prop::option::of(1..3_i32)),
            0..80,
        ),
    ) {
        let mut life = Life::of(comic());
        let (stage, end) = ("ANALYZING", 20.0);
        life.go(stage);
        let mut last = life.overall();
        for (substep, progress, attempt) in reports {
            let declared = &life.machine.state(stage).unwrap().substeps;
            let name = declared
                .get(substep % 3)
                .map_or_else(|| format!("panel_{substep}"), |substep| substep.substep.clone());
            let event = json!({"type": "progress", "substep": name, "progress": progress,
                "attempt": attempt});
            life.event(event);
            prop_assert!(life.overall() >= last && life.overall() <= end);
            last = life.overall();
        }
    }
}

#[test]
fn a_failed_book_accepts_a_plan_for_its_resume() {
    let mut life = Life::of(comic());
    life.go("ANALYZING");
    life.fail();
    let mut plan = |stage: &str| {
        life.event(json!({"type": "plan", "stage": stage, "substeps": [{"name": "chapter_1"}]}))
    };
    assert_eq!(plan("CREATING_ARTWORK"), Outcome::Applied);
    assert_eq!(plan("UPLOADED"), Outcome::Stale);
    assert!(life.book.rows()["CREATING_ARTWORK"].contains_key("chapter_1"));
    assert!(!life.book.rows().contains_key("UPLOADED"));
    assert_eq!(life.place(), (FAILED, "ANALYZING", 1));
}

#[test]
fn a_repeated_transition_has_no_effect() {
    let mut life = Life::of(comic());
    let transition = json!({"type": "transition", "to": "ANALYZING", "attempt": 1});
    assert_eq!(life.event(transition.clone()), Outcome::Applied);
    life.report("extract_text", 50.0);
    let before = life.book.clone();
    assert_eq!(life.event(transition.clone()), Outcome::Applied);
    assert_eq!(life.book, before);
    // The report is of the second attempt at ANALYZING; the book is in its first at the next stage.
    life.fail();
    life.go("ANALYZING");
    let on = json!({"type": "transition", "to": "GENERATING_SCENES", "attempt": 2});
    assert_eq!(life.event(on.clone()), Outcome::Applied);
    assert_eq!(life.event(on), Outcome::Applied);
    assert_eq!(life.event(transition), Outcome::Stale);
    assert_eq!(life.place(), ("GENERATING_SCENES", "GENERATING_SCENES", 1));
}

#[test]
fn a_transition_ahead_waits_and_one_behind_is_stale() {
    let mut life = Life::of(comic());
    assert_eq!(life.go("GENERATING_SCENES"), early("illegal_transition"));
    assert_eq!(life.go("COMPLETED"), early("illegal_transition"));
    assert_eq!(life.go("LOST"), rejected("illegal_transition"));
    life.go("ANALYZING");
    assert_eq!(life.go("UPLOADED"), Outcome::Stale);
    life.fail();
    assert_eq!(life.go("GENERATING_SCENES"), early("illegal_transition"));
    assert_eq!(life.go("UPLOADED"), Outcome::Stale);
    life.go(CANCELLED);
    assert_eq!(life.go("GENERATING_SCENES"), Outcome::Stale);
    assert_eq!(life.fail(), Outcome::Stale);
}

#[test]
fn a_worker_begins_the_next_stage_resumes_a_failed_one_or_is_there_already() {
    let mut life = Life::of(comic());
    let machine = comic();
    assert_eq!(life.book.begin(&machine, "GENERATING_SCENES", None), early("illegal_transition"));
    assert_eq!(life.book.begin(&machine, "ANALYZING", Some(2)), early("attempt_ahead"));
    assert_eq!(life.book.begin(&machine, "ANALYZING", Some(1)), Outcome::Applied);
    assert_eq!(life.book.begin(&machine, "ANALYZING", None), Outcome::Applied);
    assert_eq!(life.place(), ("ANALYZING", "ANALYZING", 1));
    assert_eq!(life.book.begin(&machine, "UPLOADED", None), Outcome::Stale);
    life.report("extract_text", 100.0);
    life.fail();
    assert_eq!(life.book.begin(&machine, "ANALYZING", Some(1)), Outcome::Stale);
    assert_eq!(life.book.begin(&machine, "ANALYZING", None), Outcome::Applied);
    assert_eq!((life.place(), life.overall()), (("ANALYZING", "ANALYZING", 2), 5.0));
    for target in [FAILED, CANCELLED, "COMPLETED", "LOST"] {
        assert_eq!(life.book.begin(&machine, target, None), rejected("illegal_transition"));
    }
}

#[test]
fn a_stage_takes_10000_substeps_and_no_more() {
    let mut life = Life::of(comic());
    let plan = |stage: &str, from: usize, to: usize| {
        let substeps: Vec<Value> =
            (from..to).map(|at| json!({"name": format!("page_{at}")})).collect();
        json!({"type": "plan", "stage": stage, "substeps": substeps})
    };
    let limit = bindery_core::progress::MAX_SUBSTEPS;
    assert_eq!(limit, 10_000);
    // ANALYZING declares 3.
    for from in [0, 2500, 5000] {
        assert_eq!(life.event(plan("ANALYZING", from, from + 2500)), Outcome::Applied);
    }
    assert_eq!(life.event(plan("ANALYZING", 7400, limit - 2)), rejected("too_many_substeps"));
    assert_eq!(life.book.rows()["ANALYZING"].len(), 7500);
    assert_eq!(life.event(plan("ANALYZING", 7400, limit - 3)), Outcome::Applied);
    // CREATING_ARTWORK takes any substep.
    for from in [0, 2500, 5000, 7500] {
        let to = (from + 2500).min(limit - 1);
        assert_eq!(life.event(plan("CREATING_ARTWORK", from, to)), Outcome::Applied);
    }
    for to in ["ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK"] {
        life.go(to);
    }
    assert_eq!(life.report("one_more", 100.0), Outcome::Applied);
    assert_eq!(life.report("two_more", 100.0), rejected("too_many_substeps"));
    assert_eq!(life.report("one_more", 100.0), Outcome::Applied);
    assert_eq!(life.overall(), 50.01);
}

#[test]
fn an_unannounced_substep_lowers_the_percentage_of_an_open_stage() {
    let mut life = Life::of(comic());
    for to in ["ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK"] {
        life.go(to);
    }
    life.report("page_1", 50.0);
    assert_eq!(life.overall(), 75.0);
    life.report("page_2", 0.0);
    assert_eq!(life.overall(), 62.5);
}
