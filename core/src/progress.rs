//! How far along: the percent of a substep, of a stage and of the whole, and how two reports of one substep merge.
//!
//! Three promises hold for every input. Percents are finite and within 0 to 100. What is not complete never shows 100, at
//! most 99.99. A substep never goes back while reports of one attempt merge.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::machine::{CANCELLED, FAILED, Machine, State};
use crate::name::label_of;

/// The most that something incomplete shows.
const ALMOST: f64 = 99.99;

/// A book's own row for a substep of its current stage, as [`summarize`] takes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SubstepRow {
    /// The substep's name.
    pub substep: String,
    /// The weight the book planned for it; `None`: the declared one, or 1.
    #[serde(default)]
    pub weight: Option<f64>,
    /// Percent, 0 to 100; what lies outside is taken as the nearer end, and none as 0.
    #[serde(default)]
    pub progress: Option<f64>,
    /// Units done, where they were counted.
    #[serde(default)]
    pub done: Option<f64>,
    /// Units in all, where they were counted.
    #[serde(default)]
    pub total: Option<f64>,
    /// What the units are.
    #[serde(default)]
    pub unit: Option<String>,
    /// The latest message.
    #[serde(default)]
    pub message: Option<String>,
}

/// How far a book has come. It borrows from the machine and the rows it was worked out from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary<'a> {
    /// Percent of the whole, two decimals; 100 only in the final state.
    pub overall: f64,
    /// Percent of the current stage, two decimals; 100 only when all of its substeps are done.
    pub stage_progress: f64,
    /// The current stage's substeps: the declared ones in their order, then the others by name.
    pub substeps: Vec<SubstepSummary<'a>>,
    /// The stages of the pipeline, in its order.
    pub stages: Vec<StageSummary<'a>>,
}

/// A substep in a [`Summary`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SubstepSummary<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its name for people.
    pub label: Cow<'a, str>,
    /// Its share of the stage's work: the book's own, else the declared one, else 1.
    pub weight: f64,
    /// Where it stands.
    pub state: SubstepState,
    /// Percent, two decimals.
    pub progress: f64,
    /// Units done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<f64>,
    /// Units in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<f64>,
    /// What the units are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<&'a str>,
    /// The latest message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'a str>,
}

/// A stage in a [`Summary`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageSummary<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its name for people.
    pub label: &'a str,
    /// Where it stands.
    pub state: StageState,
    /// Percent, two decimals: 100 where the book has left it, 0 where it has not come.
    pub progress: f64,
}

/// Where a substep stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubstepState {
    /// At 100.
    Done,
    /// Above 0.
    Active,
    /// At 0, or never heard of.
    Pending,
}

/// Where a stage stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageState {
    /// The book has left it, or is complete.
    Done,
    /// The book is in it.
    Active,
    /// The book has not come to it.
    Pending,
    /// The book failed in it.
    Failed,
    /// The book was cancelled in it.
    Cancelled,
}

/// There is nothing to sum up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SummaryError {
    /// The status is no state of this pipeline, nor `FAILED` or `CANCELLED`.
    #[error("this pipeline has no state {0}")]
    UnknownStatus(String),
    /// The stage is no state of this pipeline that a book can be at work in.
    #[error("this pipeline has no stage {0}")]
    UnknownStage(String),
}

/// Sums up a book of this status, which is or was last in `stage`, from its rows for that stage.
///
/// Where `stage` is absent, see [`Machine::current`]. Rows of the same substep: the first counts.
///
/// # Errors
/// [`SummaryError`] where the pipeline knows the status or the stage not.
pub fn summarize<'a>(
    machine: &'a Machine,
    status: &str,
    stage: Option<&str>,
    rows: &'a [SubstepRow],
) -> Result<Summary<'a>, SummaryError> {
    summarize_rows(machine, status, stage, rows.iter().map(Row::from).collect())
}

/// A row, borrowed from whatever keeps it.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub substep: &'a str,
    pub weight: Option<f64>,
    pub progress: f64,
    pub done: Option<f64>,
    pub total: Option<f64>,
    pub unit: Option<&'a str>,
    pub message: Option<&'a str>,
}

impl<'a> From<&'a SubstepRow> for Row<'a> {
    fn from(row: &'a SubstepRow) -> Self {
        Self {
            substep: &row.substep,
            weight: row.weight,
            progress: row.progress.unwrap_or(0.0),
            done: row.done,
            total: row.total,
            unit: row.unit.as_deref(),
            message: row.message.as_deref(),
        }
    }
}

pub(crate) fn summarize_rows<'a>(
    machine: &'a Machine,
    status: &str,
    stage: Option<&str>,
    rows: Vec<Row<'a>>,
) -> Result<Summary<'a>, SummaryError> {
    if !machine.has_status(status) {
        return Err(SummaryError::UnknownStatus(status.to_owned()));
    }
    let complete = status == machine.final_state().name;
    let current = machine.current(status, stage);
    if current.is_none() && !complete {
        return Err(SummaryError::UnknownStage(stage.unwrap_or(status).to_owned()));
    }
    let substeps = current.map_or_else(Vec::new, |state| shown_substeps(state, rows));
    let (overall, stage_progress) = match current {
        Some(state) if !complete => {
            let exact = stage_progress(&substeps);
            (overall(machine, state, exact), shown(exact, exact >= 100.0))
        }
        _ => (100.0, 100.0),
    };
    let stages = machine.states().iter().filter(|state| state.is_stage());
    let stages = stages.map(|state| {
        let (stands, progress) = match current {
            _ if complete => (StageState::Done, 100.0),
            Some(current) if current.name == state.name => match status {
                FAILED => (StageState::Failed, stage_progress),
                CANCELLED => (StageState::Cancelled, stage_progress),
                _ => (StageState::Active, stage_progress),
            },
            Some(current) if machine.reaches(&state.name, &current.name) => (StageState::Done, 100.0),
            _ => (StageState::Pending, 0.0),
        };
        StageSummary { name: &state.name, label: &state.label, state: stands, progress }
    });
    Ok(Summary { overall, stage_progress, stages: stages.collect(), substeps: shorten(substeps) })
}

