//! The progress items of a batch as columns, which Postgres takes as typed arrays.

use uuid::Uuid;

use super::Item;

/// The progress items, sorted by segment, one element an item in every column. A column without any
/// value is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProgressColumns<'a> {
    /// The segments they are applied in.
    pub segments: Vec<i32>,
    /// Their books.
    pub book_ids: Vec<Uuid>,
    /// Their stages.
    pub stages: Option<Vec<Option<&'a str>>>,
    /// Their substeps.
    pub substeps: Option<Vec<Option<&'a str>>>,
    /// Their attempts.
    pub attempts: Option<Vec<Option<i32>>>,
    /// Percent.
    pub progress: Vec<f64>,
    /// Units done.
    pub done: Option<Vec<Option<f64>>>,
    /// Units in all.
    pub totals: Option<Vec<Option<f64>>>,
    /// What the units are.
    pub units: Option<Vec<Option<&'a str>>>,
    /// Messages.
    pub messages: Option<Vec<Option<&'a str>>>,
    /// Checkpoints, as JSON text.
    pub checkpoints: Option<Vec<Option<&'a str>>>,
    /// How many events each item stands for.
    pub counts: Vec<i64>,
    /// The ids of their first events.
    pub first_ids: Vec<String>,
    /// The ids of their last events.
    pub ids: Vec<String>,
}

impl<'a> ProgressColumns<'a> {
    pub(super) fn of(items: &'a [Item]) -> Self {
        let mut rows: Vec<_> =
            items.iter().filter_map(|item| Some((item, item.progress()?))).collect();
        // Stable: within a segment the order of first events stays.
        rows.sort_by_key(|(item, _)| item.segment());
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let segment = |item: &Item| i32::try_from(item.segment()).unwrap_or(i32::MAX);
        Self {
            segments: rows.iter().map(|(item, _)| segment(item)).collect(),
            book_ids: rows.iter().map(|(_, (book_id, _))| *book_id).collect(),
            stages: column(rows.iter().map(|(_, (_, event))| event.stage.as_deref())),
            substeps: column(rows.iter().map(|(_, (_, event))| event.substep.as_deref())),
            attempts: column(rows.iter().map(|(_, (_, event))| event.attempt)),
            progress: rows.iter().map(|(_, (_, event))| event.report.progress).collect(),
            done: column(rows.iter().map(|(_, (_, event))| event.report.done)),
            totals: column(rows.iter().map(|(_, (_, event))| event.report.total)),
            units: column(rows.iter().map(|(_, (_, event))| event.report.unit.as_deref())),
            messages: column(rows.iter().map(|(_, (_, event))| event.report.message.as_deref())),
            checkpoints: column(
                rows.iter().map(|(_, (_, event))| {
                    event.report.checkpoint.as_ref().map(|json| json.as_str())
                }),
            ),
            counts: rows.iter().map(|(item, _)| number(item.count())).collect(),
            first_ids: rows.iter().map(|(item, _)| item.first_id().to_string()).collect(),
            ids: rows.iter().map(|(item, _)| item.last_id().to_string()).collect(),
        }
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

fn column<T>(values: impl Iterator<Item = Option<T>> + Clone) -> Option<Vec<Option<T>>> {
    values.clone().any(|value| value.is_some()).then(|| values.collect())
}
