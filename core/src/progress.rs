//! Progress: the percent of a substep, a stage and the whole, and how two reports of one substep
//! merge.
//!
//! The sums behind a stage's percent are integers ([`StageSums`]), so neither the order of reports
//! nor how they are batched changes a digit, and a report updates them in constant time.
//!
//! Invariants: percents are finite and within 0 to 100. Anything incomplete shows at most 99.99.
//! Within an attempt a substep's percent never falls.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::definition::MAX_WEIGHT;
use crate::json::Json;
use crate::machine::{CANCELLED, FAILED, Machine, State};
use crate::name::label_of;

/// The most substeps that a stage may have, whether declared, planned or open.
pub const MAX_SUBSTEPS: usize = 10_000;
/// The code of an event that is rejected because its stage would have more than [`MAX_SUBSTEPS`].
pub const TOO_MANY_SUBSTEPS: &str = "too_many_substeps";
/// The most substeps that a [`Summary`] lists.
pub const MAX_LISTED_SUBSTEPS: usize = 200;

/// The most that anything incomplete shows.
const ALMOST: f64 = 99.99;
/// The most that an incomplete stage is at before rounding: one millionth of a percent below 100.
const ALMOST_EXACT: f64 = 99.999_999;
/// A value this close to an end, relative to the whole, counts as the end.
const TOLERANCE: f64 = 1e-9;
/// 100 less the tolerance. The SQL side writes the same literals.
const SNAPS_TO_100: f64 = 99.999_999_9;
/// 100 plus the tolerance.
const MAX_PERCENT: f64 = 100.000_000_1;
/// The tolerance at 0.
const SNAPS_TO_0: f64 = 0.000_000_1;
/// The units of one percent in [`StageSums::points`].
const MICRO: f64 = 1e6;
/// 100 percent in millionths of a percent.
const MICRO_100: i64 = 100_000_000;
/// The weight units of a substep of weight 1.
const UNITS: f64 = 1e9;
/// Less than this of a percent changes no digit that is shown, and its products are beyond the
/// doubles of Postgres.
const NEGLIGIBLE: f64 = 1e-100;

/// The percent that a reported percent counts as: an end where it is within 1e-9 (relative to 100)
/// of it. `None` where it is out of range.
pub fn snap(percent: f64) -> Option<f64> {
    if (SNAPS_TO_100..=MAX_PERCENT).contains(&percent) {
        Some(100.0)
    } else if percent.abs() <= SNAPS_TO_0 {
        Some(0.0)
    } else {
        (0.0..=100.0).contains(&percent).then_some(percent)
    }
}

/// What a reported `done` of `total` units counts as: 0 or `total` where it is within 1e-9 of
/// `total` of it. `None` where it is out of range, or `total` is not a finite number above 0.
pub fn snap_done(done: f64, total: f64) -> Option<f64> {
    if !(total > 0.0 && total.is_finite() && done.is_finite()) {
        return None;
    }
    if done >= total * (1.0 - TOLERANCE) && done <= total * (1.0 + TOLERANCE) {
        Some(total)
    } else if done.abs() <= total * TOLERANCE {
        Some(0.0)
    } else {
        (0.0..total).contains(&done).then_some(done)
    }
}

/// The percent that `done` of `total` units make, 100 where `done` is within 1e-9 of `total` of it
/// or above.
///
/// A value that [`snap_done`] finds out of range counts as the nearer end, and NaN as 0.
pub fn percent_of(done: f64, total: f64) -> f64 {
    match snap_done(done, total) {
        Some(done) if done >= total => 100.0,
        Some(done) => {
            let hundredfold = 100.0 * done;
            // Multiplying first keeps 7 of 100 at exactly 7; it overflows only for huge counts.
            let percent =
                if hundredfold.is_finite() { hundredfold / total } else { done / total * 100.0 };
            percent.clamp(0.0, 100.0_f64.next_down())
        }
        None if done > total => 100.0,
        None => 0.0,
    }
}

/// A weight as the sums count it, in billionths, half to even.
pub fn weight_units(weight: f64) -> i64 {
    // NaN gives 0. At most 1e18, which an i64 holds.
    #[allow(clippy::cast_possible_truncation, reason = "whole and in range")]
    let units = (weight.clamp(0.0, MAX_WEIGHT) * UNITS).round_ties_even() as i64;
    units
}

