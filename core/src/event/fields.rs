//! The fields of an event, by name, from either form of an event.
//!
//! Reading leaves the fields as sent, so that a rejection can show them.

use std::borrow::Cow;

use uuid::Uuid;

use super::text::{clean, cut};
use super::{EventError, MAX_ENTRY_BYTES, MAX_JSON_BYTES, MAX_JSON_DEPTH, MAX_NAME_CHARS};
use crate::json::{Json, Node, SyntaxError};

/// A field that a rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Type,
    BookId,
    At,
    Stage,
    Substep,
    Progress,
    Done,
    Total,
    Unit,
    Message,
    Checkpoint,
    Attempt,
    ToStatus,
    To,
    Worker,
    Resume,
    Error,
    Substeps,
    OwnerId,
    Pipeline,
    Title,
    Metadata,
    Data,
}

/// The names, in the order of [`Field`].
pub(super) const NAMES: [&str; 23] = [
    "type",
    "book_id",
    "at",
    "stage",
    "substep",
    "progress",
    "done",
    "total",
    "unit",
    "message",
    "checkpoint",
    "attempt",
    "to_status",
    "to",
    "worker",
    "resume",
    "error",
    "substeps",
    "owner_id",
    "pipeline",
    "title",
    "metadata",
    "data",
];

impl Field {
    fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"type" => Self::Type,
            b"book_id" => Self::BookId,
            b"at" => Self::At,
            b"stage" => Self::Stage,
            b"substep" => Self::Substep,
            b"progress" => Self::Progress,
            b"done" => Self::Done,
            b"total" => Self::Total,
            b"unit" => Self::Unit,
            b"message" => Self::Message,
            b"checkpoint" => Self::Checkpoint,
            b"attempt" => Self::Attempt,
            b"to_status" => Self::ToStatus,
            b"to" => Self::To,
            b"worker" => Self::Worker,
            b"resume" => Self::Resume,
            b"error" => Self::Error,
            b"substeps" => Self::Substeps,
            b"owner_id" => Self::OwnerId,
            b"pipeline" => Self::Pipeline,
            b"title" => Self::Title,
            b"metadata" => Self::Metadata,
            b"data" => Self::Data,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// Whether the field is for people: it is cleaned and cut, and its content never causes a
    /// rejection.
    fn is_free(self) -> bool {
        matches!(
            self,
            Self::At | Self::Unit | Self::Message | Self::Worker | Self::Title | Self::Error
        )
    }
}

/// A field's value: text, as in a stream entry, or another JSON value than text, as `data` can
/// hold.
enum Raw<'a> {
    Text(Cow<'a, str>),
    Json(Node<'a>),
}

/// A stream entry as a rejection shows it.
pub(super) type Entry = Vec<(Vec<u8>, Vec<u8>)>;

/// The members of a JSON object that have no rule.
pub(super) type Unnamed<'a> = Vec<(Cow<'a, str>, Node<'a>)>;

/// The fields of one event. An empty text counts as absent.
#[derive(Default)]
pub(super) struct Fields<'a> {
    slots: [Option<Raw<'a>>; NAMES.len()],
    /// Whether the end of `error` is missing.
    error_is_cut: bool,
}

/// The fields of an entry that have no rule.
pub(super) fn unnamed<'a>(entry: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Entry {
    entry
        .filter(|(name, _)| Field::of(name).is_none())
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect()
}

/// The fields of an entry that is too large or has a field twice.
pub(super) fn unreadable<'a>(entry: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Entry {
    entry.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// The bytes of an entry, except for the fields that are cut to their size.
fn size<'a>(entry: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> usize {
    let is_cut = |name| Field::of(name).is_some_and(Field::is_free);
    entry.map(|(name, value)| name.len() + if is_cut(name) { 0 } else { value.len() }).sum()
}

/// Whether the field may be read if only its beginning is available.
pub(super) fn is_cuttable(name: &[u8]) -> bool {
    Field::of(name).is_some_and(Field::is_free)
}

impl<'a> Fields<'a> {
    /// Finds the fields of an entry that have a rule.
    pub(super) fn from_entry(
        entry: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) -> Result<Self, EventError> {
        if size(entry.clone()) > MAX_ENTRY_BYTES {
            return Err(too_large());
        }
        let mut fields = Self::default();
        for (name, value) in entry {
            let Some(field) = Field::of(name) else { continue };
            let slot = &mut fields.slots[field as usize];
            if slot.is_some() && !field.is_free() {
                return Err(EventError::Duplicate { field: field.name().into() });
            }
            *slot = Some(Raw::Text(String::from_utf8_lossy(value)));
        }
        Ok(fields)
    }

    /// Notes that the end of `error` is missing.
    pub(super) fn set_error_cut(&mut self) {
        self.error_is_cut = true;
    }

    /// Reads the text of the field `data`.
    pub(super) fn from_data(data: &'a str) -> Result<Self, EventError> {
        match Self::from_object(Node::read(data).map_err(|error| bad_json(Field::Data, error))?) {
            Ok((fields, _)) => Ok(fields),
            Err(_) => Err(not_an_object()),
        }
    }

