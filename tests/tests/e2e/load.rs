//! Made-up events of many books at once, as services would send them, and some that none should. The same seed makes the same.

use std::collections::VecDeque;

use fastrand::Rng;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Entry, entry};

/// Books that are being made at the same time.
const AT_ONCE: usize = 24;

/// An endless stream of events until [`Load::finish`].
pub struct Load {
    rng: Rng,
    scripts: Vec<VecDeque<Entry>>,
    finishing: bool,
}

/// A seed, printed so that a failure can be had again: `BINDERY_TEST_SEED` sets it.
pub fn seed(test: &str) -> u64 {
    let given = std::env::var("BINDERY_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("{test}: BINDERY_TEST_SEED={seed}");
    seed
}

impl Load {
    pub fn new(seed: u64) -> Load {
        let mut rng = Rng::with_seed(seed);
        let scripts = (0..AT_ONCE).map(|_| script(&mut rng)).collect();
        Load { rng, scripts, finishing: false }
    }

    /// Begins no new books; the events that remain end those that were begun.
    pub fn finish(&mut self) {
        self.finishing = true;
    }

    /// The next event, of any of the books; each book's own are in their order.
    pub fn next(&mut self) -> Option<Entry> {
        while !self.scripts.is_empty() {
            let index = self.rng.usize(..self.scripts.len());
            if let Some(event) = self.scripts[index].pop_front() {
                return Some(event);
            }
            if self.finishing {
                self.scripts.swap_remove(index);
            } else {
                self.scripts[index] = script(&mut self.rng);
            }
        }
        None
    }
}

/// All events of one book.
struct Script<'a> {
    rng: &'a mut Rng,
    book: String,
    attempt: u32,
    events: VecDeque<Entry>,
}

fn script(rng: &mut Rng) -> VecDeque<Entry> {
    let book = Uuid::from_u128(rng.u128(..)).to_string();
    let mut script = Script { rng, book, attempt: 1, events: VecDeque::new() };
    script.write();
    script.events
}

