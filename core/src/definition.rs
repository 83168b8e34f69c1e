//! The definition of a pipeline, and its compilation to a [`Machine`].
//!
//! [`compile`] reports every fault at once, each with its place, so that one round of corrections
//! is enough.

mod graph;
mod parse;
mod values;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::machine::Machine;

/// The fewest states a pipeline may have.
pub const MIN_STATES: usize = 2;
/// The most states a pipeline may have.
pub const MAX_STATES: usize = crate::machine::MAX_STATES;
/// The most substeps a state may declare. Planned and open ones count up to
/// [`crate::progress::MAX_SUBSTEPS`].
pub const MAX_DECLARED_SUBSTEPS: usize = 256;
/// The most characters a label may have.
pub const MAX_LABEL: usize = 200;
/// The lowest weight of a state or substep that is not 0: one unit of the sums
/// ([`crate::progress::weight_units`]).
pub const MIN_WEIGHT: f64 = 1e-9;
/// The highest weight of a state or substep.
pub const MAX_WEIGHT: f64 = 1e9;
/// The longest duration, in days.
pub const MAX_DAYS: f64 = 3650.0;

/// One fault of a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The JSON path of its place: `$.states[1].weight`.
    pub path: String,
    /// The problem and what is expected, for people.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.problem)
    }
}

/// Turns a definition into a machine.
///
/// # Errors
/// Every fault of the definition, in the order of its text; faults of the graph as a whole come
/// last.
pub fn compile(definition: &Value) -> Result<Machine, Vec<Fault>> {
    let mut faults = Faults::default();
    let pipeline = parse::pipeline(definition, &mut faults);
    let machine = graph::link(pipeline, &mut faults);
    match machine {
        Some(machine) if faults.0.is_empty() => Ok(machine),
        _ => Err(faults.0),
    }
}

/// The faults found so far.
#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, path: impl Into<String>, problem: impl Into<String>) {
        self.0.push(Fault { path: path.into(), problem: problem.into() });
    }

    /// A value that differs from the expected one.
    fn expected(&mut self, path: impl Into<String>, expected: impl fmt::Display, found: &Value) {
        self.add(path, format!("expected {expected}, found {}", describe(found)));
    }
}

/// A short text of a value.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.chars().count() > 40 => {
            format!("{} and more", quoted(&text.chars().take(40).collect::<String>()))
        }
        Value::String(text) => quoted(text),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// A text as JSON writes it, with invisible characters (further controls, directions, joiners)
/// escaped as well. The portable kernel writes the same.
fn quoted(text: &str) -> String {
    let json = Value::from(text).to_string();
    let mut quoted = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => quoted.push(other),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_escapes_invisible_characters() {
        assert_eq!(quoted("a \"b\" \\ \n ü"), r#""a \"b\" \\ \n ü""#);
        assert_eq!(quoted("\u{202e}x\u{7f}\u{feff}"), r#""\u202ex\u007f\ufeff""#);
    }
}
