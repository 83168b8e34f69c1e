//! One item of a batch: an event, several merged into one, or a rejection.

use serde::Serialize;
use serde::ser::Serializer;
use serde_json::Value;
use uuid::Uuid;

use crate::event::{
    Begin, Event, EventKind, Fail, Heartbeat, Plan, Progress, Register, Rejection, Transition,
};
use crate::json::Json;
use crate::machine::ALL;
use crate::stream_id::StreamId;

/// One item of a [`super::Batch`].
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    first_id: StreamId,
    last_id: StreamId,
    count: u64,
    segment: u32,
    /// About how many bytes its texts hold.
    texts: usize,
    /// About how many bytes its JSON holds. Counting those of a rejection takes a walk, so it is
    /// done once.
    json: usize,
    content: Result<Event, Box<Rejection>>,
}

impl Item {
    pub(super) fn event(id: StreamId, segment: u32, event: Event) -> Self {
        Self::new(id, segment, Ok(event))
    }

    pub(super) fn rejected(id: StreamId, rejection: Rejection) -> Self {
        Self::new(id, 0, Err(Box::new(rejection)))
    }

    fn new(id: StreamId, segment: u32, content: Result<Event, Box<Rejection>>) -> Self {
        let mut item =
            Self { first_id: id, last_id: id, count: 1, segment, texts: 0, json: 0, content };
        item.weigh();
        item.weigh_json();
        item
    }

    /// The id of the first event that is in it.
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The id of the last event that is in it.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// How many events are in it.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The segment it is applied in; see [`super`].
    pub fn segment(&self) -> u32 {
        self.segment
    }

    /// The event, merged of all that are in it, or why there is none.
    pub fn content(&self) -> Result<&Event, &Rejection> {
        match &self.content {
            Ok(event) => Ok(event),
            Err(rejection) => Err(rejection),
        }
    }

    /// The book and the report of a progress item.
    pub(super) fn progress(&self) -> Option<(Uuid, &Progress)> {
        match &self.content {
            Ok(Event { book_id, kind: EventKind::Progress(progress), .. }) => {
                Some((*book_id, progress))
            }
            _ => None,
        }
    }

    /// The book and the report of a progress item.
    pub(super) fn into_progress(self) -> Option<(Uuid, Progress)> {
        match self.content {
            Ok(Event { book_id, kind: EventKind::Progress(progress), .. }) => {
                Some((book_id, progress))
            }
            _ => None,
        }
    }

    /// About how many bytes this holds beside itself.
    pub(super) fn bytes(&self) -> usize {
        self.texts + self.json
    }

    /// Whether the event may merge into this; the hash of what is asked for here is
    /// [`super::Batch`]'s.
    pub(super) fn merges_with(&self, event: &Event, segment: u32) -> bool {
        let Ok(own) = &self.content else { return false };
        own.book_id == event.book_id
            && self.segment == segment
            && match (&own.kind, &event.kind) {
                (EventKind::Progress(own), EventKind::Progress(new)) => {
                    own.attempt == new.attempt
                        && own.stage == new.stage
                        && substep(own) == substep(new)
                }
                (EventKind::Heartbeat(own), EventKind::Heartbeat(new)) => {
                    own.attempt == new.attempt && own.stage == new.stage
                }
                _ => false,
            }
    }

    /// Takes a later event in, one that [`Item::merges_with`] this.
    pub(super) fn merge(&mut self, id: StreamId, event: Event) {
        self.last_id = id;
        self.count += 1;
        let Ok(own) = &mut self.content else { return };
        if event.at.is_some() {
            own.at = event.at;
        }
        let mut new_json = false;
        match (&mut own.kind, event.kind) {
            (EventKind::Progress(own), EventKind::Progress(new)) => {
                new_json = new.report.checkpoint.is_some();
                own.report.merge(new.report);
            }
            (EventKind::Heartbeat(own), EventKind::Heartbeat(new)) => {
                own.message = new.message.or(own.message.take());
            }
            _ => {}
        }
        self.weigh();
        if new_json {
            self.weigh_json();
        }
    }

