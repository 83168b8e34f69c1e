//! The SQL functions: arguments out of Postgres's types, one call into [`bindery_core`], the answer back.

use bindery_core::object::Object;
use bindery_core::progress::SubstepRow;
use bindery_core::report::Report;
use bindery_core::transition::Facts;
use bindery_core::{definition, progress, report, transition};
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
        // What the parser adds, a column of the stored text, says nothing about the text that was written.
        Err(_) => json!({ "faults": [{
            "path": "$",
            "problem": "cannot be read: a number is beyond any double, or values are nested more than 127 deep",
        }] }),
    })
}

/// Null where the transition is allowed, else the reason, naming what would be allowed.
#[pg_extern(immutable, parallel_safe)]
fn transition_error(
    machine: Option<JsonbArg<'_>>,
    status: Option<&str>,
    stage: Option<&str>,
    target: Option<&str>,
    facts: Option<JsonbArg<'_>>,
) -> Result<Option<String>, ErrorReport> {
    let Object(facts) = facts.map_or_else(
        || Ok(Object(Facts::default())),
        |facts| facts.read("facts", "expected an object of booleans, with guards as another one"),
    )?;
    Ok(transition::transition_error(
        &*self::machine(&required(machine, "machine")?)?,
        required(status, "status")?,
        stage,
        required(target, "target")?,
        &facts,
    ))
}

/// What is allowed from here, guards aside.
#[pg_extern(immutable, parallel_safe)]
fn next_statuses(
    machine: Option<JsonbArg<'_>>,
    status: Option<&str>,
    stage: Option<&str>,
) -> Result<Vec<String>, ErrorReport> {
    let machine = self::machine(&required(machine, "machine")?)?;
    Ok(transition::next_statuses(&machine, required(status, "status")?, stage))
}

/// The states that a rewind may go to: those before the book's own and, once it failed, the one it failed in.
#[pg_extern(immutable, parallel_safe)]
fn rewind_targets(
    machine: Option<JsonbArg<'_>>,
    status: Option<&str>,
    stage: Option<&str>,
) -> Result<Vec<String>, ErrorReport> {
    let machine = self::machine(&required(machine, "machine")?)?;
    Ok(transition::rewind_targets(&machine, required(status, "status")?, stage))
}

/// What becomes of a progress report: `accept`, `stale`, `advance`, or the code of the error.
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
    let report = Report { stage: report_stage, substep, attempt: report_attempt, planned, last_attempt };
    let (status, attempt) = (required(status, "status")?, required(attempt, "attempt")?);
    Ok(report::report_verdict(&machine, status, stage, attempt, &report).code())
}

/// `{overall, stage_progress, substeps, stages}` of a book in this state with these progress rows.
#[pg_extern(immutable, parallel_safe)]
fn summarize(
    machine: Option<JsonbArg<'_>>,
    status: Option<&str>,
    stage: Option<&str>,
    substeps: Option<JsonbArg<'_>>,
) -> Result<JsonbResult, ErrorReport> {
    let machine = self::machine(&required(machine, "machine")?)?;
    let rows: Vec<Object<SubstepRow>> =
        required(substeps, "substeps")?.read("substeps", "expected an array of progress rows")?;
    let rows: Vec<SubstepRow> = rows.into_iter().map(|Object(row)| row).collect();
    let summary = progress::summarize(&machine, required(status, "status")?, stage, &rows)
        .map_err(|error| invalid("stage", error))?;
    JsonbResult::write(&summary)
}
