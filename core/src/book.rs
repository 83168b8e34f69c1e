//! A book in memory that follows every rule of this crate: the reference that the database is tested against.
//!
//! It knows no time and no storage. Guards that are SQL functions it cannot ask, so they count as not met.

use std::collections::BTreeMap;

use crate::event::{Event, EventKind, Fail, Heartbeat, Plan, Progress, Transition};
use crate::machine::{ALL, FAILED, Machine, State, is_halted};
use crate::progress::{Row, SubstepProgress, Summary, SummaryError, summarize_rows};
use crate::report::{Report, Verdict, report_verdict};
use crate::transition::{Facts, transition_error};

/// The code of a change of status that the pipeline does not allow.
pub const ILLEGAL_TRANSITION: &str = "illegal_transition";

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect, or had nothing left to do.
    Applied,
    /// It came too late: counted, without effect.
    Stale,
    /// It was refused, with the reason in one word, a [`Verdict`]'s code or [`ILLEGAL_TRANSITION`].
    Rejected(String),
}

impl Outcome {
    fn rejected(code: &str) -> Self {
        Self::Rejected(code.to_owned())
    }
}

/// What a book knows of one of its substeps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BookSubstep {
    /// The weight the book planned for it; `None`: the declared one, or 1.
    pub weight: Option<f64>,
    /// How far it is.
    pub progress: SubstepProgress,
}

/// A book.
#[derive(Debug, Clone, PartialEq)]
pub struct Book {
    status: String,
    stage: String,
    attempt: i32,
    /// The highest attempt it ever had at each state that it has been in.
    attempts: BTreeMap<String, i32>,
    rows: BTreeMap<String, BTreeMap<String, BookSubstep>>,
    /// Its stage's rows as they were when it was halted: what it shows until it goes on, whatever is planned meanwhile.
    halted: Option<BTreeMap<String, BookSubstep>>,
    /// What was shown of the whole and of the stage: no report takes them back.
    shown: (f64, f64),
}

impl Book {
    /// A new book, in the pipeline's initial state and in its first attempt at it.
    pub fn register(machine: &Machine) -> Self {
        let initial = &machine.initial().name;
        Self {
            status: initial.clone(),
            stage: initial.clone(),
            attempt: 1,
            attempts: [(initial.clone(), 1)].into(),
            rows: BTreeMap::new(),
            halted: None,
            shown: (0.0, 0.0),
        }
    }

    /// Its status: a state of its pipeline, `FAILED` or `CANCELLED`.
    pub fn status(&self) -> &str {
        &self.status
    }

    /// The state it is in or, once halted or complete, was last in.
    pub fn stage(&self) -> &str {
        &self.stage
    }

    /// Which attempt at its stage this is, from 1. Every entry into a state is one more attempt at it, whether the book comes
    /// along an edge, resumes or is rewound: a number is never given twice, so whoever still works on an earlier visit is told
    /// from the one at work now.
    pub fn attempt(&self) -> i32 {
        self.attempt
    }

    /// The highest attempt it ever had at a state; `None` where it was never in it.
    pub fn last_attempt(&self, stage: &str) -> Option<i32> {
        self.attempts.get(stage).copied()
    }

    /// What it knows of substeps, by stage and name.
    pub fn rows(&self) -> &BTreeMap<String, BTreeMap<String, BookSubstep>> {
        &self.rows
    }

    /// Lets an event take effect. `machine` is the pipeline it was registered with.
    pub fn apply(&mut self, machine: &Machine, event: &Event) -> Outcome {
        match &event.kind {
            EventKind::Register(_) => Outcome::Applied,
            EventKind::Progress(progress) => self.progress(machine, progress),
            EventKind::Transition(Transition { to, attempt, .. }) => match self.attempt_fault(*attempt) {
                Some(outcome) => outcome,
                None => self.transition(machine, to),
            },
            EventKind::Fail(Fail { stage, attempt, .. }) => {
                match self.place_fault(machine, stage.as_deref(), *attempt) {
                    Some(outcome) => outcome,
                    None => self.transition(machine, FAILED),
                }
            }
            EventKind::Heartbeat(Heartbeat { stage, attempt, .. }) => {
                self.place_fault(machine, stage.as_deref(), *attempt).unwrap_or(Outcome::Applied)
            }
            EventKind::Plan(plan) => self.plan(machine, plan),
        }
    }

