//! BullMQ: converts entries of a queue's event stream into Bindery's events. Each entry becomes one
//! event or none.
//!
//! An entry names a job, and the job's data names the book. The conversion does not depend on the
//! book's state: the outcome of `begin` is decided when it is applied. `relay::bridge` reads the
//! jobs' data.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use bindery_core::event::{Event, EventError, Rejection};
use bindery_core::json::Node;

use uuid::Uuid;

use super::{Decoded, Raw};

/// The default prefix of BullMQ's keys.
pub const PREFIX: &str = "bull";
/// The keys of the waiting jobs, each with the command that lists them.
pub const WAITING: [(&str, &str); 5] = [
    ("LRANGE", "wait"),
    ("LRANGE", "paused"),
    ("ZRANGE", "delayed"),
    ("ZRANGE", "prioritized"),
    ("ZRANGE", "waiting-children"),
];

/// A queue and the work of its jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The prefix of its keys.
    pub prefix: String,
    /// Its name.
    pub name: String,
    /// The stage that its jobs work on.
    pub stage: String,
    /// The substep of jobs whose data names none.
    pub substep: Option<String>,
}

impl Queue {
    /// The key of its events.
    pub fn stream(&self) -> String {
        format!("{}:{}:events", self.prefix, self.name)
    }

    /// The key of a job, or of a list of jobs.
    pub fn key(&self, of: &str) -> String {
        format!("{}:{}:{of}", self.prefix, self.name)
    }

    /// The same queue with another prefix.
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
            return Err(
                "must be QUEUE=STAGE or QUEUE=STAGE/substep, such as render=CREATING_ARTWORK"
                    .to_owned(),
            );
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

/// The fields about the book in a job's data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Job {
    /// The book's id.
    pub book_id: String,
    /// The substep that the job does.
    pub substep: Option<String>,
    /// The attempt of the book that the job belongs to.
    pub attempt: Option<String>,
    /// The target of a transition when the job is done.
    pub to_status: Option<String>,
}

/// Why a job has no book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// It was removed before its data was read.
    Gone,
    /// Its data is not a JSON object.
    NoObject,
    /// Its data names no book.
    NoBook,
}

impl Job {
    /// The book and the attempt of a job, if it has a valid book.
    pub fn book(&self) -> Option<(Uuid, Option<i32>)> {
        let attempt = self.attempt.as_deref().and_then(|attempt| attempt.parse().ok());
        Some((Uuid::parse_str(&self.book_id).ok()?, attempt))
    }
}

/// An entry of a queue's stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueEntry {
    event: String,
    /// The job's id.
    pub job: Option<String>,
    data: String,
    reason: String,
    prev: String,
}

/// Fields of an event.
type EventFields<'a> = Vec<(Cow<'a, str>, Node<'a>)>;

fn field<'a>(name: &'a str, value: impl Into<Node<'a>>) -> (Cow<'a, str>, Node<'a>) {
    (name.into(), value.into())
}

impl QueueEntry {
    /// Reads an entry's fields.
    pub fn of(raw: Raw) -> Self {
        let mut entry = Self::default();
        for (name, value) in raw {
            let value = || String::from_utf8_lossy(&value).into_owned();
            match name.as_slice() {
                b"event" => entry.event = value(),
                b"jobId" => entry.job = Some(value()),
                b"data" => entry.data = value(),
                b"failedReason" => entry.reason = value(),
                b"prev" => entry.prev = value(),
                _ => (),
            }
        }
        entry
    }

    /// Whether the entry becomes an event.
    pub fn is_relevant(&self) -> bool {
        matches!(self.event.as_str(), "active" | "progress" | "completed" | "failed" | "stalled")
            || self.is_retry()
    }

    /// Whether a job was added, which is a new job even if its id was used before.
    pub fn is_added(&self) -> bool {
        self.event == "added"
    }

