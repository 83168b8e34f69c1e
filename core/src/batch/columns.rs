//! The progress items of a batch as columns, which Postgres takes as typed arrays.

use uuid::Uuid;

use super::Item;
use crate::json::Json;
use crate::stream_id::StreamId;

/// The progress items, sorted by segment and book, one element an item in every column. A column
/// without any value is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProgressColumns {
    /// The segments they are applied in.
    pub segments: Vec<i32>,
    /// Their books.
    pub book_ids: Vec<Uuid>,
    /// Their stages.
    pub stages: Column<String>,
    /// Their substeps.
    pub substeps: Column<String>,
    /// Their attempts.
    pub attempts: Column<i32>,
    /// Percent.
    pub progress: Vec<f64>,
    /// Units done.
    pub done: Column<f64>,
    /// Units in all.
    pub totals: Column<f64>,
    /// What the units are.
    pub units: Column<String>,
    /// Messages.
    pub messages: Column<String>,
    /// Checkpoints, as JSON text.
    pub checkpoints: Column<String>,
    /// How many events each item stands for.
    pub counts: Vec<i64>,
    /// The ids of their first events.
    pub first_ids: Vec<StreamId>,
    /// The ids of their last events.
    pub ids: Vec<StreamId>,
}

/// Values that not every item has; `None` where no item has one.
pub type Column<T> = Option<Vec<Option<T>>>;

impl ProgressColumns {
    pub(super) fn of(mut items: Vec<Item>) -> Self {
        // By book, so that Postgres finds its rows beside each other; of a book in the order of
        // first events. In place: a batch is large.
        items.sort_unstable_by_key(|item| {
            let book_id = item.progress().map(|(book_id, _)| book_id);
            (item.segment(), book_id, item.first_id())
        });
        let mut columns = Self::default();
        for item in items {
            columns.push(item);
        }
        columns
    }

    fn push(&mut self, item: Item) {
        let before = self.len();
        let (segment, count) = (item.segment(), item.count());
        let (first_id, id) = (item.first_id(), item.last_id());
        let Some((book_id, event)) = item.into_progress() else { return };
        self.segments.push(i32::try_from(segment).unwrap_or(i32::MAX));
        self.book_ids.push(book_id);
        push(&mut self.stages, before, event.stage);
        push(&mut self.substeps, before, event.substep);
        push(&mut self.attempts, before, event.attempt);
        self.progress.push(event.report.progress);
        push(&mut self.done, before, event.report.done);
        push(&mut self.totals, before, event.report.total);
        push(&mut self.units, before, event.report.unit);
        push(&mut self.messages, before, event.report.message);
        push(&mut self.checkpoints, before, event.report.checkpoint.map(Json::into_text));
        self.counts.push(i64::try_from(count).unwrap_or(i64::MAX));
        self.first_ids.push(first_id);
        self.ids.push(id);
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.book_ids.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.book_ids.is_empty()
    }
}

/// Adds the value of an item that has so many before it.
fn push<T>(column: &mut Column<T>, before: usize, value: Option<T>) {
    match column {
        Some(values) => values.push(value),
        None if value.is_some() => {
            let none = std::iter::repeat_with(|| None).take(before);
            *column = Some(none.chain([value]).collect());
        }
        None => {}
    }
}
