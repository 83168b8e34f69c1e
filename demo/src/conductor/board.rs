//! Where every book stands, for milestones and for the message when time is up.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The last word on each book.
#[derive(Debug)]
pub struct Board {
    loud: bool,
    last: Mutex<BTreeMap<String, String>>,
}

impl Board {
    /// An empty board; a loud one prints what is written on it.
    pub fn new(loud: bool) -> Self {
        Self { loud, last: Mutex::default() }
    }

    /// A milestone of a book.
    pub fn milestone(&self, title: &str, text: &str) {
        if self.loud {
            println!("{title}: {text}");
        }
        self.note(title, text);
    }

    /// What a book waits for: not worth a line, unless it waits for ever.
    pub fn note(&self, title: &str, text: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.insert(title.to_owned(), text.to_owned());
    }

    /// One line a book.
    pub fn summary(&self) -> String {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().map(|(title, text)| format!("  {title}: {text}\n")).collect()
    }
}
