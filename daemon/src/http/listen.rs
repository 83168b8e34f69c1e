//! One session that hears `NOTIFY bindery` for all streams, and tells the hub.
//!
//! Where Supabase Realtime is installed the schema broadcasts there and is silent here (sql/270_announce.sql). Then, and while
//! this session is away, the hub says that it does not hear, and each stream looks for itself now and then.

use std::time::Duration;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use super::hub::Hub;
use crate::database::{self, DatabaseError, DatabaseUrl};
use crate::pauses::{MAX_PAUSE, pauses};

/// How often it is asked whether the schema still notifies; and with it whether the session is still there.
const LOOK_EVERY: Duration = Duration::from_secs(30);
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
    let mut told = false;
    while !stop.is_cancelled() {
        let mut listened = false;
        let Err(error) = listen_on(&url, &hub, &stop, &mut listened).await else { return };
        hub.set_hears(false);
        if listened {
            waits = pauses();
        }
        if listened || !told {
            warn!(error = %error, remedy = error.remedy(), "streams of events look for changes by themselves until Postgres can be listened to");
        }
        told = true;
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
    let heard = hub.clone();
    let client = database::connect_listening(url, move |payload| {
        // What cannot be read is somebody else's word on our channel.
        if let Ok(announced) = serde_json::from_str::<Announced>(payload) {
            heard.changed(announced.book_id);
        }
    })
    .await?;
    client.batch_execute("listen bindery").await?;
    let mut hears = None;
    loop {
        let notifies: bool = client.query_typed_one(NOTIFIES, &[]).await?.try_get(0)?;
        *listened = true;
        if hears != Some(notifies) {
            hears = Some(notifies);
            hub.set_hears(notifies);
            if !notifies {
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
