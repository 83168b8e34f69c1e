//! One line a change, for logs and pipes.

use std::collections::BTreeMap;
use std::future::pending;

use uuid::Uuid;

use super::View;
use super::book::{Book, Filter, Flow};

/// What was printed of each book last.
pub struct Lines {
    filter: Filter,
    shown: BTreeMap<Uuid, i64>,
}

impl Lines {
    pub fn new(filter: Filter) -> Self {
        Self { filter, shown: BTreeMap::new() }
    }
}

impl View for Lines {
    fn show(&mut self, books: &[Book], _: Option<&Flow>) -> anyhow::Result<bool> {
        for book in books.iter().rev().filter(|book| self.filter.lets(book)) {
            if self.shown.insert(book.id, book.revision) != Some(book.revision) {
                println!("{}", book.line());
            }
        }
        Ok(true)
    }

    fn show_notice(&mut self, words: &str) {
        println!("{}", if words.is_empty() { "connected again" } else { words });
    }

    async fn pressed(&mut self) {
        pending().await
    }
}
