//! The sweeper fails stalled books and resumes failed ones when they are due. A book whose events
//! still wait in a stream is not stalled.

use anyhow::{Result, anyhow};
use bindery_tests::{Servers, eventually};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::{SOON, applied_up_to, book_row, cursor_when, pid, until_a_session_is_blocked};

/// A sweep at every interval and a short lease, so that the test takes little time.
const ARGS: [&str; 6] = ["--outbox", "", "--lease", "300ms", "--sweep", "50ms"];

/// Defines the pipeline `brief`: its work may be silent for `stall_after` and is tried twice.
async fn define(client: &Client, stall_after: &str, retry_after: &str) -> Result<()> {
    let definition = serde_json::json!({"states": [
        {"name": "QUEUED"},
        {"name": "WORKING", "weight": 1, "stall_after": stall_after, "max_attempts": 2,
            "retry_after": retry_after},
        {"name": "DONE"},
    ]});
    client.query("select bindery.define_pipeline('brief', $1)", &[&definition]).await?;
    Ok(())
}

/// A book in WORKING.
async fn book(client: &Client) -> Result<Uuid> {
    let book = Uuid::new_v4();
    client.query("select from bindery.register_book($1, pipeline => 'brief')", &[&book]).await?;
    client.query("select from bindery.transition_book($1, 'WORKING')", &[&book]).await?;
    Ok(book)
}

/// Sets the clock of all later sessions to this many seconds after the beginning, up to an hour.
pub async fn clock(client: &Client, name: &str, seconds: i32) -> Result<()> {
    let moment = format!("2030-01-01 12:{:02}:{:02}+00", seconds / 60, seconds % 60);
    client.batch_execute(&format!("alter database {name} set bindery.now = '{moment}'")).await?;
    Ok(client.batch_execute(&format!("set bindery.now = '{moment}'")).await?)
}

/// The book's failures and resumes by the sweep, such as `fail sweep stalled, resume sweep`.
async fn acts(client: &Client, book: Uuid) -> Result<String> {
    let query = "select coalesce(string_agg(concat_ws(' ', kind, actor, data ->> 'code'), ', '
            order by revision), '')
        from bindery.book_events where book_id = $1 and kind in ('fail', 'resume')";
    Ok(client.query_one(query, &[&book]).await?.get(0))
}

async fn acts_when(client: &Client, book: Uuid, wanted: &str) -> Result<()> {
    eventually(SOON, &format!("the book to have gone through: {wanted}"), async || {
        let acts = acts(client, book).await?;
        if acts == wanted { Ok(()) } else { Err(anyhow!("{acts}")) }
    })
    .await
}

/// Waits until everything that is in the stream now is recorded as applied.
async fn caught_up(client: &Client, stream: &str) -> Result<()> {
    let now: String = client.query_one("select bindery_internal.now()::text", &[]).await?.get(0);
    eventually(SOON, &format!("{stream} to be caught up after {now}"), async || {
        let query = "select caught_up_at > $2::text::timestamptz, caught_up_at::text
            from bindery.relay_cursors where stream = $1";
        let row = client.query_one(query, &[&stream, &now]).await?;
        match row.get(0) {
            Some(true) => Ok(()),
            _ => Err(anyhow!("{:?}", row.get::<_, Option<String>>(1))),
        }
    })
    .await
}

async fn caught_up_at(client: &Client, stream: &str) -> Result<Option<String>> {
    let query = "select caught_up_at::text from bindery.relay_cursors where stream = $1";
    Ok(client.query_one(query, &[&stream]).await?.get(0))
}