    /// An operator's step back, to one of [`rewind_targets`](crate::transition::rewind_targets). No guard is asked, and nothing
    /// is kept of the state it goes to, not even where the book had failed in it.
    pub fn rewind(&mut self, machine: &Machine, target: &str) -> Outcome {
        let facts = Facts { rewind: Some(true), ..Facts::default() };
        self.change(machine, target, &facts, false)
    }

    /// Where the book stands.
    ///
    /// A substep that nobody declared makes an open stage longer when it is first heard of; the percentage waits then, it does not
    /// go back. So it depends on what came together: reports that are merged into one batch are shown once, after all of them.
    ///
    /// # Errors
    /// [`SummaryError`] where `machine` is not the pipeline it was registered with.
    pub fn summary<'a>(&'a self, machine: &'a Machine) -> Result<Summary<'a>, SummaryError> {
        let mut summary = self.summary_of_rows(machine)?;
        if self.status != machine.final_state().name {
            summary.overall = summary.overall.max(self.shown.0);
            summary.stage_progress = summary.stage_progress.max(self.shown.1);
            if let Some(stage) = summary.stages.iter_mut().find(|stage| stage.name == self.stage) {
                stage.progress = summary.stage_progress;
            }
        }
        Ok(summary)
    }

    /// What its substeps alone come to, whatever was shown before: the least that [`Book::summary`] can say.
    ///
    /// # Errors
    /// [`SummaryError`] where `machine` is not the pipeline it was registered with.
    pub fn summary_of_rows<'a>(&'a self, machine: &'a Machine) -> Result<Summary<'a>, SummaryError> {
        let rows = self.halted.as_ref().or_else(|| self.rows.get(&self.stage)).into_iter().flatten();
        let rows = rows.map(|(substep, BookSubstep { weight, progress })| Row {
            substep,
            weight: *weight,
            progress: progress.progress,
            done: progress.done,
            total: progress.total,
            unit: progress.unit.as_deref(),
            message: progress.message.as_deref(),
        });
        summarize_rows(machine, &self.status, Some(&self.stage), rows.collect())
    }

    /// Shows what the rows come to: no less than before, or, where the work itself was laid out anew, whatever it is.
    fn show(&mut self, machine: &Machine, anew: bool) {
        if anew {
            self.shown = (0.0, 0.0);
        }
        // A machine that is not the book's own shows nothing, and `summary` says so.
        self.shown = self.summary(machine).map_or(self.shown, |summary| (summary.overall, summary.stage_progress));
    }

    /// What its guards are asked with.
    pub fn facts(&self, machine: &Machine) -> Facts {
        let Some(state) = machine.state(&self.stage) else {
            return Facts::default();
        };
        let rows = self.rows.get(&self.stage);
        let row = |name: &str| rows.and_then(|rows| rows.get(name));
        let is_done = |row: &BookSubstep| row.progress.progress >= 100.0;
        let some = !state.substeps.is_empty() || rows.is_some_and(|rows| !rows.is_empty());
        let declared_done = state.substeps.iter().all(|substep| row(&substep.name).is_some_and(is_done));
        Facts {
            substeps_complete: Some(some && declared_done && rows.into_iter().flatten().all(|(_, row)| is_done(row))),
            attempts_left: Some(state.max_attempts.is_none_or(|max| self.attempt < max)),
            guards: BTreeMap::new(),
            rewind: None,
        }
    }

    fn transition(&mut self, machine: &Machine, target: &str) -> Outcome {
        let facts = self.facts(machine);
        self.change(machine, target, &facts, self.status == FAILED)
    }

    fn change(&mut self, machine: &Machine, target: &str, facts: &Facts, is_resume: bool) -> Outcome {
        if transition_error(machine, &self.status, Some(&self.stage), target, facts).is_some() {
            return Outcome::rejected(ILLEGAL_TRANSITION);
        }
        target.clone_into(&mut self.status);
        if !machine.is_over(target) {
            self.enter(target, is_resume);
            self.show(machine, true);
        } else if is_halted(target) {
            let rows = self.rows.get(&self.stage).cloned().unwrap_or_default();
            self.halted.get_or_insert(rows);
        }
        Outcome::Applied
    }

