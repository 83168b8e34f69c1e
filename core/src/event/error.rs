//! The errors of an event.

use std::borrow::Cow;

use crate::json::SyntaxError;

/// The rule that an event breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// A field that this type of event needs is absent or empty.
    #[error("{field} is missing; expected {expected}")]
    MissingField {
        /// The field.
        field: Cow<'static, str>,
        /// The expected content.
        expected: &'static str,
    },
    /// Fields that exclude each other, or one field given twice.
    #[error("{fields} cannot be given together")]
    ConflictingFields {
        /// The fields, in words.
        fields: &'static str,
    },
    /// A field, or a name that has to be unique, is given twice.
    #[error("{field} is given twice")]
    Duplicate {
        /// The field.
        field: Cow<'static, str>,
    },
    /// `type` is none of the seven.
    #[error("type is {found:?}; expected {}", super::TYPES)]
    UnknownType {
        /// Its value, up to 63 characters.
        found: String,
    },
    /// A JSON value of another type than the field takes.
    #[error("{field} is of the wrong type; expected {expected}")]
    WrongType {
        /// The field.
        field: Cow<'static, str>,
        /// The expected content.
        expected: &'static str,
    },
    /// Not a uuid.
    #[error("{field} is not a uuid; expected one such as 018f3c1e-7b2a-7c3d-9e4f-5a6b7c8d9e0f")]
    BadUuid {
        /// The field.
        field: Cow<'static, str>,
    },
    /// Not a finite number, or not a whole one where one is needed.
    #[error("{field} is not a number; expected {expected}")]
    BadNumber {
        /// The field.
        field: Cow<'static, str>,
        /// The expected content.
        expected: &'static str,
    },
    /// A number outside its range.
    #[error("{field} is out of range; expected {expected}")]
    OutOfRange {
        /// The field.
        field: Cow<'static, str>,
        /// The expected content.
        expected: &'static str,
    },
    /// A name in another form than names have.
    #[error("{field} is not a name of the form [a-z][a-z0-9_]*, up to 63 characters")]
    BadName {
        /// The field.
        field: Cow<'static, str>,
    },
    /// Text that should be JSON and is not.
    #[error("{field} is not JSON: {problem}")]
    BadJson {
        /// The field.
        field: Cow<'static, str>,
        /// The place of the syntax error.
        problem: SyntaxError,
    },
    /// Text of too many characters.
    #[error("{field} is too long; expected up to {limit} characters")]
    TooLong {
        /// The field.
        field: Cow<'static, str>,
        /// The most characters it may have.
        limit: usize,
    },
    /// Too many bytes.
    #[error("{field} is too large; expected up to {limit} bytes")]
    TooLarge {
        /// The field, or `the event` for all of it.
        field: Cow<'static, str>,
        /// The most bytes it may have.
        limit: usize,
    },
    /// JSON nested too deep.
    #[error("{field} is nested too deep; expected up to {limit} levels")]
    TooDeep {
        /// The field.
        field: Cow<'static, str>,
        /// How many levels it may have.
        limit: usize,
    },
    /// A plan of more substeps than a stage may have.
    #[error("{field} has {found} substeps; expected up to {limit}")]
    TooManySubsteps {
        /// The field.
        field: Cow<'static, str>,
        /// The number of its substeps.
        found: usize,
        /// The most substeps of a stage.
        limit: usize,
    },
}

impl EventError {
    /// The rejection reason, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingField { .. } => "missing_field",
            Self::ConflictingFields { .. } | Self::Duplicate { .. } => "conflicting_fields",
            Self::UnknownType { .. } => "unknown_type",
            Self::WrongType { .. } => "wrong_type",
            Self::BadUuid { .. } => "bad_uuid",
            Self::BadNumber { .. } => "bad_number",
            Self::OutOfRange { .. } => "out_of_range",
            Self::BadName { .. } => "bad_name",
            Self::BadJson { .. } => "bad_json",
            Self::TooLong { .. } => "too_long",
            Self::TooLarge { .. } => "too_large",
            Self::TooDeep { .. } => "too_deep",
            Self::TooManySubsteps { .. } => "too_many_substeps",
        }
    }
}
