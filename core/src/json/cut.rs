//! Cutting a [`Node`] to a size and a depth.

use std::borrow::Cow;

use super::Node;
use super::write::{character_size, entry_size};

/// Replaces a part that was cut.
const ELLIPSIS: &str = "…";
/// The key that marks a cut object.
const CUT: &str = "cut";

pub(super) fn cut_object(node: Node<'_>, bytes: usize, levels: usize) -> Node<'_> {
    if node.size() <= bytes && !node.is_deeper(levels) {
        return node;
    }
    let Node::Object(mut entries) = node else {
        return Node::Object(vec![(CUT.into(), Node::Bool(true))]);
    };
    entries.retain(|(key, _)| key != CUT);
    let mark = entry_size(CUT, "true".len()) + 2;
    let mut kept = fit_entries(entries, bytes.saturating_sub(mark), levels);
    kept.push((CUT.into(), Node::Bool(true)));
    Node::Object(kept)
}

/// As much of the value as fits; `None` if no part of it does.
fn fit(node: Node<'_>, bytes: usize, levels: usize) -> Option<Node<'_>> {
    if node.size() <= bytes && !node.is_deeper(levels) {
        return Some(node);
    }
    match node {
        Node::Text(text) => fit_text(&text, bytes),
        Node::Deep => fit_text(ELLIPSIS, bytes),
        // Its elements would be too deep.
        Node::List(_) | Node::Object(_) if levels == 0 => fit_text(ELLIPSIS, bytes),
        Node::List(values) => {
            let mut room = bytes.checked_sub(2)?;
            let mut kept = Vec::new();
            for value in values {
                let separator = if kept.is_empty() { 0 } else { 2 };
                let Some(value) =
                    room.checked_sub(separator).and_then(|room| fit(value, room, levels - 1))
                else {
                    break;
                };
                room -= separator + value.size();
                kept.push(value);
            }
            Some(Node::List(kept))
        }
        Node::Object(entries) => {
            bytes.checked_sub(2)?;
            Some(Node::Object(fit_entries(entries, bytes, levels)))
        }
        Node::Null | Node::Bool(_) | Node::Number(_) => None,
    }
}

/// The entries of an object that fit into this many bytes, in their order: the smallest are kept
/// first.
fn fit_entries<'a>(
    entries: Vec<(Cow<'a, str>, Node<'a>)>,
    bytes: usize,
    levels: usize,
) -> Vec<(Cow<'a, str>, Node<'a>)> {
    let mut room = bytes.saturating_sub(2);
    let mut entries: Vec<_> = entries.into_iter().enumerate().collect();
    entries.sort_by_cached_key(|(_, (key, value))| entry_size(key, value.size()));
    let mut kept = Vec::new();
    for (place, (key, value)) in entries {
        let around = entry_size(&key, 0) + if kept.is_empty() { 0 } else { 2 };
        let value =
            room.checked_sub(around).and_then(|room| fit(value, room, levels.saturating_sub(1)));
        if let Some(value) = value {
            room -= around + value.size();
            kept.push((place, (key, value)));
        }
    }
    kept.sort_by_key(|(place, _)| *place);
    kept.into_iter().map(|(_, entry)| entry).collect()
}

/// The beginning of a text, with an ellipsis where it was cut.
fn fit_text<'a>(text: &str, bytes: usize) -> Option<Node<'a>> {
    let mut room = bytes.checked_sub(2 + ELLIPSIS.len())?;
    let mut kept = String::new();
    for character in text.chars() {
        match room.checked_sub(character_size(character)) {
            Some(left) => room = left,
            None => break,
        }
        kept.push(character);
    }
    if kept.len() < text.len() && text != ELLIPSIS {
        kept.push_str(ELLIPSIS);
    } else if kept.is_empty() {
        kept.push_str(text);
    }
    Some(Node::Text(kept.into()))
}
