//! What these functions raise. A refusal is a value of theirs; an error here means that the caller
//! passed what no caller should.

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

/// An argument of the wrong shape (SQLSTATE 22023). Each problem has one text, the portable
/// kernel's too; what serde would say of columns and Rust types helps nobody who calls from SQL.
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
