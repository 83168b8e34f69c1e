//! Bindery's native kernel: the rules of [`bindery_core`] as SQL functions in schema
//! `bindery_core`.
//!
//! | module | subject |
//! |---|---|
//! | `functions` | the SQL functions, one line of rule each |
//! | `machines` | compiled machines, kept per backend |
//! | `jsonb` | jsonb in and out without a detour over a generic value |
//! | `failure` | errors with their SQLSTATE |
//! | `comments` | the COMMENTs of the functions, and the revocation of EXECUTE from PUBLIC |
//!
//! The extension owns functions and no table; the schema `bindery` stands on it.

#![allow(
    clippy::result_large_err,
    reason = "pgrx raises an ErrorReport by value, and only a caller's mistake makes one"
)]

mod comments;
mod failure;
mod functions;
mod jsonb;
mod machines;

pgrx::pg_module_magic!(name, version);
