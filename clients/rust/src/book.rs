//! A book: one unit of long work.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bindery_core::event::MAX_SUBSTEPS;
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::client::Client;
use crate::error::Error;
use crate::event::{event, json_text};
use crate::id::book_uuid;
use crate::session::Session;
use crate::stage::Begin;

/// The most substeps of one event: with their names and weights they fit its limit.
const PART: usize = 500;

/// What a new book is registered with.
#[derive(Debug, Clone)]
#[must_use = "a book is registered by `register`"]
pub struct Registration {
    client: Client,
    id: String,
    fields: Map<String, Value>,
}

/// Reports about one book. Clones are the same book; any thread may use them.
#[derive(Debug, Clone)]
pub struct Book(pub(crate) Arc<BookCore>);

#[derive(Debug)]
pub(crate) struct BookCore {
    pub client: Client,
    pub book_id: Uuid,
    /// The stay in the stage that was begun last.
    pub session: Mutex<Option<Arc<Session>>>,
}

impl Registration {
    pub(crate) fn new(client: Client, id: &str) -> Self {
        Self { client, id: id.to_owned(), fields: Map::new() }
    }

    /// The book's name for people, up to 1,024 characters.
    pub fn title(self, title: &str) -> Self {
        self.with("title", title.into())
    }

    /// The pipeline that the book follows; `comic` by default.
    pub fn pipeline(self, pipeline: &str) -> Self {
        self.with("pipeline", pipeline.into())
    }

    /// The user who may read the book; by default the service alone may.
    pub fn owner(self, owner_id: Uuid) -> Self {
        self.with("owner_id", owner_id.to_string().into())
    }

    /// A JSON object of your own, up to 64 KiB.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it cannot be written as JSON.
    pub fn metadata(self, metadata: &impl Serialize) -> Result<Self, Error> {
        let metadata = json_text("metadata", metadata)?;
        Ok(self.with("metadata", metadata.into()))
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }

    /// Registers the book, which has no effect if it is registered already.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the id is empty, the pipeline's name is too long, or the metadata are no
    /// JSON object or too large.
    pub fn register(self) -> Result<Book, Error> {
        let book_id = book_uuid(&self.id)?;
        let texts = self.fields.values().filter_map(Value::as_str).map(str::len).sum();
        let event = event("register", book_id, self.fields.into())?;
        self.client.0.add(event, None, texts);
        Ok(Book::new(self.client, book_id))
    }

    /// A book that is registered elsewhere.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the id is empty.
    pub fn attach(self) -> Result<Book, Error> {
        let book_id = book_uuid(&self.id)?;
        Ok(Book::new(self.client, book_id))
    }
}

impl Book {
    fn new(client: Client, book_id: Uuid) -> Self {
        Self(Arc::new(BookCore { client, book_id, session: Mutex::new(None) }))
    }

    /// The book's uuid.
    pub fn id(&self) -> Uuid {
        self.0.book_id
    }

    /// A stage to work on, a state of the book's pipeline such as `ANALYZING`;
    /// [`Begin::run`] or [`Begin::begin`] it.
    pub fn stage(&self, name: &str) -> Begin {
        Begin::new(self.clone(), name)
    }

    /// Lets the book go to another state, such as `COMPLETED` after the last stage.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the name is empty or too long.
    pub fn transition(&self, to_status: &str) -> Result<(), Error> {
        self.transition_with(to_status, None)
    }

    /// The same with a message for people, up to 8,192 characters.
    ///
    /// # Errors
    /// As [`Book::transition`].
    pub fn transition_with(&self, to_status: &str, message: Option<&str>) -> Result<(), Error> {
        let session = self.0.session.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut attempt = None;
        if let Some(session) = session {
            let mut state = session.state();
            if !state.is_passed {
                attempt = state.attempt;
            }
            // The book leaves the stage by this worker's own will.
            state.is_open = false;
        }
        let fields = json!({"to_status": to_status, "message": message, "attempt": attempt});
        let event = event("transition", self.0.book_id, fields)?;
        self.0.client.0.add(event, None, message.map_or(0, str::len));
        Ok(())
    }

    /// Declares this book's own substeps of a stage that it is in or will come to, each with its
    /// weight (1e-9 to 1e9). Planning again changes weights, and never progress.
    ///
    /// # Errors
    /// [`Error::Invalid`]: a key is not lower snake case of up to 63 characters, a weight is out of
    /// range, a key comes twice, or there are more than 10,000; nothing is planned.
    pub fn plan<'a>(
        &self,
        stage: &str,
        substeps: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<(), Error> {
        let all: Vec<Value> = substeps
            .into_iter()
            .map(|(substep, weight)| json!({"substep": substep, "weight": weight}))
            .collect();
        if all.len() > MAX_SUBSTEPS {
            let message =
                format!("{} substeps are planned; a stage has {MAX_SUBSTEPS} at most", all.len());
            return Err(Error::invalid("too_many_substeps", message));
        }
        let mut known = HashSet::new();
        if let Some(twice) = all.iter().find(|one| !known.insert(one["substep"].to_string())) {
            let message = format!("the substep {} is planned twice", twice["substep"]);
            return Err(Error::invalid("conflicting_fields", message));
        }
        // A plan adds to those before it; each part fits an event.
        let parts: Vec<_> = all
            .chunks(PART)
            .map(|part| event("plan", self.0.book_id, json!({"stage": stage, "substeps": part})))
            .collect::<Result<_, _>>()?;
        for (part, substeps) in parts.into_iter().zip(all.chunks(PART)) {
            self.0.client.0.add(part, None, 64 * substeps.len());
        }
        Ok(())
    }

    /// Waits until everything reported so far about this book is delivered or refused; whether it
    /// was in time.
    pub async fn flush(&self, within: Duration) -> bool {
        self.0.client.0.flush(Some(self.0.book_id), within, true).await
    }

    /// [`Book::flush`] for programs without async.
    pub fn flush_blocking(&self, within: Duration) -> bool {
        self.0.client.0.flush_blocking(Some(self.0.book_id), within)
    }
}
