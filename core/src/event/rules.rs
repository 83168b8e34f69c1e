//! The required fields of each type of event, and the allowed values of its fields.

use std::borrow::Cow;
use std::collections::HashSet;

use super::fields::{Field, Fields, check_size, number_in, trimmed};
use super::{
    Begin, Event, EventError, EventKind, Fail, Heartbeat, MAX_AT_CHARS, MAX_MESSAGE_CHARS,
    MAX_NAME_CHARS, MAX_SUBSTEPS, MAX_TITLE_CHARS, MAX_TOTAL, MAX_WEIGHT, MAX_WORKER_CHARS,
    MIN_WEIGHT, Plan, PlannedSubstep, Progress, Register, TYPES, Transition,
};
use crate::json::Node;
use crate::name::is_substep_name;
use crate::progress::{SubstepProgress, percent_of, snap, snap_done};

const A_STATE: &str = "the name of a state";
const A_SUBSTEP: &str = "the name of a substep";
const A_PIPELINE: &str = "the name of a pipeline";
const A_PERCENT: &str = "a number from 0 to 100";
const AN_ATTEMPT: &str = "a whole number from 1 to 2147483647";
const A_DONE: &str = "a number from 0 to total";
const A_TOTAL: &str = "a number above 0, up to 1e15";
const A_WEIGHT: &str = "a number from 0.000000001 to 1000000000";
const AN_OBJECT: &str = "a JSON object";
const A_FLAG: &str = "true or false";
const SUBSTEPS: &str =
    "a JSON array of substeps, such as [{\"substep\": \"chapter_1\", \"weight\": 2}]";

/// Checks the fields and creates an event from them.
pub(super) fn event(fields: &Fields<'_>) -> Result<Event, EventError> {
    let kind = fields.kind(TYPES)?.ok_or_else(|| missing(Field::Type, TYPES))?;
    let kind: fn(&Fields<'_>) -> Result<EventKind, EventError> = match kind.as_ref() {
        "progress" => progress,
        "transition" => transition,
        "begin" => begin,
        "fail" => fail,
        "heartbeat" => heartbeat,
        "plan" => plan,
        "register" => register,
        other => {
            return Err(EventError::UnknownType {
                found: other.chars().take(MAX_NAME_CHARS).collect(),
            });
        }
    };
    let book_id = fields.uuid(Field::BookId)?.ok_or_else(|| missing(Field::BookId, "a uuid"))?;
    Ok(Event { book_id, at: fields.free_text(Field::At, MAX_AT_CHARS), kind: kind(fields)? })
}

