//! The script: all that the artist and the binder need to know of a book.

use serde::{Deserialize, Serialize};

use super::cast::Character;
use super::prompt::Prompt;

/// What the artist gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// The book's title.
    pub title: String,
    /// Its author.
    pub author: String,
    /// The chapters.
    pub chapters: Vec<ScriptChapter>,
    /// Who is in it.
    pub cast: Vec<Character>,
    /// One prompt a scene, in order.
    pub scenes: Vec<Prompt>,
}

/// A chapter of the script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptChapter {
    /// Counted from 1.
    pub number: usize,
    /// Its heading.
    pub heading: String,
    /// How many scenes it has.
    pub scenes: usize,
}