    fn weigh(&mut self) {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::capacity);
        self.texts = match &self.content {
            Err(rejection) => size_of_val::<Rejection>(rejection),
            Ok(event) => {
                text(&event.at)
                    + match &event.kind {
                        EventKind::Progress(Progress { stage, substep, report, .. }) => {
                            text(stage) + text(substep) + text(&report.unit) + text(&report.message)
                        }
                        EventKind::Transition(Transition { to_status, message, .. }) => {
                            to_status.capacity() + text(message)
                        }
                        EventKind::Begin(Begin { to_status, worker, pipeline, title, .. }) => {
                            to_status.capacity() + text(worker) + text(pipeline) + text(title)
                        }
                        EventKind::Fail(Fail { message, stage, .. }) => text(message) + text(stage),
                        EventKind::Heartbeat(Heartbeat { stage, message, .. }) => {
                            text(stage) + text(message)
                        }
                        EventKind::Plan(Plan { stage, substeps }) => {
                            let keys: usize =
                                substeps.iter().map(|planned| planned.substep.capacity()).sum();
                            stage.capacity() + size_of_val(substeps.as_slice()) + keys
                        }
                        EventKind::Register(Register { pipeline, title, .. }) => {
                            text(pipeline) + text(title)
                        }
                    }
            }
        };
    }

    fn weigh_json(&mut self) {
        let bytes = |json: &Option<Json>| json.as_ref().map_or(0, |json| json.as_str().len());
        self.json = match &self.content {
            Err(rejection) => json_bytes(&rejection.payload),
            Ok(event) => match &event.kind {
                EventKind::Progress(progress) => bytes(&progress.report.checkpoint),
                EventKind::Fail(fail) => bytes(&fail.error),
                EventKind::Begin(begin) => bytes(&begin.metadata),
                EventKind::Register(register) => bytes(&register.metadata),
                EventKind::Transition(_) | EventKind::Heartbeat(_) | EventKind::Plan(_) => 0,
            },
        };
    }
}

fn substep(progress: &Progress) -> &str {
    progress.substep.as_deref().unwrap_or(ALL)
}

/// About how many bytes a JSON value holds beside itself.
fn json_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.capacity(),
        Value::Array(values) => {
            values.iter().map(|value| size_of::<Value>() + json_bytes(value)).sum()
        }
        Value::Object(object) => {
            let entry = size_of::<(String, Value)>();
            object.iter().map(|(key, value)| entry + key.capacity() + json_bytes(value)).sum()
        }
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.content {
            Err(rejection) => {
                self.line("rejected", None, Rejected::of(rejection)).serialize(serializer)
            }
            Ok(Event { book_id, at, kind }) => {
                let about = Some(About { book_id: *book_id, at: at.as_deref() });
                let name = kind.name();
                match kind {
                    EventKind::Progress(progress) => {
                        let about = Some(About { book_id: *book_id, at: None });
                        let line = Line {
                            first_id: Some(self.first_id),
                            ..self.line(name, about, progress)
                        };
                        line.serialize(serializer)
                    }
                    EventKind::Transition(transition) => {
                        self.line(name, about, transition).serialize(serializer)
                    }
                    EventKind::Begin(begin) => self.line(name, about, begin).serialize(serializer),
                    EventKind::Fail(fail) => self.line(name, about, fail).serialize(serializer),
                    EventKind::Heartbeat(heartbeat) => {
                        self.line(name, about, heartbeat).serialize(serializer)
                    }
                    EventKind::Plan(plan) => self.line(name, about, plan).serialize(serializer),
                    EventKind::Register(register) => {
                        self.line(name, about, register).serialize(serializer)
                    }
                }
            }
        }
    }
}

/// An item as JSON has it.
#[derive(Serialize)]
struct Line<'a, T> {
    r#type: &'static str,
    id: StreamId,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_id: Option<StreamId>,
    count: u64,
    segment: u32,
    #[serde(flatten)]
    about: Option<About<'a>>,
    #[serde(flatten)]
    content: T,
}

/// What an event is about.
#[derive(Serialize)]
struct About<'a> {
    book_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<&'a str>,
}

/// A rejection as JSON has it.
#[derive(Serialize)]
struct Rejected<'a> {
    reason: &'static str,
    message: String,
    payload: &'a Value,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

impl<'a> Rejected<'a> {
    fn of(rejection: &'a Rejection) -> Self {
        let Rejection { error, payload, truncated } = rejection;
        Self { reason: error.code(), message: error.to_string(), payload, truncated: *truncated }
    }
}

impl Item {
    fn line<'a, T>(
        &self,
        r#type: &'static str,
        about: Option<About<'a>>,
        content: T,
    ) -> Line<'a, T> {
        Line {
            r#type,
            id: self.last_id,
            first_id: None,
            count: self.count,
            segment: self.segment,
            about,
            content,
        }
    }
}
