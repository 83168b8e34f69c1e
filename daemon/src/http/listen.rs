//! Listens to `NOTIFY bindery` in one session for all event streams, and marks changed books in the
//! hub.
//!
//! If Supabase Realtime is installed, the schema broadcasts there and does not notify
//! (sql/books/announce.sql). The hub is then marked as not notified, and each event stream polls.
//! The same holds while this session is disconnected, and behind a pooler in transaction mode,
//! which gives the listening session to other clients: a probe detects that.

use std::time::Duration;

use postgres_types::Type;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use super::hub::Hub;
use crate::database::{self, DatabaseError, DatabaseUrl};
use crate::retry::{Failure, Tries, Work, supervise};

/// The interval between two checks that the schema still notifies and that the session is alive.
const CHECK_EVERY: Duration = Duration::from_secs(30);
/// A probe that takes longer counts as lost.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Whether the server is a standby, which does not allow `LISTEN`; whether Realtime is absent; and
/// whether this login may call `bindery_internal.notifies()`. The query reads only the catalog,
/// because the login of `binderyd serve` may have no rights of its own.
const SERVER_STATE: &str = "select pg_catalog.pg_is_in_recovery(), \
     not exists (select from pg_catalog.pg_proc p \
       join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
       where n.nspname = 'realtime' and p.proname = 'send'), \
     exists (select from pg_catalog.pg_proc p \
       join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
       where n.nspname = 'bindery_internal' and p.proname = 'notifies' \
         and pg_catalog.has_schema_privilege(n.oid, 'usage') \
         and pg_catalog.has_function_privilege(p.oid, 'execute'))";

#[derive(Deserialize)]
struct Announced {
    book_id: Uuid,
}

/// Listens until `stop`.
pub async fn listen(url: DatabaseUrl, hub: Hub, stop: CancellationToken) {
    supervise(&stop, &mut Listener { url, hub }).await;
}

struct Listener {
    url: DatabaseUrl,
    hub: Hub,
}

impl Work for Listener {
    type Error = DatabaseError;

    async fn work(
        &mut self,
        stop: &CancellationToken,
        tries: &mut Tries,
    ) -> Result<(), DatabaseError> {
        listen_on(&self.url, &self.hub, stop, tries).await
    }

    fn failed(&mut self, error: &DatabaseError, failure: Failure) {
        self.hub.set_notified(false);
        if let Some(unlogged) = failure.unlogged {
            warn!(error = %error, remedy = error.remedy(), unlogged, "streams of events look for changes by themselves until Postgres can be listened to");
        }
    }
}

async fn listen_on(
    url: &DatabaseUrl,
    hub: &Hub,
    stop: &CancellationToken,
    tries: &mut Tries,
) -> Result<(), DatabaseError> {
    let notified = hub.clone();
    let probe = Uuid::new_v4().to_string();
    let (probes, mut probe_received) = watch::channel(false);
    let expected = probe.clone();
    let client = database::connect_listening(url, move |payload| {
        if payload == expected {
            probes.send_replace(true);
        // Ignore a payload that does not parse: another program uses the channel.
        } else if let Ok(announced) = serde_json::from_str::<Announced>(payload) {
            notified.changed(announced.book_id);
        }
    })
    .await?;
    let mut logged = None;
    let (mut listens, mut comes_through) = (false, false);
    loop {
        let row = client.query_typed_one(SERVER_STATE, &[]).await?;
        let (standby, without_realtime): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
        let notifies = if row.try_get(2)? {
            let query = "select bindery_internal.notifies()";
            client.query_typed_one(query, &[]).await?.try_get(0)?
        } else {
            without_realtime
        };
        tries.succeeded();
        if !standby && !listens {
            client.batch_execute("listen bindery; listen bindery_probe").await?;
            listens = true;
        }
        comes_through = comes_through
            || (listens && self::comes_through(url, &probe, &mut probe_received).await?);
        let delivery = match (standby, notifies, comes_through) {
            (true, ..) => Delivery::Standby,
            (_, false, _) => Delivery::Silent,
            (.., false) => Delivery::Pooled,
            (false, true, true) => Delivery::All,
        };
        if logged != Some(delivery) {
            logged = Some(delivery);
            hub.set_notified(delivery == Delivery::All);
            delivery.log();
        }
        tokio::select! {
            () = tokio::time::sleep(CHECK_EVERY) => (),
            () = stop.cancelled() => return Ok(()),
        }
    }
}

/// Which notifications arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    All,
    /// None: a standby does not allow `LISTEN`.
    Standby,
    /// None: the schema does not notify.
    Silent,
    /// None: a pooler separates the session from its notifications.
    Pooled,
}

impl Delivery {
    fn log(self) {
        match self {
            Self::All => (),
            Self::Standby => info!(
                "Postgres is a standby, which cannot be listened on: streams of events look for changes by themselves"
            ),
            Self::Silent => info!(
                "Postgres does not notify, since Realtime is installed or bindery.settings.notify is false: streams of events look for changes by themselves"
            ),
            Self::Pooled => warn!(
                remedy = "point --database-url at Postgres itself or a pooler in session mode, if a second's delay is too long",
                "notifications do not come through, as behind a pooler in transaction mode: streams of events look for changes by themselves"
            ),
        }
    }
}

/// Whether a notification of another session reaches the listening one.
async fn comes_through(
    url: &DatabaseUrl,
    probe: &str,
    probe_received: &mut watch::Receiver<bool>,
) -> Result<bool, DatabaseError> {
    let other = database::connect(url).await?;
    other
        .query_typed("select pg_catalog.pg_notify('bindery_probe', $1)", &[(&probe, Type::TEXT)])
        .await?;
    // An error means that the session has ended; its next query fails, too.
    Ok(timeout(PROBE_TIMEOUT, probe_received.wait_for(|probe_received| *probe_received))
        .await
        .is_ok_and(|probe_received| probe_received.is_ok()))
}