/// A percent as the sums count it, in millionths, half to even; 100 percent only where the percent
/// is 100.
pub fn micro_percent(percent: f64) -> i64 {
    if percent >= 100.0 {
        return MICRO_100;
    }
    #[allow(clippy::cast_possible_truncation, reason = "whole and in range; NaN gives 0")]
    let micro = (percent.max(0.0) * MICRO).round_ties_even() as i64;
    micro.min(MICRO_100 - 1)
}

/// A substep as the sums see it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Part {
    /// Its weight, 0 to 1e9.
    pub weight: f64,
    /// Its percent, 0 to 100.
    pub percent: f64,
}

/// The sums that make a stage's percent. All four are exact, so replacing one substep gives the
/// same as a new sum of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageSums {
    /// How many substeps there are.
    pub substeps: i32,
    /// How many of them are at 100.
    pub done: i32,
    /// The sum of their [`weight_units`].
    pub weight: i128,
    /// The sum of their [`weight_units`] times [`micro_percent`].
    pub points: i128,
}

impl StageSums {
    /// The sums of these substeps.
    pub fn from_rows(parts: impl IntoIterator<Item = Part>) -> Self {
        let mut sums = Self::default();
        for part in parts {
            sums.count(part, 1);
        }
        sums
    }

    /// Replaces a substep by its new value: no `old` adds one, no `new` removes it.
    pub fn replace(&mut self, old: Option<Part>, new: Option<Part>) {
        if let Some(old) = old {
            self.count(old, -1);
        }
        if let Some(new) = new {
            self.count(new, 1);
        }
    }

    fn count(&mut self, part: Part, times: i32) {
        let (weight, micro) = (i128::from(weight_units(part.weight)), micro_percent(part.percent));
        self.substeps += times;
        self.done += if micro == MICRO_100 { times } else { 0 };
        self.weight += weight * i128::from(times);
        self.points += weight * i128::from(micro) * i128::from(times);
    }

    /// The percent of the stage before rounding: exactly 100 when every substep is done, below 100
    /// before.
    pub fn percent(&self) -> f64 {
        let (points, weight) = self.as_doubles();
        stage_percent(self.substeps, self.done, points, weight)
    }

    /// [`progress_percentages`] of these sums.
    pub fn percentages(&self, stage_base: f64, stage_share: f64) -> [f64; 2] {
        let (points, weight) = self.as_doubles();
        progress_percentages(self.substeps, self.done, points, weight, stage_base, stage_share)
    }

    /// Points and weight as the nearest doubles, as the casts of Postgres give them.
    #[allow(clippy::cast_precision_loss, reason = "the nearest double is what is defined")]
    fn as_doubles(&self) -> (f64, f64) {
        (self.points as f64, self.weight as f64)
    }
}

/// The percent of a stage and of the whole as they are shown, from a stage's sums and its place in
/// the pipeline ([`Machine::stage_span`]). Both have two decimals, half up. The stage shows 100
/// exactly when all of its substeps are done; the whole shows at most 99.99, because 100 belongs to
/// the final state.
///
/// Every input gives a result. Points and weights are integers, so below 1 they count as 0. NaN
/// counts as the upper end.
pub fn progress_percentages(
    substeps: i32,
    done: i32,
    points: f64,
    weight: f64,
    stage_base: f64,
    stage_share: f64,
) -> [f64; 2] {
    let percent = stage_percent(substeps, done, points, weight);
    let (base, share) = (in_range(stage_base), in_range(stage_share));
    let within =
        if percent < NEGLIGIBLE || share < NEGLIGIBLE { 0.0 } else { share * percent / 100.0 };
    [shown(percent), shown(base + within).min(ALMOST)]
}

fn stage_percent(substeps: i32, done: i32, points: f64, weight: f64) -> f64 {
    if substeps <= 0 {
        0.0
    } else if done >= substeps {
        100.0
    } else if weight < 1.0 || points < 1.0 {
        0.0
    } else {
        (points / weight / MICRO).min(ALMOST_EXACT)
    }
}

/// The value, or the nearer end of 0 to 100; NaN gives 100, because Postgres orders it above all
/// numbers.
fn in_range(percent: f64) -> f64 {
    if percent.is_nan() { 100.0 } else { percent.clamp(0.0, 100.0) }
}

/// Two decimals, half up; below 100 unless it is 100.
fn shown(percent: f64) -> f64 {
    let rounded = (percent * 100.0 + 0.5).floor() / 100.0;
    if percent >= 100.0 { 100.0 } else { rounded.min(ALMOST) }
}

