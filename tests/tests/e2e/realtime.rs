//! Supabase Realtime, of which tests have the SQL side: the daemon broadcasts what is held back,
//! and creates the policy once Realtime has created its table.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use bindery_tests::{Servers, eventually};
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client, NoTls};
use uuid::Uuid;

use crate::support::{SOON, applied_up_to, book_in};

/// Realtime's table and functions.
const STANDIN: &str = include_str!("../../pgtap/realtime/standin.psql");

/// For each book, the number of its topic's messages, and the newest revision.
async fn broadcast(client: &Client) -> Result<BTreeMap<Uuid, (i64, i64)>> {
    let query = "select (m.payload ->> 'book_id')::uuid, count(*),
            max((m.payload ->> 'revision')::bigint)
        from realtime.messages m where m.topic like 'book:%' group by 1";
    let rows = client.query(query, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect())
}

#[tokio::test]
async fn the_last_of_many_reports_is_broadcast_and_those_before_it_once_a_second() -> Result<()> {
    const BOOKS: usize = 5;
    const REPORTS: i64 = 60;
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let mut redis = servers.redis().await?;
    client.batch_execute(STANDIN).await?;
    let mut books = Vec::new();
    for _ in 0..BOOKS {
        books.push(book_in(&client, &["ANALYZING"]).await?);
    }
    client.batch_execute("delete from realtime.messages where true").await?;
    let daemon = database.daemon(&["--outbox", "", "--linger", "0ms"]).await?;

    let started = Instant::now();
    let mut last = String::new();
    for report in 1..=REPORTS {
        let progress = report.to_string();
        for book in &books {
            let book = book.to_string();
            let fields = [
                ("type", "progress"),
                ("book_id", book.as_str()),
                ("substep", "extract_text"),
                ("progress", progress.as_str()),
            ];
            last = database.add(&mut redis, &fields).await?;
        }
        // A batch for each report instead of one for all.
        applied_up_to(&client, database.stream(), &last).await?;
    }
    // No later change follows that would broadcast what is held back.
    eventually(SOON, "the newest revision of each book to be broadcast", async || {
        let sent = broadcast(&client).await?;
        for book in &books {
            let query = "select revision from bindery.book_status where book_id = $1";
            let revision: i64 = client.query_one(query, &[book]).await?.get(0);
            let newest = sent.get(book).map(|(_, newest)| *newest);
            ensure!(newest == Some(revision), "{book}: {newest:?}, not {revision}");
        }
        anyhow::Ok(())
    })
    .await?;
    let seconds = i64::try_from(started.elapsed().as_secs())? + 1;
    for (book, (messages, _)) in broadcast(&client).await? {
        // One at once, one for each started second since, and one for what was held back.
        ensure!(messages <= seconds + 2, "{book}: {messages} messages in {seconds} s");
    }
    eventually(SOON, "the changes that were held back to be counted", async || {
        let text = daemon.get("/metrics").await?.body;
        let line = text.lines().find(|line| line.starts_with("bindery_broadcasts_held_back_total"));
        let held: f64 =
            line.and_then(|line| line.rsplit_once(' ')).context("no line")?.1.parse()?;
        if held > 0.0 { Ok(()) } else { Err(anyhow!("{held}")) }
    })
    .await?;
    let windows = "select count(*) from bindery_internal.broadcast_windows";
    eventually(SOON, "no window to be left", async || {
        let left: i64 = client.query_one(windows, &[]).await?.get(0);
        if left == 0 { Ok(()) } else { Err(anyhow!("{left}")) }
    })
    .await
}

