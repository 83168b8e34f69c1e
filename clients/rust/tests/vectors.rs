//! `tests/vectors`: what the client sends means what it was given, in each form that it is sent in;
//! what Bindery would reject is refused for the same reason.

#![allow(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

#[path = "../../../core/tests/common/vectors.rs"]
mod vectors;

use bindery_client::{Error, checked, entry};
use bindery_core::event::Event;
use serde_json::{Map, Value};
use vectors::written_out;

fn all(file: &str) -> Vec<Map<String, Value>> {
    let path = format!("{}/../../tests/vectors/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let read: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let written = read.into_iter().map(written_out);
    written.filter_map(|vector| vector.as_object().cloned()).collect()
}

/// The event of a vector as a stream entry; `None` where it has other types than text has.
fn flat(event: &Value) -> Option<Vec<(String, String)>> {
    let text = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Some((name.clone(), text.clone())),
        Value::Number(number) => Some((name.clone(), number.to_string())),
        Value::Object(_) | Value::Array(_)
            if ["checkpoint", "metadata", "error", "substeps"].contains(&name.as_str()) =>
        {
            Some((name.clone(), value.to_string()))
        }
        _ => None,
    };
    event.as_object()?.iter().map(text).collect()
}

fn pairs(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn an_event_means_the_same_once_it_is_sent() {
    let mut sent = 0;
    for vector in ["valid", "cleaned"].into_iter().flat_map(all) {
        let name = vector["name"].as_str().unwrap();
        let Some(event) = vector.get("event") else { continue };
        let event = Event::from_json(event.clone()).unwrap();
        let fields = entry(&event);
        let again =
            Event::read(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        assert_eq!(again.as_ref(), Ok(&event), "{name}: {fields:?}");
        assert_eq!(checked(&pairs(&fields)).as_ref(), Ok(&event), "{name}");
        sent += 1;
    }
    assert!(sent > 60, "{sent}");
}

#[test]
fn what_bindery_rejects_is_refused_for_the_same_reason() {
    let mut refused = 0;
    for vector in all("rejected") {
        let name = vector["name"].as_str().unwrap();
        let Some(fields) = vector.get("event").and_then(flat) else { continue };
        let rejection =
            Event::read(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        // As an entry, some are no faults: a number is text there.
        let Err(rejection) = rejection else { continue };
        let Err(Error::Invalid { code, message }) = checked(&pairs(&fields)) else {
            panic!("{name} was taken");
        };
        assert_eq!(code, rejection.error.code(), "{name}");
        assert_eq!(message, rejection.error.to_string(), "{name}");
        refused += 1;
    }
    assert!(refused > 40, "{refused}");
}
