//! The verdict on a progress report.

#![allow(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

mod common;

use bindery_core::machine::{CANCELLED, FAILED};
use bindery_core::report::{Report, Verdict, report_verdict};
use common::{branching, comic};

fn report<'a>(
    stage: Option<&'a str>,
    substep: Option<&'a str>,
    attempt: Option<i32>,
) -> Report<'a> {
    Report { stage, substep, attempt, planned: false, last_attempt: None }
}

/// The verdict on a report to a comic in ANALYZING, in its second attempt.
fn analyzing(report: Report<'_>) -> Verdict {
    report_verdict(&comic(), "ANALYZING", Some("ANALYZING"), 2, &report)
}

#[test]
fn a_report_for_here_and_now_counts() {
    let substep = Some("extract_text");
    for attempt in [None, Some(2)] {
        assert_eq!(analyzing(report(None, substep, attempt)), Verdict::Accept);
        assert_eq!(analyzing(report(Some("ANALYZING"), substep, attempt)), Verdict::Accept);
    }
    assert_eq!(
        report_verdict(&comic(), "ANALYZING", None, 2, &report(None, substep, None)),
        Verdict::Accept
    );
}

#[test]
fn an_attempt_is_over_or_to_come() {
    assert_eq!(analyzing(report(None, Some("extract_text"), Some(1))), Verdict::Stale);
    assert_eq!(analyzing(report(None, Some("extract_text"), Some(3))), Verdict::AttemptAhead);
    // The attempt is checked first.
    assert_eq!(analyzing(report(None, Some("nonsense"), Some(1))), Verdict::Stale);
}

#[test]
fn a_stage_is_left_or_to_come_or_unknown() {
    assert_eq!(analyzing(report(Some("UPLOADED"), None, None)), Verdict::Stale);
    assert_eq!(analyzing(report(Some("UPLOADED"), None, Some(9))), Verdict::Stale);
    assert_eq!(
        analyzing(report(Some("GENERATING_SCENES"), Some("split_scenes"), None)),
        Verdict::StageNotReached
    );
    for stage in ["NOWHERE", "COMPLETED", FAILED, CANCELLED, ""] {
        assert_eq!(analyzing(report(Some(stage), None, None)), Verdict::UnknownStage, "{stage}");
    }
}

#[test]
fn substeps_are_declared_planned_or_open() {
    assert_eq!(analyzing(report(None, Some("nonsense"), None)), Verdict::UnknownSubstep);
    assert_eq!(analyzing(report(None, Some("all"), None)), Verdict::UnknownSubstep);
    assert_eq!(analyzing(report(None, None, None)), Verdict::UnknownSubstep);
    assert_eq!(
        analyzing(Report { planned: true, ..report(None, Some("nonsense"), None) }),
        Verdict::Accept
    );
    let artwork = |substep| {
        report_verdict(&comic(), "CREATING_ARTWORK", None, 1, &report(None, substep, None))
    };
    assert_eq!(artwork(Some("page_1")), Verdict::Accept);
    assert_eq!(artwork(None), Verdict::Accept);
    // A state without declared substeps has one, `all`.
    let uploaded =
        |substep| report_verdict(&comic(), "UPLOADED", None, 1, &report(None, substep, None));
    assert_eq!(uploaded(None), Verdict::Accept);
    assert_eq!(uploaded(Some("all")), Verdict::Accept);
    assert_eq!(uploaded(Some("some")), Verdict::UnknownSubstep);
}

#[test]
fn when_work_is_over_reports_come_too_late() {
    for (status, stage) in
        [(FAILED, "ANALYZING"), (CANCELLED, "ANALYZING"), ("COMPLETED", "CREATING_ARTWORK")]
    {
        let verdict =
            |report: Report<'_>| report_verdict(&comic(), status, Some(stage), 2, &report);
        assert_eq!(verdict(report(None, None, None)), Verdict::Stale);
        assert_eq!(verdict(report(Some("UPLOADED"), None, Some(1))), Verdict::Stale);
        assert_eq!(verdict(report(None, None, Some(3))), Verdict::AttemptAhead);
        assert_eq!(verdict(report(Some("NOWHERE"), None, None)), Verdict::UnknownStage);
    }
    assert_eq!(
        report_verdict(&comic(), "COMPLETED", None, 1, &report(None, None, None)),
        Verdict::Stale
    );
}

