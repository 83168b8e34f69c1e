//! Decides what a relay does after a failed call to Postgres.

use tokio_postgres::error::SqlState;

use super::DatabaseError;

/// What to do after a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Another relay holds the stream: stand by, and ask for the lease again.
    StandBy,
    /// This relay lost the stream or its position: drop what is in memory, acquire again and read
    /// on from the position.
    Reacquire,
    /// The server or the network failed: retry after a pause.
    Retry,
}

impl Policy {
    /// The policy for an error. Unknown errors are retried, which loses nothing.
    pub fn after(error: &DatabaseError) -> Self {
        match error.code().as_deref() {
            Some("lease_held") => Self::StandBy,
            Some("fenced" | "position_passed") => Self::Reacquire,
            _ => Self::Retry,
        }
    }
}

/// Whether smaller batches may succeed: the call took too long or too much memory.
pub fn is_too_much(error: &DatabaseError) -> bool {
    error.db_error().is_some_and(|error| {
        let state = error.code();
        [
            SqlState::QUERY_CANCELED,
            SqlState::OUT_OF_MEMORY,
            SqlState::CONFIGURATION_LIMIT_EXCEEDED,
            // "invalid memory alloc request size": more than a gigabyte for one value.
            SqlState::INTERNAL_ERROR,
        ]
        .contains(state)
            || state.code().starts_with("54")
    })
}
