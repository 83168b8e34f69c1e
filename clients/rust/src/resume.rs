//! Where a worker continues: what earlier attempts have finished, and their checkpoints.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use uuid::Uuid;

/// What `bindery.get_resume_point` returns.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ResumePoint {
    /// The book.
    pub book_id: Uuid,
    /// The book's status.
    pub status: String,
    /// Its current stage; `None` before the first one.
    pub stage: Option<String>,
    /// The attempt at that stage, from 1.
    pub attempt: i32,
    /// The book's change counter.
    pub revision: i64,
    /// The finished substeps.
    pub done: BTreeSet<String>,
    /// The unfinished substeps that have a progress or a checkpoint.
    pub left: BTreeMap<String, Left>,
}

/// An unfinished substep.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Left {
    /// Percent, 0 to 100.
    pub progress: f64,
    /// The JSON that `Reporter::checkpoint` saved.
    pub checkpoint: Option<Box<RawValue>>,
    /// How many items of `Reporter::track` are finished.
    pub items: u64,
}

impl ResumePoint {
    /// Reads the JSON of `bindery.get_resume_point`, or of a message of `bindery:changes`.
    ///
    /// # Errors
    /// It has another form.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        Ok(serde_json::from_str::<Page>(json)?.into())
    }

    /// The checkpoint of an unfinished substep; `None` if it has none, or one of another form.
    pub fn checkpoint<T: DeserializeOwned>(&self, substep: &str) -> Option<T> {
        let json = self.left.get(substep)?.checkpoint.as_ref()?;
        serde_json::from_str(json.get()).ok()
    }
}

/// One page of an answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    book_id: Uuid,
    pub status: String,
    pub stage: Option<String>,
    pub attempt: Option<i32>,
    pub revision: Option<i64>,
    #[serde(default)]
    done: Vec<String>,
    #[serde(default)]
    pub left: Vec<LeftSubstep>,
    /// Whether more substeps follow.
    #[serde(default)]
    pub cut: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct LeftSubstep {
    pub substep: String,
    progress: Option<f64>,
    checkpoint: Option<Box<RawValue>>,
}

/// The checkpoint of a tracked substep: its items, and the worker's own value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tracked {
    tracked: u64,
    #[serde(default)]
    data: Option<Box<RawValue>>,
}

impl From<Page> for ResumePoint {
    fn from(page: Page) -> Self {
        let left = page.left.into_iter().map(|left| (left.substep.clone(), left.into()));
        Self {
            left: left.collect(),
            book_id: page.book_id,
            status: page.status,
            stage: page.stage,
            attempt: page.attempt.unwrap_or(1),
            revision: page.revision.unwrap_or(0),
            done: page.done.into_iter().collect(),
        }
    }
}

impl From<LeftSubstep> for Left {
    fn from(substep: LeftSubstep) -> Self {
        let progress = substep.progress.unwrap_or(0.0);
        let json = substep.checkpoint.filter(|json| json.get() != "null");
        let tracked = json.as_deref().and_then(|json| serde_json::from_str(json.get()).ok());
        match tracked {
            Some(Tracked { tracked, data }) => {
                let checkpoint = data.filter(|data| data.get() != "null");
                Self { progress, checkpoint, items: tracked }
            }
            None => Self { progress, checkpoint: json, items: 0 },
        }
    }
}

/// The checkpoint of a tracked substep as JSON.
pub(crate) fn wrapped(items: u64, data: Option<&str>) -> String {
    match data {
        None => format!(r#"{{"tracked":{items}}}"#),
        Some(data) => format!(r#"{{"tracked":{items},"data":{data}}}"#),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOK: &str = "018f3c1e-7b2a-7c3d-9e4f-5a6b7c8d9e0f";

    #[test]
    fn a_tracked_checkpoint_holds_the_items_and_the_workers_own_value() {
        let left = |checkpoint: &str| {
            let json = format!(
                r#"{{"book_id": "{BOOK}", "status": "A", "stage": "A", "attempt": 2, "done": ["x"],
                     "left": [{{"substep": "s", "progress": 5, "checkpoint": {checkpoint}}}]}}"#
            );
            let point = ResumePoint::from_json(&json).unwrap();
            assert_eq!((point.attempt, point.done.contains("x")), (2, true));
            (point.left["s"].items, point.checkpoint::<serde_json::Value>("s"))
        };
        assert_eq!(left(&wrapped(7, None)), (7, None));
        assert_eq!(left(&wrapped(7, Some(r#"{"a":1}"#))), (7, Some(serde_json::json!({"a": 1}))));
        let own = serde_json::json!({"tracked": 7, "more": 1});
        assert_eq!(left(&own.to_string()), (0, Some(own)));
        assert_eq!(left("null"), (0, None));
    }
}