    /// Whether an operator queued a finally failed job again.
    fn is_retry(&self) -> bool {
        self.event == "waiting" && self.prev == "failed"
    }

    /// The event of the entry.
    pub fn event(&self, queue: &Queue, job: &Job) -> Decoded {
        if !self.is_relevant() {
            return None;
        }
        let mut fields = match self.event.as_str() {
            // Only an operator's retry resumes a FAILED book; other jobs of it can become active.
            "active" | "waiting" => vec![
                field("type", "begin"),
                field("to_status", queue.stage.as_str()),
                ("resume".into(), Node::Bool(self.is_retry())),
            ],
            "completed" => match &job.to_status {
                Some(to_status) => {
                    vec![field("type", "transition"), field("to_status", to_status.as_str())]
                }
                None => self.report(queue, job, Node::Number("100".into())),
            },
            "progress" => match Node::read(&self.data) {
                Ok(Node::Object(given)) => self.report_of(queue, job, given),
                Ok(percent) => self.report(queue, job, percent),
                Err(_) => self.report(queue, job, self.data.as_str().into()),
            },
            "failed" => vec![
                field("type", "fail"),
                field("stage", queue.stage.as_str()),
                field("message", self.reason.as_str()),
                ("error".into(), self.error(queue)),
            ],
            _ => vec![
                field("type", "heartbeat"),
                field("stage", queue.stage.as_str()),
                field(
                    "message",
                    "the job's worker stopped responding; BullMQ queued the job again",
                ),
            ],
        };
        fields.push(field("book_id", job.book_id.as_str()));
        fields.extend(job.attempt.iter().map(|attempt| field("attempt", attempt.as_str())));
        fields.extend(self.origin(queue));
        Some(Event::from_fields(fields))
    }

    /// The rejection of an entry whose job has no book.
    pub fn rejection(&self, queue: &Queue, why: Unusable) -> Decoded {
        let mut rejection: Rejection = Event::from_fields(self.origin(queue)).err()?;
        let (field, expected) = match why {
            Unusable::Gone => (
                "the job's data",
                "a job that is kept until this was read: add it with removeOnComplete and removeOnFail of some minutes, such as {age: 3600}",
            ),
            Unusable::NoObject => ("the job's data", "a JSON object with bookId"),
            Unusable::NoBook => {
                ("bookId in the job's data", "the id of the book that the job is about")
            }
        };
        rejection.error = EventError::MissingField { field: field.into(), expected };
        Some(Err(rejection))
    }

    /// A report of this percentage, for the job's substep.
    fn report<'a>(&'a self, queue: &'a Queue, job: &'a Job, percent: Node<'a>) -> EventFields<'a> {
        let mut fields = vec![
            field("type", "progress"),
            field("stage", queue.stage.as_str()),
            ("progress".into(), percent),
        ];
        let substep = job.substep.as_ref().or(queue.substep.as_ref());
        fields.extend(substep.map(|substep| field("substep", substep.as_str())));
        fields
    }

