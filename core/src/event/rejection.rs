//! A rejected event: the reason, and the sent fields in a form that can be stored.

use std::fmt;

use serde_json::{Map, Value};

use super::EventError;
use crate::json::Node;

/// The most bytes of JSON a payload has.
pub(super) const MAX_PAYLOAD_BYTES: usize = 16 * 1024;

/// A rejected event.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejection {
    /// The reason.
    pub error: EventError,
    /// The fields that were sent, an object of texts below 16 KiB of JSON. U+FFFD replaces bytes
    /// that are not UTF-8; NUL is removed.
    pub payload: Value,
    /// Whether a part of the payload was left out.
    pub truncated: bool,
}

impl Rejection {
    pub(super) fn of_entry(error: EventError, entry: &[(Vec<u8>, Vec<u8>)]) -> Self {
        let texts = entry.iter().map(|(name, value)| (clean(name), clean(value)));
        Self::of_texts(error, texts.collect())
    }

    /// JSON that is not an object, or is too large.
    pub(super) fn of_json(error: EventError, data: Node<'_>) -> Self {
        let texts = match data {
            Node::Object(object) => object
                .into_iter()
                .map(|(name, value)| (name.into_owned(), as_text(value)))
                .collect(),
            other => vec![("data".to_owned(), as_text(other))],
        };
        Self::of_texts(error, texts)
    }

    /// Small fields go first: they name the book, and are kept when a large one has to be cut.
    fn of_texts(error: EventError, mut texts: Vec<(String, String)>) -> Self {
        texts.sort_by_key(|(name, value)| name.len() + value.len());
        let (mut payload, mut truncated) = (Map::new(), false);
        // The braces, and the limit itself, which is not reached.
        let mut left = MAX_PAYLOAD_BYTES - 3;
        for (name, mut value) in texts {
            let around = json_bytes(&name) + 6;
            let Some(room) = left.checked_sub(around) else {
                truncated = true;
                break;
            };
            let kept = fitting(&value, room);
            truncated |= kept < value.len();
            value.truncate(kept);
            left = room - json_bytes(&value);
            payload.insert(name, Value::String(value));
        }
        Self { error, payload: Value::Object(payload), truncated }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(formatter)
    }
}

impl std::error::Error for Rejection {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// A JSON value as a flat field would hold it.
pub(super) fn as_text(value: Node<'_>) -> String {
    match value {
        Node::Text(text) => text.into_owned(),
        other => other.to_text(),
    }
}

fn clean(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "")
}

/// How many bytes of the text fit into this many bytes of JSON, whole characters only.
fn fitting(text: &str, room: usize) -> usize {
    let mut used = 0;
    for (index, character) in text.char_indices() {
        used += json_bytes_of(character);
        if used > room {
            return index;
        }
    }
    text.len()
}

fn json_bytes(text: &str) -> usize {
    text.chars().map(json_bytes_of).sum()
}

fn json_bytes_of(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}
