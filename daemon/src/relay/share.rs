//! Streams spread over daemons: each says by `bindery.announce_relay` that it lives and which
//! streams it would read, and hears which one to give up and which to leave to others. It is
//! advice: without it, whoever comes first takes a stream.

use std::time::{Duration, Instant};

use postgres_types::Type;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::database::{self, DatabaseError, DatabaseUrl};
use crate::pauses::{MAX_PAUSE, pauses};
use crate::repeats::Repeats;

/// A daemon announces itself this often within the time for which it counts.
const ANNOUNCEMENTS: u32 = 4;
/// How many leases' time a free stream is left to another daemon, which may live and be unable to
/// take it.
const PATIENCE: u32 = 2;

/// What the database advises this daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Advice {
    /// How many daemons share the streams.
    relays: i32,
    /// Held here, and another has fewer.
    give_up: Option<String>,
    /// Free, and another has fewer.
    leave: Vec<String>,
}

/// One stream's ear for the advice.
#[derive(Debug, Clone)]
pub struct Share {
    advice: watch::Receiver<Advice>,
    patience: Duration,
}

impl Share {
    /// Cancels `session` once the stream is to be given up, and never ends.
    pub async fn give_up<T>(&self, stream: &str, session: &CancellationToken) -> T {
        let mut advice = self.advice.clone();
        if advice.wait_for(|advice| advice.give_up.as_deref() == Some(stream)).await.is_ok() {
            info!(stream, "giving the stream to another daemon, which has fewer");
            session.cancel();
        }
        std::future::pending().await
    }

    /// Whether the stream is another's to take.
    pub fn is_anothers(&self, stream: &str) -> bool {
        is_anothers(&self.advice.borrow(), stream)
    }

    /// Waits until the stream is not another's to take, or nobody has taken it for a while.
    pub async fn wait(&self, stream: &str) {
        let mut advice = self.advice.clone();
        // Both ends of the wait come to the same: the database is asked for the lease.
        let _ =
            timeout(self.patience, advice.wait_for(|advice| !is_anothers(advice, stream))).await;
    }
}

fn is_anothers(advice: &Advice, stream: &str) -> bool {
    advice.give_up.as_deref() == Some(stream) || advice.leave.iter().any(|left| left == stream)
}

/// Announces this daemon.
#[derive(Debug)]
pub struct Announcer {
    /// Its name, as the relays have it.
    pub holder: String,
    /// What it would read.
    pub streams: Vec<String>,
    /// Where.
    pub database: DatabaseUrl,
    /// How long a lease lasts, and an announcement.
    pub lease: Duration,
    advice: watch::Sender<Advice>,
}

impl Announcer {
    /// One that has not announced anything yet.
    pub fn new(
        holder: String,
        streams: Vec<String>,
        database: DatabaseUrl,
        lease: Duration,
    ) -> Self {
        Self { holder, streams, database, lease, advice: watch::Sender::new(Advice::default()) }
    }

    /// For a relay, to hear what it is advised.
    pub fn share(&self) -> Share {
        Share { advice: self.advice.subscribe(), patience: self.lease * PATIENCE }
    }

    /// Announces until `stop`, and says goodbye then.
    pub async fn run(self, stop: CancellationToken) {
        let mut waits = pauses();
        let mut troubles = Repeats::default();
        while !stop.is_cancelled() {
            let mut announced = false;
            let Err(error) = self.announce_on(&stop, &mut announced, &mut troubles).await else {
                return;
            };
            // What was advised may be out of date.
            self.advice.send_replace(Advice::default());
            if announced {
                waits = pauses();
            }
            if let Some(unsaid) = troubles.say(&error.to_string(), Instant::now()) {
                warn!(error = %error, remedy = error.remedy(), unsaid, "the streams cannot be spread over daemons: who comes first takes them");
            }
            tokio::select! {
                () = tokio::time::sleep(waits.next().unwrap_or(MAX_PAUSE)) => (),
                () = stop.cancelled() => (),
            }
        }
    }

    async fn announce_on(
        &self,
        stop: &CancellationToken,
        announced: &mut bool,
        troubles: &mut Repeats,
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
            *announced = true;
            troubles.over();
            let before = self.advice.send_replace(advice.clone());
            if before.relays != advice.relays {
                info!(daemons = advice.relays, "the streams are shared by so many daemons");
            }
        }
        self.announce(&client, &[]).await?;
        Ok(())
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
