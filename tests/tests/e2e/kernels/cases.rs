//! The questions for both kernels: definitions, valid and broken, and calls on machines, generated
//! at random.

use anyhow::Result;
use fastrand::Rng;
use serde_json::{Map, Value, json};

/// Numbers that Rust's JSON cannot hold are inserted as text: the text between these marks becomes
/// a number.
pub const RAW: &str = "@raw@";

pub const NUMBERS: [&str; 30] = [
    "0",
    "1",
    "2",
    "3.5",
    "20",
    "33.333333333333336",
    "66.66666666666667",
    "99.99",
    "99.995",
    "99.99999999999999",
    "100",
    "100.00000000000001",
    "-0",
    "-0.0",
    "-5",
    "0.30000000000000004",
    "1e-7",
    "1.50",
    "1e-320",
    "1e-400",
    "-1e-400",
    "2147483648",
    "1000000000",
    "9007199254740993",
    "9007199254740995.5",
    "18446744073709551616",
    "123456789012345678901",
    "1.25e20",
    "1e300",
    "1.7976931348623157e308",
];

pub const TEXTS: [&str; 26] = [
    "",
    "a",
    "A",
    "S0",
    "S1",
    "S2",
    "extract",
    "FAILED",
    "CANCELLED",
    "lower_case",
    "UPPER",
    "two words",
    "a\"b\\c\n\t\u{1}",
    "\u{202e}turned\u{7f}\u{feff}",
    "ünïcödé € 😀",
    "2 minutes",
    "0 seconds",
    "3650 days",
    "3651 days",
    "1.5 hours",
    "1 fortnight",
    "0000000000000000000001 second",
    "1. second",
    ".5 seconds",
    "1.2.3 days",
    "substeps_complete",
];

/// Generates random cases.
pub struct Maker(pub Rng);

