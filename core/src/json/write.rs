//! Writing a [`Node`] as compact JSON, and measuring it as Postgres prints it.

use std::fmt::Write;

use super::Node;
use super::number::{fits, printed_length};

pub(super) fn write(node: &Node<'_>, text: &mut String) {
    match node {
        Node::Null | Node::Deep => text.push_str("null"),
        Node::Bool(true) => text.push_str("true"),
        Node::Bool(false) => text.push_str("false"),
        Node::Number(number) if fits(number) => text.push_str(number),
        Node::Number(_) => text.push_str("null"),
        Node::Text(value) => write_text(value, text),
        Node::List(values) => {
            text.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(value, text);
            }
            text.push(']');
        }
        Node::Object(entries) => {
            text.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_text(key, text);
                text.push(':');
                write(value, text);
            }
            text.push('}');
        }
    }
}

fn write_text(value: &str, text: &mut String) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{C}' => text.push_str("\\f"),
            control @ '\0'..='\u{1F}' => {
                // Writing to a String does not fail.
                let _ = write!(text, "\\u{:04x}", u32::from(control));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

/// The bytes that Postgres prints for the value: as [`write`], with a space after every comma and
/// colon between values, and numbers without exponents.
pub(super) fn size(node: &Node<'_>) -> usize {
    match node {
        Node::Null | Node::Bool(true) | Node::Deep => 4,
        Node::Bool(false) => 5,
        Node::Number(number) => printed_length(number).unwrap_or(4),
        Node::Text(text) => text_size(text),
        Node::List(values) => 2 + values.iter().map(size).sum::<usize>() + separators(values.len()),
        Node::Object(entries) => {
            let sizes = entries.iter().map(|(key, value)| entry_size(key, size(value)));
            2 + sizes.sum::<usize>() + separators(entries.len())
        }
    }
}

fn separators(values: usize) -> usize {
    2 * values.saturating_sub(1)
}

/// The bytes of a key with a value of this size.
pub(super) fn entry_size(key: &str, value: usize) -> usize {
    text_size(key) + 2 + value
}

pub(super) fn text_size(text: &str) -> usize {
    2 + text.chars().map(character_size).sum::<usize>()
}

/// The bytes of a character within a text.
pub(super) fn character_size(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{C}' => 2,
        '\0'..='\u{1F}' => 6,
        other => other.len_utf8(),
    }
}
