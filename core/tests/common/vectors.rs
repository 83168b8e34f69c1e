//! The events that every implementation reads in the same way: `tests/vectors`.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::path::Path;

use serde_json::{Map, Value, json};

/// The files of vectors.
pub const FILES: [&str; 3] = ["valid", "cleaned", "rejected"];

/// A file below the repository's root.
pub fn read(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// The vectors of a file, with long values expanded.
pub fn vectors(file: &str) -> Vec<Map<String, Value>> {
    let Value::Array(vectors) = read(&format!("tests/vectors/{file}.json")) else {
        panic!("{file} is no array");
    };
    let object = |vector| match written_out(vector) {
        Value::Object(vector) => vector,
        other => panic!("{other} is no vector"),
    };
    vectors.into_iter().map(object).collect()
}

/// Expands `{"$repeat": text or array, "times": n}`, `{"$nest": n}` (1 in so many arrays) and
/// `{"$concat": texts}`.
pub fn written_out(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(written_out).collect(),
        Value::Object(object) => {
            let count = |key: &str| object.get(key).and_then(Value::as_u64).map(|n| n as usize);
            if let Some(Value::Array(texts)) = object.get("$concat") {
                let texts = texts.iter().cloned().map(written_out);
                let text: String =
                    texts.map(|text| text.as_str().unwrap_or_default().to_owned()).collect();
                return json!(text);
            }
            match (object.get("$repeat"), count("times"), count("$nest")) {
                (Some(Value::String(text)), Some(times), _) => json!(text.repeat(times)),
                (Some(Value::Array(values)), Some(times), _) => {
                    let length = values.len() * times;
                    values.iter().cycle().take(length).cloned().collect()
                }
                (_, _, Some(levels)) => (0..levels).fold(json!(1), |inner, _| json!([inner])),
                _ => object.into_iter().map(|(key, value)| (key, written_out(value))).collect(),
            }
        }
        other => other,
    }
}
