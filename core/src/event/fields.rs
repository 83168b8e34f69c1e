//! The fields of an event, by name, from either form it comes in.
//!
//! Reading leaves the fields where they are, so that a rejection can still show them; texts are moved out only once nothing
//! can fail any more.

use std::borrow::Cow;

use serde_json::Value;
use uuid::Uuid;

use super::json::{as_text, holds_nul, is_deeper, json_size, refused_character};
use super::{EventError, MAX_ENTRY_BYTES, MAX_JSON_BYTES, MAX_JSON_DEPTH};

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
    To,
    Error,
    Substeps,
    OwnerId,
    Pipeline,
    Title,
    Metadata,
    Data,
}

/// The names, in the order of [`Field`].
const NAMES: [&str; 20] = [
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
    "to",
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
            b"to" => Self::To,
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
}

/// A field's value: text, as in a stream entry, or another JSON value than text, as `data` can hold.
pub(super) enum Raw<'a> {
    Text(Cow<'a, str>),
    Json(Value),
}

/// A stream entry as a rejection shows it.
pub(super) type Entry = Vec<(Vec<u8>, Vec<u8>)>;

/// What a JSON object holds that no rule names.
pub(super) type Unnamed = Vec<(String, Value)>;

/// The fields of one event. An empty text counts as absent.
#[derive(Default)]
pub(super) struct Fields<'a> {
    slots: [Option<Raw<'a>>; NAMES.len()],
}

/// The fields of an entry that no rule names.
pub(super) fn unnamed<'a>(entry: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Entry {
    entry.filter(|(name, _)| Field::of(name).is_none()).map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// The fields of an entry that is too large, or has a field twice or no text in one: those come first, with what no rule names.
pub(super) fn unreadable<'a>(entry: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Entry {
    let own = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
    if size(entry.clone()) > MAX_ENTRY_BYTES {
        return entry.map(own).collect();
    }
    let (mut rest, mut named) = (Entry::new(), [None; NAMES.len()]);
    for (name, value) in entry {
        match Field::of(name) {
            Some(field) if named[field as usize].is_none() && std::str::from_utf8(value).is_ok() => {
                named[field as usize] = Some((name, value));
            }
            _ => rest.push(own((name, value))),
        }
    }
    rest.extend(named.into_iter().flatten().map(own));
    rest
}

fn size<'a>(entry: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> usize {
    entry.map(|(name, value)| name.len() + value.len()).sum()
}

impl<'a> Fields<'a> {
    /// Finds the fields that rules name in an entry.
    pub(super) fn from_entry(entry: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Result<Self, EventError> {
        if size(entry.clone()) > MAX_ENTRY_BYTES {
            return Err(too_large());
        }
        let mut fields = Self::default();
        for (name, value) in entry {
            let Some(field) = Field::of(name) else { continue };
            let slot = &mut fields.slots[field as usize];
            if slot.is_some() {
                return Err(EventError::Duplicate { field: field.name().into() });
            }
            let text = std::str::from_utf8(value).map_err(|_| EventError::NotUtf8 { field: field.name().into() })?;
            *slot = Some(Raw::Text(Cow::Borrowed(text)));
        }
        Ok(fields)
    }

    /// Reads the text of the field `data`.
    pub(super) fn from_data(data: &str) -> Result<Self, EventError> {
        let value = serde_json::from_str(data).map_err(|error| bad_json(Field::Data, &error))?;
        match Self::from_object(value) {
            Ok((fields, _)) => Ok(fields),
            Err(_) => Err(not_an_object()),
        }
    }

    /// Sorts a JSON object into fields that rules name and the rest; where it is none or too large, gives it back.
    pub(super) fn from_json(data: Value) -> Result<(Self, Unnamed), (EventError, Value)> {
        if json_size(&data) > MAX_ENTRY_BYTES {
            return Err((too_large(), data));
        }
        Self::from_object(data).map_err(|data| (not_an_object(), data))
    }

    fn from_object(value: Value) -> Result<(Self, Unnamed), Value> {
        let Value::Object(object) = value else {
            return Err(value);
        };
        let mut fields = Self::default();
        let mut rest = Unnamed::new();
        for (name, value) in object {
            match Field::of(name.as_bytes()) {
                None | Some(Field::Data) => rest.push((name, value)),
                Some(field) => {
                    fields.slots[field as usize] = match value {
                        Value::Null => None,
                        Value::String(text) => Some(Raw::Text(Cow::Owned(text))),
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
                Some(Raw::Json(value)) => entry.push((name.into(), as_text(value).into_bytes())),
            }
        }
        entry
    }

    /// Whether no field holds anything.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.iter().flatten().all(|raw| matches!(raw, Raw::Text(text) if text.is_empty()))
    }

    /// Moves the field `data` out, where it holds anything.
    pub(super) fn take_data(&mut self) -> Option<Cow<'a, str>> {
        self.get(Field::Data)?;
        match self.slots[Field::Data as usize].take()? {
            Raw::Text(text) => Some(text),
            Raw::Json(value) => Some(Cow::Owned(value.to_string())),
        }
    }

    pub(super) fn put_data(&mut self, data: Cow<'a, str>) {
        self.slots[Field::Data as usize] = Some(Raw::Text(data));
    }

    /// Puts a value back that was moved out and proved faulty.
    pub(super) fn put_json(&mut self, field: Field, value: Value) {
        self.slots[field as usize] = Some(Raw::Json(value));
    }

    pub(super) fn get(&self, field: Field) -> Option<&Raw<'a>> {
        self.slots[field as usize].as_ref().filter(|raw| !matches!(raw, Raw::Text(text) if text.is_empty()))
    }

