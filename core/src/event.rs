//! One message from a service about a book, checked.
//!
//! An event is a stream entry of flat fields, all of them text, or of one field `data` that holds the same as a JSON object.
//! Both go through one set of rules. What breaks them is a [`Rejection`]: the reason, and what was sent, fit to be stored.

mod error;
mod fields;
mod json;
mod rejection;
mod rules;

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

pub use error::EventError;
pub use rejection::Rejection;

use crate::progress::SubstepProgress;
use fields::Fields;
use json::as_text;

/// The most bytes an entry may have, names and values of its fields together.
pub const MAX_ENTRY_BYTES: usize = 256 * 1024;
/// The most bytes of JSON a checkpoint, an error, metadata or substeps may have.
pub const MAX_JSON_BYTES: usize = 64 * 1024;
/// How deep JSON may be nested: how many arrays and objects a value may lie in.
pub const MAX_JSON_DEPTH: usize = 64;
/// The most characters a message may have.
pub const MAX_MESSAGE_CHARS: usize = 8192;
/// The most characters a title may have.
pub const MAX_TITLE_CHARS: usize = 1024;
/// The most characters the name of a stage, substep, pipeline or unit may have.
pub const MAX_NAME_CHARS: usize = crate::name::MAX_NAME;
/// The most characters `at` may have.
pub const MAX_AT_CHARS: usize = 64;
/// The highest `total` of a report: beyond it, not every whole number is one.
pub const MAX_TOTAL: f64 = 1e15;
/// The highest weight of a planned substep.
pub const MAX_WEIGHT: f64 = crate::definition::MAX_WEIGHT;

/// A message about one book that keeps every rule that can be checked without knowing the book.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The book it is about.
    pub book_id: Uuid,
    /// When its sender says that it happened: RFC 3339, or milliseconds since 1970, unchecked but for its length.
    pub at: Option<String>,
    /// What happened.
    pub kind: EventKind,
}

/// What an [`Event`] says.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// A substep has come this far.
    Progress(Progress),
    /// The book goes to another state.
    Transition(Transition),
    /// The book failed.
    Fail(Fail),
    /// The book is still being worked on.
    Heartbeat(Heartbeat),
    /// The book has substeps of its own.
    Plan(Plan),
    /// There is a new book.
    Register(Register),
}

impl EventKind {
    /// The event's `type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Progress(_) => "progress",
            Self::Transition(_) => "transition",
            Self::Fail(_) => "fail",
            Self::Heartbeat(_) => "heartbeat",
            Self::Plan(_) => "plan",
            Self::Register(_) => "register",
        }
    }
}

/// A substep has come this far.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Progress {
    /// The stage it is part of; `None`: the book's current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The substep; `None`: `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub substep: Option<String>,
    /// The attempt it was made in, from 1; `None`: the book's current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i32>,
    /// How far: `progress` is worked out where `done` and `total` were sent.
    #[serde(flatten)]
    pub report: SubstepProgress,
}

/// The book goes to another state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Transition {
    /// The state it goes to.
    pub to: String,
    /// What there is to say about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The attempt its sender is in, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i32>,
}

/// The book failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Fail {
    /// Why, for programs: a JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The attempt that failed, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i32>,
    /// The stage it failed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
}

/// The book is still being worked on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Heartbeat {
    /// The attempt its sender is in, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i32>,
    /// The stage its sender is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// What there is to say about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The book has substeps of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Plan {
    /// The stage they are part of.
    pub stage: String,
    /// The substeps, each name once.
    pub substeps: Vec<PlannedSubstep>,
}

/// A substep of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedSubstep {
    /// Its name, lower snake case.
    pub name: String,
    /// Its share of the stage's work, above 0; `None`: the declared one, or 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

/// There is a new book.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Register {
    /// The user who may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<Uuid>,
    /// The pipeline it follows; `None`: the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The sender's own JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

impl Event {
    /// Reads a stream entry: its fields as they came, in their order.
    ///
    /// # Errors
    /// The first rule it breaks, with the fields. Fields that no rule names are ignored, whatever they hold.
    pub fn parse(entry: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Self, Rejection> {
        Self::read(entry.iter().map(|(name, value)| (name.as_slice(), value.as_slice())))
    }

    /// Reads a stream entry from where it lies; only what the event keeps is copied.
    ///
    /// # Errors
    /// As [`Event::parse`].
    pub fn read<'a>(entry: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Result<Self, Rejection> {
        let mut fields = Fields::from_entry(entry.clone())
            .map_err(|error| Rejection::of_entry(error, &fields::unreadable(entry.clone())))?;
        let Some(data) = fields.take_data() else {
            return rules::event(&mut fields)
                .map_err(|error| Rejection::of_entry(error, &fields.into_entry(fields::unnamed(entry))));
        };
        // `data` is kept as it was sent: a rejection shows that, and not what was read from it.
        let read = if fields.is_empty() {
            Fields::from_data(&data).and_then(|mut inner| rules::event(&mut inner))
        } else {
            Err(EventError::ConflictingFields { fields: "data and any other field of an event" })
        };
        read.map_err(|error| {
            fields.put_data(data);
            Rejection::of_entry(error, &fields.into_entry(fields::unnamed(entry)))
        })
    }

    /// The rejection of an entry that was too large to be read as a whole, by the beginnings of its fields.
    pub fn too_large(beginnings: &[(Vec<u8>, Vec<u8>)]) -> Rejection {
        Rejection::of_entry(fields::too_large(), beginnings)
    }

    /// Reads an event from a JSON object with the names of a stream entry's fields.
    ///
    /// Numbers may be JSON numbers or text that holds one, JSON fields may be JSON or text that holds it, null is absent.
    ///
    /// # Errors
    /// The first rule it breaks, with the fields.
    pub fn from_json(data: Value) -> Result<Self, Rejection> {
        let (mut fields, rest) = match Fields::from_json(data) {
            Ok(read) => read,
            Err((error, data)) => return Err(Rejection::of_json(error, data)),
        };
        rules::event(&mut fields).map_err(|error| {
            let rest = rest.into_iter().map(|(name, value)| (name.into(), as_text(value).into()));
            Rejection::of_entry(error, &fields.into_entry(rest.collect()))
        })
    }
}