impl Maker {
    fn chance(&mut self, percent: u8) -> bool {
        self.0.u8(0..100) < percent
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.0.usize(0..of.len())]
    }

    fn number(&mut self) -> Value {
        if self.chance(2) {
            return json!(format!("{RAW}1e400{RAW}"));
        }
        match self.chance(30) {
            true => json!(self.0.f64() * 100.0),
            false => json!(format!("{RAW}{}{RAW}", self.one(&NUMBERS))),
        }
    }

    fn weight(&mut self) -> Value {
        json!(format!(
            "{RAW}{}{RAW}",
            self.one(&[
                "0",
                "1",
                "2",
                "0.1",
                "33.3",
                "20",
                "1e-9",
                "0.30000000000000004",
                "1000000000"
            ])
        ))
    }

    fn text(&mut self) -> String {
        match self.0.u8(0..20) {
            0 => "A".repeat(self.0.usize(60..70)),
            1 => "é".repeat(self.0.usize(38..203)),
            2 => format!(
                "{} {}",
                self.0.f64() * 1e6,
                self.one(&["second", "seconds", "minutes", "hours", "days", "weeks"])
            ),
            _ => self.one(&TEXTS).to_owned(),
        }
    }

    fn anything(&mut self) -> Value {
        match self.0.u8(0..12) {
            0 => Value::Null,
            1 => json!(self.0.bool()),
            2..5 => self.number(),
            5..9 => json!(self.text()),
            9 => json!([self.text()]),
            10 => json!({"name": self.text(), "substep": self.text(), "to": self.text()}),
            _ => {
                let depth =
                    if self.chance(5) { self.0.usize(115..135) } else { self.0.usize(0..3) };
                (0..depth).fold(json!([]), |inner, _| json!([inner]))
            }
        }
    }

    /// A definition, mostly without a fault.
    pub fn definition(&mut self) -> Value {
        let count = if self.chance(3) { self.0.usize(60..=64) } else { self.0.usize(2..9) };
        let states: Vec<Value> = (0..count).map(|index| self.state(index, count)).collect();
        let mut states = states;
        // The states are written in another order than they are passed through.
        if self.chance(15) {
            for (index, state) in states.iter_mut().enumerate().take(count - 1) {
                if state["next"].is_null() {
                    state["next"] = json!([format!("S{}", index + 1)]);
                }
            }
            self.0.shuffle(&mut states[1..count - 1]);
        }
        let mut definition = json!({"states": states});
        if self.chance(40) {
            definition["auto_advance"] = json!(self.0.bool());
        }
        definition
    }

    fn state(&mut self, index: usize, count: usize) -> Value {
        let mut state = json!({"name": format!("S{index}")});
        if self.chance(15) {
            state["label"] = json!(format!("State {}", self.text()));
        }
        if index + 1 == count {
            return state;
        }
        if index == 0 || self.chance(70) {
            state["weight"] = if index == 0 { json!(1) } else { self.weight() };
        }
        if self.chance(40) {
            let mut next = vec![self.edge(index + 1)];
            for to in index + 2..count.min(index + 5) {
                if self.chance(30) {
                    next.push(self.edge(to));
                }
            }
            state["next"] = json!(next);
        }
        if index > 0 && self.chance(20) {
            state["rework"] = json!([format!("S{}", self.0.usize(0..index))]);
        }
        if self.chance(50) {
            let substeps = (0..self.0.usize(1..5)).map(|at| {
                let key = if at == 0 { "extract".to_owned() } else { format!("part_{at}") };
                let mut substep = json!({"substep": key});
                if at > 0 && self.chance(50) {
                    substep["weight"] = self.weight();
                }
                if self.chance(10) {
                    substep["label"] = json!("Its own label");
                }
                substep
            });
            state["substeps"] = substeps.collect();
        }
        for (key, value) in [
            ("open_substeps", json!(true)),
            ("max_attempts", json!(3)),
            ("stall_after", json!("2 minutes")),
            ("retry_after", json!("0.1 seconds")),
        ] {
            if self.chance(20) {
                state[key] = value;
            }
        }
        state
    }

    fn edge(&mut self, to: usize) -> Value {
        let to = format!("S{to}");
        match self.0.u8(0..5) {
            0 => json!({"to": to}),
            1..3 => {
                let guards = ["substeps_complete", "attempts_left", "shop.has_cover", "_own"];
                json!({"to": to, "guard": self.one(&guards)})
            }
            _ => json!(to),
        }
    }

    /// Puts another value in a random place.
    pub fn mutate(&mut self, value: &mut Value) {
        let here = self.chance(15);
        match value {
            Value::Array(items) if !here && !items.is_empty() => {
                let at = self.0.usize(0..items.len());
                match self.0.u8(0..10) {
                    0 => drop(items.remove(at)),
                    1 => items.push(items[at].clone()),
                    2 => {
                        let other = self.0.usize(0..items.len());
                        items.swap(at, other);
                    }
                    _ => self.mutate(&mut items[at]),
                }
            }
            Value::Object(keys) if !here && !keys.is_empty() => {
                let key = keys.keys().nth(self.0.usize(0..keys.len())).cloned().unwrap_or_default();
                match self.0.u8(0..10) {
                    0 => drop(keys.remove(&key)),
                    1 => {
                        let known = [
                            "weight",
                            "next",
                            "rework",
                            "substeps",
                            "max_attempts",
                            "stall_after",
                            "guard",
                            "label",
                            "substep",
                        ];
                        let key =
                            if self.chance(60) { self.one(&known).to_owned() } else { self.text() };
                        let value = if self.chance(30) {
                            json!([{"to": "S1"}, "S0"])
                        } else {
                            self.anything()
                        };
                        keys.insert(key, value);
                    }
                    _ => self.mutate(&mut keys[&key]),
                }
            }
            other => *other = self.anything(),
        }
    }

    fn state_name(&mut self, machine: &Value) -> Value {
        let states = machine["states"].as_array().map_or(0, Vec::len);
        match self.0.u8(0..12) {
            0 => json!("FAILED"),
            1 => json!("CANCELLED"),
            2 => json!(self.text()),
            3 => Value::Null,
            _ => machine["states"][self.0.usize(0..states.max(1))]["name"].clone(),
        }
    }

    /// A state that the one of this name leads to, if there is one.
    fn next_of(&mut self, machine: &Value, name: &Value) -> Value {
        let state =
            machine["states"].as_array().into_iter().flatten().find(|state| state["name"] == *name);
        let next = state.and_then(|state| state["next"].as_array()).filter(|next| !next.is_empty());
        match next {
            Some(next) => next[self.0.usize(0..next.len())]["to"].clone(),
            None => self.state_name(machine),
        }
    }

    fn facts(&mut self) -> Value {
        if self.chance(5) {
            return match self.0.u8(0..4) {
                0 => Value::Null,
                // An array of the facts in the order of core's struct: it is not an object, so
                // there are no facts.
                1 => json!([true, true, {}, true]),
                2 => json!([{"substeps_complete": true}]),
                _ => self.anything(),
            };
        }
        let mut facts = Map::new();
        for key in ["substeps_complete", "attempts_left"] {
            if self.chance(70) {
                facts.insert(
                    key.to_owned(),
                    if self.chance(4) { self.anything() } else { json!(self.0.bool()) },
                );
            }
        }
        if self.chance(50) {
            facts.insert(
                "rewind".to_owned(),
                if self.chance(4) { self.anything() } else { json!(self.chance(80)) },
            );
        }
        if self.chance(60) {
            let guards = json!({"shop.has_cover": self.0.bool(),
                "_own": if self.chance(5) { Value::Null } else { json!(true) }});
            facts.insert("guards".to_owned(), guards);
        }
        Value::Object(facts)
    }

    /// A double, mostly of the size that `usual` returns; sometimes null.
    fn double(&mut self, usual: impl FnOnce(&mut Rng) -> f64) -> Value {
        const EDGES: [&str; 18] = [
            "NaN",
            "Infinity",
            "-Infinity",
            "0",
            "-0",
            "1",
            "0.9999999999999999",
            "-1",
            "99.995",
            "100",
            "100.00000001",
            "1e-7",
            "5e-324",
            "2.2250738585072014e-308",
            "1e-100",
            "9.99e-101",
            "1e300",
            "1.7976931348623157e308",
        ];
        match self.0.u8(0..100) {
            0 => Value::Null,
            1..40 => json!(self.one(&EDGES)),
            40..50 => json!(10_f64.powf(self.0.f64() * 600.0 - 300.0)),
            _ => json!(usual(&mut self.0)),
        }
    }

    /// The sums of a stage and its place in the whole.
    fn sums(&mut self) -> Value {
        let substeps = if self.chance(10) { self.0.i32(..) } else { self.0.i32(-1..12) };
        let done = if self.chance(10) { self.0.i32(..) } else { self.0.i32(0..12) };
        let weight = (self.0.f64() * 1e3).round() * 1e9;
        let points = |rng: &mut Rng| (rng.f64() * weight * 1e8).round();
        json!({
            "call": "percentages",
            "substeps": if self.chance(1) { Value::Null } else { json!(substeps) },
            "done": if self.chance(1) { Value::Null } else { json!(done) },
            "points": self.double(points), "weight": self.double(|_| weight),
            "base": self.double(|rng| (rng.f64() * 1e4).round() / 100.0),
            "share": self.double(|rng| rng.f64() * 100.0),
        })
    }

    /// Breaks one of a machine's invariants, or leaves it valid.
    fn bend(&mut self, machine: &mut Value) {
        let states = machine.get_mut("states").and_then(Value::as_array_mut);
        let Some(states) =
            states.filter(|states| states.len() > 1 && states.iter().all(Value::is_object))
        else {
            return;
        };
        let (one, other) = (self.0.usize(0..states.len()), self.0.usize(0..states.len()));
        let name = states[other]["name"].clone();
        match self.0.u8(0..12) {
            0 => states[one]["name"] = name,
            1 => states[one]["name"] = json!(self.one(&["FAILED", "CANCELLED"])),
            // Ahead, back in a circle, or to itself.
            2..4 => states[one]["next"] = json!([{"to": name, "guard": null}]),
            4 => states[one]["rework"] = json!([name, "S0"]),
            5 => self.0.shuffle(states),
            6 => {
                let last = states.len() - 1;
                self.0.shuffle(&mut states[..last]);
            }
            7 => {
                let keys = ["weight", "start", "stall_after", "retry_after", "max_attempts"];
                let number =
                    if self.chance(20) { json!(format!("{RAW}3.0{RAW}")) } else { self.number() };
                states[one][self.one(&keys)] =
                    if self.chance(10) { json!([number]) } else { number };
            }
            8 => machine["total_weight"] = self.number(),
            // Arrays in the order of core's structs, where objects are expected.
            9 => states[one]["next"] = json!([[name, null]]),
            10 => {
                states[one]["substeps"] = json!([["extract", "Extract", 1]]);
            }
            _ => {
                let wrapped = json!([machine.take()]);
                let fields = json!([
                    wrapped[0]["states"],
                    wrapped[0]["total_weight"],
                    wrapped[0]["auto_advance"]
                ]);
                *machine = if self.chance(50) { wrapped } else { fields };
            }
        }
    }

    pub fn call(&mut self, machines: &[Value]) -> Value {
        let mut machine = machines[self.0.usize(0..machines.len())].clone();
        if self.chance(15) {
            for _ in 0..self.0.u8(1..3) {
                if self.chance(70) { self.bend(&mut machine) } else { self.mutate(&mut machine) }
            }
        }
        let machine = &machine;
        let (status, stage) = (self.state_name(machine), self.state_name(machine));
        // Mostly as books are: in the stage of their status.
        let stage = if self.chance(40) { status.clone() } else { stage };
        match self.0.u8(0..10) {
            0..5 => {
                let target = if self.chance(50) {
                    self.next_of(machine, &status)
                } else {
                    self.state_name(machine)
                };
                let call = self.one(&["transition", "transition_verdict", "begin_verdict"]);
                json!({"call": call, "machine": machine, "status": status, "stage": stage,
                    "target": target, "facts": self.facts()})
            }
            5 => {
                json!({"call": self.one(&["next", "rewind"]), "machine": machine, "status": status,
                    "stage": stage})
            }
            6..8 => json!({"call": "report", "machine": machine, "status": status, "stage": stage,
                "attempt": if self.chance(2) { Value::Null } else { json!(self.0.i32(1..4)) },
                "report_stage": if self.chance(30) {
                    self.next_of(machine, &stage)
                } else {
                    self.state_name(machine)
                },
                "substep": self.one(&["extract", "part_1", "all", "zz"]),
                "last_attempt": if self.chance(60) {
                    Value::Null
                } else {
                    json!(self.one(&[&0, &1, &2, &3, &i32::MAX]))
                },
                "report_attempt": if self.chance(50) {
                    Value::Null
                } else {
                    json!(self.0.i32(1..5))
                },
                "planned": if self.chance(2) { Value::Null } else { json!(self.chance(20)) }}),
            8 if self.chance(20) => {
                let name = if self.chance(5) { Value::Null } else { json!(self.text()) };
                json!({"call": "label", "name": name})
            }
            8 => self.sums(),
            _ => json!({"call": "stages", "machine": machine, "status": status, "stage": stage,
                "stage_progress": self.double(|rng| (rng.f64() * 1e4).round() / 100.0)}),
        }
    }
}

