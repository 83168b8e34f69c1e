//! A book in memory that follows every rule of `bindery-core`: the reference that the database is
//! tested against.
//!
//! It has no clock and no storage. It cannot call guards that are SQL functions, so they count as
//! not met.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use bindery_core::event::{Event, EventKind, Fail, Heartbeat, Plan, Progress, Transition};
use bindery_core::machine::{ALL, FAILED, Machine, State, is_halted};
use bindery_core::progress::{
    MAX_SUBSTEPS, Row, SubstepProgress, Summary, SummaryError, TOO_MANY_SUBSTEPS, summarize_rows,
};
use bindery_core::report::{Report, Verdict, report_verdict};
use bindery_core::transition::{
    Facts, TransitionVerdict, begin_verdict, transition_error, transition_verdict,
};

/// The code of a change of status that the pipeline does not allow.
pub const ILLEGAL_TRANSITION: &str = "illegal_transition";

/// The outcome of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect, or had nothing left to do.
    Applied,
    /// It is stale: counted, without effect.
    Stale,
    /// A later change of the book can make it applicable: it has no effect yet. With the code it is
    /// rejected with if none does: a [`Verdict`]'s, or [`ILLEGAL_TRANSITION`].
    Early(String),
    /// It can never apply. With the code of the reason: a [`Verdict`]'s, [`ILLEGAL_TRANSITION`] or
    /// [`TOO_MANY_SUBSTEPS`].
    Rejected(String),
}

impl Outcome {
    fn early(code: &str) -> Self {
        Self::Early(code.to_owned())
    }

    fn rejected(code: &str) -> Self {
        Self::Rejected(code.to_owned())
    }

    /// The outcome of an event that is judged like a report and does not apply.
    fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Stale => Self::Stale,
            Verdict::Advance | Verdict::StageNotReached => {
                Self::early(Verdict::StageNotReached.code())
            }
            Verdict::AttemptAhead => Self::early(verdict.code()),
            _ => Self::rejected(verdict.code()),
        }
    }
}

/// A book's data of one of its substeps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BookSubstep {
    /// The weight the book planned for it; `None`: the declared one, or 1.
    pub weight: Option<f64>,
    /// Its progress.
    pub progress: SubstepProgress,
}

/// A book.
#[derive(Debug, Clone, PartialEq)]
pub struct Book {
    status: String,
    stage: String,
    attempt: i32,
    /// The highest attempt at each state that the book has been in.
    attempts: BTreeMap<String, i32>,
    rows: BTreeMap<String, BTreeMap<String, BookSubstep>>,
    /// The rows of its stage when it was halted. They are shown until it resumes, even if a plan
    /// changes them meanwhile.
    halted: Option<BTreeMap<String, BookSubstep>>,
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

    /// Which attempt at its stage this is, from 1. Every entry into a state is one more attempt at
    /// it, whether the book comes along an edge, resumes or is rewound: no number is given
    /// twice, so reports of a worker that is still at an earlier attempt are recognized as stale.
    pub fn attempt(&self) -> i32 {
        self.attempt
    }

    /// The highest attempt at a state; `None` if the book was never in it.
    pub fn last_attempt(&self, stage: &str) -> Option<i32> {
        self.attempts.get(stage).copied()
    }

    /// The substeps, by stage and name.
    pub fn rows(&self) -> &BTreeMap<String, BTreeMap<String, BookSubstep>> {
        &self.rows
    }

    /// Applies an event. `machine` is the pipeline that the book was registered with.
    pub fn apply(&mut self, machine: &Machine, event: &Event) -> Outcome {
        match &event.kind {
            EventKind::Register(_) => Outcome::Applied,
            EventKind::Progress(progress) => self.progress(machine, progress),
            EventKind::Transition(Transition { to_status, attempt, .. }) => {
                self.transition(machine, to_status, *attempt)
            }
            EventKind::Begin(begin) => self.begin(machine, &begin.to_status, begin.attempt),
            EventKind::Fail(Fail { stage, attempt, .. }) => {
                match self.place_fault(machine, stage.as_deref(), *attempt) {
                    Some(outcome) => outcome,
                    None => self.change(machine, FAILED, &self.facts(machine), false),
                }
            }
            EventKind::Heartbeat(Heartbeat { stage, attempt, .. }) => {
                self.place_fault(machine, stage.as_deref(), *attempt).unwrap_or(Outcome::Applied)
            }
            EventKind::Plan(plan) => self.plan(machine, plan),
        }
    }

