//! What each type of event needs, and what its fields may hold.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::Value;

use super::fields::{Field, Fields, Raw, number_in};
use super::{
    Event, EventError, EventKind, Fail, Heartbeat, MAX_AT_CHARS, MAX_MESSAGE_CHARS, MAX_NAME_CHARS, MAX_TITLE_CHARS,
    MAX_TOTAL, MAX_WEIGHT, Plan, PlannedSubstep, Progress, Register, Transition,
};
use crate::name::is_substep_name;
use crate::progress::{SubstepProgress, percent_of};

const A_TEXT: &str = "a text";
const A_STATE: &str = "the name of a state";
const A_SUBSTEP: &str = "the name of a substep";
const A_PERCENT: &str = "a number from 0 to 100";
const AN_ATTEMPT: &str = "a whole number from 1 to 2147483647";
const A_DONE: &str = "a number from 0 to total";
const A_TOTAL: &str = "a number above 0, up to 1e15";
const A_WEIGHT: &str = "a number above 0, up to 1000000000";
const AN_OBJECT: &str = "a JSON object";
const SUBSTEPS: &str = "a JSON array of substeps, such as [{\"name\": \"chapter_1\", \"weight\": 2}]";

/// Checks the fields and makes an event of them. Texts are moved out only where nothing can fail any more.
pub(super) fn event(fields: &mut Fields<'_>) -> Result<Event, EventError> {
    const A_TYPE: &str = "progress, transition, fail, heartbeat, plan or register";
    let kind = fields.text(Field::Type, usize::MAX, A_TYPE)?.ok_or_else(|| missing(Field::Type, A_TYPE))?;
    let kind: fn(&mut Fields<'_>) -> Result<EventKind, EventError> = match kind {
        "progress" => progress,
        "transition" => transition,
        "fail" => fail,
        "heartbeat" => heartbeat,
        "plan" => plan,
        "register" => register,
        other => {
            return Err(EventError::UnknownType { found: other.chars().take(MAX_NAME_CHARS).collect() });
        }
    };
    let book_id = fields.uuid(Field::BookId)?.ok_or_else(|| missing(Field::BookId, "a uuid"))?;
    if !matches!(fields.get(Field::At), Some(Raw::Json(Value::Number(_)))) {
        fields.text(Field::At, MAX_AT_CHARS, "RFC 3339 or milliseconds since 1970")?;
    }
    let kind = kind(fields)?;
    Ok(Event { book_id, at: fields.take_text(Field::At), kind })
}

fn progress(fields: &mut Fields<'_>) -> Result<EventKind, EventError> {
    fields.text(Field::Stage, MAX_NAME_CHARS, A_STATE)?;
    if let Some(substep) = fields.text(Field::Substep, MAX_NAME_CHARS, A_SUBSTEP)?
        && !is_substep_name(substep)
    {
        return Err(EventError::BadName { field: Field::Substep.name().into() });
    }
    fields.text(Field::Unit, MAX_NAME_CHARS, A_TEXT)?;
    fields.text(Field::Message, MAX_MESSAGE_CHARS, A_TEXT)?;
    let attempt = attempt(fields)?;
    let progress = fields.number(Field::Progress, A_PERCENT)?;
    let done = fields.number(Field::Done, A_DONE)?;
    let total = fields.number(Field::Total, A_TOTAL)?;
    let progress = match (progress, done, total) {
        (Some(progress), None, None) => {
            in_range(progress, (0.0..=100.0).contains(&progress), Field::Progress, A_PERCENT)?
        }
        (None, Some(done), Some(total)) => {
            in_range(total, total > 0.0 && total <= MAX_TOTAL, Field::Total, A_TOTAL)?;
            percent_of(in_range(done, (0.0..=total).contains(&done), Field::Done, A_DONE)?, total)
        }
        (Some(_), _, _) => {
            return Err(EventError::ConflictingFields { fields: "progress and done or total" });
        }
        (None, Some(_), None) => {
            return Err(missing(Field::Total, "the number that done counts towards"));
        }
        (None, None, Some(_)) => return Err(missing(Field::Done, A_DONE)),
        (None, None, None) => {
            return Err(missing(Field::Progress, "a number from 0 to 100, or done and total"));
        }
    };
    let checkpoint = fields.take_json(Field::Checkpoint, "any JSON", |_| true)?;
    let report = SubstepProgress {
        progress,
        done,
        total,
        unit: fields.take_text(Field::Unit),
        message: fields.take_text(Field::Message),
        checkpoint,
    };
    let (stage, substep) = (fields.take_text(Field::Stage), fields.take_text(Field::Substep));
    Ok(EventKind::Progress(Progress { stage, substep, attempt, report }))
}

fn transition(fields: &mut Fields<'_>) -> Result<EventKind, EventError> {
    fields.text(Field::To, MAX_NAME_CHARS, A_STATE)?;
    fields.text(Field::Message, MAX_MESSAGE_CHARS, A_TEXT)?;
    let attempt = attempt(fields)?;
    let to = fields.take_text(Field::To).ok_or_else(|| missing(Field::To, A_STATE))?;
    Ok(EventKind::Transition(Transition { to, message: fields.take_text(Field::Message), attempt }))
}