impl Script<'_> {
    fn write(&mut self) {
        self.event(&[("type", "register"), ("title", "A Made-up Book")]);
        self.to("ANALYZING");
        self.stage("ANALYZING", &["extract_text", "detect_chapters", "analyze_characters"]);
        match self.rng.u32(..10) {
            0 => return self.to("CANCELLED"),
            1 => return,
            _ => self.to("GENERATING_SCENES"),
        }
        self.stage("GENERATING_SCENES", &["split_scenes", "write_prompts"]);
        let chapters = self.rng.u32(1..4);
        if self.rng.bool() {
            // A plan that is made anew: what it does not weigh keeps its weight.
            let early = r#"[{"name": "chapter_1", "weight": 2}, {"name": "cover", "weight": 0.5}]"#;
            self.event(&[("type", "plan"), ("stage", "CREATING_ARTWORK"), ("substeps", early)]);
        }
        let names: Vec<String> = (1..=chapters).map(|chapter| format!("chapter_{chapter}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let plan: Vec<Value> = names.iter().map(|name| self.planned(name)).collect();
        let plan = Value::Array(plan).to_string();
        self.event(&[("type", "plan"), ("stage", "CREATING_ARTWORK"), ("substeps", &plan)]);
        self.to("CREATING_ARTWORK");
        self.stage("CREATING_ARTWORK", &names);
        self.to("COMPLETED");
        self.nonsense();
    }

    fn planned(&mut self, name: &str) -> Value {
        if self.rng.bool() { json!({"name": name}) } else { json!({"name": name, "weight": self.rng.u32(1..5)}) }
    }

    /// Works through a stage, which may fail in the middle and be resumed.
    fn stage(&mut self, stage: &str, substeps: &[&str]) {
        self.attempt = 1;
        let fails_in = self.rng.usize(..substeps.len() * 3);
        for (index, substep) in substeps.iter().enumerate() {
            let total = self.rng.u32(2..12);
            if index == fails_in {
                let reached = self.rng.u32(1..=total);
                self.reports(stage, substep, 1, reached, total);
                self.event(&[
                    ("type", "fail"),
                    ("error", r#"{"code": "out_of_memory"}"#),
                    ("message", "no memory left"),
                ]);
                self.nonsense();
                self.to(stage);
                self.attempt += 1;
                if self.rng.bool() {
                    // Nobody comes back to it, so that what the resume has kept of it can be seen in the end.
                    continue;
                }
            }
            let reached = if self.rng.u32(..4) == 0 { self.rng.u32(1..=total) } else { total };
            self.reports(stage, substep, 1, reached, total);
            if self.rng.u32(..4) == 0 {
                self.nonsense();
            }
        }
    }

    fn reports(&mut self, stage: &str, substep: &str, from: u32, to: u32, total: u32) {
        for number in from..=to {
            // A service that repeats itself, or looks back, changes nothing.
            let done = if self.rng.u32(..6) == 0 { self.rng.u32(..=number) } else { number };
            self.report(stage, substep, done, total);
        }
        self.report(stage, substep, to, total);
        if self.rng.bool() {
            let earlier = self.rng.u32(..=to);
            self.report(stage, substep, earlier, total);
        }
    }

    fn report(&mut self, stage: &str, substep: &str, done: u32, total: u32) {
        let (attempt, checkpoint) = (self.attempt.to_string(), json!({"next": done}).to_string());
        let message = format!("unit {done} of {total}");
        let mut fields = vec![("type", "progress"), ("substep", substep)];
        if self.rng.bool() {
            fields.push(("stage", stage));
        }
        if self.rng.bool() {
            fields.push(("attempt", &attempt));
        }
        if self.rng.u32(..3) == 0 {
            fields.push(("message", &message));
        }
        if self.rng.u32(..8) == 0 {
            fields.push(("checkpoint", &checkpoint));
        }
        if self.rng.bool() {
            fields.push(("unit", "page"));
        }
        let (done, total, percent) = (done.to_string(), total.to_string(), (100 * done / total).to_string());
        if self.rng.u32(..5) == 0 {
            fields.push(("progress", &percent));
        } else {
            fields.extend([("done", done.as_str()), ("total", &total)]);
        }
        self.event(&fields);
    }

    /// What changes nothing: out of date, forbidden, or no event at all.
    fn nonsense(&mut self) {
        let late = [("type", "progress"), ("stage", "UPLOADED"), ("progress", "50")];
        let choices: [&[(&str, &str)]; 18] = [
            &[("type", "heartbeat")],
            &[("type", "heartbeat"), ("stage", "UPLOADED"), ("message", "still there")],
            &[("type", "heartbeat"), ("stage", "CREATING_ARTWORK")],
            &[("type", "heartbeat"), ("attempt", "1")],
            &[("type", "heartbeat"), ("attempt", "77")],
            &[("type", "fail"), ("stage", "UPLOADED"), ("message", "too late")],
            &[("type", "fail"), ("stage", "PRINTING")],
            &[("type", "fail"), ("attempt", "50")],
            &[("type", "plan"), ("stage", "UPLOADED"), ("substeps", r#"[{"name": "wait"}]"#)],
            &[("type", "plan"), ("stage", "PRINTING"), ("substeps", r#"[{"name": "wait"}]"#)],
            &[("type", "register"), ("title", "A Made-up Book")],
            &late,
            &[("type", "transition"), ("to", "UPLOADED")],
            &[("type", "transition"), ("to", "PRINTED")],
            &[("type", "progress"), ("substep", "extract_text"), ("progress", "NaN")],
            &[("type", "progress"), ("attempt", "99"), ("progress", "1")],
            &[("type", "sneeze")],
            &[("type", "fail"), ("error", "{")],
        ];
        let chosen = choices[self.rng.usize(..choices.len())];
        self.event(chosen);
    }

    fn to(&mut self, status: &str) {
        self.event(&[("type", "transition"), ("to", status)]);
    }

    /// As flat fields, or as one field `data`.
    fn event(&mut self, fields: &[(&str, &str)]) {
        let fields = fields.iter().copied().chain([("book_id", self.book.as_str())]);
        let event = if self.rng.u32(..4) == 0 {
            let object: serde_json::Map<String, Value> =
                fields.map(|(name, value)| (name.into(), value.into())).collect();
            entry([("data", Value::Object(object).to_string().as_str())])
        } else {
            entry(fields)
        };
        self.events.push_back(event);
    }
}
