//! `NOTIFY`: a session whose commit is slow does not delay other sessions.

use anyhow::{Context, Result, anyhow, ensure};
use bindery_tests::{Listener, Servers, connect, eventually};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{SOON, book_in};

/// A commit that waits for a missing standby holds the cluster-wide lock that each `NOTIFY` takes,
/// until an answer arrives.
#[tokio::test]
async fn a_change_waits_for_no_other_sessions_notify_and_is_announced_by_the_next_call()
-> Result<()> {
    let servers = Servers::start().await?;
    let database = servers.database().await?;
    let (client, slow) = (database.connect().await?, database.connect().await?);
    let mut listener = Listener::start(database.url()).await?;
    let (ours, theirs) =
        (book_in(&client, &["ANALYZING"]).await?, book_in(&client, &["ANALYZING"]).await?);
    for _ in 0..4 {
        listener.next().await?;
    }
    for setting in [
        "alter system set synchronous_standby_names = 'nobody'",
        "alter system set synchronous_commit = 'local'",
        "select pg_reload_conf()",
    ] {
        client.batch_execute(setting).await?;
    }
    eventually(SOON, "the server to wait for a standby", async || {
        let row = client.query_one("show synchronous_standby_names", &[]).await?;
        let names: String = row.get(0);
        if names == "nobody" { Ok(()) } else { Err(anyhow!("{names:?}")) }
    })
    .await?;
    slow.batch_execute("set synchronous_commit = on").await?;
    let report = "select from bindery.report_progress($1, 'extract_text', 50)";
    let hangs = tokio::spawn(async move { slow.query(report, &[&theirs]).await.map(drop) });
    eventually(SOON, "the other commit to wait", async || {
        let query = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
        let waits: i64 = client.query_one(query, &[]).await?.get(0);
        if waits == 1 { Ok(()) } else { Err(anyhow!("{waits} wait")) }
    })
    .await?;

    client.batch_execute("set statement_timeout = '10s'").await?;
    client.query(report, &[&ours]).await.context("our change waits for the other")?;
    ensure!(!hangs.is_finished(), "the other commit did not wait");
    let left: i64 =
        client.query_one("select count(*) from bindery_internal.unannounced", &[]).await?.get(0);
    ensure!(left == 1, "{left} changes are left to announce");

    client.batch_execute("alter system reset synchronous_standby_names").await?;
    client.batch_execute("select pg_reload_conf()").await?;
    hangs.await??;
    ensure!(next_message(&mut listener).await? == json!({"book_id": theirs, "revision": 3}));
    let again = connect(database.url()).await?;
    let next: f64 = again
        .query_one("select next_seconds from bindery.send_held_broadcasts()", &[])
        .await?
        .get(0);
    ensure!(next < 0.1, "the next call is due in {next} s");
    ensure!(next_message(&mut listener).await? == json!({"book_id": ours, "revision": 3}));
    // Sent only once.
    let marker = book_in(&client, &[]).await?;
    again.query("select from bindery.send_held_broadcasts()", &[]).await?;
    ensure!(next_message(&mut listener).await? == json!({"book_id": marker, "revision": 1}));
    Ok(())
}

#[tokio::test]
async fn with_notify_switched_off_nothing_is_announced_and_nothing_is_left_to_announce()
-> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let client = database.connect().await?;
    let mut listener = Listener::start(database.url()).await?;
    client.batch_execute("update bindery.settings set notify = false where true").await?;
    book_in(&client, &["ANALYZING"]).await?;
    client.batch_execute("update bindery.settings set notify = true where true").await?;
    let book: Uuid = book_in(&client, &[]).await?;
    ensure!(next_message(&mut listener).await? == json!({"book_id": book, "revision": 1}));
    let left: i64 =
        client.query_one("select count(*) from bindery_internal.unannounced", &[]).await?.get(0);
    ensure!(left == 0, "{left} changes are left to announce");
    Ok(())
}

async fn next_message(listener: &mut Listener) -> Result<Value> {
    Ok(serde_json::from_str(&listener.next().await?)?)
}
