//! BullMQ: what a queue's own stream of events says, turned into Bindery's events. Each entry becomes one event, or none.
//!
//! The stream says which job; which book that is about stands in the job's data. What follows from the two is decided here, and
//! read from Redis and Postgres in `relay::bridge`.

use std::fmt;
use std::str::FromStr;

use bindery_core::event::{Event, EventError, MAX_MESSAGE_CHARS, Rejection};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Raw, Said};

/// What BullMQ puts before all its keys unless it is told otherwise.
pub const PREFIX: &str = "bull";
/// Longer texts in a job's data name no book, substep or state.
const MAX_TEXT: usize = 256;

/// A queue, and the work that its jobs do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// What its keys begin with.
    pub prefix: String,
    /// Its name.
    pub name: String,
    /// The stage that its jobs work on.
    pub stage: String,
    /// The substep, where a job's data names none.
    pub substep: Option<String>,
}

impl Queue {
    /// The key of its events.
    pub fn stream(&self) -> String {
        format!("{}:{}:events", self.prefix, self.name)
    }

    /// The key of the jobs that are worked on.
    pub fn active(&self) -> String {
        format!("{}:{}:active", self.prefix, self.name)
    }

    /// The key of a job.
    pub fn job(&self, id: &str) -> String {
        format!("{}:{}:{id}", self.prefix, self.name)
    }

    /// The same queue with keys that begin otherwise.
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.name, self.stage)?;
        self.substep.iter().try_for_each(|substep| write!(formatter, "/{substep}"))
    }
}

impl FromStr for Queue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |name: &str, first: fn(&u8) -> bool| {
            name.len() <= 63
                && name.bytes().next().is_some_and(|byte| first(&byte))
                && name.bytes().all(|byte| first(&byte) || byte.is_ascii_digit() || byte == b'_')
        };
        let Some((name, work)) = text.trim().rsplit_once('=') else {
            return Err("must be QUEUE=STAGE or QUEUE=STAGE/substep, such as render=CREATING_ARTWORK".to_owned());
        };
        let (stage, substep) = match work.split_once('/') {
            Some((stage, substep)) => (stage, Some(substep)),
            None => (work, None),
        };
        if name.is_empty() || name.len() > 400 || name.contains(':') {
            return Err("a queue's name is not empty and has no colon".to_owned());
        } else if !is_name(stage, u8::is_ascii_uppercase) {
            return Err("a stage's name is such as CREATING_ARTWORK".to_owned());
        } else if substep.is_some_and(|substep| !is_name(substep, u8::is_ascii_lowercase)) {
            return Err("a substep's name is such as extract_text".to_owned());
        }
        Ok(Self {
            prefix: PREFIX.to_owned(),
            name: name.to_owned(),
            stage: stage.to_owned(),
            substep: substep.map(str::to_owned),
        })
    }
}

/// What a job's data says of the book.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Job {
    book_id: String,
    substep: Option<String>,
    attempt: Option<String>,
    to: Option<String>,
}

/// Why a job is about no book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// It was removed before its data was read.
    Gone,
    /// Its data is no JSON object.
    NoObject,
    /// Its data names no book.
    NoBook,
}

impl Job {
    /// Reads the field `data` of a job's hash.
    pub fn of(data: Option<&[u8]>) -> Result<Self, Unusable> {
        let data = data.ok_or(Unusable::Gone)?;
        let Ok(Value::Object(data)) = serde_json::from_slice(data) else { return Err(Unusable::NoObject) };
        let text = |name: &str| match data.get(name)? {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text.chars().take(MAX_TEXT).collect()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let book_id = text("bookId").or_else(|| text("book_id")).ok_or(Unusable::NoBook)?;
        Ok(Self { book_id, substep: text("substep"), attempt: text("attempt"), to: text("to") })
    }

    /// The book, where its id is one.
    pub fn book(&self) -> Option<Uuid> {
        self.book_id.parse().ok()
    }
}

/// Where a book stands as the queue's stage sees it: as `bindery.place_of_books` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It may come to the stage next.
    Before,
    /// It failed in the stage.
    Failed,
    /// Anything else: what is reported is judged by the database.
    Elsewhere,
}