fn fail(fields: &mut Fields<'_>) -> Result<EventKind, EventError> {
    fields.text(Field::Stage, MAX_NAME_CHARS, A_STATE)?;
    fields.text(Field::Message, MAX_MESSAGE_CHARS, A_TEXT)?;
    let attempt = attempt(fields)?;
    let error = fields.take_json(Field::Error, AN_OBJECT, Value::is_object)?;
    let (message, stage) = (fields.take_text(Field::Message), fields.take_text(Field::Stage));
    Ok(EventKind::Fail(Fail { error, message, attempt, stage }))
}

fn heartbeat(fields: &mut Fields<'_>) -> Result<EventKind, EventError> {
    fields.text(Field::Stage, MAX_NAME_CHARS, A_STATE)?;
    fields.text(Field::Message, MAX_MESSAGE_CHARS, A_TEXT)?;
    let attempt = attempt(fields)?;
    let (message, stage) = (fields.take_text(Field::Message), fields.take_text(Field::Stage));
    Ok(EventKind::Heartbeat(Heartbeat { attempt, stage, message }))
}

fn plan(fields: &mut Fields<'_>) -> Result<EventKind, EventError> {
    fields.text(Field::Stage, MAX_NAME_CHARS, A_STATE)?.ok_or_else(|| missing(Field::Stage, A_STATE))?;
    let Some(substeps) = fields.take_json(Field::Substeps, SUBSTEPS, Value::is_array)? else {
        return Err(missing(Field::Substeps, SUBSTEPS));
    };
    let planned = planned_substeps(&substeps);
    let substeps = match planned {
        Ok(planned) => planned,
        Err(error) => {
            fields.put_json(Field::Substeps, substeps);
            return Err(error);
        }
    };
    Ok(EventKind::Plan(Plan { stage: fields.take_text(Field::Stage).unwrap_or_default(), substeps }))
}

fn planned_substeps(substeps: &Value) -> Result<Vec<PlannedSubstep>, EventError> {
    let mut names = HashSet::new();
    let mut planned = Vec::new();
    for (index, substep) in substeps.as_array().into_iter().flatten().enumerate() {
        let at = |key: &str| Cow::Owned(format!("substeps[{index}]{key}"));
        let Some(keys) = substep.as_object() else {
            return Err(EventError::WrongType { field: at(""), expected: "an object with name and weight" });
        };
        let name = match keys.get("name") {
            None | Some(Value::Null) => {
                return Err(EventError::MissingField { field: at(".name"), expected: A_SUBSTEP });
            }
            Some(Value::String(name)) if is_substep_name(name) => name,
            Some(_) => return Err(EventError::BadName { field: at(".name") }),
        };
        if !names.insert(name) {
            return Err(EventError::Duplicate { field: at(".name") });
        }
        let weight = match keys.get("weight") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(number_in(text)),
            Some(other) => Some(other.as_f64()),
        };
        let weight = match weight {
            None => None,
            Some(Some(weight)) if weight > 0.0 && weight <= MAX_WEIGHT => Some(weight),
            Some(Some(_)) => {
                return Err(EventError::OutOfRange { field: at(".weight"), expected: A_WEIGHT });
            }
            Some(None) => {
                return Err(EventError::BadNumber { field: at(".weight"), expected: A_WEIGHT });
            }
        };
        planned.push(PlannedSubstep { name: name.clone(), weight });
    }
    Ok(planned)
}

fn register(fields: &mut Fields<'_>) -> Result<EventKind, EventError> {
    let owner_id = fields.uuid(Field::OwnerId)?;
    fields.text(Field::Pipeline, MAX_NAME_CHARS, "the name of a pipeline")?;
    fields.text(Field::Title, MAX_TITLE_CHARS, A_TEXT)?;
    let metadata = fields.take_json(Field::Metadata, AN_OBJECT, Value::is_object)?;
    let (pipeline, title) = (fields.take_text(Field::Pipeline), fields.take_text(Field::Title));
    Ok(EventKind::Register(Register { owner_id, pipeline, title, metadata }))
}

fn attempt(fields: &Fields<'_>) -> Result<Option<i32>, EventError> {
    let Some(number) = fields.number(Field::Attempt, AN_ATTEMPT)? else {
        return Ok(None);
    };
    if number.fract() != 0.0 {
        return Err(EventError::BadNumber { field: Field::Attempt.name().into(), expected: AN_ATTEMPT });
    }
    in_range(number, (1.0..=f64::from(i32::MAX)).contains(&number), Field::Attempt, AN_ATTEMPT)?;
    // Whole and in range, as just checked.
    Ok(Some(number as i32))
}

fn in_range(number: f64, is_in_range: bool, field: Field, expected: &'static str) -> Result<f64, EventError> {
    if is_in_range { Ok(number) } else { Err(EventError::OutOfRange { field: field.name().into(), expected }) }
}

fn missing(field: Field, expected: &'static str) -> EventError {
    EventError::MissingField { field: field.name().into(), expected }
}
