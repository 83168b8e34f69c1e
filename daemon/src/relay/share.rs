//! Spreads streams over daemons. Each daemon calls `bindery.announce_relay` with the streams that
//! it can read; the answer names a stream to give up and the streams to leave to other daemons.
//! The answer is advice: without it, the first daemon that asks acquires a stream.

use std::time::Duration;

use postgres_types::Type;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::database::{self, DatabaseError, DatabaseUrl};
use crate::retry::{Failure, Tries, Work, supervise};

/// A daemon announces itself this many times during an announcement's duration.
const ANNOUNCEMENTS: u32 = 4;
/// How many lease durations a free stream is left to another daemon, which may be unable to
/// acquire it.
const PATIENCE: u32 = 2;

/// What the database advises this daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Advice {
    /// How many daemons share the streams.
    relays: i32,
    /// A stream that this daemon holds while another daemon has fewer.
    give_up: Option<String>,
    /// Free streams that a daemon with fewer is to acquire.
    leave: Vec<String>,
}

/// A relay's view of the advice.
#[derive(Debug, Clone)]
pub struct Share {
    advice: watch::Receiver<Advice>,
    patience: Duration,
}

impl Share {
    /// Cancels `session` once the advice is to give the stream up; never returns.
    pub async fn give_up<T>(&self, stream: &str, session: &CancellationToken) -> T {
        let mut advice = self.advice.clone();
        if advice.wait_for(|advice| advice.give_up.as_deref() == Some(stream)).await.is_ok() {
            info!(stream, "releasing the stream for another daemon, which has fewer");
            session.cancel();
        }
        std::future::pending().await
    }

    /// Whether the advice leaves the stream to another daemon.
    pub fn is_left_to_another(&self, stream: &str) -> bool {
        is_left_to_another(&self.advice.borrow(), stream)
    }

    /// Waits until the advice no longer leaves the stream to another daemon, or for `patience`.
    pub async fn wait(&self, stream: &str) {
        let mut advice = self.advice.clone();
        // A timeout is handled like new advice: the relay asks the database for the lease.
        let _ =
            timeout(self.patience, advice.wait_for(|advice| !is_left_to_another(advice, stream)))
                .await;
    }
}

fn is_left_to_another(advice: &Advice, stream: &str) -> bool {
    advice.give_up.as_deref() == Some(stream) || advice.leave.iter().any(|left| left == stream)
}

/// Announces this daemon.
#[derive(Debug)]
pub struct Announcer {
    /// The daemon's name, as in its relays.
    pub holder: String,
    /// The streams that it can read.
    pub streams: Vec<String>,
    /// The database to call.
    pub database: DatabaseUrl,
    /// The duration of a lease and of an announcement.
    pub lease: Duration,
    advice: watch::Sender<Advice>,
}

impl Announcer {
    /// An announcer that has announced nothing yet.
    pub fn new(
        holder: String,
        streams: Vec<String>,
        database: DatabaseUrl,
        lease: Duration,
    ) -> Self {
        Self { holder, streams, database, lease, advice: watch::Sender::new(Advice::default()) }
    }

    /// Subscribes a relay to the advice.
    pub fn share(&self) -> Share {
        Share { advice: self.advice.subscribe(), patience: self.lease * PATIENCE }
    }

    /// Announces until `stop`, then announces no streams.
    pub async fn run(mut self, stop: CancellationToken) {
        supervise(&stop, &mut self).await;
    }

    async fn announce(&self, client: &Client, streams: &[String]) -> Result<Advice, DatabaseError> {
        let ttl = format!("{} milliseconds", self.lease.as_millis());
        let row = client
            .query_typed_one(
                "select relays, give_up, leave from bindery.announce_relay($1, $2, $3::text::interval)",
                &[(&self.holder, Type::TEXT), (&streams, Type::TEXT_ARRAY), (&ttl, Type::TEXT)],
            )
            .await?;
        Ok(Advice { relays: row.try_get(0)?, give_up: row.try_get(1)?, leave: row.try_get(2)? })
    }
}

impl Work for Announcer {
    type Error = DatabaseError;

    async fn work(
        &mut self,
        stop: &CancellationToken,
        tries: &mut Tries,
    ) -> Result<(), DatabaseError> {
        let client = database::connect(&self.database).await?;
        let mut turn = interval(self.lease / ANNOUNCEMENTS);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = turn.tick() => (),
                () = stop.cancelled() => break,
            }
            let advice = self.announce(&client, &self.streams).await?;
            tries.succeeded();
            let before = self.advice.send_replace(advice.clone());
            if before.relays != advice.relays {
                info!(daemons = advice.relays, "the streams are shared by so many daemons");
            }
        }
        self.announce(&client, &[]).await?;
        Ok(())
    }

    fn failed(&mut self, error: &DatabaseError, failure: Failure) {
        // The advice may be out of date.
        self.advice.send_replace(Advice::default());
        if let Some(unlogged) = failure.unlogged {
            warn!(error = %error, remedy = error.remedy(), unlogged, "the streams cannot be spread over daemons: the first daemon that asks acquires a stream");
        }
    }
}
