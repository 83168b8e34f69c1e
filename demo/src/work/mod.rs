//! The worker: one process, one stage, one book.
//!
//! A stage is cut into units, each with a file of its own (`unit`). The engine does those whose file is not there yet,
//! in order: write to a temporary name, rename, note in the log, report (`engine`, `files`, `ledger`). So wherever a
//! worker is killed, the next one finds out what is finished from the files, and from the book's resume point what has
//! been reported (`resume`), and goes on. `analyzing`, `generating` and `drawing` are the stages' units.

pub mod analyzing;
pub mod drawing;
pub mod engine;
pub mod files;
pub mod generating;
pub mod ledger;
pub mod reporter;
pub mod resume;
pub mod stage;
pub mod unit;
