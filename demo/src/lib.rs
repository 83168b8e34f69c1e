//! The demo of Bindery: three stories become three comics, by real work that is reported step by step.
//!
//! * [`text`] reads a book: chapters, characters, scenes, prompts. Pure.
//! * [`art`] draws a scene as an SVG panel and binds panels into an HTML comic. Pure.
//! * [`events`] is what workers and conductor say on the Redis stream.
//! * [`work`] is the worker: units of work, files, log, resume. One process does one stage of one book.
//! * [`conductor`] registers the books, starts the workers, kills one, and proves that nothing was done twice.

pub mod art;
pub mod conductor;
pub mod events;
pub mod text;
pub mod work;
