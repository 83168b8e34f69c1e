//! Events as flat fields, ready for `XADD`.

use serde_json::Value;
use uuid::Uuid;

/// One event: its fields in order, as `redis-cli XADD bindery:events '*' …` would take them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event(Vec<(&'static str, String)>);

/// One unit's report.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress<'a> {
    /// The stage it belongs to.
    pub stage: &'a str,
    /// The substep.
    pub substep: &'a str,
    /// Units done.
    pub done: usize,
    /// Units there are.
    pub total: usize,
    /// What a unit is: `page`, `panel`.
    pub unit: &'a str,
    /// What was done, for people.
    pub message: &'a str,
    /// Where to go on from.
    pub checkpoint: Value,
    /// Which attempt at the stage reports.
    pub attempt: u32,
}

impl Event {
    fn new(kind: &str, book: Uuid) -> Self {
        Self(vec![("type", kind.to_owned()), ("book_id", book.to_string())])
    }

    fn with(mut self, field: &'static str, value: impl ToString) -> Self {
        self.0.push((field, value.to_string()));
        self
    }

    /// There is a new book.
    pub fn register(book: Uuid, title: &str, metadata: &Value) -> Self {
        Self::new("register", book)
            .with("pipeline", "comic")
            .with("title", title)
            .with("metadata", metadata)
    }

    /// The book goes on to another state.
    pub fn transition(book: Uuid, to: &str, message: &str, attempt: u32) -> Self {
        Self::new("transition", book)
            .with("to_status", to)
            .with("message", message)
            .with("attempt", attempt)
    }

    /// Substeps of this book's own: name and weight.
    pub fn plan(book: Uuid, stage: &str, substeps: &[(&str, usize)]) -> Self {
        let substeps: Vec<Value> = substeps
            .iter()
            .map(|(name, weight)| serde_json::json!({ "substep": name, "weight": weight }))
            .collect();
        Self::new("plan", book).with("stage", stage).with("substeps", Value::Array(substeps))
    }

    /// A unit is done.
    pub fn progress(book: Uuid, report: &Progress<'_>) -> Self {
        Self::new("progress", book)
            .with("stage", report.stage)
            .with("substep", report.substep)
            .with("done", report.done)
            .with("total", report.total)
            .with("unit", report.unit)
            .with("message", report.message)
            .with("checkpoint", &report.checkpoint)
            .with("attempt", report.attempt)
    }

    /// The book's stage failed.
    pub fn fail(book: Uuid, stage: &str, error: &Value, message: &str, attempt: u32) -> Self {
        let event = Self::new("fail", book).with("stage", stage).with("error", error);
        event.with("message", message).with("attempt", attempt)
    }

    /// The value of a field.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| *name == field).map(|(_, value)| value.as_str())
    }

    /// The command that sends it.
    pub fn xadd(&self, stream: &str) -> redis::Cmd {
        let mut command = redis::cmd("XADD");
        command.arg(stream).arg("*");
        for (field, value) in &self.0 {
            command.arg(*field).arg(value);
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_the_fields_of_the_contract() {
        let report = Progress {
            stage: "ANALYZING",
            substep: "extract_text",
            done: 3,
            total: 8,
            unit: "page",
            message: "page 3",
            checkpoint: serde_json::json!({ "next": 4 }),
            attempt: 2,
        };
        let event = Event::progress(Uuid::nil(), &report);
        let fields: Vec<_> = event.0.iter().map(|(name, _)| *name).collect();
        let expected = "type book_id stage substep done total unit message checkpoint attempt";
        assert_eq!(fields, expected.split(' ').collect::<Vec<_>>());
        assert_eq!(event.get("checkpoint"), Some(r#"{"next":4}"#));
    }
}
