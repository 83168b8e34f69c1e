//! One message from a service about a book, checked.
//!
//! An event is a stream entry of flat fields, all of them text, or of one field `data` that holds
//! the same as a JSON object. Both go through one set of rules. An entry that breaks one becomes a
//! [`Rejection`]: the reason, and what was sent.
//!
//! The rules are forgiving in form: texts for people are cleaned and cut, and never the reason of a
//! rejection; `error` is made an object and cut; JSON is read as [`crate::json`] describes. They
//! are strict in meaning: a number, a name or an id that is not one is a rejection.

mod error;
mod fields;
mod rejection;
mod rules;
mod schema;
mod text;

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

pub use error::EventError;
pub use rejection::Rejection;
pub use schema::{definitions, limits, schema};

use crate::json::{Json, Node};
use crate::progress::SubstepProgress;
use fields::{Fields, is_cuttable};
use rejection::as_text;

/// The types of events, as messages list them.
const TYPES: &str = "progress, transition, begin, fail, heartbeat, plan or register";

/// The most bytes an entry may have, names and values of its fields together. Values of the fields
/// that are cut to their size (`message`, `title`, `unit`, `at`, `worker`, `error`) do not count.
pub const MAX_ENTRY_BYTES: usize = 256 * 1024;
/// The most bytes of JSON a checkpoint, an error, metadata or substeps may have, as Postgres prints
/// it.
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
/// The highest `total` of a report: above it, a double does not represent every whole number.
pub const MAX_TOTAL: f64 = 1e15;
/// The most characters `worker` may have.
pub const MAX_WORKER_CHARS: usize = 255;
/// The lowest weight of a planned substep.
pub const MIN_WEIGHT: f64 = 1e-9;
/// The highest weight of a planned substep.
pub const MAX_WEIGHT: f64 = crate::definition::MAX_WEIGHT;
/// The most substeps a plan may have, as a stage may.
pub const MAX_SUBSTEPS: usize = 10_000;

/// A message about one book that keeps every rule that can be checked without the book's state.
///
/// As JSON it is a flat object with the names of the fields: what `tests/vectors` calls its
/// meaning.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// The book it is about.
    pub book_id: Uuid,
    /// When it happened by its sender's clock, as text; its form is not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The content of an [`Event`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// The progress of a substep.
    Progress(Progress),
    /// A transition to another state.
    Transition(Transition),
    /// Work on a stage begins.
    Begin(Begin),
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
            Self::Begin(_) => "begin",
            Self::Fail(_) => "fail",
            Self::Heartbeat(_) => "heartbeat",
            Self::Plan(_) => "plan",
            Self::Register(_) => "register",
        }
    }
}

/// The progress of a substep.
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
    /// The progress; `progress` is computed if `done` and `total` were sent.
    #[serde(flatten)]
    pub report: SubstepProgress,
}

/// A transition to another state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Transition {
    /// The state it goes to.
    pub to_status: String,
    /// The message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The attempt its sender is in, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i32>,
}

/// Work on a stage begins: the book enters the stage, resumes in it, or is in it already.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Begin {
    /// The stage.
    pub to_status: String,
    /// The worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// The attempt its sender is in, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i32>,
    /// Whether a book that FAILED in the stage resumes; `None`: it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<bool>,
    /// The pipeline the book follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// The book's name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The user who may see the book.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<Uuid>,
    /// The sender's own JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
}

/// The book failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Fail {
    /// The cause, for programs: a JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Json>,
    /// The cause, for people.
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
    /// The message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The book has substeps of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Plan {
    /// The stage they are part of.
    pub stage: String,
    /// The substeps, each key once, at most [`MAX_SUBSTEPS`].
    pub substeps: Vec<PlannedSubstep>,
}

/// A substep of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedSubstep {
    /// Its key, lower snake case.
    pub substep: String,
    /// Its share of the stage's work, [`MIN_WEIGHT`] to [`MAX_WEIGHT`]; `None`: the declared one,
    /// or 1.
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
    pub metadata: Option<Json>,
}

