//! Sends events, and does not give up at the first hiccup.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::events::Event;

/// Where a worker's events go.
pub trait Reporter {
    /// Sends one event. What was sent before has arrived before.
    fn send(&mut self, event: &Event) -> Result<()>;
}

/// For tests: keeps what was sent.
impl Reporter for Vec<Event> {
    fn send(&mut self, event: &Event) -> Result<()> {
        self.push(event.clone());
        Ok(())
    }
}

/// A Redis stream. Blocking: a worker has nothing else to do while it reports.
pub struct Stream {
    client: redis::Client,
    name: String,
    connection: Option<redis::Connection>,
}

/// How long a restart of Redis may take before the worker gives up.
const PATIENCE: Duration = Duration::from_secs(20);
const TIMEOUT: Duration = Duration::from_secs(5);

impl Stream {
    /// A stream at a server. Nothing is sent yet.
    pub fn new(url: &str, name: &str) -> Result<Self> {
        let client = redis::Client::open(url).context("the Redis URL is not one")?;
        Ok(Self { client, name: name.to_owned(), connection: None })
    }

    fn try_send(&mut self, event: &Event) -> redis::RedisResult<()> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => {
                let connection = self.client.get_connection_with_timeout(TIMEOUT)?;
                connection.set_read_timeout(Some(TIMEOUT))?;
                connection.set_write_timeout(Some(TIMEOUT))?;
                self.connection.insert(connection)
            }
        };
        event.xadd(&self.name).query::<String>(connection).map(drop)
    }
}

impl Reporter for Stream {
    /// A repeated report changes nothing in Bindery, so an answer that got lost is simply asked for again.
    fn send(&mut self, event: &Event) -> Result<()> {
        let since = Instant::now();
        loop {
            match self.try_send(event) {
                Ok(()) => return Ok(()),
                Err(error) if since.elapsed() > PATIENCE => {
                    return Err(error).with_context(|| {
                        format!("cannot write to the Redis stream {}", self.name)
                    });
                }
                Err(_) => {
                    self.connection = None;
                    sleep(Duration::from_millis(200));
                }
            }
        }
    }
}
