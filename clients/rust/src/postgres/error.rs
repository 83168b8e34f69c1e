//! Why a call to Postgres failed, and what an operator can do about it.

use std::io;

use tokio_postgres::error::{DbError, SqlState};

use super::certificate::CertificateProblem;
use crate::cut::cut;

/// A call to Postgres failed.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// An error of the server or the driver. It has no source: `describe` includes it.
    #[error("Postgres: {}", describe(.0))]
    Call(tokio_postgres::Error),
    /// No connection was made, for a reason that the driver does not know.
    #[error("Postgres: {problem}")]
    Connect {
        /// The problem.
        problem: String,
        /// The next step.
        remedy: &'static str,
    },
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Call(error)
    }
}

impl DatabaseError {
    /// No connection was made.
    pub(super) fn connect(problem: impl Into<String>, remedy: &'static str) -> Self {
        Self::Connect { problem: problem.into(), remedy }
    }

    /// The server's own error, if it sent one.
    pub fn db_error(&self) -> Option<&DbError> {
        match self {
            Self::Call(error) => error.as_db_error(),
            Self::Connect { .. } => None,
        }
    }

    /// The `code` of a Bindery error's JSON detail.
    pub fn code(&self) -> Option<String> {
        let detail: serde_json::Value = serde_json::from_str(self.db_error()?.detail()?).ok()?;
        Some(detail.get("code")?.as_str()?.to_owned())
    }

    /// What the operator can do, if a retry will not succeed.
    pub fn remedy(&self) -> Option<&'static str> {
        let state = match self {
            Self::Connect { remedy, .. } => return Some(remedy),
            Self::Call(error) => match error.as_db_error() {
                Some(error) => error.code(),
                None => return tls_remedy(error),
            },
        };
        if [
            &SqlState::UNDEFINED_FUNCTION,
            &SqlState::INVALID_SCHEMA_NAME,
            &SqlState::UNDEFINED_TABLE,
        ]
        .contains(&state)
        {
            Some(
                "the schema or its extension is not there, or older than this daemon: run binderyd migrate",
            )
        } else if *state == SqlState::INSUFFICIENT_PRIVILEGE {
            Some("the daemon's role may not call the daemon's functions: grant it bindery_relay")
        } else if *state == SqlState::LOCK_NOT_AVAILABLE {
            Some(
                "another session keeps a book's row locked: see pg_stat_activity for one idle in transaction, and end it",
            )
        } else if *state == SqlState::QUERY_CANCELED {
            Some(
                "statement_timeout ended the call: if it persists for a single event, raise it for the daemon's login (alter role … set statement_timeout)",
            )
        } else if *state == SqlState::READ_ONLY_SQL_TRANSACTION {
            Some(
                "the database is read-only: name the primary in --database-url, or all servers \
                 and target_session_attrs=read-write",
            )
        } else if [&SqlState::INVALID_PASSWORD, &SqlState::INVALID_AUTHORIZATION_SPECIFICATION]
            .contains(&state)
        {
            Some("the login is refused: check --database-url")
        } else {
            None
        }
    }
}

/// What to do about a failure of TLS.
fn tls_remedy(error: &tokio_postgres::Error) -> Option<&'static str> {
    if let Some(problem) = certificate_problem(error) {
        return Some(problem.remedy);
    }
    match rustls_error(error) {
        Some(rustls::Error::AlertReceived(rustls::AlertDescription::ProtocolVersion)) => {
            Some("let the server offer TLS 1.2 or 1.3 (ssl_min_protocol_version)")
        }
        Some(rustls::Error::AlertReceived(_)) => Some(
            "check sslcert: the server refused the client's certificate if it does not trust its \
             authority (ssl_ca_file), or if it expired",
        ),
        Some(_) => Some("check the server's TLS settings and its log"),
        None if std::error::Error::source(error)?.to_string() == "server does not support TLS" => {
            Some("set ssl = on at the server, or use sslmode=prefer on a trusted network")
        }
        None => None,
    }
}

fn rustls_error(error: &tokio_postgres::Error) -> Option<&rustls::Error> {
    let source = std::error::Error::source(error)?.downcast_ref::<io::Error>()?;
    source.get_ref()?.downcast_ref()
}

fn certificate_problem(error: &tokio_postgres::Error) -> Option<&CertificateProblem> {
    match rustls_error(error)? {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => {
            other.0.downcast_ref()
        }
        _ => None,
    }
}

/// Describes an error with its source, because `tokio_postgres::Error` displays only "db error".
fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(problem) = certificate_problem(error) {
        return cut(problem);
    }
    match error.as_db_error() {
        Some(db) => format!("{} (SQLSTATE {})", cut(db.message()), db.code().code()),
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}
