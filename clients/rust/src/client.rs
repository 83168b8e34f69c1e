//! A client: the settings, and the connection that its books share.

use std::env;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use bindery_core::event::Event;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::book::Registration;
use crate::error::Error;
use crate::sender::{Pace, Sender, Shared, Status};
use crate::session::Session;
use crate::transport::{Calls, Transport};

/// Longer than any answer of a server may take.
const THREAD_ENDS_WITHIN: Duration = Duration::from_secs(6);

/// Reports to one server. Clones share the connection; when the last one, and the last book of it,
/// is dropped, what waits is delivered for up to [`Builder::flush_timeout`].
///
/// Without a URL nothing is reported, and the work runs as it would without this crate.
#[derive(Debug, Clone)]
pub struct Client(pub(crate) Arc<Core>);

#[derive(Debug)]
pub(crate) struct Core {
    /// `None`: nothing is reported.
    pub shared: Option<Arc<Shared>>,
    /// Whether the attempt and the resume point of a stage can be known.
    pub answers: bool,
    pub worker: String,
    pub begin_timeout: Option<Duration>,
    flush_timeout: Duration,
    thread: Option<JoinHandle<()>>,
}

/// The options of a [`Client`]. What is not set comes from the environment, or has its default.
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    url: Option<String>,
    status_url: Option<String>,
    stream: Option<String>,
    key: Option<String>,
    worker: Option<String>,
    begin_timeout: Option<Duration>,
    flush_timeout: Duration,
    pace: Pace,
}

impl Client {
    /// A client with the settings of the environment: `BINDERY_URL`, and where they are needed
    /// `BINDERY_STATUS_URL`, `BINDERY_STREAM` and `BINDERY_KEY`.
    ///
    /// # Errors
    /// [`Error::Setup`]: a URL cannot be read, or no thread can be started.
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// A client that reports to this URL; see [`Builder::url`].
    ///
    /// # Errors
    /// [`Error::Setup`]: the URL cannot be read, or no thread can be started.
    pub fn new(url: &str) -> Result<Self, Error> {
        Self::builder().url(url).build()
    }

    /// The options of a client.
    pub fn builder() -> Builder {
        Builder {
            url: None,
            status_url: None,
            stream: None,
            key: None,
            worker: None,
            begin_timeout: None,
            flush_timeout: Duration::from_secs(5),
            pace: Pace {
                interval: Duration::from_millis(250),
                heartbeat: Duration::from_secs(10),
                max_events: 100_000,
                max_bytes: 64 * 1024 * 1024,
            },
        }
    }

    /// A book to report about; [`Registration::register`] it, or [`Registration::attach`] to one
    /// that is registered elsewhere. The id is a uuid, or any text of your own, which becomes a
    /// stable uuid ([`crate::book_uuid`]).
    pub fn book(&self, id: impl AsRef<str>) -> Registration {
        Registration::new(self.clone(), id.as_ref())
    }

    /// Waits until everything reported so far is delivered or refused; whether it was in time.
    pub async fn flush(&self, within: Duration) -> bool {
        self.0.flush(None, within, true).await
    }

    /// How many events were dropped because more than [`Builder::max_events`] or
    /// [`Builder::max_bytes`] waited.
    pub fn dropped(&self) -> u64 {
        self.0.shared.as_ref().map_or(0, |shared| shared.dropped())
    }
}

impl Builder {
    /// Where to report: `redis://`, `rediss://` (also with `+sentinel` or `+cluster`),
    /// `postgresql://`, or `https://` of `binderyd` or PostgREST (the server is asked which, unless
    /// the path ends in `/rest/v1`). By default the environment's `BINDERY_URL`.
    pub fn url(mut self, url: &str) -> Self {
        self.url = Some(url.to_owned());
        self
    }

    /// With a Redis URL: where to read attempts and resume points, `postgresql://` or `https://` of
    /// PostgREST. By default `BINDERY_STATUS_URL`.
    pub fn status_url(mut self, url: &str) -> Self {
        self.status_url = Some(url.to_owned());
        self
    }

    /// The stream in Redis. By default `BINDERY_STREAM`, or `bindery:events`.
    pub fn stream(mut self, stream: &str) -> Self {
        self.stream = Some(stream.to_owned());
        self
    }

    /// The service key of PostgREST, or a token for the HTTP API. By default `BINDERY_KEY`.
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// This worker's name in the books' history, up to 255 characters. By default the host's name
    /// and the process's id.
    pub fn worker(mut self, worker: &str) -> Self {
        self.worker = Some(worker.to_owned());
        self
    }

