//! The events of one simulated book, in order.

use std::collections::VecDeque;

use fastrand::Rng;
use uuid::Uuid;

use super::{Entry, Mix, Outcome};

/// The pipeline comic: each stage and its substeps. `CREATING_ARTWORK` takes any.
const STAGES: [(&str, &[&str]); 3] = [
    ("ANALYZING", &["extract_text", "detect_chapters", "analyze_characters"]),
    ("GENERATING_SCENES", &["split_scenes", "write_prompts"]),
    ("CREATING_ARTWORK", &["page_1", "page_2", "page_3"]),
];

/// A book at work.
pub struct Book {
    id: Uuid,
    number: u32,
    /// The stages begun; 0: not yet registered.
    begun: usize,
    queue: VecDeque<Entry>,
    over: bool,
}

fn happens(percent: f64, rng: &mut Rng) -> bool {
    rng.f64() * 100.0 < percent
}

impl Book {
    /// Not yet registered.
    pub fn new(number: u32, rng: &mut Rng) -> Self {
        let id = uuid::Builder::from_random_bytes(rng.u128(..).to_be_bytes()).into_uuid();
        Self { id, number, begun: 0, queue: VecDeque::new(), over: false }
    }

    /// The book's next event; none if there are no more.
    pub fn next(&mut self, mix: &Mix, rng: &mut Rng, outcome: &mut Outcome) -> Option<Entry> {
        if self.queue.is_empty() && !self.over {
            self.go_on(mix, rng, outcome);
        }
        self.queue.pop_front()
    }

    fn go_on(&mut self, mix: &Mix, rng: &mut Rng, outcome: &mut Outcome) {
        if self.begun == 0 {
            self.push_event("register", &[("title", format!("Simulated book {}", self.number))]);
            outcome.books += 1;
        }
        let Some(&(stage, substeps)) = STAGES.get(self.begun) else {
            self.push_event("transition", &[("to_status", "COMPLETED".to_owned())]);
            outcome.completed += 1;
            self.over = true;
            return;
        };
        self.begun += 1;
        self.push_event("transition", &[("to_status", stage.to_owned())]);
        // The worker goes silent in some stage. This share per stage gives the share per book.
        let silent = 1.0 - (1.0 - mix.silent / 100.0).powf(1.0 / 3.0);
        if happens(100.0 * silent, rng) {
            self.work(stage, substeps, 1, Some(rng.usize(..substeps.len())), mix, rng, outcome);
            outcome.silent += 1;
            self.over = true;
            return;
        }
        let mut attempt = 1;
        if happens(mix.crashes, rng) {
            self.work(
                stage,
                substeps,
                attempt,
                Some(rng.usize(..substeps.len())),
                mix,
                rng,
                outcome,
            );
            self.push_event(
                "fail",
                &[
                    ("error", r#"{"code": "simulated_crash"}"#.to_owned()),
                    ("attempt", attempt.to_string()),
                ],
            );
            self.push_event("transition", &[("to_status", stage.to_owned())]);
            outcome.crashes += 1;
            attempt += 1;
        }
        self.work(stage, substeps, attempt, None, mix, rng, outcome);
    }

    /// Adds reports of the substeps: all of them, or up to the middle of one.
    #[allow(
        clippy::too_many_arguments,
        reason = "a worker's orders, and what the load consists of"
    )]
    fn work(
        &mut self,
        stage: &str,
        substeps: &[&str],
        attempt: u32,
        until: Option<usize>,
        mix: &Mix,
        rng: &mut Rng,
        outcome: &mut Outcome,
    ) {
        for (index, substep) in substeps.iter().enumerate() {
            let last = if until == Some(index) { mix.reports / 2 } else { mix.reports };
            for done in 1..=last {
                let report = |done: u32| {
                    [
                        ("stage", stage.to_owned()),
                        ("substep", (*substep).to_owned()),
                        ("attempt", attempt.to_string()),
                        ("done", done.to_string()),
                        ("total", mix.reports.to_string()),
                    ]
                };
                self.push_event("progress", &report(done));
                if happens(mix.duplicates, rng) {
                    self.push_event("progress", &report(done));
                    outcome.duplicates += 1;
                }
                if happens(mix.out_of_order, rng) {
                    self.push_event("progress", &report(done - 1));
                    outcome.out_of_order += 1;
                }
                if happens(mix.bad, rng) {
                    self.push_rejected_event(rng);
                    outcome.bad += 1;
                }
            }
            if until == Some(index) {
                return;
            }
        }
    }

    fn push_event(&mut self, kind: &str, fields: &[(&'static str, String)]) {
        let about = [("type", kind.to_owned()), ("book_id", self.id.to_string())];
        self.queue.push_back(about.into_iter().chain(fields.iter().cloned()).collect());
    }

    /// An event that is rejected whatever the book's state.
    fn push_rejected_event(&mut self, rng: &mut Rng) {
        match rng.u8(..3) {
            0 => self.push_event("paint", &[]),
            1 => self.push_event("progress", &[("progress", "400".to_owned())]),
            _ => self.push_event("transition", &[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    #[test]
    fn the_stages_are_those_of_the_pipeline_that_ships() {
        let schema = Schema::compiled_in().unwrap();
        let (_, rest) =
            schema.file("pipelines/comic.sql").unwrap().split_once("'comic', '").unwrap();
        let definition: serde_json::Value =
            serde_json::from_str(rest.split("');").next().unwrap()).unwrap();
        let states = definition["states"].as_array().unwrap();
        let stages: Vec<_> = states.iter().filter(|state| state["weight"].is_number()).collect();
        assert_eq!(stages.len(), STAGES.len());
        for (state, (stage, substeps)) in stages.into_iter().zip(STAGES) {
            assert_eq!(state["name"], stage);
            let declared = state["substeps"].as_array().into_iter().flatten();
            let declared: Vec<_> = declared.filter_map(|one| one["substep"].as_str()).collect();
            assert!(state["open_substeps"] == true || declared == substeps, "{stage}");
        }
    }
}
