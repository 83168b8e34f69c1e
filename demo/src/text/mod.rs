//! From prose to prompts: everything that is known about a book comes out of this module, and none of it does I/O.
//!
//! `story` cuts the text into blocks, pages, chapters and scenes; `words` into sentences and words; `census` counts
//! capitalised words and `cast` decides which of them are people; `quotes` finds who says what; `lexicon` holds the
//! word lists; `prompt` sums a scene up for the artist, and `script`
//! is all of a book's.

pub mod cast;
pub mod census;
pub mod lexicon;
pub mod prompt;
pub mod quotes;
pub mod script;
pub mod story;
pub mod words;