/// Waits until the daemon has renewed its lease this many times, whatever the outcome.
async fn renewed(client: &Client, stream: &str, times: usize) -> Result<()> {
    for _ in 0..times {
        let query = "select lease_expires_at::text from bindery.relay_cursors where stream = $1";
        let before: Option<String> = client.query_one(query, &[&stream]).await?.get(0);
        eventually(SOON, "the lease to be renewed", async || {
            let now: Option<String> = client.query_one(query, &[&stream]).await?.get(0);
            if now == before { Err(anyhow!("{now:?}")) } else { Ok(()) }
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_silent_book_fails_resumes_automatically_and_in_the_end_waits_for_a_person() -> Result<()>
{
    let database = Servers::shared().await?.database().await?;
    let client = database.connect().await?;
    define(&client, "0.2 seconds", "0.1 seconds").await?;
    let book = book(&client).await?;
    let daemon = database.daemon(&ARGS).await?;

    acts_when(&client, book, "fail sweep stalled, resume sweep, fail sweep stalled").await?;
    let row = book_row(&client, book).await?;
    assert_eq!(
        (&row["status"], &row["attempt"], &row["resume_at"]),
        (&"FAILED".into(), &2.into(), &().into())
    );
    assert_eq!(row["error"]["code"], "stalled");
    let query = "select payload from bindery.outbox where book_id = $1 and kind = 'resume'";
    let commands = client.query(query, &[&book]).await?;
    assert_eq!(commands.len(), 1, "workers got one message");
    let command: serde_json::Value = commands[0].get(0);
    assert_eq!(
        (&command["attempt"], &command["resume_point"]["stage"]),
        (&2.into(), &"WORKING".into())
    );

    // Two more complete sweeps.
    renewed(&client, database.stream(), 6).await?;
    assert_eq!(
        acts(&client, book).await?,
        "fail sweep stalled, resume sweep, fail sweep stalled",
        "it stays FAILED"
    );
    eventually(SOON, "the metrics to count it", async || {
        let metrics = daemon.get("/metrics").await?.body;
        let lines = [
            "bindery_sweep_books_total{outcome=\"stalled\"} 2",
            "bindery_sweep_books_total{outcome=\"resumed\"} 1",
            "bindery_relay_lag_seconds",
        ];
        if lines.into_iter().all(|line| metrics.contains(line)) {
            Ok(())
        } else {
            Err(anyhow!("{metrics}"))
        }
    })
    .await
}

#[tokio::test]
async fn a_relay_that_is_idle_keeps_proving_that_it_has_caught_up() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let daemon = database.daemon(&["--outbox", "", "--lease", "300ms"]).await?;
    for _ in 0..3 {
        caught_up(&client, database.stream()).await?;
    }
    let id = database.add(&mut servers.redis().await?, &[("type", "heartbeat")]).await?;
    applied_up_to(&client, database.stream(), &id).await?;
    caught_up(&client, database.stream()).await?;
    let body: serde_json::Value = serde_json::from_str(&daemon.get("/readyz").await?.body)?;
    assert!(body["streams"][database.stream()]["lag"].is_number(), "{body}");
    Ok(())
}

#[tokio::test]
async fn a_book_with_events_in_the_stream_does_not_stall() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let (client, holder) = (database.connect().await?, database.connect().await?);
    define(&client, "10 minutes", "1 hour").await?;
    let (held, alive) = (book(&client).await?, book(&client).await?);
    // The daemon does not sweep: the test calls `sweep()` below.
    let _daemon = database.daemon(&["--outbox", "", "--lease", "2s"]).await?;
    caught_up(&client, database.stream()).await?;

    // The batch waits for a book that another session has locked, and the other book's heartbeat
    // waits with it.
    holder.batch_execute("begin").await?;
    holder.query("select from bindery.book_status where book_id = $1 for update", &[&held]).await?;
    let mut redis = servers.redis().await?;
    for book in [held, alive] {
        database.add(&mut redis, &[("type", "heartbeat"), ("book_id", &book.to_string())]).await?;
    }
    until_a_session_is_blocked(&client, pid(&holder).await?).await?;
    let before = caught_up_at(&client, database.stream()).await?;
    // By the database's clock both books have been silent for too long.
    let swept: serde_json::Value = client
        .query_one("select bindery.sweep(bindery_internal.now() + '1 hour')", &[])
        .await?
        .get(0);
    assert_eq!(swept["stalled"], 0, "{swept}");
    assert_eq!(
        caught_up_at(&client, database.stream()).await?,
        before,
        "it stands still while a batch waits"
    );
    holder.batch_execute("rollback").await?;
    caught_up(&client, database.stream()).await?;
    assert_eq!(acts(&client, alive).await?, "", "its heartbeat was applied");
    Ok(())
}

#[tokio::test]
async fn no_book_stalls_while_its_relay_is_dead() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let name = database.url().rsplit('/').next().unwrap_or_default();
    clock(&client, name, 0).await?;
    define(&client, "1 minute", "1 hour").await?;
    let (alive, silent) = (book(&client).await?, book(&client).await?);
    let mut daemon = database.daemon(&["--outbox", "", "--lease", "300ms"]).await?;
    cursor_when(&client, database.stream(), "the daemon to hold the stream", |c| c.epoch > 0)
        .await?;
    eventually(SOON, "a first proof", async || {
        caught_up_at(&client, database.stream()).await?.ok_or_else(|| anyhow!("none"))
    })
    .await?;
    daemon.sigkill().await?;
    let id = alive.to_string();
    let heartbeat = [("type", "heartbeat"), ("book_id", id.as_str())];
    let last = database.add(&mut servers.redis().await?, &heartbeat).await?;

    // After two minutes, the stream holds an event that no daemon has read.
    clock(&client, name, 120).await?;
    let swept: serde_json::Value = client.query_one("select bindery.sweep()", &[]).await?.get(0);
    assert_eq!(
        swept,
        serde_json::json!({
            "ran": true, "stalled": 0, "resumed": 0, "expired": 0,
            "waiting_for": [database.stream()],
        })
    );

    let _next = database.daemon(&ARGS).await?;
    applied_up_to(&client, database.stream(), &last).await?;
    acts_when(&client, silent, "fail sweep stalled").await?;
    assert_eq!(acts(&client, alive).await?, "", "its heartbeat was applied first");
    Ok(())
}

#[tokio::test]
async fn two_sweepers_do_nothing_twice() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let client = database.connect().await?;
    define(&client, "0.2 seconds", "0.1 seconds").await?;
    let mut books = Vec::new();
    for _ in 0..40 {
        books.push(book(&client).await?);
    }
    let args = ["--outbox", "", "--lease", "300ms", "--sweep", "10ms"];
    let _one = database.daemon(&args).await?;
    let _two = database.daemon(&args).await?;
    for book in books {
        acts_when(&client, book, "fail sweep stalled, resume sweep, fail sweep stalled").await?;
    }
    Ok(())
}

