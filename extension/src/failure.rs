//! The errors that these functions raise. A refusal is a value; an error means that the caller
//! passed invalid arguments.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::PgSqlErrorCode;

/// An argument that may not be null (SQLSTATE 22004).
///
/// Every function checks its arguments itself: a STRICT one would answer null, which reads as
/// "allowed".
pub fn required<T>(argument: Option<T>, name: &str) -> Result<T, ErrorReport> {
    argument.ok_or_else(|| {
        ErrorReport::new(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            format!("{name} must not be null"),
            "bindery_core",
        )
        .set_hint("Pass the value; null does not stand for a default here.")
    })
}

/// An argument of the wrong shape (SQLSTATE 22023). Each problem has one text, in the portable
/// kernel too; serde's texts about columns and Rust types do not help callers in SQL.
pub fn invalid(name: &str, problem: impl std::fmt::Display) -> ErrorReport {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("{name}: {problem}"),
        "bindery_core",
    )
    .set_hint(
        "Pass a machine as bindery_core.compile_pipeline returns it, \
             and a status and stage of that pipeline.",
    )
}
