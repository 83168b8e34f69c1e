//! What has to be known of JSON values beyond what `serde_json` says.

use std::io;

use serde_json::Value;

/// A JSON value as a flat field would hold it.
pub(super) fn as_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Whether any text in a value holds a NUL character, which the database cannot store.
pub(super) fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.as_bytes().contains(&0),
        Value::Array(values) => values.iter().any(holds_nul),
        Value::Object(object) => object.iter().any(|(key, value)| key.as_bytes().contains(&0) || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The bytes of a value as compact JSON, counted without writing it anywhere.
pub(super) fn json_size(value: &Value) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Neither the writer nor a JSON value can fail; if one did, the size would count as too large.
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}
