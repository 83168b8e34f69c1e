//! Errors that a report can return. Problems of a server are not returned, but logged.

use bindery_core::event::EventError;
use uuid::Uuid;

/// Why a report was not taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The book has left the attempt that this worker works on: stop, the work no longer counts.
    #[error(transparent)]
    Superseded(#[from] Superseded),
    /// A value that no event may hold; nothing of the report was taken.
    #[error("{message}")]
    Invalid {
        /// The reason for which Bindery would reject the event, as in docs/events.md.
        code: &'static str,
        /// What is wrong, and what is expected.
        message: String,
    },
    /// The client cannot be made: a URL cannot be read, or no thread can be started.
    #[error("{0}")]
    Setup(String),
}

/// The book has left the attempt that this worker works on.
///
/// The usual causes: the book was without a heartbeat for longer than `stall_after` and FAILED, an
/// operator cancelled or rewound it, or another worker has begun the next stage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "attempt {} of {stage} of book {book_id} is superseded: the book is in {}, attempt {}",
    shown(.attempt.as_ref()), shown(.status.as_ref()), shown(.current_attempt.as_ref())
)]
pub struct Superseded {
    /// The book.
    pub book_id: Uuid,
    /// The stage that this worker works on.
    pub stage: String,
    /// The attempt that this worker works on, from 1; `None` if it is not known.
    pub attempt: Option<i32>,
    /// The book's status now, such as FAILED; `None` if it is not known.
    pub status: Option<String>,
    /// The book's attempt now; `None` if it is not known.
    pub current_attempt: Option<i32>,
}

fn shown(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| "unknown".to_owned(), ToString::to_string)
}

/// Why a stage failed: the book's `error` and message.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub(crate) error: serde_json::Map<String, serde_json::Value>,
    pub(crate) message: String,
}

impl Failure {
    /// A failure with a short name of the problem in lower snake case, such as `torn_page`, and a
    /// sentence for people. The stage's `retry_after` applies.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        let error = [("code".to_owned(), code.into())].into_iter().collect();
        Self { error, message: message.into() }
    }

    /// The book waits for an operator; it is not retried automatically.
    pub fn no_retry(self) -> Self {
        self.with("retry", false)
    }

    /// A further member of the error object; a value that cannot be written as JSON is null.
    pub fn with(mut self, name: &str, value: impl serde::Serialize) -> Self {
        let value = serde_json::to_value(value).unwrap_or_default();
        self.error.insert(name.to_owned(), value);
        self
    }

    /// That of an error: its type's name in snake case is the code.
    pub(crate) fn of<E: std::fmt::Display>(error: &E) -> Self {
        let name = std::any::type_name::<E>();
        let generics = name.find('<').unwrap_or(name.len());
        let start = name[..generics].rfind("::").map_or(0, |at| at + 2);
        // The alternate form of `anyhow` and others shows the causes, too.
        Self::new(&snake(&name[start..generics]), format!("{error:#}")).with("type", name)
    }
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    let mut previous = 'A';
    for character in name.chars().filter(char::is_ascii_alphanumeric) {
        if character.is_ascii_uppercase() && !previous.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
        previous = character;
    }
    if snake.is_empty() { "error".to_owned() } else { snake }
}

impl Error {
    pub(crate) fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { code, message: message.into() }
    }
}

impl From<EventError> for Error {
    fn from(error: EventError) -> Self {
        Self::invalid(error.code(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_an_error_is_its_types_name() {
        struct TornPage;
        impl std::fmt::Display for TornPage {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("Page 31 is torn.")
            }
        }
        let failure = Failure::of(&TornPage);
        assert_eq!(failure.error["code"], "torn_page");
        assert_eq!(failure.message, "Page 31 is torn.");
        let boxed: Box<dyn std::error::Error> = "late".into();
        assert_eq!(Failure::of(&boxed).error["code"], "box");
    }
}