/// A burst that ends within a window sends its newest state.
#[tokio::test]
async fn no_last_state_is_lost_between_a_writer_and_the_session_that_sends_what_was_held_back()
-> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    client.batch_execute(STANDIN).await?;
    client
        .batch_execute("update bindery.settings set broadcast_every = '30 milliseconds' where true")
        .await?;
    let book = book_in(&client, &["ANALYZING"]).await?;
    let sender = database.connect().await?;
    let sending = tokio::spawn(async move {
        loop {
            if let Err(error) = sender.query("select bindery.send_held_broadcasts()", &[]).await {
                return error;
            }
        }
    });
    let until = Instant::now() + Duration::from_secs(8);
    let mut round = 0_u32;
    while Instant::now() < until {
        // Each burst ends at another moment of the window.
        for _ in 0..=round % 7 {
            let progress = f64::from(round % 100_000) / 1_000.0;
            let report =
                "select from bindery.report_progress($1, 'extract_text', $2, message => $3)";
            client.query(report, &[&book, &progress, &round.to_string()]).await?;
            round += 1;
        }
        let query = "select revision from bindery.book_status where book_id = $1";
        let revision: i64 = client.query_one(query, &[&book]).await?.get(0);
        eventually(SOON, "the newest revision to be broadcast", async || {
            let newest = broadcast(&client).await?.get(&book).map(|(_, newest)| *newest);
            if newest == Some(revision) { Ok(()) } else { Err(anyhow!("{newest:?}, {revision}")) }
        })
        .await?;
        client.batch_execute("delete from realtime.messages where true").await?;
        ensure!(!sending.is_finished(), "{}", sending.await?);
    }
    sending.abort();
    Ok(())
}

#[tokio::test]
async fn the_daemon_makes_the_policy_once_realtime_has_made_its_table() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    client.batch_execute("create schema realtime").await?;
    let daemon = database.daemon(&["--outbox", ""]).await?;
    eventually(SOON, "a warning while the table is missing", async || {
        let log = daemon.log();
        if log.contains("bindery_owner_joins") && log.contains("no table messages") {
            Ok(())
        } else {
            Err(anyhow!("{log}"))
        }
    })
    .await?;
    client.batch_execute(&format!("begin; drop schema realtime; {STANDIN}; commit")).await?;
    eventually(SOON, "the policy", async || {
        let query = "select string_agg(policyname::text, ', ') from pg_policies
            where schemaname = 'realtime'";
        let policies: Option<String> = client.query_one(query, &[]).await?.get(0);
        if policies.as_deref() == Some("bindery_owner_joins") {
            Ok(())
        } else {
            Err(anyhow!("{policies:?}"))
        }
    })
    .await
}

#[tokio::test]
async fn a_transaction_warns_once_however_many_books_are_not_broadcast() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let (client, mut connection) = tokio_postgres::connect(database.url(), NoTls).await?;
    let (sender, mut warnings) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notice(notice) = message
                && notice.severity() == "WARNING"
                && sender.send(notice.message().to_owned()).is_err()
            {
                break;
            }
        }
    });
    client.batch_execute(STANDIN).await?;
    let work = "begin;
        insert into bindery.book_status (book_id, owner_id)
        select gen_random_uuid(), gen_random_uuid() from generate_series(1, 2000);
        update bindery.book_status set status = 'ANALYZING' where status = 'UPLOADED';
        select bindery.report_progress(b.book_id, 'extract_text', 5)
        from bindery.book_status b limit 10;
        update bindery.book_status set owner_id = gen_random_uuid() where true;
        delete from bindery.book_status where true;
        commit";
    for (fault, reason) in [
        ("drop table realtime.messages_all", "no partition of relation"),
        // realtime.send, which turns each error into a warning, is not called for every book.
        ("alter table realtime.messages rename to letters", "no table realtime.messages"),
    ] {
        client.batch_execute(fault).await?;
        client.batch_execute(work).await?;
        let mut seen = Vec::new();
        // The statement's answer arrived after the warnings.
        while let Ok(warning) = warnings.try_recv() {
            seen.push(warning);
        }
        let [warning] = &seen[..] else { return Err(anyhow!("{fault}: {seen:?}")) };
        ensure!(
            warning.contains("changed books were not broadcast") && warning.contains(reason),
            "{warning}"
        );
    }
    Ok(())
}