    /// The least time between two reports of a substep. By default 250 ms.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.pace.interval = interval;
        self
    }

    /// The silence after which an open stage sends a heartbeat; keep it well below the pipeline's
    /// `stall_after`. By default 10 s.
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.pace.heartbeat = heartbeat;
        self
    }

    /// How many events wait, at most, while the server cannot be reached. By default 100,000.
    pub fn max_events(mut self, events: usize) -> Self {
        self.pace.max_events = events;
        self
    }

    /// How many bytes they may take, about. By default 64 MiB.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.pace.max_bytes = bytes;
        self
    }

    /// How long the beginning of a stage waits for the attempt and the resume point, server or not.
    /// By default up to 5 s, and not at all while the server does not answer.
    pub fn begin_timeout(mut self, within: Duration) -> Self {
        self.begin_timeout = Some(within);
        self
    }

    /// How long the end of the client waits for delivery. By default 5 s.
    pub fn flush_timeout(mut self, within: Duration) -> Self {
        self.flush_timeout = within;
        self
    }

    /// Makes the client, and starts its thread.
    ///
    /// # Errors
    /// [`Error::Setup`]: a URL cannot be read, or no thread can be started.
    pub fn build(self) -> Result<Client, Error> {
        let or_env = |given: Option<String>, name| {
            given.or_else(|| env::var(name).ok()).filter(|value| !value.is_empty())
        };
        let worker = self.worker.unwrap_or_else(|| {
            let host = env::var("HOSTNAME").ok().filter(|host| !host.is_empty());
            let host = host.or_else(|| {
                let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
                Some(host.trim().to_owned())
            });
            format!("{}-{}", host.as_deref().unwrap_or("worker"), std::process::id())
        });
        let mut core = Core {
            shared: None,
            answers: false,
            worker,
            begin_timeout: self.begin_timeout,
            flush_timeout: self.flush_timeout,
            thread: None,
        };
        let Some(url) = or_env(self.url, "BINDERY_URL") else {
            tracing::info!("BINDERY_URL is not set: nothing is reported to Bindery");
            return Ok(Client(Arc::new(core)));
        };
        let stream =
            or_env(self.stream, "BINDERY_STREAM").unwrap_or_else(|| "bindery:events".to_owned());
        let key = or_env(self.key, "BINDERY_KEY");
        let transport = Transport::to(&url, &stream, key.as_deref())?;
        let status = match or_env(self.status_url, "BINDERY_STATUS_URL") {
            Some(url) if !transport.answers() => {
                Some(Status { calls: Calls::to(&url, key.as_deref())?, stream })
            }
            _ => None,
        };
        core.answers = transport.answers() || status.is_some();
        let shared = Arc::new(Shared::new(self.pace));
        let sender = Sender::new(shared.clone(), transport, status);
        core.thread = Some(start(sender)?);
        core.shared = Some(shared);
        Ok(Client(Arc::new(core)))
    }
}

fn start(sender: Sender) -> Result<JoinHandle<()>, Error> {
    let failed =
        |error: std::io::Error| Error::Setup(format!("no thread could be started: {error}"));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let run = move || {
        runtime.block_on(sender.run());
        // A request that hangs does not hold up the program's end.
        runtime.shutdown_background();
    };
    std::thread::Builder::new().name("bindery-sender".to_owned()).spawn(run).map_err(failed)
}

impl Core {
    pub fn add(&self, event: Event, session: Option<Arc<Session>>, texts: usize) {
        if let Some(shared) = &self.shared {
            shared.add(event, session, texts);
        }
    }

    pub async fn flush(&self, book_id: Option<Uuid>, within: Duration, is_patient: bool) -> bool {
        let Some(shared) = &self.shared else { return true };
        let (sender, receiver) = oneshot::channel();
        shared.when_delivered(book_id, within, is_patient, move |is_there| {
            // The receiver may be gone.
            let _ = sender.send(is_there);
        });
        receiver.await.unwrap_or(false)
    }

    pub fn flush_blocking(&self, book_id: Option<Uuid>, within: Duration) -> bool {
        let Some(shared) = &self.shared else { return true };
        let (sender, receiver) = mpsc::channel();
        shared.when_delivered(book_id, within, true, move |is_there| {
            let _ = sender.send(is_there);
        });
        receiver.recv().unwrap_or(false)
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let (Some(shared), Some(thread)) = (&self.shared, self.thread.take()) else { return };
        shared.sample(None);
        shared.end(self.flush_timeout);
        let until = std::time::Instant::now() + self.flush_timeout + THREAD_ENDS_WITHIN;
        // The thread ends with its runtime; do not wait longer for a call that hangs.
        while !thread.is_finished() && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
