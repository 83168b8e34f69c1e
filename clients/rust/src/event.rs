//! Events as they are sent. `bindery_core` checks and cleans them, as the relay will.

use std::collections::BTreeMap;

use bindery_core::event::{Event, EventKind};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Error;

/// The fields of an event with their values as JSON.
type Fields = BTreeMap<String, Box<RawValue>>;

/// Makes an event of its type, its book and further fields, null ones left out.
///
/// # Errors
/// [`Error::Invalid`]: Bindery would reject it.
pub(crate) fn event(kind: &str, book_id: Uuid, fields: Value) -> Result<Event, Error> {
    let mut all = json!({"type": kind, "book_id": book_id});
    if let (Value::Object(all), Value::Object(fields)) = (&mut all, fields) {
        all.extend(fields);
    }
    Event::from_json(all).map_err(|rejection| rejection.error.into())
}

/// Reads the fields of a stream entry, and refuses what the relay would reject or ignore.
///
/// # Errors
/// [`Error::Invalid`]: Bindery would reject it, or a field is not one of the event's type
/// (code `unknown_field`, the fields in the message).
pub fn checked(entry: &[(&str, &str)]) -> Result<Event, Error> {
    let pairs = entry.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let event = Event::read(pairs).map_err(|rejection| Error::from(rejection.error))?;
    let known = fields(&event);
    let ignored: Vec<_> = entry
        .iter()
        .filter(|(name, value)| !value.is_empty() && !known.contains_key(*name))
        .map(|(name, _)| *name)
        .collect();
    if ignored.is_empty() {
        return Ok(event);
    }
    let (kind, ignored) = (event.kind.name(), ignored.join(", "));
    Err(Error::invalid(
        "unknown_field",
        format!("an event of type {kind} has no {ignored}; leave it out"),
    ))
}

/// The event as `bindery.report_events` takes it: with the progress worked out.
pub(crate) fn meaning(event: &Event) -> String {
    serde_json::to_string(event).unwrap_or_default()
}

/// The event as the HTTP API takes it.
pub(crate) fn written(event: &Event) -> String {
    serde_json::to_string(&sent(event)).unwrap_or_default()
}

/// The event as the fields of a stream entry.
pub fn entry(event: &Event) -> Vec<(String, String)> {
    let text = |name: &str, value: &RawValue| match serde_json::from_str(value.get()) {
        // A checkpoint that is a text is JSON, too.
        Ok(text) if name != "checkpoint" => text,
        _ => value.get().to_owned(),
    };
    let sent = sent(event).into_iter();
    sent.map(|(name, value)| {
        let text = text(&name, &value);
        (name, text)
    })
    .collect()
}

fn fields(event: &Event) -> Fields {
    serde_json::from_str(&meaning(event)).unwrap_or_default()
}

/// The fields that an event is sent with: either its progress or the counts that it comes from.
fn sent(event: &Event) -> Fields {
    let mut fields = fields(event);
    if matches!(&event.kind, EventKind::Progress(progress) if progress.report.total.is_some()) {
        fields.remove("progress");
    }
    fields
}

/// A value as JSON text.
pub(crate) fn json_text(field: &str, value: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| {
        Error::invalid("bad_json", format!("{field} cannot be written as JSON: {error}"))
    })
}