    /// Moves a text out that was checked before.
    pub(super) fn take_text(&mut self, field: Field) -> Option<String> {
        match self.slots[field as usize].take()? {
            Raw::Text(text) if text.is_empty() => None,
            Raw::Text(text) => Some(text.into_owned()),
            Raw::Json(value) => Some(value.to_string()),
        }
    }

    /// The text of a field, of at most so many characters.
    pub(super) fn text(&self, field: Field, limit: usize, expected: &'static str) -> Result<Option<&str>, EventError> {
        let text = match self.get(field) {
            None => return Ok(None),
            Some(Raw::Text(text)) => text,
            Some(Raw::Json(_)) => {
                return Err(EventError::WrongType { field: field.name().into(), expected });
            }
        };
        if let Some(found) = refused_character(text) {
            return Err(EventError::ControlCharacter { field: field.name().into(), found });
        }
        // Bytes are quick to count, and there are no fewer of them than characters.
        if text.len() > limit && text.chars().count() > limit {
            return Err(EventError::TooLong { field: field.name().into(), limit });
        }
        Ok(Some(text))
    }

    /// The finite number in a field.
    pub(super) fn number(&self, field: Field, expected: &'static str) -> Result<Option<f64>, EventError> {
        let Some(raw) = self.get(field) else {
            return Ok(None);
        };
        // A sum with 0 turns -0 into 0.
        let number = raw.number().map(|number| number + 0.0);
        number.map(Some).ok_or_else(|| EventError::BadNumber { field: field.name().into(), expected })
    }

    pub(super) fn uuid(&self, field: Field) -> Result<Option<Uuid>, EventError> {
        match self.get(field) {
            None => Ok(None),
            Some(Raw::Text(text)) => {
                Uuid::try_parse(text).map(Some).map_err(|_| EventError::BadUuid { field: field.name().into() })
            }
            Some(Raw::Json(_)) => Err(EventError::BadUuid { field: field.name().into() }),
        }
    }

    /// The JSON in a field, moved out where it is not text; JSON's null counts as absent. `fits` says whether it is what is
    /// expected there. To be called last: it is the one reader that moves anything.
    pub(super) fn take_json(
        &mut self,
        field: Field,
        expected: &'static str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Option<Value>, EventError> {
        let too_large = || EventError::TooLarge { field: field.name().into(), limit: MAX_JSON_BYTES };
        let check = |value: &Value| {
            if !fits(value) {
                Err(EventError::WrongType { field: field.name().into(), expected })
            } else if holds_nul(value) {
                Err(EventError::ControlCharacter { field: field.name().into(), found: '\0' })
            } else if is_deeper(value, MAX_JSON_DEPTH) {
                Err(EventError::TooDeep { field: field.name().into(), limit: MAX_JSON_DEPTH })
            } else {
                Ok(())
            }
        };
        match &mut self.slots[field as usize] {
            None => Ok(None),
            Some(Raw::Text(text)) if text.is_empty() => Ok(None),
            Some(Raw::Text(text)) if text.len() > MAX_JSON_BYTES => Err(too_large()),
            Some(Raw::Text(text)) => match serde_json::from_str(text) {
                Ok(Value::Null) => Ok(None),
                Ok(value) => check(&value).map(|()| Some(value)),
                Err(error) => Err(bad_json(field, &error)),
            },
            Some(Raw::Json(value)) if json_size(value) > MAX_JSON_BYTES => Err(too_large()),
            Some(Raw::Json(value)) => check(value).map(|()| Some(value.take())),
        }
    }
}

impl Raw<'_> {
    fn number(&self) -> Option<f64> {
        match self {
            Self::Text(text) => number_in(text),
            Self::Json(value) => value.as_f64().filter(|number| number.is_finite()),
        }
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

fn bad_json(field: Field, error: &serde_json::Error) -> EventError {
    EventError::BadJson { field: field.name().into(), problem: error.to_string() }
}