#[tokio::test]
async fn while_redis_is_down_the_proof_stands_still() -> Result<()> {
    let servers = Servers::start().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let _daemon = database.daemon(&["--outbox", "", "--lease", "300ms"]).await?;
    caught_up(&client, database.stream()).await?;
    servers.stop_redis().await?;
    // Proof from before may still be on its way.
    renewed(&client, database.stream(), 10).await?;
    let before = caught_up_at(&client, database.stream()).await?;
    renewed(&client, database.stream(), 3).await?;
    assert_eq!(
        caught_up_at(&client, database.stream()).await?,
        before,
        "the lease lives, and nothing is proven"
    );
    servers.start_redis().await?;
    caught_up(&client, database.stream()).await
}

#[tokio::test]
async fn a_stream_that_is_no_longer_read_is_forgotten_once_its_lease_is_over() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let client = database.connect().await?;
    define(&client, "0.2 seconds", "1 hour").await?;
    let book = book(&client).await?;
    client.query("select bindery.acquire_stream('gone', 'dead', '100 milliseconds')", &[]).await?;
    let daemon = database.daemon(&ARGS).await?;
    eventually(SOON, "the sweeper to wait for the stream", async || {
        let metrics = daemon.get("/metrics").await.map_err(|error| format!("{error:#}"))?.body;
        if metrics.contains("bindery_sweep_waiting_streams 1") { Ok(()) } else { Err(metrics) }
    })
    .await?;
    caught_up(&client, database.stream()).await?;
    assert_eq!(acts(&client, book).await?, "", "the stream is not applied to its end");
    eventually(SOON, "the stream to be forgotten", async || {
        client.query("select bindery.forget_stream('gone')", &[]).await
    })
    .await?;
    acts_when(&client, book, "fail sweep stalled").await
}