/// An entry of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    event: String,
    /// The job it is about.
    pub job: Option<String>,
    data: String,
    reason: String,
    prev: String,
}

impl Told {
    /// Reads an entry's fields.
    pub fn of(raw: Raw) -> Self {
        let mut told = Self::default();
        for (name, value) in raw {
            let value = || String::from_utf8_lossy(&value).into_owned();
            match name.as_slice() {
                b"event" => told.event = value(),
                b"jobId" => told.job = Some(value()),
                b"data" => told.data = value(),
                b"failedReason" => told.reason = value(),
                b"prev" => told.prev = value(),
                _ => (),
            }
        }
        told
    }

    /// Whether it says something of a book.
    pub fn matters(&self) -> bool {
        matches!(self.event.as_str(), "active" | "progress" | "completed" | "failed" | "stalled") || self.is_retry()
    }

    /// Whether what it says depends on where the book stands.
    pub fn needs_place(&self) -> bool {
        self.event == "active" || self.is_retry()
    }

    /// A job that had failed for good is to be done again.
    fn is_retry(&self) -> bool {
        self.event == "waiting" && self.prev == "failed"
    }

    /// Where the book stands once this has taken effect; `None`: where it stood.
    pub fn leads_to(&self, place: Place) -> Option<Place> {
        match self.event.as_str() {
            "failed" => Some(Place::Failed),
            "active" if place == Place::Before => Some(Place::Elsewhere),
            "waiting" if place == Place::Failed => Some(Place::Elsewhere),
            _ => None,
        }
    }

    /// What it says of the book.
    pub fn says(&self, queue: &Queue, job: &Job, place: Place) -> Said {
        let mut fields = self.fields(queue);
        fields.insert("book_id".to_owned(), json!(job.book_id));
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        if let Some(attempt) = &job.attempt {
            set("attempt", json!(attempt));
        }
        let substep = job.substep.as_ref().or(queue.substep.as_ref());
        let go_to = |state: &str| [("type", json!("transition")), ("to", json!(state))];
        let progress = |percent: Value| {
            let mut report = vec![("type", json!("progress")), ("stage", json!(queue.stage)), ("progress", percent)];
            report.extend(substep.map(|substep| ("substep", json!(substep))));
            report
        };
        let says: Vec<(&str, Value)> = match self.event.as_str() {
            "active" if place == Place::Before => go_to(&queue.stage).into(),
            "active" => progress(json!(0)),
            "waiting" if place == Place::Failed => go_to(&queue.stage).into(),
            "waiting" => return None,
            "completed" => match &job.to {
                Some(to) => go_to(to).into(),
                None => progress(json!(100)),
            },
            "progress" => match serde_json::from_str(&self.data) {
                Ok(Value::Object(report)) => {
                    let numbers = ["progress", "done", "total"];
                    let has_number = numbers.into_iter().any(|name| report.contains_key(name));
                    let mut says = if has_number { progress(Value::Null) } else { self.alive(queue) };
                    let known = ["substep", "unit", "message", "checkpoint"];
                    let given = numbers.into_iter().chain(known);
                    says.extend(given.filter_map(|name| Some((name, report.get(name)?.clone()))));
                    says
                }
                Ok(other) => progress(other),
                Err(_) => progress(json!(self.data)),
            },
            "failed" => vec![
                ("type", json!("fail")),
                ("stage", json!(queue.stage)),
                ("message", json!(as_message(&self.reason))),
                ("error", self.error(queue)),
            ],
            _ => {
                let mut says = self.alive(queue);
                says.push(("message", json!("its job's worker fell silent; BullMQ has it done again")));
                says
            }
        };
        for (name, value) in says {
            set(name, value);
        }
        Some(Event::from_json(Value::Object(fields)))
    }

    /// What it says where its job is about no book.
    pub fn says_of_unusable(&self, queue: &Queue, why: Unusable) -> Said {
        let mut rejection: Rejection = Event::from_json(Value::Object(self.fields(queue))).err()?;
        let (field, expected) = match why {
            Unusable::Gone => (
                "the job's data",
                "a job that is kept until this was read: add it with removeOnComplete and removeOnFail of some minutes, {age: 3600} say",
            ),
            Unusable::NoObject => ("the job's data", "a JSON object with bookId"),
            Unusable::NoBook => ("bookId in the job's data", "the id of the book that the job is about"),
        };
        rejection.error = EventError::MissingField { field: field.into(), expected };
        Some(Err(rejection))
    }

