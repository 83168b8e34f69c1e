//! The verdict on a progress report: it is accepted, stale, or rejected.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::machine::{ALL, FAILED, Machine, State};

/// The place of a progress report: stage, substep and attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report<'a> {
    /// The state it is about; absent, the book's current one.
    pub stage: Option<&'a str>,
    /// The substep it is about; absent, [`ALL`].
    pub substep: Option<&'a str>,
    /// The attempt it was made in, from 1; absent, the book's current one.
    pub attempt: Option<i32>,
    /// Whether the book itself has planned this substep, so that it counts even if the pipeline
    /// does not declare it.
    pub planned: bool,
    /// The book's highest attempt at the reported state; absent, the book was never there. Needed
    /// only if that is not the book's state.
    pub last_attempt: Option<i32>,
}

/// The verdict on a progress report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is accepted.
    Accept,
    /// It is stale: of an earlier attempt, of a stage that the book has left, or of a book whose
    /// work is over. It is counted, and has no effect.
    Stale,
    /// It is accepted, and first moves the book to its stage.
    Advance,
    /// Rejected: the pipeline has no such stage.
    UnknownStage,
    /// Rejected: the book has not reached this stage.
    StageNotReached,
    /// Rejected: the stage has no such substep, and the book planned none.
    UnknownSubstep,
    /// Rejected: the book has not reached this attempt.
    AttemptAhead,
}

impl Verdict {
    /// The verdict as SQL, events and dead letters name it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Stale => "stale",
            Self::Advance => "advance",
            Self::UnknownStage => "unknown_stage",
            Self::StageNotReached => "stage_not_reached",
            Self::UnknownSubstep => "unknown_substep",
            Self::AttemptAhead => "attempt_ahead",
        }
    }

    /// Whether the report is its sender's error and becomes a dead letter.
    pub fn is_refusal(self) -> bool {
        !matches!(self, Self::Accept | Self::Stale | Self::Advance)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

/// Judges a report on a book of this status, last in `stage`, in its `attempt` at it.
pub fn report_verdict(
    machine: &Machine,
    status: &str,
    stage: Option<&str>,
    attempt: i32,
    report: &Report<'_>,
) -> Verdict {
    let Some(current) =
        machine.current(status, stage).or_else(|| over_without_stage(machine, status, stage))
    else {
        return Verdict::UnknownStage;
    };
    let reported = match report.stage {
        None => current,
        Some(name) => match machine.state(name) {
            Some(state) if !state.is_final => state,
            _ => return Verdict::UnknownStage,
        },
    };
    // A FAILED book may continue to later stages; every other halt is final.
    let may_come = status == FAILED && machine.reaches(&current.name, &reported.name);
    if reported.name == current.name || (machine.is_over(status) && !may_come) {
        let reported_attempt = report.attempt.unwrap_or(attempt);
        return if reported_attempt > attempt {
            Verdict::AttemptAhead
        } else if reported_attempt < attempt || machine.is_over(status) {
            Verdict::Stale
        } else {
            substep_or(Verdict::Accept, reported, report)
        };
    }
    if machine.reaches(&reported.name, &current.name) {
        return Verdict::Stale;
    }
    // A stale report of an earlier attempt: the book's next attempt there is its last plus one.
    let last = i64::from(report.last_attempt.unwrap_or(0));
    if report.attempt.is_some_and(|attempt| i64::from(attempt) <= last) {
        return Verdict::Stale;
    }
    let leads_there =
        current.next.iter().any(|edge| edge.to == reported.name && edge.guard.is_none());
    if may_come || !(machine.auto_advance() && leads_there) {
        return Verdict::StageNotReached;
    }
    if report.attempt.is_some_and(|attempt| i64::from(attempt) > last + 1) {
        return Verdict::AttemptAhead;
    }
    substep_or(Verdict::Advance, reported, report)
}

/// If the last stage of a complete book is unknown, it may have been any of them; the report is
/// stale in each case.
fn over_without_stage<'a>(
    machine: &'a Machine,
    status: &str,
    stage: Option<&str>,
) -> Option<&'a State> {
    (stage.is_none() && machine.is_over(status)).then(|| machine.initial())
}

fn substep_or(verdict: Verdict, state: &State, report: &Report<'_>) -> Verdict {
    let substep = report.substep.unwrap_or(ALL);
    if report.planned || state.takes_substep(substep) { verdict } else { Verdict::UnknownSubstep }
}