    /// A resume keeps what is finished or has a checkpoint to go on from; any other way in starts over.
    fn enter(&mut self, stage: &str, is_resume: bool) {
        stage.clone_into(&mut self.stage);
        self.halted = None;
        let attempt = self.attempts.entry(stage.to_owned()).or_default();
        *attempt = attempt.saturating_add(1);
        self.attempt = *attempt;
        for row in self.rows.get_mut(stage).into_iter().flat_map(BTreeMap::values_mut) {
            let kept = is_resume && (row.progress.progress >= 100.0 || row.progress.checkpoint.is_some());
            if !kept {
                row.progress = SubstepProgress::default();
            }
        }
    }

    fn progress(&mut self, machine: &Machine, event: &Progress) -> Outcome {
        let stage = event.stage.clone().unwrap_or_else(|| self.stage.clone());
        let substep = event.substep.as_deref().unwrap_or(ALL);
        let report = Report {
            stage: Some(&stage),
            substep: Some(substep),
            attempt: event.attempt,
            planned: self.rows.get(&stage).is_some_and(|rows| rows.contains_key(substep)),
            last_attempt: self.last_attempt(&stage),
        };
        let verdict = report_verdict(machine, &self.status, Some(&self.stage), self.attempt, &report);
        match verdict {
            Verdict::Accept => {}
            Verdict::Advance => match self.transition(machine, &stage) {
                Outcome::Applied => {}
                refused => return refused,
            },
            Verdict::Stale => return Outcome::Stale,
            refusal => return Outcome::rejected(refusal.code()),
        }
        let row = self.rows.entry(stage).or_default().entry(substep.to_owned()).or_default();
        row.progress.merge(event.report.clone());
        self.show(machine, false);
        Outcome::Applied
    }

    fn plan(&mut self, machine: &Machine, plan: &Plan) -> Outcome {
        let Some(stage) = self.working_state(machine, &plan.stage) else {
            return Outcome::rejected(Verdict::UnknownStage.code());
        };
        let failed = self.status == FAILED;
        if (machine.is_over(&self.status) && !failed) || machine.reaches(&stage.name, &self.stage) {
            return Outcome::Stale;
        }
        let rows = self.rows.entry(stage.name.clone()).or_default();
        for substep in &plan.substeps {
            let row = rows.entry(substep.name.clone()).or_default();
            row.weight = substep.weight.or(row.weight);
        }
        // A FAILED book keeps what it shows; the plan is for when it goes on.
        if !failed {
            self.show(machine, plan.stage == self.stage);
        }
        Outcome::Applied
    }

    fn working_state<'a>(&self, machine: &'a Machine, name: &str) -> Option<&'a State> {
        machine.state(name).filter(|state| !state.is_final)
    }

    /// Why an event on the book as a whole cannot take effect: its work is over, or the event is of another stage or attempt.
    /// It is judged like a report on everything, only that it moves no book on.
    fn place_fault(&self, machine: &Machine, stage: Option<&str>, attempt: Option<i32>) -> Option<Outcome> {
        let last_attempt = stage.and_then(|stage| self.last_attempt(stage));
        let report = Report { stage, substep: Some(ALL), attempt, planned: true, last_attempt };
        match report_verdict(machine, &self.status, Some(&self.stage), self.attempt, &report) {
            Verdict::Accept => None,
            Verdict::Stale => Some(Outcome::Stale),
            Verdict::Advance => Some(Outcome::rejected(Verdict::StageNotReached.code())),
            refusal => Some(Outcome::rejected(refusal.code())),
        }
    }

    fn attempt_fault(&self, attempt: Option<i32>) -> Option<Outcome> {
        match attempt?.cmp(&self.attempt) {
            std::cmp::Ordering::Less => Some(Outcome::Stale),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(Outcome::rejected(Verdict::AttemptAhead.code())),
        }
    }
}
