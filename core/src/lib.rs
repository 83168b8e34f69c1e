//! Bindery's rules, pure: no database, no network, no clock.
//!
//! A *book* is one unit of long work. A *pipeline* says which states it goes through and how much
//! each weighs. This crate knows how a pipeline is written down, which changes it allows, how far
//! along a book is, and how services report that:
//!
//! | module | subject |
//! |---|---|
//! | [`definition`] | what people write; [`definition::compile`] turns it into a machine, or lists every fault |
//! | [`machine`] | the compiled pipeline: states, edges, weights, and which state leads to which |
//! | [`transition`] | which status may follow, and why another may not |
//! | [`report`] | whether a progress report counts, is stale, or is refused |
//! | [`name`] | the form of names, and the label made of one |
//! | [`object`] | JSON objects, and nothing else |
//! | [`json`] | JSON as producers send it, made fit for Postgres |
//! | [`progress`] | percent of a stage and of the whole; how two reports of one substep merge |
//! | [`stream_id`] | positions in a Redis stream |
//! | [`event`] | one message from a service, checked |
//! | [`batch`] | many events, coalesced into few items |
//! | [`book`] | a book in memory that follows all of these rules: the reference that others are tested against |
//!
//! The extension gives these rules to SQL, the daemon uses them on its way from Redis to Postgres.
//! Both meet in JSON, whose shapes the types here fix through `serde`.
//!
//! ```
//! use bindery_core::book::{Book, Outcome};
//! use bindery_core::{definition, event::Event};
//! use serde_json::json;
//!
//! let definition = json!({"states": [
//!     {"name": "READING", "weight": 1,
//!      "substeps": [{"substep": "first_half"}, {"substep": "second_half"}]},
//!     {"name": "READ"}
//! ]});
//! let machine = definition::compile(&definition).expect("it has no fault");
//! let mut book = Book::register(&machine);
//!
//! let event = |field: &str, value: &str| (field.into(), value.into());
//! let event = Event::parse(vec![
//!     event("type", "progress"),
//!     event("book_id", "018f3c1e-7b2a-7c3d-9e4f-5a6b7c8d9e0f"),
//!     event("substep", "first_half"),
//!     event("progress", "40"),
//! ])?;
//! assert_eq!(book.apply(&machine, &event), Outcome::Applied);
//! assert_eq!(book.summary(&machine)?.overall, 20.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod batch;
pub mod book;
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
