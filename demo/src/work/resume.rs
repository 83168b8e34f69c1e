//! The resume point: what Bindery knows of the work that earlier attempts did.

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

/// What `bindery.get_resume_point` answers. Fields that a worker does not need are left out.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ResumePoint {
    /// The book.
    pub book_id: Uuid,
    /// The stage it is in.
    pub stage: String,
    /// Which attempt at the stage begins now.
    pub attempt: u32,
    /// The finished substeps.
    #[serde(default)]
    pub done: Vec<String>,
    /// The others.
    #[serde(default)]
    pub left: Vec<Left>,
}

/// A substep that is not finished.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Left {
    /// Its name.
    pub substep: String,
    /// How far it is, in percent.
    #[serde(default)]
    pub progress: f64,
    /// Where its last report said to go on from.
    #[serde(default)]
    pub checkpoint: Option<Value>,
}

impl ResumePoint {
    /// Where a stage begins that nobody has worked in.
    pub fn fresh(book: Uuid, stage: &str) -> Self {
        Self {
            book_id: book,
            stage: stage.to_owned(),
            attempt: 1,
            done: Vec::new(),
            left: Vec::new(),
        }
    }

    /// How many of a substep's units have been reported: those before its checkpoint's `next`.
    pub fn reported(&self, substep: &str, units: usize) -> usize {
        if self.done.iter().any(|name| name == substep) {
            return units;
        }
        let left = self.left.iter().find(|left| left.substep == substep);
        let next = left
            .and_then(|left| left.checkpoint.as_ref())
            .and_then(|checkpoint| checkpoint["next"].as_u64());
        next.map_or(0, |next| {
            usize::try_from(next).unwrap_or(usize::MAX).saturating_sub(1).min(units)
        })
    }
}

/// What has to happen to one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Todo {
    /// Nothing: it is finished, and Bindery knows.
    Nothing,
    /// It is finished, but its worker was killed before it could say so.
    Report,
    /// All of it.
    Do,
}

/// What has to happen to each unit of a substep, given which units' files are there and how many were reported.
/// The files decide what is finished; the resume point only what Bindery has heard of.
pub fn plan(files: &[bool], reported: usize) -> Vec<Todo> {
    files
        .iter()
        .enumerate()
        .map(|(at, there)| match there {
            false => Todo::Do,
            true if at < reported => Todo::Nothing,
            true => Todo::Report,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{
        "book_id": "6f2c4f0e-1111-4222-8333-944445555666", "status": "CREATING_ARTWORK", "stage": "CREATING_ARTWORK",
        "attempt": 2, "revision": 41, "done": ["chapter_1"],
        "left": [
            {"substep": "chapter_2", "weight": 4, "progress": 50.0, "done": 2, "total": 4, "checkpoint": {"next": 3}},
            {"substep": "bind", "weight": 1, "progress": 0, "checkpoint": null}]}"#;

    #[test]
    fn the_answer_of_the_database_is_understood() {
        let point: ResumePoint = serde_json::from_str(ANSWER).unwrap();
        assert_eq!((point.attempt, point.stage.as_str()), (2, "CREATING_ARTWORK"));
        assert_eq!(point.reported("chapter_1", 3), 3, "finished");
        assert_eq!(point.reported("chapter_2", 4), 2, "up to its checkpoint");
        assert_eq!(point.reported("chapter_2", 1), 1, "a checkpoint beyond the end");
        assert_eq!(point.reported("bind", 1), 0, "not begun");
        assert_eq!(point.reported("chapter_9", 2), 0, "unheard of");
    }

    #[test]
    fn what_is_left_follows_from_files_and_checkpoint() {
        use Todo::{Do, Nothing, Report};
        assert_eq!(plan(&[true, true, false, false], 2), [Nothing, Nothing, Do, Do]);
        assert_eq!(
            plan(&[true, true, true, false], 2),
            [Nothing, Nothing, Report, Do],
            "killed before its report"
        );
        assert_eq!(
            plan(&[true, false, false], 2),
            [Nothing, Do, Do],
            "reported, but its file was lost"
        );
        assert_eq!(plan(&[true, true], 0), [Report, Report], "done, and the checkpoint lost");
        assert_eq!(plan(&[], 0), []);
    }
}
