//! The form of server-sent events about books.

use std::time::Duration;

/// Changes within this time are sent as one event.
pub const AT_MOST_EVERY: Duration = Duration::from_millis(50);

/// The select list for a status of `bindery.get_book_changes` as an event carries it: a reader
/// merges a partial one into what it has at `since_revision` or later.
pub fn with_since(status: &str, since: &str) -> String {
    format!(
        "case when ({status} ->> 'substeps_partial')::boolean \
           then {status} || pg_catalog.jsonb_build_object('since_revision', {since}) \
           else {status} end"
    )
}

/// One event. Postgres escapes line ends in JSON, so `json` is one line.
pub fn event(revision: i64, json: &str) -> String {
    format!("id: {revision}\nevent: book_status\ndata: {json}\n\n")
}