/// The declared substeps in their order, then the other rows by name; progress is still exact.
fn shown_substeps<'a>(state: &'a State, mut rows: Vec<Row<'a>>) -> Vec<SubstepSummary<'a>> {
    rows.sort_by_key(|row| row.substep);
    rows.dedup_by_key(|row| row.substep);
    let mut declared = vec![false; rows.len()];
    let mut shown = Vec::with_capacity(state.substeps.len() + rows.len());
    for substep in &state.substeps {
        let row = rows.binary_search_by_key(&substep.name.as_str(), |row| row.substep).ok();
        if let Some(index) = row {
            declared[index] = true;
        }
        shown.push(one_substep(&substep.name, Some((&substep.label, substep.weight)), row.map(|index| &rows[index])));
    }
    for (row, declared) in rows.iter().zip(declared) {
        if !declared {
            shown.push(one_substep(row.substep, None, Some(row)));
        }
    }
    shown
}

fn one_substep<'a>(name: &'a str, declared: Option<(&'a str, f64)>, row: Option<&Row<'a>>) -> SubstepSummary<'a> {
    let progress = row.map_or(0.0, |row| percent(row.progress));
    SubstepSummary {
        name,
        label: declared.map_or_else(|| Cow::Owned(label_of(name)), |(label, _)| Cow::Borrowed(label)),
        weight: row.and_then(|row| row.weight).or(declared.map(|(_, weight)| weight)).unwrap_or(1.0),
        state: if progress >= 100.0 {
            SubstepState::Done
        } else if progress > 0.0 {
            SubstepState::Active
        } else {
            SubstepState::Pending
        },
        progress,
        done: row.and_then(|row| row.done),
        total: row.and_then(|row| row.total),
        unit: row.and_then(|row| row.unit),
        message: row.and_then(|row| row.message),
    }
}

/// The weighted mean. Exactly 100 when every substep that weighs anything is done, and below 100 before: sums of floating
/// numbers promise neither by themselves.
fn stage_progress(substeps: &[SubstepSummary<'_>]) -> f64 {
    let weigh = |substep: &&SubstepSummary<'_>| substep.weight > 0.0;
    let (mut sum, mut weights, mut all_done) = (0.0, 0.0, true);
    for substep in substeps.iter().filter(weigh) {
        sum += substep.weight * substep.progress;
        weights += substep.weight;
        all_done &= substep.state == SubstepState::Done;
    }
    let mean: f64 = sum / weights;
    match (weights > 0.0, all_done) {
        (false, _) => 0.0,
        (true, true) => 100.0,
        (true, false) if mean.is_finite() => mean.clamp(0.0, 100.0_f64.next_down()),
        (true, false) => 0.0,
    }
}

fn overall(machine: &Machine, state: &State, stage_progress: f64) -> f64 {
    let reached = state.start + state.weight * stage_progress / 100.0;
    shown(percent(100.0 * reached / machine.total_weight()), false)
}

fn shorten(mut substeps: Vec<SubstepSummary<'_>>) -> Vec<SubstepSummary<'_>> {
    for substep in &mut substeps {
        substep.progress = shown(substep.progress, substep.state == SubstepState::Done);
    }
    substeps
}

/// Two decimals, halves up; what is not complete is kept below 100.
fn shown(percent: f64, complete: bool) -> f64 {
    let rounded = (percent * 100.0 + 0.5).floor() / 100.0;
    if complete { rounded } else { rounded.min(ALMOST) }
}

/// Within 0 to 100 whatever it was; what is no number counts as 0.
fn percent(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 100.0) }
}

/// The percent that `done` of `total` units make: 100 only when all are done.
///
/// `total` is to be above 0 and `done` within 0 and `total`, both finite; what lies outside is taken as the nearer end.
pub fn percent_of(done: f64, total: f64) -> f64 {
    if done >= total {
        return 100.0;
    }
    let hundredfold = 100.0 * done;
    // Multiplying first keeps 7 of 100 at exactly 7; it overflows only where nobody counts.
    let value = if hundredfold.is_finite() { hundredfold / total } else { done / total * 100.0 };
    percent(value).min(100.0_f64.next_down())
}

/// What is known of a substep from reports of one attempt.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SubstepProgress {
    /// Percent, 0 to 100.
    pub progress: f64,
    /// Units done, where the report that gave `progress` counted them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<f64>,
    /// Units in all, where the report that gave `progress` counted them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<f64>,
    /// What the units are, where the report that gave `progress` said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The latest message there was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The latest checkpoint there was: the worker's own JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Value>,
}

impl SubstepProgress {
    /// Takes in what came later: the higher progress wins, with its counts and unit, and between equals the later one; the
    /// latest message and checkpoint that are there count either way.
    ///
    /// Merging is associative, and merging the same again changes nothing.
    pub fn merge(&mut self, later: Self) {
        if later.progress >= self.progress {
            self.progress = later.progress;
            self.done = later.done;
            self.total = later.total;
            self.unit = later.unit;
        }
        if later.message.is_some() {
            self.message = later.message;
        }
        if later.checkpoint.is_some() {
            self.checkpoint = later.checkpoint;
        }
    }
}
