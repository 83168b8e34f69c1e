//! Bindery's rules, pure: no database, no network, no clock.
//!
//! A *book* is one unit of long work. A *pipeline* has the states that a book goes through, each
//! with a weight. This crate compiles the definition of a pipeline, decides which transitions are
//! allowed, computes the progress of a book, and parses the events that services send:
//!
//! | module | subject |
//! |---|---|
//! | [`definition`] | definitions; [`definition::compile`] gives a machine, or lists all faults |
//! | [`machine`] | the compiled pipeline: states, edges, weights, and which state leads to which |
//! | [`transition`] | which status may follow, and why another may not |
//! | [`report`] | whether a progress report is accepted, stale, or rejected |
//! | [`name`] | the form of names, and the label made of one |
//! | [`object`] | strict JSON objects |
//! | [`json`] | JSON as producers send it, made fit for Postgres |
//! | [`progress`] | percent of a stage and of the whole; how two reports of one substep merge |
//! | [`stream_id`] | positions in a Redis stream |
//! | [`event`] | one message from a service, checked |
//! | [`batch`] | many events, coalesced into few items |
//!
//! The extension offers these rules in SQL; the daemon uses them between Redis and Postgres. Both
//! exchange JSON, whose form the types here define through `serde`.
//!
//! ```
//! use bindery_core::progress::{SubstepRow, summarize};
//! use bindery_core::definition;
//! use serde_json::json;
//!
//! let definition = json!({"states": [
//!     {"name": "READING", "weight": 1,
//!      "substeps": [{"substep": "first_half"}, {"substep": "second_half"}]},
//!     {"name": "READ"}
//! ]});
//! let machine = definition::compile(&definition).expect("it has no fault");
//! let rows = [SubstepRow {
//!     substep: "first_half".to_owned(),
//!     progress: Some(40.0),
//!     ..SubstepRow::default()
//! }];
//! assert_eq!(summarize(&machine, "READING", None, &rows)?.overall, 20.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod batch;
pub mod definition;
pub mod event;
pub mod json;
pub mod machine;
pub mod name;
pub mod object;
pub mod progress;
pub mod report;
pub mod stream_id;
pub mod transition;
