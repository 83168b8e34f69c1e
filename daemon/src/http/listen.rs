//! One session that hears `NOTIFY bindery` for all streams, and tells the hub.
//!
//! Where Supabase Realtime is installed the schema broadcasts there and is silent here (sql/books/announce.sql). Then, and while
//! this session is away, the hub says that it does not hear, and each stream looks for itself now and then. So it does behind a
//! pooler in transaction mode, where what listens is a session that belongs to others the moment after: a probe finds that out.

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

/// How often it is asked whether the schema still notifies; and with it whether the session is still there.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// A notification that takes longer does not come.
const HEARD_WITHIN: Duration = Duration::from_secs(2);
/// Nearly the question of `bindery_internal.announce_books`, from the catalog, which asks for no rights in Realtime's schema. Where
/// it takes Realtime to be there and the schema notifies all the same, streams look for themselves besides, and no harm is done.
const NOTIFIES: &str = "select not exists (select from pg_catalog.pg_proc p \
     join pg_catalog.pg_namespace n on n.oid = p.pronamespace where n.nspname = 'realtime' and p.proname = 'send')";

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
    client.batch_execute("listen bindery; listen bindery_probe").await?;
    let (mut hears, mut comes_through) = (None, false);
    loop {
        let notifies: bool = client.query_typed_one(NOTIFIES, &[]).await?.try_get(0)?;
        *listened = true;
        comes_through = comes_through || self::comes_through(url, &probe, &mut heard).await?;
        if hears != Some(notifies && comes_through) {
            hears = Some(notifies && comes_through);
            hub.set_hears(notifies && comes_through);
            if notifies && !comes_through {
                warn!(
                    remedy = "point --database-url at Postgres itself or a pooler in session mode, if a second's delay is too long",
                    "notifications do not come through, as behind a pooler in transaction mode: streams of events look for changes by themselves"
                );
            } else if !notifies {
                info!(
                    "Realtime is installed, so Postgres does not notify: streams of events look for changes by themselves"
                );
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => (),
            () = stop.cancelled() => return Ok(()),
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
