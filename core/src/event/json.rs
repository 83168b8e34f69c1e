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

/// Whether anything in a value lies in more arrays and objects than that.
pub(super) fn is_deeper(value: &Value, levels: usize) -> bool {
    let is_deeper = |inner: &Value| levels == 0 || is_deeper(inner, levels - 1);
    match value {
        Value::Array(values) => values.iter().any(is_deeper),
        Value::Object(object) => object.values().any(is_deeper),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The first character that no text may hold: the controls but tab and line ends, and what overrides the direction of the
/// text that follows. Marks and joiners may stay: scripts that need them are written with them.
pub(super) fn refused_character(text: &str) -> Option<char> {
    // Every such character has a byte below 0x20, 0x7F, or one of these three first bytes.
    if !text.bytes().any(|byte| byte < 0x20 || matches!(byte, 0x7f | 0xc2 | 0xe2)) {
        return None;
    }
    text.chars().find(|character| match character {
        '\t' | '\n' | '\r' => false,
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => true,
        other => other.is_control(),
    })
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
