//! What a relay does after a call to Postgres failed: the one place that decides.

use tokio_postgres::error::SqlState;

use super::DatabaseError;

/// What to do after a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Another relay has the stream: leave it alone, and ask again for the lease.
    StandBy,
    /// This relay lost the stream, or its place in it: drop what is in memory, acquire again, read
    /// on from there.
    Reacquire,
    /// The server or the network: the same again after a pause.
    Retry,
}

impl Policy {
    /// What to do about it. Whatever is not known to be otherwise may pass, and nothing is lost by
    /// trying again.
    pub fn after(error: &DatabaseError) -> Self {
        match error.code().as_deref() {
            Some("lease_held") => Self::StandBy,
            Some("fenced" | "position_passed") => Self::Reacquire,
            _ => Self::Retry,
        }
    }
}

/// Whether the same in smaller parts may succeed: it took too long or too much memory.
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