    /// Rewinds the book to one of
    /// [`rewind_targets`](bindery_core::transition::rewind_targets). No guard is asked, and
    /// nothing is kept of the target state, not even if the book had failed in it.
    pub fn rewind(&mut self, machine: &Machine, target: &str) -> Outcome {
        let facts = Facts { rewind: Some(true), ..Facts::default() };
        self.change(machine, target, &facts, false)
    }

    /// The book's progress, a function of its status, stage and rows alone.
    ///
    /// # Errors
    /// [`SummaryError`] if `machine` is not the pipeline that the book was registered with.
    pub fn summary<'a>(&'a self, machine: &'a Machine) -> Result<Summary<'a>, SummaryError> {
        let rows =
            self.halted.as_ref().or_else(|| self.rows.get(&self.stage)).into_iter().flatten();
        let rows = rows.map(|(substep, BookSubstep { weight, progress })| Row {
            substep,
            weight: *weight,
            progress: progress.progress,
            done: progress.done,
            total: progress.total,
            unit: progress.unit.as_deref(),
            message: progress.message.as_deref(),
        });
        summarize_rows(machine, &self.status, Some(&self.stage), rows)
    }

    /// The facts for its guards.
    pub fn facts(&self, machine: &Machine) -> Facts {
        let Some(state) = machine.state(&self.stage) else {
            return Facts::default();
        };
        let rows = self.rows.get(&self.stage);
        let row = |name: &str| rows.and_then(|rows| rows.get(name));
        let is_done = |row: &BookSubstep| row.progress.progress >= 100.0;
        let some = !state.substeps.is_empty() || rows.is_some_and(|rows| !rows.is_empty());
        let declared_done =
            state.substeps.iter().all(|declared| row(&declared.substep).is_some_and(is_done));
        Facts {
            substeps_complete: Some(
                some && declared_done && rows.into_iter().flatten().all(|(_, row)| is_done(row)),
            ),
            attempts_left: Some(state.max_attempts.is_none_or(|max| self.attempt < max)),
            guards: BTreeMap::new(),
            rewind: None,
        }
    }

    /// A change of status. `attempt` is the one at the book's stage that the sender worked in. It
    /// is compared only where the transition lies ahead, so an event that is delivered again after
    /// its transition has no effect.
    fn transition(&mut self, machine: &Machine, target: &str, attempt: Option<i32>) -> Outcome {
        let facts = self.facts(machine);
        let verdict = transition_verdict(machine, &self.status, Some(&self.stage), target, &facts);
        match verdict {
            TransitionVerdict::None => return Outcome::Applied,
            TransitionVerdict::Stale => return Outcome::Stale,
            TransitionVerdict::Accept | TransitionVerdict::Early | TransitionVerdict::Illegal => {}
        }
        if let Some(outcome) = attempt_fault(attempt, self.attempt) {
            return outcome;
        }
        match verdict {
            TransitionVerdict::Early => Outcome::early(ILLEGAL_TRANSITION),
            TransitionVerdict::Illegal => Outcome::rejected(ILLEGAL_TRANSITION),
            _ => self.change(machine, target, &facts, self.status == FAILED),
        }
    }

    /// A worker begins the state `target`, in its `attempt` at it; absent, the current or coming
    /// one.
    pub fn begin(&mut self, machine: &Machine, target: &str, attempt: Option<i32>) -> Outcome {
        let facts = self.facts(machine);
        let verdict = begin_verdict(machine, &self.status, Some(&self.stage), target, &facts);
        let next = self.last_attempt(target).unwrap_or(0).saturating_add(1);
        match verdict {
            TransitionVerdict::Stale => Outcome::Stale,
            TransitionVerdict::Illegal => Outcome::rejected(ILLEGAL_TRANSITION),
            TransitionVerdict::None => {
                attempt_fault(attempt, self.attempt).unwrap_or(Outcome::Applied)
            }
            TransitionVerdict::Early => match attempt_fault(attempt, next) {
                Some(Outcome::Stale) => Outcome::Stale,
                _ => Outcome::early(ILLEGAL_TRANSITION),
            },
            TransitionVerdict::Accept => match attempt_fault(attempt, next) {
                Some(outcome) => outcome,
                None => self.change(machine, target, &facts, self.status == FAILED),
            },
        }
    }

    fn change(
        &mut self,
        machine: &Machine,
        target: &str,
        facts: &Facts,
        is_resume: bool,
    ) -> Outcome {
        if transition_error(machine, &self.status, Some(&self.stage), target, facts).is_some() {
            return Outcome::rejected(ILLEGAL_TRANSITION);
        }
        target.clone_into(&mut self.status);
        if !machine.is_over(target) {
            self.enter(target, is_resume);
        } else if is_halted(target) {
            let rows = self.rows.get(&self.stage).cloned().unwrap_or_default();
            self.halted.get_or_insert(rows);
        }
        Outcome::Applied
    }

