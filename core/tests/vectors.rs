//! `tests/vectors`: the meaning of events, how they are cleaned, which are rejected and why. The
//! other implementations run the same files. The generated files are as `core` generates them.

#![allow(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

mod common {
    pub mod vectors;
}

use std::collections::BTreeSet;

use bindery_core::event::{Event, Rejection, limits, schema};
use common::vectors::{FILES, read, vectors};
use serde_json::{Map, Value};

/// The event of a vector, in every possible form.
fn read_event(vector: &Map<String, Value>) -> Vec<Result<Event, Rejection>> {
    let entry = |fields: Vec<(&str, String)>| {
        Event::parse(fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Some(fields) = vector.get("fields") {
        let fields = fields.as_array().unwrap().iter();
        return vec![entry(
            fields.map(|pair| (pair[0].as_str().unwrap(), text(&pair[1]))).collect(),
        )];
    }
    if let Some(data) = vector.get("data") {
        return vec![entry(vec![("data", text(data))])];
    }
    let event = &vector["event"];
    let mut read = vec![Event::from_json(event.clone()), entry(vec![("data", event.to_string())])];
    // A flat field is text, so it is neither null nor of another type than text.
    let is_flat = |(name, value): (&String, &Value)| match value {
        Value::String(_) => true,
        Value::Object(_) | Value::Array(_) => {
            ["checkpoint", "metadata", "error", "substeps"].contains(&name.as_str())
        }
        Value::Number(_) => {
            ["progress", "done", "total", "attempt", "message", "at"].contains(&name.as_str())
        }
        Value::Bool(_) => name == "resume",
        Value::Null => false,
    };
    let fields = event.as_object().unwrap();
    if fields.iter().all(is_flat) {
        read.push(entry(fields.iter().map(|(name, value)| (name.as_str(), text(value))).collect()));
    }
    read
}

#[test]
fn an_event_means_what_its_vector_states() {
    for (file, vector) in
        FILES.iter().flat_map(|file| vectors(file).into_iter().map(|v| (*file, v)))
    {
        let name = vector["name"].as_str().unwrap();
        for read in read_event(&vector) {
            match (file, read) {
                ("rejected", Err(rejection)) => {
                    assert_eq!(rejection.error.code(), vector["rejected"]["code"], "{name}");
                    assert_eq!(rejection.to_string(), vector["rejected"]["message"], "{name}");
                }
                ("valid" | "cleaned", Ok(event)) => {
                    let text = serde_json::to_string(&event).unwrap();
                    let meaning: Value = serde_json::from_str(&text).unwrap();
                    assert_eq!(meaning, vector["means"], "{name}");
                    if let Some(exactly) = vector.get("text") {
                        assert_eq!(text, exactly.as_str().unwrap(), "{name}");
                    }
                }
                (_, read) => panic!("{file}: {name}: {read:?}"),
            }
        }
    }
}

#[test]
fn the_meaning_of_an_event_means_itself() {
    for vector in ["valid", "cleaned"].into_iter().flat_map(vectors) {
        // A checkpoint that is a text would be read as JSON.
        if vector["means"].get("checkpoint").is_some_and(Value::is_string) {
            continue;
        }
        // `progress` is computed from `done` and `total`, which cannot be given beside it.
        let mut event = vector["means"].clone();
        if event.get("done").is_some() {
            event.as_object_mut().unwrap().remove("progress");
        }
        let again = serde_json::to_value(Event::from_json(event).unwrap()).unwrap();
        assert_eq!(again, vector["means"], "{}", vector["name"]);
    }
}

#[test]
fn the_vectors_have_every_type_and_every_code() {
    let of = |files: &[&str], path: &str| -> BTreeSet<String> {
        let vectors = files.iter().flat_map(|file| vectors(file));
        let found = vectors.filter_map(|vector| Value::Object(vector).pointer(path).cloned());
        found.filter_map(|value| value.as_str().map(str::to_owned)).collect()
    };
    let types = ["begin", "fail", "heartbeat", "plan", "progress", "register", "transition"];
    assert_eq!(of(&["valid"], "/means/type"), types.map(String::from).into());
    let codes = [
        "bad_json",
        "bad_name",
        "bad_number",
        "bad_uuid",
        "conflicting_fields",
        "missing_field",
        "out_of_range",
        "too_deep",
        "too_large",
        "too_long",
        "too_many_substeps",
        "unknown_type",
        "wrong_type",
    ];
    assert_eq!(of(&["rejected"], "/rejected/code"), codes.map(String::from).into());
    let names: Vec<_> =
        FILES.iter().flat_map(|file| vectors(file)).map(|v| v["name"].clone()).collect();
    let distinct: BTreeSet<_> = names.iter().map(Value::to_string).collect();
    assert_eq!(distinct.len(), names.len(), "each vector has a name of its own");
}

#[test]
fn the_generated_files_are_up_to_date() {
    let hint = "run: cargo run -p bindery-core --example contract";
    assert_eq!(read("docs/schema/event.schema.json"), schema(), "{hint}");
    assert_eq!(read("tests/vectors/limits.json"), limits(), "{hint}");
}