#[test]
fn a_report_for_a_later_stage_of_a_failed_book_is_not_too_late() {
    let verdict = |status| {
        let report = report(Some("GENERATING_SCENES"), None, None);
        report_verdict(&comic(), status, Some("ANALYZING"), 1, &report)
    };
    assert_eq!(verdict(FAILED), Verdict::StageNotReached);
    assert_eq!(verdict(CANCELLED), Verdict::Stale);
}

#[test]
fn a_report_for_the_next_stage_may_advance() {
    let machine = branching();
    let verdict =
        |stage, report: Report<'_>| report_verdict(&machine, stage, Some(stage), 2, &report);
    assert_eq!(verdict("DRAFT", report(Some("PREVIEW"), None, None)), Verdict::Advance);
    assert_eq!(verdict("DRAFT", report(Some("PREVIEW"), None, Some(1))), Verdict::Advance);
    // It would be the first attempt there.
    assert_eq!(verdict("DRAFT", report(Some("PREVIEW"), None, Some(2))), Verdict::AttemptAhead);
    assert_eq!(
        verdict("DRAFT", report(Some("PREVIEW"), Some("nonsense"), None)),
        Verdict::UnknownSubstep
    );
    // Only a transition leads past a guard or past a stage.
    assert_eq!(verdict("DRAFT", report(Some("PRINT"), None, None)), Verdict::StageNotReached);
    assert_eq!(verdict("PREVIEW", report(Some("DISPUTED"), None, None)), Verdict::StageNotReached);
    assert_eq!(verdict("PRINT", report(Some("DRAFT"), None, None)), Verdict::Stale);
}

#[test]
fn a_late_report_of_an_earlier_attempt_moves_no_book() {
    let machine = branching();
    // Sent back from PREVIEW, where it was in its second attempt.
    let verdict = |to, attempt| {
        let report = Report { last_attempt: Some(2), ..report(Some(to), None, attempt) };
        report_verdict(&machine, "DRAFT", Some("DRAFT"), 2, &report)
    };
    for attempt in [1, 2] {
        assert_eq!(verdict("PREVIEW", Some(attempt)), Verdict::Stale);
        assert_eq!(verdict("DISPUTED", Some(attempt)), Verdict::Stale);
    }
    assert_eq!(verdict("PREVIEW", Some(3)), Verdict::Advance);
    assert_eq!(verdict("PREVIEW", Some(4)), Verdict::AttemptAhead);
    // A report without an attempt means the coming one.
    assert_eq!(verdict("PREVIEW", None), Verdict::Advance);
    assert_eq!(verdict("DISPUTED", None), Verdict::StageNotReached);
    assert_eq!(verdict("DISPUTED", Some(3)), Verdict::StageNotReached);
    let most =
        Report { last_attempt: Some(i32::MAX), ..report(Some("PREVIEW"), None, Some(i32::MAX)) };
    assert_eq!(report_verdict(&machine, "DRAFT", None, 1, &most), Verdict::Stale);
}

#[test]
fn a_verdict_has_a_code() {
    let all = [
        Verdict::Accept,
        Verdict::Stale,
        Verdict::Advance,
        Verdict::UnknownStage,
        Verdict::StageNotReached,
        Verdict::UnknownSubstep,
        Verdict::AttemptAhead,
    ];
    for verdict in all {
        assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.code());
        assert_eq!(verdict.to_string(), verdict.code());
    }
    let refusals: Vec<&str> =
        all.into_iter().filter(|verdict| verdict.is_refusal()).map(Verdict::code).collect();
    assert_eq!(
        refusals,
        ["unknown_stage", "stage_not_reached", "unknown_substep", "attempt_ahead"]
    );
}