    fn alive(&self, queue: &Queue) -> Vec<(&'static str, Value)> {
        vec![("type", json!("heartbeat")), ("stage", json!(queue.stage))]
    }

    /// A word that its job failed for good: BullMQ says nothing of the kind while it has attempts left.
    fn error(&self, queue: &Queue) -> Value {
        let code = if self.reason.starts_with("job stalled more than") { "job_stalled" } else { "job_failed" };
        json!({"code": code, "queue": queue.name, "job_id": self.job})
    }

    /// What a dead letter shows of where it comes from; no event has these fields.
    fn fields(&self, queue: &Queue) -> Map<String, Value> {
        let fields = [("queue", json!(queue.name)), ("job_id", json!(self.job)), ("bullmq_event", json!(self.event))];
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// An error's text, fit to be a message: a worker's may have colours for a terminal, or any length.
fn as_message(text: &str) -> String {
    let is_hidden = |c: char| {
        c.is_control() && !matches!(c, '\t' | '\n' | '\r')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_hidden(c) { '\u{fffd}' } else { c }).take(MAX_MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bindery_core::event::EventKind;
    use proptest::prelude::*;

    const BOOK: &str = "6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b";

    fn told(fields: &[(&str, &str)]) -> Told {
        Told::of(fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect())
    }

    fn job(data: Value) -> Job {
        Job::of(Some(data.to_string().as_bytes())).unwrap()
    }

    fn queue() -> Queue {
        "render=CREATING_ARTWORK".parse().unwrap()
    }

    /// What becomes of an entry, as the event's JSON: its kind and what it has.
    fn says(fields: &[(&str, &str)], data: Value, place: Place) -> EventKind {
        told(fields).says(&queue(), &job(data), place).unwrap().unwrap().kind
    }

    #[test]
    fn a_queue_is_given_with_its_stage_and_perhaps_a_substep() {
        let queue: Queue = "extract=ANALYZING/extract_text".parse().unwrap();
        assert_eq!((queue.stage.as_str(), queue.substep.as_deref()), ("ANALYZING", Some("extract_text")));
        assert_eq!((queue.stream(), queue.job("7")), ("bull:extract:events".to_owned(), "bull:extract:7".to_owned()));
        assert_eq!(queue.clone().with_prefix("{b}").stream(), "{b}:extract:events");
        assert_eq!(queue.to_string().parse(), Ok(queue));
        for wrong in ["render", "=A", "render=", "render=drawing", "a:b=A", "render=A/", "render=A/B"] {
            assert!(wrong.parse::<Queue>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_job_that_begins_moves_a_book_that_stands_before_the_stage_and_reports_nothing_done_to_any_other() {
        let active = [("event", "active"), ("jobId", "1"), ("prev", "waiting")];
        let EventKind::Transition(transition) = says(&active, json!({"bookId": BOOK, "attempt": 2}), Place::Before)
        else {
            panic!()
        };
        assert_eq!((transition.to.as_str(), transition.attempt), ("CREATING_ARTWORK", Some(2)));
        for place in [Place::Elsewhere, Place::Failed] {
            let EventKind::Progress(progress) = says(&active, json!({"bookId": BOOK, "substep": "page_1"}), place)
            else {
                panic!()
            };
            assert_eq!(progress.stage.as_deref(), Some("CREATING_ARTWORK"));
            assert_eq!((progress.substep.as_deref(), progress.report.progress), (Some("page_1"), 0.0));
        }
    }

    #[test]
    fn progress_is_a_number_or_an_object_and_an_object_without_a_number_is_a_sign_of_life() {
        let with = |data: &str| {
            says(&[("event", "progress"), ("jobId", "1"), ("data", data)], json!({"bookId": BOOK}), Place::Elsewhere)
        };
        let EventKind::Progress(progress) = with("42.5") else { panic!() };
        assert_eq!(progress.report.progress, 42.5);
        let EventKind::Progress(progress) = with(
            r#"{"done": 1, "total": 4, "unit": "page", "substep": "page_2", "checkpoint": {"page": 1}, "more": 1}"#,
        ) else {
            panic!()
        };
        assert_eq!((progress.report.progress, progress.substep.as_deref()), (25.0, Some("page_2")));
        let EventKind::Heartbeat(heartbeat) = with(r#"{"message": "thinking"}"#) else { panic!() };
        assert_eq!(heartbeat.message.as_deref(), Some("thinking"));
        for wrong in ["101", "true", "\"much\"", "{\"progress\": \"x\"}", "no json"] {
            let told = told(&[("event", "progress"), ("jobId", "1"), ("data", wrong)]);
            assert!(told.says(&queue(), &job(json!({"bookId": BOOK})), Place::Elsewhere).unwrap().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_job_that_is_done_completes_its_substep_or_takes_the_book_where_its_data_says() {
        let completed = [("event", "completed"), ("jobId", "1"), ("returnvalue", "null"), ("prev", "active")];
        let EventKind::Progress(progress) = says(&completed, json!({"book_id": BOOK}), Place::Elsewhere) else {
            panic!()
        };
        assert_eq!(progress.report.progress, 100.0);
        let EventKind::Transition(transition) =
            says(&completed, json!({"bookId": BOOK, "to": "COMPLETED"}), Place::Elsewhere)
        else {
            panic!()
        };
        assert_eq!(transition.to, "COMPLETED");
    }

    #[test]
    fn a_job_that_failed_for_good_fails_the_book_and_one_retried_by_hand_resumes_it() {
        let failed = [("event", "failed"), ("jobId", "9"), ("failedReason", "\u{1b}[31mno memory"), ("prev", "active")];
        let EventKind::Fail(fail) = says(&failed, json!({"bookId": BOOK}), Place::Elsewhere) else { panic!() };
        assert_eq!(fail.message.as_deref(), Some("\u{fffd}[31mno memory"));
        assert_eq!(fail.error, Some(json!({"code": "job_failed", "queue": "render", "job_id": "9"})));
        let retry = told(&[("event", "waiting"), ("jobId", "9"), ("prev", "failed")]);
        assert!(retry.matters() && retry.needs_place());
        assert!(retry.says(&queue(), &job(json!({"bookId": BOOK})), Place::Elsewhere).is_none(), "somebody resumed it");
        let resumed = retry.says(&queue(), &job(json!({"bookId": BOOK})), Place::Failed).unwrap().unwrap();
        assert!(matches!(resumed.kind, EventKind::Transition(to) if to.to == "CREATING_ARTWORK"));
    }

    #[test]
    fn a_job_about_no_book_is_a_dead_letter_that_says_what_to_do() {
        let active = told(&[("event", "active"), ("jobId", "7")]);
        for (data, part) in
            [(None, "removeOnComplete"), (Some("[]"), "bookId"), (Some("{\"a\": 1}"), "bookId in the job's data")]
        {
            let why = Job::of(data.map(str::as_bytes)).unwrap_err();
            let Some(Err(dead)) = active.says_of_unusable(&queue(), why) else { panic!() };
            assert!(dead.to_string().contains(part), "{dead}");
            assert_eq!((dead.error.code(), &dead.payload["job_id"]), ("missing_field", &json!("7")));
        }
    }

    proptest! {
        #[test]
        fn nothing_that_a_job_may_say_makes_it_panic(event in "active|progress|completed|failed|stalled|waiting|[a-z]{0,8}", prev in "failed|active|", data in ".{0,60}", reason in ".{0,60}", book in ".{0,40}") {
            let told = told(&[("event", &event), ("jobId", "1"), ("data", &data), ("failedReason", &reason), ("prev", &prev)]);
            let job = Job::of(Some(json!({"bookId": book, "substep": data, "attempt": reason}).to_string().as_bytes()));
            for place in [Place::Before, Place::Failed, Place::Elsewhere] {
                match &job {
                    Ok(job) => { told.says(&queue(), job, place); }
                    Err(why) => prop_assert!(told.says_of_unusable(&queue(), *why).is_some_and(|said| said.is_err())),
                }
            }
        }
    }
}
