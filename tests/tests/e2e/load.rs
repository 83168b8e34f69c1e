//! Generated events of many books at once, as services would send them, and some that they should
//! not send. The same seed generates the same events.

use std::collections::VecDeque;

use fastrand::Rng;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Entry, entry};

/// Books at work at the same time.
const AT_ONCE: usize = 24;

/// An endless stream of events until [`Load::finish`].
pub struct Load {
    rng: Rng,
    scripts: Vec<VecDeque<Entry>>,
    finishing: bool,
}

/// A seed, printed so that a failure can be repeated: `BINDERY_TEST_SEED` sets it.
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

    /// Begins no new books; the remaining events end those that were begun.
    pub fn finish(&mut self) {
        self.finishing = true;
    }

    /// The next event, of any of the books; the events of each book are in order.
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
        if self.one_in(6) {
            self.event(&[
                ("type", "begin"),
                ("to_status", "ANALYZING"),
                ("pipeline", "comic"),
                ("title", "A Made-up Book"),
            ]);
        } else {
            self.event(&[("type", "register"), ("title", "A Made-up Book")]);
        }
        if self.one_in(12) {
            // Too early: the stage before it is still to come.
            self.to("GENERATING_SCENES");
        }
        self.to("ANALYZING");
        self.stage("ANALYZING", &["extract_text", "detect_chapters", "analyze_characters"]);
        if self.one_in(6) {
            self.attempt = 1;
            self.early_report("GENERATING_SCENES", "split_scenes");
        }
        match self.rng.u32(..10) {
            0 => return self.to("CANCELLED"),
            1 => return,
            _ => self.to("GENERATING_SCENES"),
        }
        self.stage("GENERATING_SCENES", &["split_scenes", "write_prompts"]);
        let chapters = self.rng.u32(1..4);
        if self.rng.bool() {
            // A second plan: a substep that it gives no weight keeps its weight.
            let first = r#"[{"name": "chapter_1", "weight": 2}, {"name": "cover", "weight": 0.5}]"#;
            self.event(&[("type", "plan"), ("stage", "CREATING_ARTWORK"), ("substeps", first)]);
        }
        let names: Vec<String> =
            (1..=chapters).map(|chapter| format!("chapter_{chapter}")).collect();
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        let plan: Vec<Value> = names.iter().map(|name| self.planned(name)).collect();
        let plan = Value::Array(plan).to_string();
        self.event(&[("type", "plan"), ("stage", "CREATING_ARTWORK"), ("substeps", &plan)]);
        if self.one_in(6) {
            self.attempt = 1;
            self.early_report("CREATING_ARTWORK", "back_cover");
        }
        self.to("CREATING_ARTWORK");
        if self.rng.bool() {
            // Not planned: a new row of an open stage.
            names.push("extra_page");
        }
        self.stage("CREATING_ARTWORK", &names);
        self.to("COMPLETED");
        self.nonsense();
        if self.one_in(6)
            && let Some(first) = self.events.pop_front()
        {
            // The registration is late, so earlier events of the book wait.
            let place = self.rng.usize(1..=self.events.len().min(12));
            self.events.insert(place, first);
        }
    }

    fn one_in(&mut self, cases: u32) -> bool {
        self.rng.u32(..cases) == 0
    }

    fn planned(&mut self, name: &str) -> Value {
        match self.rng.u32(..3) {
            0 => json!({"substep": name}),
            1 => json!({"substep": name, "weight": self.rng.u32(1..5)}),
            // No sum of such weights is exact in floating point.
            _ => json!({"substep": name, "weight": f64::from(self.rng.u32(1..1_000)) / 7.0}),
        }
    }

    /// A report of a stage that the book has not reached.
    fn early_report(&mut self, stage: &str, substep: &str) {
        let percent = self.rng.u32(..=100).to_string();
        self.event(&[
            ("type", "progress"),
            ("stage", stage),
            ("substep", substep),
            ("progress", &percent),
            ("message", "early"),
        ]);
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
                    // No later report changes this substep, so the end shows what the resume has
                    // kept.
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
            // A service that repeats a report or reports an earlier state changes nothing.
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
        let (done, total, percent) =
            (done.to_string(), total.to_string(), (100 * done / total).to_string());
        if self.rng.u32(..5) == 0 {
            fields.push(("progress", &percent));
        } else {
            fields.extend([("done", done.as_str()), ("total", &total)]);
        }
        self.event(&fields);
    }

    /// Events without effect: stale, illegal or invalid. Some of them wait, and sometimes events
    /// without a stage wait behind them.
    fn nonsense(&mut self) {
        let choices: [&[(&str, &str)]; 18] = [
            &[("type", "heartbeat")],
            &[("type", "heartbeat"), ("stage", "UPLOADED"), ("message", "still there")],
            &[("type", "heartbeat"), ("stage", "CREATING_ARTWORK")],
            &[("type", "heartbeat"), ("attempt", "1")],
            &[("type", "heartbeat"), ("attempt", "77")],
            &[("type", "fail"), ("stage", "UPLOADED"), ("message", "too late")],
            &[("type", "fail"), ("stage", "PRINTING")],
            &[("type", "plan"), ("stage", "UPLOADED"), ("substeps", r#"[{"name": "wait"}]"#)],
            &[("type", "plan"), ("stage", "PRINTING"), ("substeps", r#"[{"name": "wait"}]"#)],
            &[("type", "plan"), ("stage", "CREATING_ARTWORK"), ("substeps", "{")],
            &[("type", "register"), ("title", "A Made-up Book")],
            &[("type", "progress"), ("stage", "UPLOADED"), ("progress", "50")],
            &[("type", "transition"), ("to", "UPLOADED")],
            &[("type", "transition"), ("to", "PRINTED")],
            &[("type", "begin"), ("to_status", "COMPLETED")],
            &[("type", "begin"), ("to_status", "UPLOADED")],
            &[("type", "progress"), ("substep", "extract_text"), ("progress", "NaN")],
            &[("type", "sneeze")],
        ];
        let early: [&[(&str, &str)]; 4] = [
            &[("type", "fail"), ("attempt", "50")],
            &[("type", "progress"), ("attempt", "99"), ("progress", "1")],
            &[("type", "begin"), ("to_status", "GENERATING_SCENES"), ("attempt", "9")],
            &[("type", "transition"), ("to_status", "COMPLETED"), ("attempt", "1")],
        ];
        let chosen = if self.one_in(40) {
            early[self.rng.usize(..early.len())]
        } else {
            choices[self.rng.usize(..choices.len())]
        };
        self.event(chosen);
    }

    fn to(&mut self, status: &str) {
        let is_stage = !matches!(status, "COMPLETED" | "CANCELLED");
        match self.rng.u32(..6) {
            0 => self.event(&[("type", "transition"), ("to", status)]),
            1 if is_stage => self.event(&[("type", "begin"), ("to_status", status)]),
            2 if is_stage => {
                self.event(&[("type", "begin"), ("to_status", status), ("worker", "made-up")]);
            }
            _ => self.event(&[("type", "transition"), ("to_status", status)]),
        }
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
