//! Does a stage: every unit once, whatever became of the workers before.

use anyhow::{Context, Result};
use serde_json::json;
use uuid::Uuid;

use super::files::{BookDir, write_whole};
use super::ledger::{Entry, Key, Ledger};
use super::reporter::Reporter;
use super::resume::{ResumePoint, Todo, plan};
use super::stage::Stage;
use super::unit::{Substep, Unit};
use crate::events::{Event, Progress};

/// One stage of one book, with all that is needed to do it.
pub struct Run<'a, R> {
    /// The book.
    pub book: Uuid,
    /// The stage.
    pub stage: Stage,
    /// The book's folder.
    pub dir: &'a BookDir,
    /// Where to go on from.
    pub resume: &'a ResumePoint,
    /// Where events go.
    pub reporter: &'a mut R,
}

impl<R: Reporter> Run<'_, R> {
    /// Does what is left of the stage, and makes the transition to the next one.
    pub fn run(&mut self, substeps: &[Substep<'_>]) -> Result<()> {
        let mut ledger = Ledger::open(&self.dir.log())?;
        if self.stage == Stage::CreatingArtwork {
            // The chapters are this book's own substeps: planned first, so that its progress means something at once.
            let weights: Vec<(&str, usize)> =
                substeps.iter().map(|s| (s.name.as_str(), s.units.len())).collect();
            self.reporter.send(&Event::plan(self.book, self.stage.name(), &weights))?;
        }
        for substep in substeps {
            self.substep(substep, &mut ledger)?;
        }
        let message = format!("{} finished by attempt {}", self.stage, self.resume.attempt);
        self.reporter.send(&Event::transition(
            self.book,
            self.stage.next(),
            &message,
            self.resume.attempt,
        ))
    }

    fn substep(&mut self, substep: &Substep<'_>, ledger: &mut Ledger) -> Result<()> {
        let files: Vec<bool> = substep.units.iter().map(|unit| unit.file.exists()).collect();
        let reported = self.resume.reported(&substep.name, files.len());
        for (at, (todo, unit)) in plan(&files, reported).into_iter().zip(&substep.units).enumerate()
        {
            let number = at + 1;
            let key: Key = (self.stage.name().to_owned(), substep.name.clone(), number);
            let found = todo != Todo::Do;
            if !found {
                self.make(unit)
                    .with_context(|| format!("{} {} {number}", substep.name, substep.unit))?;
            }
            // Where the file was found, its line may still be missing: the kill fell in between.
            if !found || !ledger.knows(&key) {
                ledger.append(Entry {
                    key,
                    attempt: self.resume.attempt,
                    pid: std::process::id(),
                    found,
                })?;
            }
            if todo != Todo::Nothing {
                self.report(substep, number, &unit.message)?;
            }
        }
        Ok(())
    }

    fn make(&self, unit: &Unit<'_>) -> Result<()> {
        write_whole(&unit.file, &(unit.work)()?)
    }

    fn report(&mut self, substep: &Substep<'_>, number: usize, message: &str) -> Result<()> {
        let report = Progress {
            stage: self.stage.name(),
            substep: &substep.name,
            done: number,
            total: substep.units.len(),
            unit: substep.unit,
            message,
            checkpoint: json!({ "next": number + 1 }),
            attempt: self.resume.attempt,
        };
        self.reporter.send(&Event::progress(self.book, &report))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;
    use std::path::Path;

    use anyhow::bail;

    use super::super::ledger::{done_twice, read};
    use super::*;

    /// Two substeps of three units; unit `fail` cannot be done.
    fn substeps<'a>(
        dir: &BookDir,
        done: &'a RefCell<Vec<String>>,
        fail: Option<&'static str>,
    ) -> Vec<Substep<'a>> {
        ["chapter_1", "chapter_2"]
            .map(|name| {
                let units = (1..=3).map(|number| {
                    let file = dir.path().join(format!("{name}_{number}"));
                    Unit::new(file, format!("{name} {number}"), move || {
                        let id = format!("{name} {number}");
                        if fail == Some(id.as_str()) {
                            bail!("killed");
                        }
                        done.borrow_mut().push(id);
                        Ok(b"x".to_vec())
                    })
                });
                Substep::new(name, "panel", units.collect())
            })
            .into()
    }

    fn attempt(
        dir: &BookDir,
        point: &ResumePoint,
        substeps: &[Substep<'_>],
    ) -> (Result<()>, Vec<Event>) {
        let mut sent = Vec::new();
        let stage = Stage::CreatingArtwork;
        let run =
            Run { book: Uuid::nil(), stage, dir, resume: point, reporter: &mut sent }.run(substeps);
        (run, sent)
    }

    #[test]
    fn a_second_attempt_does_what_the_first_left_and_nothing_else() {
        let out = tempfile::tempdir().unwrap();
        let dir = BookDir::new(out.path(), Path::new("tale.txt"), Uuid::nil());
        let _lock = dir.lock().unwrap();
        let done = RefCell::new(Vec::new());
        let first = ResumePoint::fresh(Uuid::nil(), "CREATING_ARTWORK");
        let (result, sent) = attempt(&dir, &first, &substeps(&dir, &done, Some("chapter_2 2")));
        assert!(result.is_err());
        assert_eq!(sent.len(), 1 + 4, "a plan and four reports");

        // The kill also fell between a rename and its line, and two reports never arrived.
        fs::write(dir.path().join("chapter_2_2"), "x").unwrap();
        let second: ResumePoint = serde_json::from_value(json!({
            "book_id": Uuid::nil(), "stage": "CREATING_ARTWORK", "attempt": 2, "done": ["chapter_1"],
            "left": [{"substep": "chapter_2", "progress": 0, "checkpoint": null}],
        }))
        .unwrap();
        let (result, sent) = attempt(&dir, &second, &substeps(&dir, &done, None));
        result.unwrap();
        let reports: Vec<_> = sent
            .iter()
            .map(|e| (e.get("type").unwrap(), e.get("message").unwrap_or("-")))
            .collect();
        assert_eq!(
            reports,
            [
                ("plan", "-"),
                ("progress", "chapter_2 1"),
                ("progress", "chapter_2 2"),
                ("progress", "chapter_2 3"),
                ("transition", "CREATING_ARTWORK finished by attempt 2"),
            ]
        );
        let log = read(&dir.log()).unwrap();
        assert!(done_twice(&log).is_empty());
        assert_eq!(log.len(), 6);
        assert_eq!(log.iter().filter(|entry| entry.found).count(), 1);
        assert_eq!(done.into_inner().len(), 5, "one had been done without a line");
    }

    #[test]
    fn a_finished_stage_done_again_only_says_so_again() {
        let out = tempfile::tempdir().unwrap();
        let dir = BookDir::new(out.path(), Path::new("tale.txt"), Uuid::nil());
        let _lock = dir.lock().unwrap();
        let done = RefCell::new(Vec::new());
        let point = ResumePoint::fresh(Uuid::nil(), "CREATING_ARTWORK");
        attempt(&dir, &point, &substeps(&dir, &done, None)).0.unwrap();
        attempt(&dir, &point, &substeps(&dir, &done, None)).0.unwrap();
        assert_eq!(done.into_inner().len(), 6);
        assert_eq!(read(&dir.log()).unwrap().len(), 6);
    }
}
