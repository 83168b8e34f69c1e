//! The rights of the relay's role, in own sessions. (Within one session, an earlier call by another
//! role would hide a missing right.)

use anyhow::Result;
use bindery_tests::{Database, Servers, connect};
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::{book_in, refused};

/// A session of a login role that has only the relay's role, as the documentation advises operators
/// to create it.
async fn relay_session(database: &Database<'_>) -> Result<Client> {
    let role = format!("relay_{}", Uuid::new_v4().simple());
    let owner = database.connect().await?;
    owner.batch_execute(&format!("create role {role} login in role bindery_relay")).await?;
    connect(&database.url().replacen("postgres@", &format!("{role}@"), 1)).await
}

#[tokio::test]
async fn the_relays_role_can_do_all_that_a_relay_does() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let book = Uuid::new_v4();
    // Each in its own session, so that none depends on what another has looked up.
    relay_session(&database)
        .await?
        .query_one("select epoch from bindery.acquire_stream('s', 'me', '1 hour')", &[])
        .await?;
    let events = json!([{"type": "register", "book_id": book}, 
        {"type": "transition", "book_id": book, "to_status": "ANALYZING"},
        {"type": "progress", "book_id": book, "substep": "extract_text", "progress": 5},
        {"type": "heartbeat", "book_id": book},
        {"type": "plan", "book_id": book, "stage": "CREATING_ARTWORK",
            "substeps": [{"substep": "a"}]},
        {"type": "fail", "book_id": book, "error": {"code": "ink"}},
        {"type": "progress", "book_id": Uuid::new_v4(), "progress": 1}]);
    let apply = "select applied, early from bindery.apply_events('s', 1, '1-0', $1)";
    let counts = relay_session(&database).await?.query_one(apply, &[&events]).await?;
    assert_eq!((counts.get::<_, i64>(0), counts.get::<_, i64>(1)), (6, 1));
    relay_session(&database)
        .await?
        .query_one("select bindery.renew_stream('s', 1, now())", &[])
        .await?;
    let swept: Value =
        relay_session(&database).await?.query_one("select bindery.sweep()", &[]).await?.get(0);
    assert_eq!(
        swept,
        json!({"ran": true, "stalled": 0, "resumed": 0, "expired": 0, "waiting_for": []})
    );
    assert_eq!(
        relay_session(&database)
            .await?
            .query("select * from bindery.take_outbox()", &[])
            .await?
            .len(),
        3
    );
    relay_session(&database).await?.query_one("select bindery.release_stream('s', 1)", &[]).await?;
    Ok(())
}

#[tokio::test]
async fn the_relays_role_sets_no_clock() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let owner = database.connect().await?;
    let book = book_in(&owner, &["ANALYZING"]).await?;
    let relay = relay_session(&database).await?;
    relay.batch_execute("set bindery.now = '2990-01-01'").await?;
    let swept: Value = relay.query_one("select bindery.sweep('2990-01-01')", &[]).await?.get(0);
    assert_eq!(swept["stalled"], json!(0), "silence to be is no silence");
    owner
        .query_one("select epoch from bindery.acquire_stream('books', 'a relay', '1 hour')", &[])
        .await?;
    let thief =
        relay.query_one("select epoch from bindery.acquire_stream('books', 'a thief')", &[]).await;
    assert_eq!(refused(thief)?, ("PT409".to_owned(), "lease_held".to_owned()));
    let row = owner
        .query_one(
            "select status, heartbeat_at < now() from bindery.book_status where book_id = $1",
            &[&book],
        )
        .await?;
    assert_eq!((row.get::<_, &str>(0), row.get::<_, bool>(1)), ("ANALYZING", true));
    Ok(())
}