fn progress(fields: &Fields<'_>) -> Result<EventKind, EventError> {
    let stage = name(fields, Field::Stage, A_STATE)?;
    let substep = name(fields, Field::Substep, A_SUBSTEP)?;
    if substep.as_deref().is_some_and(|substep| !is_substep_name(substep)) {
        return Err(EventError::BadName { field: Field::Substep.name().into() });
    }
    let attempt = attempt(fields)?;
    let progress = fields.number(Field::Progress, A_PERCENT)?;
    let done = fields.number(Field::Done, A_DONE)?;
    let total = fields.number(Field::Total, A_TOTAL)?;
    let (progress, done) = match (progress, done, total) {
        (Some(progress), None, None) => {
            let progress =
                snap(progress).ok_or_else(|| out_of_range(Field::Progress, A_PERCENT))?;
            (progress, None)
        }
        (None, Some(done), Some(total)) => {
            if !(total > 0.0 && total <= MAX_TOTAL) {
                return Err(out_of_range(Field::Total, A_TOTAL));
            }
            let done = snap_done(done, total).ok_or_else(|| out_of_range(Field::Done, A_DONE))?;
            (percent_of(done, total), Some(done))
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
    let report = SubstepProgress {
        progress,
        done,
        total,
        unit: fields.free_text(Field::Unit, MAX_NAME_CHARS),
        message: message(fields),
        checkpoint: fields.json(Field::Checkpoint, "any JSON", |_| true)?,
    };
    Ok(EventKind::Progress(Progress { stage, substep, attempt, report }))
}

fn transition(fields: &Fields<'_>) -> Result<EventKind, EventError> {
    let to_status = to_status(fields, &[Field::ToStatus, Field::To])?;
    Ok(EventKind::Transition(Transition {
        to_status,
        message: message(fields),
        attempt: attempt(fields)?,
    }))
}

fn begin(fields: &Fields<'_>) -> Result<EventKind, EventError> {
    Ok(EventKind::Begin(Begin {
        to_status: to_status(fields, &[Field::ToStatus, Field::To, Field::Stage])?,
        worker: fields.free_text(Field::Worker, MAX_WORKER_CHARS),
        attempt: attempt(fields)?,
        resume: fields.flag(Field::Resume, A_FLAG)?,
        pipeline: name(fields, Field::Pipeline, A_PIPELINE)?,
        title: fields.free_text(Field::Title, MAX_TITLE_CHARS),
        owner_id: fields.uuid(Field::OwnerId)?,
        metadata: fields.json(Field::Metadata, AN_OBJECT, is_object)?,
    }))
}

fn fail(fields: &Fields<'_>) -> Result<EventKind, EventError> {
    let stage = name(fields, Field::Stage, A_STATE)?;
    Ok(EventKind::Fail(Fail {
        error: fields.error(),
        message: message(fields),
        attempt: attempt(fields)?,
        stage,
    }))
}

fn heartbeat(fields: &Fields<'_>) -> Result<EventKind, EventError> {
    let stage = name(fields, Field::Stage, A_STATE)?;
    Ok(EventKind::Heartbeat(Heartbeat {
        attempt: attempt(fields)?,
        stage,
        message: message(fields),
    }))
}

fn plan(fields: &Fields<'_>) -> Result<EventKind, EventError> {
    let stage =
        name(fields, Field::Stage, A_STATE)?.ok_or_else(|| missing(Field::Stage, A_STATE))?;
    let is_list = |node: &Node<'_>| matches!(node, Node::List(_));
    let substeps = fields
        .node(Field::Substeps, SUBSTEPS, is_list)?
        .ok_or_else(|| missing(Field::Substeps, SUBSTEPS))?;
    let Node::List(listed) = substeps.as_ref() else {
        return Err(missing(Field::Substeps, SUBSTEPS));
    };
    if listed.len() > MAX_SUBSTEPS {
        let field = Field::Substeps.name().into();
        return Err(EventError::TooManySubsteps {
            field,
            found: listed.len(),
            limit: MAX_SUBSTEPS,
        });
    }
    check_size(Field::Substeps, &substeps)?;
    Ok(EventKind::Plan(Plan { stage, substeps: planned_substeps(listed)? }))
}

fn planned_substeps(substeps: &[Node<'_>]) -> Result<Vec<PlannedSubstep>, EventError> {
    let mut keys = HashSet::new();
    let mut planned = Vec::with_capacity(substeps.len());
    for (index, node) in substeps.iter().enumerate() {
        let at = |key: &str| Cow::Owned(format!("substeps[{index}]{key}"));
        if !is_object(node) {
            return Err(EventError::WrongType {
                field: at(""),
                expected: "an object with substep and weight",
            });
        }
        let given = |key: &str| node.get(key).filter(|value| !value.is_null());
        let key = match (given("substep"), given("name")) {
            (Some(substep), Some(name)) if substep != name => {
                return Err(EventError::ConflictingFields {
                    fields: "substep and another value of its alias name",
                });
            }
            (Some(key), _) | (None, Some(key)) => key,
            (None, None) => {
                return Err(EventError::MissingField {
                    field: at(".substep"),
                    expected: A_SUBSTEP,
                });
            }
        };
        let substep = match key {
            Node::Text(text) => trimmed(text).into_owned(),
            _ => String::new(),
        };
        if !is_substep_name(&substep) {
            return Err(EventError::BadName { field: at(".substep") });
        }
        if !keys.insert(substep.clone()) {
            return Err(EventError::Duplicate { field: at(".substep") });
        }
        let weight = match given("weight") {
            None => None,
            Some(Node::Text(text) | Node::Number(text)) => Some(number_in(&trimmed(text))),
            Some(_) => Some(None),
        };
        let weight = match weight {
            None => None,
            Some(Some(weight)) if (MIN_WEIGHT..=MAX_WEIGHT).contains(&weight) => Some(weight),
            Some(Some(_)) => {
                return Err(EventError::OutOfRange { field: at(".weight"), expected: A_WEIGHT });
            }
            Some(None) => {
                return Err(EventError::BadNumber { field: at(".weight"), expected: A_WEIGHT });
            }
        };
        planned.push(PlannedSubstep { substep, weight });
    }
    Ok(planned)
}

fn register(fields: &Fields<'_>) -> Result<EventKind, EventError> {
    Ok(EventKind::Register(Register {
        owner_id: fields.uuid(Field::OwnerId)?,
        pipeline: name(fields, Field::Pipeline, A_PIPELINE)?,
        title: fields.free_text(Field::Title, MAX_TITLE_CHARS),
        metadata: fields.json(Field::Metadata, AN_OBJECT, is_object)?,
    }))
}

/// The target of a transition, by the field's name or an alias of it.
fn to_status(fields: &Fields<'_>, names: &[Field]) -> Result<String, EventError> {
    let mut found = None;
    for &field in names {
        let Some(target) = name(fields, field, A_STATE)? else { continue };
        if found.as_ref().is_some_and(|found| *found != target) {
            return Err(EventError::ConflictingFields {
                fields: "to_status and another value of its alias",
            });
        }
        found = Some(target);
    }
    found.ok_or_else(|| missing(Field::ToStatus, A_STATE))
}

fn name(
    fields: &Fields<'_>,
    field: Field,
    expected: &'static str,
) -> Result<Option<String>, EventError> {
    Ok(fields.name(field, expected)?.map(Cow::into_owned))
}

fn message(fields: &Fields<'_>) -> Option<String> {
    fields.free_text(Field::Message, MAX_MESSAGE_CHARS)
}

fn is_object(node: &Node<'_>) -> bool {
    matches!(node, Node::Object(_))
}

fn attempt(fields: &Fields<'_>) -> Result<Option<i32>, EventError> {
    let Some(number) = fields.number(Field::Attempt, AN_ATTEMPT)? else {
        return Ok(None);
    };
    if number.fract() != 0.0 {
        return Err(EventError::BadNumber {
            field: Field::Attempt.name().into(),
            expected: AN_ATTEMPT,
        });
    }
    if !(1.0..=f64::from(i32::MAX)).contains(&number) {
        return Err(out_of_range(Field::Attempt, AN_ATTEMPT));
    }
    // Whole and in range, as just checked.
    Ok(Some(number as i32))
}

fn out_of_range(field: Field, expected: &'static str) -> EventError {
    EventError::OutOfRange { field: field.name().into(), expected }
}

fn missing(field: Field, expected: &'static str) -> EventError {
    EventError::MissingField { field: field.name().into(), expected }
}
