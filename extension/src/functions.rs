//! The SQL functions: each converts its arguments, calls [`bindery_core`] once, and returns the
//! result.

use bindery_core::machine::Machine;
use bindery_core::object::Object;
use bindery_core::report::Report;
use bindery_core::transition::{Facts, TransitionVerdict};
use bindery_core::{definition, name, progress, report, transition};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::{json, Value};

use crate::failure::{invalid, required};
use crate::jsonb::{JsonbArg, JsonbResult};
use crate::machines::machine;

/// `{"machine": …}`, or `{"faults": [{"path", "problem"}]}` with every fault of the definition.
#[pg_extern(immutable, parallel_safe)]
fn compile_pipeline(definition: Option<JsonbArg<'_>>) -> Result<JsonbResult, ErrorReport> {
    JsonbResult::write(&match required(definition, "definition")?.try_read::<Value>() {
        Ok(definition) => match definition::compile(&definition) {
            Ok(machine) => json!({ "machine": machine }),
            Err(faults) => json!({ "faults": faults }),
        },
        // The parser's error adds a column of the stored text, which does not help the writer of
        // the definition.
        Err(_) => json!({ "faults": [{
            "path": "$",
            "problem": "cannot be read: a number is beyond any double, \
                        or values are nested more than 127 deep",
        }] }),
    })
}

/// Null if the transition is allowed, else the reason with the allowed statuses.
#[pg_extern(immutable, parallel_safe)]
fn transition_error(
    machine: Option<JsonbArg<'_>>,
    status: Option<&str>,
    stage: Option<&str>,
    target: Option<&str>,
    facts: Option<JsonbArg<'_>>,
) -> Result<Option<String>, ErrorReport> {
    let facts = self::facts(facts)?;
    Ok(transition::transition_error(
        &*self::machine(&required(machine, "machine")?)?,
        required(status, "status")?,
        stage,
        required(target, "target")?,
        &facts,
    ))
}

/// The verdict on a transition event: `none`, `accept`, `early`, `stale` or `illegal`.
#[pg_extern(immutable, parallel_safe)]
fn transition_verdict(
    machine: Option<JsonbArg<'_>>,
    status: Option<&str>,
    stage: Option<&str>,
    target: Option<&str>,
    facts: Option<JsonbArg<'_>>,
) -> Result<&'static str, ErrorReport> {
    verdict(transition::transition_verdict, machine, status, stage, target, facts)
}

/// The verdict on an event by which a worker begins a stage, as in `transition_verdict`.
#[pg_extern(immutable, parallel_safe)]
fn begin_verdict(
    machine: Option<JsonbArg<'_>>,
    status: Option<&str>,
    stage: Option<&str>,
    target: Option<&str>,
    facts: Option<JsonbArg<'_>>,
) -> Result<&'static str, ErrorReport> {
    verdict(transition::begin_verdict, machine, status, stage, target, facts)
}

type Judge = fn(&Machine, &str, Option<&str>, &str, &Facts) -> TransitionVerdict;

fn verdict(
    judge: Judge,
    machine: Option<JsonbArg<'_>>,
    status: Option<&str>,
    stage: Option<&str>,
    target: Option<&str>,
    facts: Option<JsonbArg<'_>>,
) -> Result<&'static str, ErrorReport> {
    let facts = self::facts(facts)?;
    let machine = self::machine(&required(machine, "machine")?)?;
    let (status, target) = (required(status, "status")?, required(target, "target")?);
    Ok(judge(&machine, status, stage, target, &facts).code())
}

fn facts(facts: Option<JsonbArg<'_>>) -> Result<Facts, ErrorReport> {
    let Some(facts) = facts else {
        return Ok(Facts::default());
    };
    let problem = "expected an object of booleans, with guards as another one";
    facts.read("facts", problem).map(|Object(facts)| facts)
}

/// The allowed statuses, guards aside.
#[pg_extern(immutable, parallel_safe)]
fn next_statuses(
    machine: Option<JsonbArg<'_>>,
    status: Option<&str>,
    stage: Option<&str>,
) -> Result<Vec<String>, ErrorReport> {
    let machine = self::machine(&required(machine, "machine")?)?;
    Ok(transition::next_statuses(&machine, required(status, "status")?, stage))
}

/// The states that a rewind may go to: those before the book's own and, once it failed, the one it
/// failed in.
#[pg_extern(immutable, parallel_safe)]
fn rewind_targets(
    machine: Option<JsonbArg<'_>>,
    status: Option<&str>,
    stage: Option<&str>,
) -> Result<Vec<String>, ErrorReport> {
    let machine = self::machine(&required(machine, "machine")?)?;
    Ok(transition::rewind_targets(&machine, required(status, "status")?, stage))
}

/// The verdict on a progress report: `accept`, `stale`, `advance`, or the code of the error.
#[pg_extern(immutable, parallel_safe)]
#[allow(clippy::too_many_arguments, reason = "an SQL function's arguments are its interface")]
fn report_verdict(
    machine: Option<JsonbArg<'_>>,
    status: Option<&str>,
    stage: Option<&str>,
    attempt: Option<i32>,
    report_stage: Option<&str>,
    substep: Option<&str>,
    report_attempt: Option<i32>,
    planned: Option<bool>,
    last_attempt: default!(Option<i32>, "NULL"),
) -> Result<&'static str, ErrorReport> {
    let machine = self::machine(&required(machine, "machine")?)?;
    let planned = required(planned, "planned")?;
    let report =
        Report { stage: report_stage, substep, attempt: report_attempt, planned, last_attempt };
    let (status, attempt) = (required(status, "status")?, required(attempt, "attempt")?);
    Ok(report::report_verdict(&machine, status, stage, attempt, &report).code())
}

/// `{stage_progress, overall_progress}` in percent, from the sums of a stage and its place in the
/// pipeline.
#[pg_extern(immutable, parallel_safe)]
fn progress_percentages(
    substeps: Option<i32>,
    done: Option<i32>,
    points: Option<f64>,
    weight: Option<f64>,
    stage_base: Option<f64>,
    stage_share: Option<f64>,
) -> Result<Vec<f64>, ErrorReport> {
    let shown = progress::progress_percentages(
        required(substeps, "substeps")?,
        required(done, "done")?,
        required(points, "points")?,
        required(weight, "weight")?,
        required(stage_base, "stage_base")?,
        required(stage_share, "stage_share")?,
    );
    Ok(shown.into())
}

/// `[{name, label, weight, state, progress}]`: the stages of the pipeline, and where a book stands
/// in them.
#[pg_extern(immutable, parallel_safe)]
fn stage_list(
    machine: Option<JsonbArg<'_>>,
    status: Option<&str>,
    stage: Option<&str>,
    stage_progress: Option<f64>,
) -> Result<JsonbResult, ErrorReport> {
    let machine = self::machine(&required(machine, "machine")?)?;
    let status = required(status, "status")?;
    let stage_progress = required(stage_progress, "stage_progress")?;
    let stages = progress::stage_list(&machine, status, stage, stage_progress)
        .map_err(|error| invalid("stage", error))?;
    JsonbResult::write(&stages)
}

/// The label made of a name: `extract_text` gives `Extract text`.
#[pg_extern(immutable, parallel_safe)]
fn label_of(name: Option<&str>) -> Result<String, ErrorReport> {
    Ok(name::label_of(required(name, "name")?))
}