    /// A resume keeps what is finished or has a checkpoint to continue from; any other way in
    /// starts over.
    fn enter(&mut self, stage: &str, is_resume: bool) {
        stage.clone_into(&mut self.stage);
        self.halted = None;
        let attempt = self.attempts.entry(stage.to_owned()).or_default();
        *attempt = attempt.saturating_add(1);
        self.attempt = *attempt;
        for row in self.rows.get_mut(stage).into_iter().flat_map(BTreeMap::values_mut) {
            let kept =
                is_resume && (row.progress.progress >= 100.0 || row.progress.checkpoint.is_some());
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
        let verdict =
            report_verdict(machine, &self.status, Some(&self.stage), self.attempt, &report);
        if !matches!(verdict, Verdict::Accept | Verdict::Advance) {
            return Outcome::of(verdict);
        }
        if self.substeps_with(machine, &stage, [substep]) > MAX_SUBSTEPS {
            return Outcome::rejected(TOO_MANY_SUBSTEPS);
        }
        if verdict == Verdict::Advance {
            match self.change(machine, &stage, &self.facts(machine), false) {
                Outcome::Applied => {}
                refused => return refused,
            }
        }
        let row = self.rows.entry(stage).or_default().entry(substep.to_owned()).or_default();
        row.progress.merge(event.report.clone());
        Outcome::Applied
    }

    /// The number of a stage's substeps after these are added.
    fn substeps_with<'a>(
        &self,
        machine: &Machine,
        stage: &str,
        more: impl IntoIterator<Item = &'a str>,
    ) -> usize {
        let state = machine.state(stage);
        let rows = self.rows.get(stage);
        let is_declared =
            |substep: &str| state.is_some_and(|state| state.substep(substep).is_some());
        let is_row = |substep: &str| rows.is_some_and(|rows| rows.contains_key(substep));
        let declared = state.map_or(0, |state| state.substeps.len());
        let others =
            rows.map_or(0, |rows| rows.keys().filter(|substep| !is_declared(substep)).count());
        let new: BTreeSet<&str> =
            more.into_iter().filter(|substep| !is_declared(substep) && !is_row(substep)).collect();
        declared + others + new.len()
    }

    fn plan(&mut self, machine: &Machine, plan: &Plan) -> Outcome {
        let Some(stage) = self.working_state(machine, &plan.stage) else {
            return Outcome::rejected(Verdict::UnknownStage.code());
        };
        let failed = self.status == FAILED;
        if (machine.is_over(&self.status) && !failed) || machine.reaches(&stage.name, &self.stage) {
            return Outcome::Stale;
        }
        let planned = plan.substeps.iter().map(|substep| substep.substep.as_str());
        if self.substeps_with(machine, &stage.name, planned) > MAX_SUBSTEPS {
            return Outcome::rejected(TOO_MANY_SUBSTEPS);
        }
        let rows = self.rows.entry(stage.name.clone()).or_default();
        for substep in &plan.substeps {
            let row = rows.entry(substep.substep.clone()).or_default();
            row.weight = substep.weight.or(row.weight);
        }
        Outcome::Applied
    }

    fn working_state<'a>(&self, machine: &'a Machine, name: &str) -> Option<&'a State> {
        machine.state(name).filter(|state| !state.is_final)
    }

    /// Why an event on the book as a whole cannot take effect: its work is over, or the event is of
    /// another stage or attempt. It is judged like a report, except that it moves no book on.
    fn place_fault(
        &self,
        machine: &Machine,
        stage: Option<&str>,
        attempt: Option<i32>,
    ) -> Option<Outcome> {
        let last_attempt = stage.and_then(|stage| self.last_attempt(stage));
        let report = Report { stage, substep: Some(ALL), attempt, planned: true, last_attempt };
        match report_verdict(machine, &self.status, Some(&self.stage), self.attempt, &report) {
            Verdict::Accept => None,
            verdict => Some(Outcome::of(verdict)),
        }
    }
}

/// Why an event of this attempt does not apply, where the book is in its attempt `current`.
fn attempt_fault(attempt: Option<i32>, current: i32) -> Option<Outcome> {
    match attempt?.cmp(&current) {
        Ordering::Less => Some(Outcome::Stale),
        Ordering::Equal => None,
        Ordering::Greater => Some(Outcome::early(Verdict::AttemptAhead.code())),
    }
}