    /// A report of these fields, as `job.updateProgress` was called with them; a heartbeat where
    /// none is a number.
    fn report_of<'a>(
        &'a self,
        queue: &'a Queue,
        job: &'a Job,
        given: EventFields<'a>,
    ) -> EventFields<'a> {
        const NUMBERS: [&str; 3] = ["progress", "done", "total"];
        const OTHERS: [&str; 4] = ["substep", "unit", "message", "checkpoint"];
        let has_number = given.iter().any(|(name, _)| NUMBERS.contains(&name.as_ref()));
        let mut fields = if has_number {
            self.report(queue, job, Node::Null)
        } else {
            vec![field("type", "heartbeat"), field("stage", queue.stage.as_str())]
        };
        let known = |name: &str| NUMBERS.contains(&name) || OTHERS.contains(&name);
        // Given fields replace the job's own.
        fields.retain(|(name, _)| !given.iter().any(|(other, _)| known(other) && name == other));
        fields.extend(given.into_iter().filter(|(name, _)| known(name)));
        fields
    }

    /// Why the job failed. BullMQ writes `failed` only once the job has no attempt left.
    fn error<'a>(&'a self, queue: &'a Queue) -> Node<'a> {
        let code = if self.reason.starts_with("job stalled more than") {
            "job_stalled"
        } else {
            "job_failed"
        };
        let job = self.job.as_deref().unwrap_or_default();
        Node::Object(vec![
            field("code", code),
            field("queue", queue.name.as_str()),
            field("job_id", job),
        ])
    }

    /// The fields that a dead letter shows of the entry; events do not have them.
    fn origin<'a>(&'a self, queue: &'a Queue) -> EventFields<'a> {
        vec![
            field("queue", queue.name.as_str()),
            field("job_id", self.job.as_deref().unwrap_or_default()),
            field("bullmq_event", self.event.as_str()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::job_data::JobReader;
    use bindery_core::event::EventKind;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const BOOK: &str = "6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b";

    fn entry(fields: &[(&str, &str)]) -> QueueEntry {
        QueueEntry::of(
            fields
                .iter()
                .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
                .collect(),
        )
    }

    fn read(data: &str) -> Result<Job, Unusable> {
        let mut reader = JobReader::default();
        reader.push(data.as_bytes());
        reader.finish()
    }

    fn job(data: Value) -> Job {
        read(&data.to_string()).unwrap()
    }

    fn queue() -> Queue {
        "render=CREATING_ARTWORK".parse().unwrap()
    }

    fn kind(fields: &[(&str, &str)], data: Value) -> EventKind {
        entry(fields).event(&queue(), &job(data)).unwrap().unwrap().kind
    }

    #[test]
    fn a_queue_is_given_with_its_stage_and_perhaps_a_substep() {
        let queue: Queue = "extract=ANALYZING/extract_text".parse().unwrap();
        assert_eq!(
            (queue.stage.as_str(), queue.substep.as_deref()),
            ("ANALYZING", Some("extract_text"))
        );
        assert_eq!(
            (queue.stream(), queue.key("7")),
            ("bull:extract:events".to_owned(), "bull:extract:7".to_owned())
        );
        assert_eq!(queue.clone().with_prefix("{b}").stream(), "{b}:extract:events");
        assert_eq!(queue.to_string().parse(), Ok(queue));
        for wrong in
            ["render", "=A", "render=", "render=drawing", "a:b=A", "render=A/", "render=A/B"]
        {
            assert!(wrong.parse::<Queue>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_job_that_becomes_active_or_is_retried_by_hand_begins_the_stage() {
        let active = [("event", "active"), ("jobId", "1"), ("prev", "waiting")];
        let retried = [("event", "waiting"), ("jobId", "1"), ("prev", "failed")];
        for (entry, resumes) in [(active, false), (retried, true)] {
            let data = json!({"bookId": BOOK, "attempt": 2});
            let EventKind::Begin(begin) = kind(&entry, data) else { panic!() };
            assert_eq!((begin.to_status.as_str(), begin.attempt), ("CREATING_ARTWORK", Some(2)));
            assert_eq!(begin.resume, Some(resumes));
        }
        let waiting = entry(&[("event", "waiting"), ("jobId", "1"), ("prev", "delayed")]);
        assert!(waiting.event(&queue(), &job(json!({"bookId": BOOK}))).is_none());
    }

    #[test]
    fn progress_is_a_number_or_an_object_and_an_object_without_a_number_is_a_heartbeat() {
        let with = |data: &str| {
            kind(
                &[("event", "progress"), ("jobId", "1"), ("data", data)],
                json!({"bookId": BOOK, "substep": "page_1"}),
            )
        };
        let EventKind::Progress(progress) = with("42.5") else { panic!() };
        assert_eq!((progress.report.progress, progress.substep.as_deref()), (42.5, Some("page_1")));
        assert_eq!(progress.stage.as_deref(), Some("CREATING_ARTWORK"));
        let EventKind::Progress(progress) = with(
            r#"{"done": 1, "total": 4, "unit": "page", "substep": "page_2", "checkpoint": {"at": 12345678901234567.89}, "more": 1}"#,
        ) else {
            panic!()
        };
        assert_eq!((progress.report.progress, progress.substep.as_deref()), (25.0, Some("page_2")));
        assert_eq!(progress.report.checkpoint.unwrap().as_str(), r#"{"at":12345678901234567.89}"#);
        let EventKind::Heartbeat(heartbeat) = with(r#"{"message": "thinking"}"#) else { panic!() };
        assert_eq!(heartbeat.message.as_deref(), Some("thinking"));
        for wrong in ["101", "true", "\"much\"", "{\"progress\": \"x\"}", "no json"] {
            let entry = entry(&[("event", "progress"), ("jobId", "1"), ("data", wrong)]);
            assert!(
                entry.event(&queue(), &job(json!({"bookId": BOOK}))).unwrap().is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_completed_job_completes_its_substep_or_makes_the_transition_that_its_data_names() {
        let completed =
            [("event", "completed"), ("jobId", "1"), ("returnvalue", "null"), ("prev", "active")];
        let EventKind::Progress(progress) = kind(&completed, json!({"book_id": BOOK})) else {
            panic!()
        };
        assert_eq!(
            (progress.report.progress, progress.stage.as_deref()),
            (100.0, Some("CREATING_ARTWORK"))
        );
        for name in ["to", "to_status"] {
            let EventKind::Transition(transition) =
                kind(&completed, json!({"bookId": BOOK, name: "COMPLETED"}))
            else {
                panic!()
            };
            assert_eq!(transition.to_status, "COMPLETED");
        }
    }

    #[test]
    fn a_job_that_failed_permanently_fails_the_book() {
        let failed = [
            ("event", "failed"),
            ("jobId", "9"),
            ("failedReason", "\u{1b}[31mno memory"),
            ("prev", "active"),
        ];
        let EventKind::Fail(fail) = kind(&failed, json!({"bookId": BOOK})) else { panic!() };
        assert_eq!(
            (fail.message.as_deref(), fail.stage.as_deref()),
            (Some("no memory"), Some("CREATING_ARTWORK"))
        );
        assert_eq!(
            fail.error.unwrap().to_value(),
            json!({"code": "job_failed", "queue": "render", "job_id": "9"})
        );
    }

    #[test]
    fn a_job_about_no_book_is_a_dead_letter_with_the_next_step() {
        let active = entry(&[("event", "active"), ("jobId", "7")]);
        for (data, part) in [
            (None, "removeOnComplete"),
            (Some("[]"), "bookId"),
            (Some("{\"a\": 1}"), "bookId in the job's data"),
        ] {
            let why = data.map_or(Unusable::Gone, |data| read(data).unwrap_err());
            let Some(Err(rejection)) = active.rejection(&queue(), why) else { panic!() };
            assert!(rejection.to_string().contains(part), "{rejection}");
            assert_eq!(
                (rejection.error.code(), &rejection.payload["job_id"]),
                ("missing_field", &json!("7"))
            );
        }
    }

    proptest! {
        #[test]
        fn no_entry_and_no_job_makes_it_panic(event in "active|progress|completed|failed|stalled|waiting|[a-z]{0,8}", prev in "failed|active|", data in ".{0,60}", reason in ".{0,60}", book in ".{0,40}") {
            let entry = entry(&[("event", &event), ("jobId", "1"), ("data", &data), ("failedReason", &reason), ("prev", &prev)]);
            let job = read(&json!({"bookId": book, "substep": data, "attempt": reason}).to_string());
            match &job {
                Ok(job) => { entry.event(&queue(), job); }
                Err(why) => prop_assert!(entry.rejection(&queue(), *why).is_some_and(|decoded| decoded.is_err())),
            }
        }
    }
}
