//! One session that hears `NOTIFY bindery` for all streams, and tells the hub.
//!
//! Where Supabase Realtime is installed the schema broadcasts there and is silent here
//! (sql/books/announce.sql). Then, and while this session is away, the hub says that it does not
//! hear, and each stream looks for itself now and then. So it does behind a pooler in transaction
//! mode, where what listens is a session that belongs to others the moment after: a probe finds
//! that out.

use std::time::{Duration, Instant};

use postgres_types::Type;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use super::hub::Hub;
use crate::database::{self, DatabaseError, DatabaseUrl};
use crate::pauses::{MAX_PAUSE, pauses};
use crate::repeats::Repeats;

/// How often it is asked whether the schema still notifies; and with it whether the session is
/// still there.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// A notification that takes longer does not come.
const HEARD_WITHIN: Duration = Duration::from_secs(2);
/// Whether the server is a standby, which cannot be listened on; whether Realtime is absent; and
/// whether this login may call `bindery_internal.notifies()`. From the catalog, which asks for no
/// rights: the login of `binderyd serve` may have none of its own.
const STANDS: &str = "select pg_catalog.pg_is_in_recovery(), \
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
    let mut waits = pauses();
    let mut troubles = Repeats::default();
    while !stop.is_cancelled() {
        let mut listened = false;
        let Err(error) = listen_on(&url, &hub, &stop, &mut listened).await else { return };
        hub.set_hears(false);
        if listened {
            waits = pauses();
        }
        if let Some(unsaid) = troubles.say(&error.to_string(), Instant::now()) {
            warn!(error = %error, remedy = error.remedy(), unsaid, "streams of events look for changes by themselves until Postgres can be listened to");
        }
        tokio::select! {
            () = tokio::time::sleep(waits.next().unwrap_or(MAX_PAUSE)) => (),
            () = stop.cancelled() => (),
        }
    }
}

async fn listen_on(
    url: &DatabaseUrl,
    hub: &Hub,
    stop: &CancellationToken,
    listened: &mut bool,
) -> Result<(), DatabaseError> {
    let told = hub.clone();
    let probe = Uuid::new_v4().to_string();
    let (probes, mut heard) = watch::channel(false);
    let expected = probe.clone();
    let client = database::connect_listening(url, move |payload| {
        if payload == expected {
            probes.send_replace(true);
        // What cannot be read is somebody else's word on our channel.
        } else if let Ok(announced) = serde_json::from_str::<Announced>(payload) {
            told.changed(announced.book_id);
        }
    })
    .await?;
    let mut said = None;
    let (mut listens, mut comes_through) = (false, false);
    loop {
        let row = client.query_typed_one(STANDS, &[]).await?;
        let (standby, without_realtime): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
        let notifies = if row.try_get(2)? {
            let query = "select bindery_internal.notifies()";
            client.query_typed_one(query, &[]).await?.try_get(0)?
        } else {
            without_realtime
        };
        *listened = true;
        if !standby && !listens {
            client.batch_execute("listen bindery; listen bindery_probe").await?;
            listens = true;
        }
        comes_through =
            comes_through || (listens && self::comes_through(url, &probe, &mut heard).await?);
        let hears = match (standby, notifies, comes_through) {
            (true, ..) => Hears::Standby,
            (_, false, _) => Hears::Silent,
            (.., false) => Hears::Pooled,
            (false, true, true) => Hears::All,
        };
        if said != Some(hears) {
            said = Some(hears);
            hub.set_hears(hears == Hears::All);
            hears.say();
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => (),
            () = stop.cancelled() => return Ok(()),
        }
    }
}

/// What is heard of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hears {
    All,
    /// A standby takes no `LISTEN`.
    Standby,
    /// The schema does not notify.
    Silent,
    /// What is notified does not come here.
    Pooled,
}

impl Hears {
    fn say(self) {
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

/// Whether what another session notifies comes to the one that listens.
async fn comes_through(
    url: &DatabaseUrl,
    probe: &str,
    heard: &mut watch::Receiver<bool>,
) -> Result<bool, DatabaseError> {
    let other = database::connect(url).await?;
    other
        .query_typed("select pg_catalog.pg_notify('bindery_probe', $1)", &[(&probe, Type::TEXT)])
        .await?;
    // An error says that the session has ended, which its next query says, too.
    Ok(timeout(HEARD_WITHIN, heard.wait_for(|heard| *heard)).await.is_ok_and(|heard| heard.is_ok()))
}
