//! Many streams, slow readers, and changes without a notification.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bindery_tests::{Database, Servers, eventually};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::http_support::{Guarded, service, user};
use crate::support::{SOON, book_row, transition};

const MB: u64 = 1_000_000;

#[tokio::test]
async fn a_thousand_streams_stay_below_100_mb() -> Result<()> {
    const STREAMS: u32 = 1000;
    let at = Guarded::start(&[]).await?;
    let before = at.daemon.resident()?;
    let mut books = Vec::new();
    for _ in 0..50 {
        let owner = Uuid::new_v4();
        books.push((owner, at.book_of(owner, "The Tide").await?));
    }
    let mut streams = Vec::new();
    for index in 0..STREAMS {
        let (owner, book) = books[index as usize % books.len()];
        let mut stream = at
            .daemon
            .ask("GET", &format!("/api/books/{book}/events"))
            .token(&user(owner)?)
            .stream()
            .await?;
        stream.next().await?.context("the present status comes first")?;
        streams.push(stream);
    }
    let idle = at.daemon.resident()?;
    let began = Instant::now();
    for (index, (_, book)) in books.iter().enumerate() {
        transition(&at.client, *book, "ANALYZING").await?;
        // Book by book: a thousand reads at once may wait longer for Postgres than a stream does.
        for stream in streams.iter_mut().skip(index).step_by(books.len()) {
            stream.until(|event| event.id == Some(2)).await?;
        }
    }
    let received = began.elapsed();
    let busy = at.daemon.resident()?;
    println!(
        "{STREAMS} streams: {:.1} MB before, {:.1} MB idle, {:.1} MB after a change of each book; \
         all streams had it {received:?} later",
        before as f64 / MB as f64,
        idle as f64 / MB as f64,
        busy as f64 / MB as f64
    );
    ensure!(busy < 100 * MB, "{busy} bytes");
    let metrics = at.daemon.get("/metrics").await?.body;
    ensure!(metrics.contains("bindery_http_streams 1000"), "{metrics}");
    drop(streams);
    eventually(SOON, "the streams to end", async || {
        let metrics = at.daemon.get("/metrics").await?.body;
        ensure!(metrics.contains("bindery_http_streams 0"), "{metrics}");
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn a_slow_reader_needs_no_memory_and_gets_the_newest_status_in_the_end() -> Result<()> {
    const SLOW: usize = 5;
    let at = Guarded::start(&[]).await?;
    let book = at.book_of(Uuid::new_v4(), "The Tide").await?;
    // The largest metadata that a status shows.
    let large = "update bindery.book_status
        set metadata = jsonb_build_object('x', repeat('x', 30000)) where book_id = $1";
    at.client.query(large, &[&book]).await?;
    transition(&at.client, book, "ANALYZING").await?;
    let began = Instant::now();
    let path = format!("/api/books/{book}/events");
    let mut slow = vec![at.daemon.ask("GET", "/api/events").token(&service()?).stream().await?];
    for _ in 1..SLOW {
        slow.push(at.daemon.ask("GET", &path).token(&service()?).stream().await?);
    }
    // A second reader, which keeps up, shows that the changes are sent.
    let mut quick = at.daemon.ask("GET", &path).token(&service()?).stream().await?;
    quick.next().await?;
    let before = at.daemon.resident()?;
    let (mut newest, mut changes) = (0, 0);
    for done in 1..=300 {
        let report = "select from bindery.report_progress($1, 'extract_text', $2)";
        at.client.query(report, &[&book, &(f64::from(done) / 3.0)]).await?;
        newest = book_row(&at.client, book).await?["revision"].as_i64().context("no revision")?;
        quick.until(|event| event.id == Some(newest)).await?;
        changes = done;
        // The daemon ends a stream whose reader takes nothing for a minute.
        if done >= 150 && began.elapsed() > Duration::from_secs(40) {
            break;
        }
    }
    let grown = at.daemon.resident()?.saturating_sub(before);
    println!(
        "{changes} changes of 30 kB unread by {SLOW} readers: {:.1} MB more",
        grown as f64 / MB as f64
    );
    ensure!(grown < 10 * MB, "{grown} bytes for {changes} changes of 30 kB");
    for stream in &mut slow {
        stream.until(|event| event.id == Some(newest)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn streams_poll_where_postgres_does_not_notify() -> Result<()> {
    for silenced in [
        "create schema realtime;
         create function realtime.send(
           payload jsonb, event text, topic text, private boolean default true)
         returns void language sql as $$ select $$;",
        "update bindery.settings set notify = false where true",
    ] {
        let database = Servers::shared().await?.database().await?;
        let client = database.connect().await?;
        client.batch_execute(silenced).await?;
        looked_by_themselves(&database, &client).await?;
    }
    Ok(())
}

async fn looked_by_themselves(database: &Database<'_>, client: &Client) -> Result<()> {
    let daemon = database.daemon(&[]).await?;
    daemon.logged("Postgres does not notify").await?;
    let book = Uuid::new_v4();
    client.query("select from bindery.register_book($1)", &[&book]).await?;
    let mut one = daemon.ask("GET", &format!("/api/books/{book}/events")).stream().await?;
    let mut all = daemon.ask("GET", "/api/events").stream().await?;
    transition(client, book, "ANALYZING").await?;
    for stream in [&mut one, &mut all] {
        stream.until(|event| event.id == Some(2)).await?;
    }
    Ok(())
}
