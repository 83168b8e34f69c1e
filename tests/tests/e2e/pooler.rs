//! All functions of the daemon through a pooler in transaction mode: relay, outbox, sweep, API.

use anyhow::{Context, Result, anyhow};
use bindery_tests::{Daemon, Pooler, Servers, eventually};
use redis::AsyncCommands;
use serde_json::json;
use uuid::Uuid;

use crate::crash::check;
use crate::http_support::{SECRET, service, user};
use crate::load::{Load, seed};
use crate::produce::Producer;
use crate::support::{SOON, applied_up_to, book_row, cursor, cursor_when, entries, transition};

#[tokio::test]
async fn through_a_pooler_in_transaction_mode_relay_and_outbox_lose_nothing() -> Result<()> {
    let seed = seed("through_a_pooler");
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    // Fewer sessions than the daemon has connections, so that they change hands.
    let pooler = Pooler::start(servers, 3).await?;
    let changes = format!("{}:changes", database.stream());
    let args = [
        "--stream",
        database.stream(),
        "--outbox",
        &changes,
        "--sweep",
        "0",
        "--max-batch",
        "60",
        "--lease",
        "2s",
    ];
    let mut daemon = Daemon::spawn(servers, &pooler.url(database.url()), &args)?;
    daemon.ready().await?;
    let producer = Producer::start(servers, database.stream(), Load::new(seed))?;
    for _ in 0..2 {
        let wanted = cursor(&client, database.stream()).await?.counts.all() + 500;
        cursor_when(&client, database.stream(), "more to be applied", |cursor| {
            cursor.counts.all() >= wanted
        })
        .await?;
        daemon.sigkill().await?;
        daemon = Daemon::spawn(servers, &pooler.url(database.url()), &args)?;
    }
    producer.finish().await?;
    let mut redis = servers.redis().await?;
    let last = entries(&mut redis, database.stream()).await?.pop().context("an event was added")?;
    // Before that, the outbox may be empty although more messages are to come.
    applied_up_to(&client, database.stream(), &last.0).await?;
    // The history shows which messages the outbox has had.
    eventually(SOON, "the outbox to be published", async || {
        let row = client.query_one("select count(*) from bindery.outbox", &[]).await?;
        let left: i64 = row.get(0);
        let events: i64 =
            client.query_one("select count(*) from bindery.book_events", &[]).await?.get(0);
        let published: i64 = redis.xlen(&changes).await?;
        if left == 0 && published >= events && events > 0 {
            Ok(())
        } else {
            Err(anyhow!("{left} wait, {published} of {events} are published"))
        }
    })
    .await?;
    check(servers, &database, &client).await?;
    Ok(())
}

#[tokio::test]
async fn through_a_pooler_in_transaction_mode_books_are_swept() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let pooler = Pooler::start(servers, 2).await?;
    let definition = json!({"states": [
        {"name": "QUEUED"},
        {"name": "WORKING", "weight": 1, "stall_after": "1 second"},
        {"name": "DONE"}]});
    client.query("select bindery.define_pipeline('brief', $1)", &[&definition]).await?;
    let book = Uuid::new_v4();
    client.query("select from bindery.register_book($1, pipeline => 'brief')", &[&book]).await?;
    transition(&client, book, "WORKING").await?;
    let args = ["--stream", database.stream(), "--outbox", "", "--sweep", "200ms", "--lease", "2s"];
    let daemon = Daemon::spawn(servers, &pooler.url(database.url()), &args)?;
    daemon.ready().await?;
    eventually(SOON, "the book to be failed as stalled", async || {
        let row = book_row(&client, book).await?;
        if row["status"] == "FAILED" { Ok(()) } else { Err(anyhow!("{row}")) }
    })
    .await
}

/// No notification arrives through the pooler. The daemon detects and reports this, and its streams
/// read periodically.
#[tokio::test]
async fn through_a_pooler_in_transaction_mode_the_api_answers_and_its_streams_poll() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let pooler = Pooler::start(servers, 2).await?;
    let args = [
        "--stream",
        database.stream(),
        "--outbox",
        "",
        "--sweep",
        "0",
        "--lease",
        "2s",
        "--jwt-secret",
        SECRET,
    ];
    let daemon = Daemon::spawn(servers, &pooler.url(database.url()), &args)?;
    daemon.ready().await?;
    let (owner, book) = (Uuid::new_v4(), Uuid::new_v4());
    client.query("select from bindery.register_book($1, $2)", &[&book, &owner]).await?;
    let status = format!("/api/books/{book}/status");
    for _ in 0..20 {
        // A session does not keep the role of an earlier request.
        let answer = daemon.ask("GET", &status).token(&user(owner)?).answer().await?;
        assert_eq!(answer.json()?["book_id"], json!(book));
        let stranger = daemon.ask("GET", &status).token(&user(Uuid::new_v4())?).answer().await?;
        assert_eq!(stranger.status, 404, "{stranger:?}");
    }
    eventually(SOON, "the daemon to find that it is deaf", async || {
        if daemon.log().contains("notifications do not come through") {
            Ok(())
        } else {
            Err(anyhow!("it does not report that"))
        }
    })
    .await?;
    let mut stream =
        daemon.ask("GET", &format!("/api/books/{book}/events")).token(&service()?).stream().await?;
    let first = stream.next().await?.context("the present status comes first")?;
    assert_eq!(first.id, Some(1));
    transition(&client, book, "ANALYZING").await?;
    stream.until(|event| event.id == Some(2)).await?;
    Ok(())
}