    /// Sorts a JSON object into fields with a rule and the rest; returns the value if it is not an
    /// object or too large.
    pub(super) fn from_json(data: Node<'a>) -> Result<(Self, Unnamed<'a>), (EventError, Node<'a>)> {
        if data.to_text().len() > MAX_ENTRY_BYTES {
            return Err((too_large(), data));
        }
        Self::from_object(data).map_err(|data| (not_an_object(), data))
    }

    fn from_object(value: Node<'a>) -> Result<(Self, Unnamed<'a>), Node<'a>> {
        let Node::Object(object) = value else {
            return Err(value);
        };
        let mut fields = Self::default();
        let mut rest = Unnamed::new();
        for (name, value) in object {
            match Field::of(name.as_bytes()) {
                None | Some(Field::Data) => rest.push((name, value)),
                Some(field) => {
                    fields.slots[field as usize] = match value {
                        Node::Null => None,
                        Node::Text(text) => Some(Raw::Text(text)),
                        other => Some(Raw::Json(other)),
                    };
                }
            }
        }
        Ok((fields, rest))
    }

    /// The fields as an entry again, after `rest`.
    pub(super) fn into_entry(self, rest: Entry) -> Entry {
        let mut entry = rest;
        for (name, value) in NAMES.into_iter().zip(self.slots) {
            match value {
                None => {}
                Some(Raw::Text(text)) => entry.push((name.into(), text.into_owned().into_bytes())),
                Some(Raw::Json(value)) => entry.push((name.into(), value.to_text().into_bytes())),
            }
        }
        entry
    }

    /// Whether all fields are empty.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.iter().flatten().all(|raw| matches!(raw, Raw::Text(text) if text.is_empty()))
    }

    /// Moves the field `data` out if it is not empty.
    pub(super) fn take_data(&mut self) -> Option<Cow<'a, str>> {
        self.get(Field::Data)?;
        match self.slots[Field::Data as usize].take()? {
            Raw::Text(text) => Some(text),
            Raw::Json(value) => Some(Cow::Owned(value.to_text())),
        }
    }

    pub(super) fn put_data(&mut self, data: Cow<'a, str>) {
        self.slots[Field::Data as usize] = Some(Raw::Text(data));
    }

    fn get(&self, field: Field) -> Option<&Raw<'a>> {
        self.slots[field as usize]
            .as_ref()
            .filter(|raw| !matches!(raw, Raw::Text(text) if text.is_empty()))
    }

    /// A text for people: cleaned, and cut to this many characters. Another JSON value counts as
    /// its text.
    pub(super) fn free_text(&self, field: Field, limit: usize) -> Option<String> {
        let text = match self.get(field)? {
            Raw::Text(text) => Cow::Borrowed(text.as_ref()),
            Raw::Json(value) if value.is_null() => return None,
            Raw::Json(value) => Cow::Owned(value.to_text()),
        };
        let text = cut(clean(&text), limit);
        (!text.is_empty()).then_some(text)
    }

    /// A name, cleaned and without white space around it.
    pub(super) fn name(
        &self,
        field: Field,
        expected: &'static str,
    ) -> Result<Option<Cow<'_, str>>, EventError> {
        let name = match self.get(field) {
            None => return Ok(None),
            Some(Raw::Text(text)) => trimmed(text),
            Some(Raw::Json(_)) => {
                return Err(EventError::WrongType { field: field.name().into(), expected });
            }
        };
        // Bytes are quick to count, and there are no fewer of them than characters.
        if name.len() > MAX_NAME_CHARS && name.chars().count() > MAX_NAME_CHARS {
            return Err(EventError::TooLong { field: field.name().into(), limit: MAX_NAME_CHARS });
        }
        Ok(Some(name).filter(|name| !name.is_empty()))
    }

    /// The value of `type`, whatever its length.
    pub(super) fn kind(&self, expected: &'static str) -> Result<Option<Cow<'_, str>>, EventError> {
        match self.get(Field::Type) {
            None => Ok(None),
            Some(Raw::Text(text)) => Ok(Some(trimmed(text)).filter(|kind| !kind.is_empty())),
            Some(Raw::Json(_)) => {
                Err(EventError::WrongType { field: Field::Type.name().into(), expected })
            }
        }
    }

    /// The finite number in a field.
    pub(super) fn number(
        &self,
        field: Field,
        expected: &'static str,
    ) -> Result<Option<f64>, EventError> {
        let number = match self.get(field) {
            None => return Ok(None),
            Some(Raw::Text(text)) => {
                let text = trimmed(text);
                if text.is_empty() {
                    return Ok(None);
                }
                number_in(&text)
            }
            Some(Raw::Json(Node::Number(number))) => number_in(number),
            Some(Raw::Json(_)) => None,
        };
        // A sum with 0 turns -0 into 0.
        number
            .map(|number| Some(number + 0.0))
            .ok_or_else(|| EventError::BadNumber { field: field.name().into(), expected })
    }

    /// The truth value in a field.
    pub(super) fn flag(
        &self,
        field: Field,
        expected: &'static str,
    ) -> Result<Option<bool>, EventError> {
        let flag = match self.get(field) {
            None => return Ok(None),
            Some(Raw::Text(text)) => match trimmed(text).as_ref() {
                "" => return Ok(None),
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            },
            Some(Raw::Json(Node::Bool(flag))) => Some(*flag),
            Some(Raw::Json(_)) => None,
        };
        let error = || EventError::WrongType { field: field.name().into(), expected };
        flag.map(Some).ok_or_else(error)
    }

    pub(super) fn uuid(&self, field: Field) -> Result<Option<Uuid>, EventError> {
        let uuid = match self.get(field) {
            None => return Ok(None),
            Some(Raw::Text(text)) => match trimmed(text) {
                text if text.is_empty() => return Ok(None),
                text => Uuid::try_parse(&text).ok(),
            },
            Some(Raw::Json(_)) => None,
        };
        uuid.map(Some).ok_or_else(|| EventError::BadUuid { field: field.name().into() })
    }

    /// The JSON in a field, or in the text that it holds; null counts as absent. `fits` checks the
    /// JSON's type.
    pub(super) fn node(
        &self,
        field: Field,
        expected: &'static str,
        fits: impl Fn(&Node<'_>) -> bool,
    ) -> Result<Option<Cow<'_, Node<'_>>>, EventError> {
        let node = match self.get(field) {
            None => return Ok(None),
            Some(Raw::Text(text)) => {
                Cow::Owned(Node::read(text).map_err(|error| bad_json(field, error))?)
            }
            Some(Raw::Json(value)) => Cow::Borrowed(value),
        };
        if node.is_null() {
            return Ok(None);
        }
        if !fits(&node) {
            return Err(EventError::WrongType { field: field.name().into(), expected });
        }
        Ok(Some(node))
    }

    /// The JSON in a field, as it is stored.
    pub(super) fn json(
        &self,
        field: Field,
        expected: &'static str,
        fits: impl Fn(&Node<'_>) -> bool,
    ) -> Result<Option<Json>, EventError> {
        let Some(node) = self.node(field, expected, fits)? else { return Ok(None) };
        check_size(field, &node)?;
        Ok(Some(Json::from(node.as_ref())))
    }

    /// The field `error` as an object that fits, whatever its type was.
    pub(super) fn error(&self) -> Option<Json> {
        let of_text = |text: &str| match clean(text) {
            text if text.trim().is_empty() => None,
            text => Some(keyed("message", Node::Text(text.into_owned().into()))),
        };
        let of_node = |node: Cow<'_, Node<'_>>| match node.into_owned() {
            null if null.is_null() => None,
            Node::Text(text) => of_text(&text),
            object @ Node::Object(_) => {
                Some(Json::from(&object.cut_object(MAX_JSON_BYTES, MAX_JSON_DEPTH)))
            }
            list @ Node::List(_) => Some(keyed("errors", list)),
            other => Some(keyed("value", other)),
        };
        match self.get(Field::Error)? {
            Raw::Text(text) if self.error_is_cut => {
                let message = Node::Text(format!("{}…", clean(text)).into());
                let cut = Node::Object(vec![
                    ("message".into(), message),
                    ("cut".into(), Node::Bool(true)),
                ]);
                Some(Json::from(&cut.cut_object(MAX_JSON_BYTES, MAX_JSON_DEPTH)))
            }
            Raw::Text(text) => match Node::read(text) {
                Ok(node) => of_node(Cow::Owned(node)),
                Err(_) => of_text(text),
            },
            Raw::Json(node) => of_node(Cow::Borrowed(node)),
        }
    }
}

/// An object of this one key, cut to what may be stored.
fn keyed(key: &'static str, value: Node<'_>) -> Json {
    Json::from(&Node::Object(vec![(key.into(), value)]).cut_object(MAX_JSON_BYTES, MAX_JSON_DEPTH))
}

/// Whether JSON may be stored as it is.
pub(super) fn check_size(field: Field, node: &Node<'_>) -> Result<(), EventError> {
    if node.is_deeper(MAX_JSON_DEPTH) {
        Err(EventError::TooDeep { field: field.name().into(), limit: MAX_JSON_DEPTH })
    } else if node.size() > MAX_JSON_BYTES {
        Err(EventError::TooLarge { field: field.name().into(), limit: MAX_JSON_BYTES })
    } else {
        Ok(())
    }
}

/// A text with a fixed form, without what does not belong to it.
pub(super) fn trimmed(text: &str) -> Cow<'_, str> {
    match clean(text) {
        Cow::Borrowed(text) => text.trim().into(),
        Cow::Owned(text) => text.trim().to_owned().into(),
    }
}

/// The finite number that a text holds.
pub(super) fn number_in(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

pub(super) fn too_large() -> EventError {
    EventError::TooLarge { field: "the event".into(), limit: MAX_ENTRY_BYTES }
}

fn not_an_object() -> EventError {
    EventError::WrongType { field: Field::Data.name().into(), expected: "a JSON object" }
}

fn bad_json(field: Field, error: SyntaxError) -> EventError {
    EventError::BadJson { field: field.name().into(), problem: error }
}