/// A book's own row for a substep of its current stage, as [`summarize`] takes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SubstepRow {
    /// The substep's key.
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
    /// The name of the units.
    #[serde(default)]
    pub unit: Option<String>,
    /// The latest message.
    #[serde(default)]
    pub message: Option<String>,
}

/// The progress of a book. It borrows from its machine and rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary<'a> {
    /// Percent of the whole, two decimals; 100 only in the final state.
    pub overall: f64,
    /// Percent of the current stage, two decimals; 100 only when all of its substeps are done.
    pub stage_progress: f64,
    /// At most [`MAX_LISTED_SUBSTEPS`] of the current stage: the active ones, the pending ones,
    /// then the done ones, each in declared order and then by key.
    pub substeps: Vec<SubstepSummary<'a>>,
    /// The sums of all substeps of the current stage.
    #[serde(skip)]
    pub sums: StageSums,
    /// The stages of the pipeline, in its order.
    pub stages: Vec<StageSummary<'a>>,
}

/// A substep in a [`Summary`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SubstepSummary<'a> {
    /// Its key.
    pub substep: &'a str,
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
    /// The name of the units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<&'a str>,
    /// The latest message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'a str>,
}

/// A stage in a [`stage_list`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageSummary<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its name for people.
    pub label: &'a str,
    /// Its weight in the pipeline, above 0.
    pub weight: f64,
    /// Where it stands.
    pub state: StageState,
    /// Percent, two decimals: 100 where the book has left it, 0 where it has not come.
    pub progress: f64,
}

/// Where a substep stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubstepState {
    /// Above 0.
    Active,
    /// At 0, or never reported.
    Pending,
    /// At 100.
    Done,
}

impl SubstepState {
    /// The state of a substep at this percent.
    pub fn of(percent: f64) -> Self {
        if percent >= 100.0 {
            Self::Done
        } else if percent > 0.0 {
            Self::Active
        } else {
            Self::Pending
        }
    }
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

/// The status or the stage does not belong to this pipeline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SummaryError {
    /// The status is no state of this pipeline, nor `FAILED` or `CANCELLED`.
    #[error("this pipeline has no state {0}")]
    UnknownStatus(String),
    /// The stage is no state of this pipeline in which a book can be at work.
    #[error("this pipeline has no stage {0}")]
    UnknownStage(String),
}

/// The stages of the pipeline in its order, for a book of this status, which is or was last in
/// `stage`, and of this progress in it.
///
/// Where `stage` is absent, see [`Machine::current`]. `stage_progress` is kept within 0 to 100; NaN
/// counts as 100.
///
/// # Errors
/// [`SummaryError`] where the status or the stage does not belong to the pipeline.
pub fn stage_list<'a>(
    machine: &'a Machine,
    status: &str,
    stage: Option<&str>,
    stage_progress: f64,
) -> Result<Vec<StageSummary<'a>>, SummaryError> {
    let current = current_stage(machine, status, stage)?;
    let complete = status == machine.final_state().name;
    let stages = machine.states().iter().filter(|state| state.is_stage()).map(|state| {
        let stands = match current {
            _ if complete => StageState::Done,
            Some(current) if current.name == state.name => match status {
                FAILED => StageState::Failed,
                CANCELLED => StageState::Cancelled,
                _ => StageState::Active,
            },
            Some(current) if machine.reaches(&state.name, &current.name) => StageState::Done,
            _ => StageState::Pending,
        };
        let progress = match stands {
            StageState::Done => 100.0,
            StageState::Pending => 0.0,
            _ => in_range(stage_progress),
        };
        StageSummary {
            name: &state.name,
            label: &state.label,
            weight: state.weight,
            state: stands,
            progress,
        }
    });
    Ok(stages.collect())
}

/// The state that a book is or was last at work in; `None` for a complete book whose last stage is
/// unknown.
fn current_stage<'a>(
    machine: &'a Machine,
    status: &str,
    stage: Option<&str>,
) -> Result<Option<&'a State>, SummaryError> {
    if !machine.has_status(status) {
        return Err(SummaryError::UnknownStatus(status.to_owned()));
    }
    let current = machine.current(status, stage);
    if current.is_none() && status != machine.final_state().name {
        return Err(SummaryError::UnknownStage(stage.unwrap_or(status).to_owned()));
    }
    Ok(current)
}