impl Event {
    /// Reads a stream entry: its fields as sent, in their order.
    ///
    /// # Errors
    /// The first rule it breaks, with the fields. Fields without a rule are ignored, whatever they
    /// hold.
    pub fn parse(entry: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Self, Rejection> {
        Self::read(entry.iter().map(|(name, value)| (name.as_slice(), value.as_slice())))
    }

    /// Reads a stream entry from where it lies; only what the event keeps is copied.
    ///
    /// # Errors
    /// As [`Event::parse`].
    pub fn read<'a>(
        entry: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) -> Result<Self, Rejection> {
        let fields = Fields::from_entry(entry.clone())
            .map_err(|error| Rejection::of_entry(error, &fields::unreadable(entry.clone())))?;
        Self::of_entry(fields, entry)
    }

    /// Reads an entry that was too large to be kept whole. A text for people or an `error` may be
    /// cut; where any other field is, or fields are missing (`is_complete`), the entry is too
    /// large.
    ///
    /// # Errors
    /// As [`Event::parse`].
    pub fn read_beginnings(entry: &[Beginning], is_complete: bool) -> Result<Self, Rejection> {
        let pairs = entry.iter().map(|field| (field.name.as_slice(), field.value.as_slice()));
        let is_lost = |field: &Beginning| !field.is_whole && !is_cuttable(&field.name);
        let fields = match Fields::from_entry(pairs.clone()) {
            Ok(_) if !is_complete || entry.iter().any(is_lost) => Err(fields::too_large()),
            read => read,
        };
        let mut fields = fields
            .map_err(|error| Rejection::of_entry(error, &fields::unreadable(pairs.clone())))?;
        if entry.iter().any(|field| !field.is_whole && field.name == b"error") {
            fields.set_error_cut();
        }
        Self::of_entry(fields, pairs)
    }

    fn of_entry<'a>(
        mut fields: Fields<'a>,
        entry: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<Self, Rejection> {
        let Some(data) = fields.take_data() else {
            return rules::event(&fields).map_err(|error| {
                Rejection::of_entry(error, &fields.into_entry(fields::unnamed(entry)))
            });
        };
        // `data` is kept as sent, because a rejection shows that and not its parsed form.
        let read = if fields.is_empty() {
            Fields::from_data(&data).and_then(|inner| rules::event(&inner))
        } else {
            Err(EventError::ConflictingFields { fields: "data and any other field of an event" })
        };
        read.map_err(|error| {
            fields.put_data(data);
            Rejection::of_entry(error, &fields.into_entry(fields::unnamed(entry)))
        })
    }

    /// Reads an event from a JSON object with the names of a stream entry's fields; see
    /// [`Event::from_fields`].
    ///
    /// # Errors
    /// As [`Event::parse`].
    pub fn from_json(data: Value) -> Result<Self, Rejection> {
        Self::from_node(Node::from(data))
    }

    /// Reads an event from the names and values of a JSON object.
    ///
    /// Numbers may be JSON numbers or text that holds one, JSON fields may be JSON or text that
    /// holds it, null is absent.
    ///
    /// # Errors
    /// As [`Event::parse`].
    pub fn from_fields<'a>(fields: Vec<(Cow<'a, str>, Node<'a>)>) -> Result<Self, Rejection> {
        Self::from_node(Node::Object(fields))
    }

    fn from_node(data: Node<'_>) -> Result<Self, Rejection> {
        let (fields, rest) = match Fields::from_json(data) {
            Ok(read) => read,
            Err((error, data)) => return Err(Rejection::of_json(error, data)),
        };
        rules::event(&fields).map_err(|error| {
            let rest = rest
                .into_iter()
                .map(|(name, value)| (name.into_owned().into(), as_text(value).into()));
            Rejection::of_entry(error, &fields.into_entry(rest.collect()))
        })
    }
}

/// A field of an entry that was too large to be kept whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// The field's name.
    pub name: Vec<u8>,
    /// The beginning of its value.
    pub value: Vec<u8>,
    /// Whether both are whole.
    pub is_whole: bool,
}