/// Definitions that random generation would rarely find.
pub fn rare_definitions() -> Vec<Value> {
    let substeps = |count: usize| {
        (0..count).map(|at| json!({"substep": format!("s{at}")})).collect::<Vec<_>>()
    };
    let states = |count: usize| {
        (0..count).map(|at| json!({"name": format!("S{at}"), "weight": 1.5})).collect::<Vec<_>>()
    };
    let weightless = json!([{"substep": "a", "weight": 0}]);
    vec![
        json!({"states": [{"name": "S0", "weight": 1, "substeps": substeps(300)}, {"name": "S1"}]}),
        json!({"states": [{"name": "S0", "weight": 1, "substeps": substeps(256)}, {"name": "S1"}]}),
        json!({"states": [{"name": "S0", "weight": 1, "substeps": weightless}, {"name": "S1"}]}),
        json!({"states": [{"name": "S0"}, {"name": "S1"}]}),
        json!({"states": states(65)}),
        json!({"states": states(64)}),
        json!({"states": [{"name": "S0", "weight": 1, "next": ["S1", "S2"]},
            {"name": "S1", "next": []}, {"name": "S2"}]}),
        json!({"states": [{"name": "S0", "weight": 1, "next": ["S3"]},
            {"name": "S1", "next": ["S2"]}, {"name": "S2", "next": ["S1", "S2"]},
            {"name": "S3"}]}),
        json!({"states": [{"name": "S0", "weight": 1},
            {"name": "S1", "rework": ["S0", "S0"]}, {"name": "S2"}]}),
        json!({"states": [{"name": "S0", "weight": 1,
            "next": [{"to": "S1", "guard": "no guard"}]}, {"name": "S1"}]}),
        json!({"states": [{"name": "S0", "weight": 1},
            {"name": "S1", "rework": ["S2", "S1"]}, {"name": "S2"}]}),
    ]
}

/// The cases as one JSON text, with the numbers that only a text can hold.
pub fn written(cases: &[Value]) -> Result<String> {
    let text = serde_json::to_string(cases)?;
    Ok(text.replace(&format!("\"{RAW}"), "").replace(&format!("{RAW}\""), ""))
}