/// Sums up a book of this status, which is or was last in `stage`, from its rows for that stage.
///
/// Where `stage` is absent, see [`Machine::current`]. Of several rows of one substep the first
/// counts.
///
/// # Errors
/// [`SummaryError`] where the status or the stage does not belong to the pipeline.
pub fn summarize<'a>(
    machine: &'a Machine,
    status: &str,
    stage: Option<&str>,
    rows: &'a [SubstepRow],
) -> Result<Summary<'a>, SummaryError> {
    summarize_rows(machine, status, stage, rows.iter().map(Row::from))
}

/// A [`SubstepRow`] that borrows its texts.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The substep's key.
    pub substep: &'a str,
    /// Its weight; `None`: the declared one, or 1.
    pub weight: Option<f64>,
    /// Percent, 0 to 100.
    pub progress: f64,
    /// How many units are done.
    pub done: Option<f64>,
    /// How many units there are.
    pub total: Option<f64>,
    /// The unit of both.
    pub unit: Option<&'a str>,
    /// The worker's message.
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

/// [`summarize`] for borrowed rows.
pub fn summarize_rows<'a>(
    machine: &'a Machine,
    status: &str,
    stage: Option<&str>,
    rows: impl IntoIterator<Item = Row<'a>>,
) -> Result<Summary<'a>, SummaryError> {
    let current = current_stage(machine, status, stage)?;
    let mut substeps = current.map_or_else(Vec::new, |state| substeps_of(state, rows));
    let sums = StageSums::from_rows(
        substeps.iter().map(|substep| Part { weight: substep.weight, percent: substep.progress }),
    );
    let [stage_progress, overall] = match current {
        Some(state) if status != machine.final_state().name => {
            let (base, share) = machine.stage_span(state);
            sums.percentages(base, share)
        }
        _ => [100.0, 100.0],
    };
    let stages = stage_list(machine, status, stage, stage_progress)?;
    substeps.sort_by_key(|substep| substep.state);
    substeps.truncate(MAX_LISTED_SUBSTEPS);
    for substep in &mut substeps {
        substep.progress = shown(substep.progress);
    }
    Ok(Summary { overall, stage_progress, substeps, sums, stages })
}

/// The declared substeps in their order, then the other rows by key; progress is exact.
fn substeps_of<'a>(
    state: &'a State,
    rows: impl IntoIterator<Item = Row<'a>>,
) -> Vec<SubstepSummary<'a>> {
    let mut others: HashMap<&str, Row<'_>> = HashMap::new();
    for row in rows {
        others.entry(row.substep).or_insert(row);
    }
    let mut substeps: Vec<SubstepSummary<'_>> = state
        .substeps
        .iter()
        .map(|declared| {
            let row = others.remove(declared.substep.as_str());
            one_substep(&declared.substep, Some((&declared.label, declared.weight)), row)
        })
        .collect();
    let declared = substeps.len();
    substeps.extend(others.into_values().map(|row| one_substep(row.substep, None, Some(row))));
    substeps[declared..].sort_by_key(|substep| substep.substep);
    substeps
}

fn one_substep<'a>(
    substep: &'a str,
    declared: Option<(&'a str, f64)>,
    row: Option<Row<'a>>,
) -> SubstepSummary<'a> {
    let progress =
        row.map_or(
            0.0,
            |row| if row.progress.is_nan() { 0.0 } else { row.progress.clamp(0.0, 100.0) },
        );
    SubstepSummary {
        substep,
        label: declared
            .map_or_else(|| Cow::Owned(label_of(substep)), |(label, _)| Cow::Borrowed(label)),
        weight: row
            .and_then(|row| row.weight)
            .or(declared.map(|(_, weight)| weight))
            .unwrap_or(1.0),
        state: SubstepState::of(progress),
        progress,
        done: row.and_then(|row| row.done),
        total: row.and_then(|row| row.total),
        unit: row.and_then(|row| row.unit),
        message: row.and_then(|row| row.message),
    }
}

/// A substep according to the reports of one attempt.
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
    /// The name of the units, if the report that gave `progress` had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The latest message there was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The latest checkpoint there was: the worker's own JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Json>,
}

impl SubstepProgress {
    /// Merges a later report: the higher progress wins, with its counts and unit, and between
    /// equals the later one; the latest message and checkpoint count in any case.
    ///
    /// Merging is associative, and merging the same report again changes nothing.
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
