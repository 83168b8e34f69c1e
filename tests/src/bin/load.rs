//! `make load`: many books at once through the whole pipeline, half of them by SQL functions and
//! half by events, and a check of every row and of the history at the end. `BOOKS` and
//! `CONNECTIONS` set the size.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bindery_tests::{Database, Servers, connect, eventually};
use redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;
use tokio_postgres::Client;
use uuid::Uuid;

/// The stages of `comic` and a substep of each.
const STAGES: [(&str, &str); 3] = [
    ("ANALYZING", "extract_text"),
    ("GENERATING_SCENES", "split_scenes"),
    ("CREATING_ARTWORK", "panels"),
];
const UNITS: u32 = 20;
const DONE_WITHIN: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() -> Result<()> {
    let books = setting("BOOKS", 200)?;
    let connections = setting("CONNECTIONS", 16)?;
    let servers = Servers::start().await?;
    let database = servers.database().await?;
    let mut daemon = database.daemon(&[]).await?;
    println!("{books} books over {connections} connections; half by SQL, half by events");

    let start = Instant::now();
    let mut writers = JoinSet::new();
    for writer in 0..connections {
        let mine: Vec<Uuid> =
            (writer..books).step_by(connections).map(|_| Uuid::new_v4()).collect();
        let (url, stream) = (database.url().to_owned(), database.stream().to_owned());
        let redis = servers.redis().await?;
        writers.spawn(async move {
            if writer % 2 == 0 {
                by_sql(&connect(&url).await?, &mine).await
            } else {
                by_events(redis, &stream, &mine).await
            }
        });
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    let written = start.elapsed();
    let client = database.connect().await?;
    check(&client, books).await?;
    let took = start.elapsed();
    check_relay(&client, &database).await?;
    daemon.sigterm().await?;

    let reports = books * STAGES.len() * UNITS as usize;
    println!(
        "{reports} reports and {} transitions written in {written:.1?}, \
         all in effect after {took:.1?}",
        books * 5
    );
    println!("every book is COMPLETED at 100, every history has its five rows in order");
    println!("no event was stale, early or rejected");
    Ok(())
}

fn setting(name: &str, default: usize) -> Result<usize> {
    let value = std::env::var(name).map_or(Ok(default), |value| value.parse());
    let value = value.with_context(|| format!("{name} is not a number"))?;
    ensure!((1..=10_000).contains(&value), "{name} must be 1 to 10000");
    Ok(value)
}

/// Reports one unit of every book in turn, so that all books are at work at once.
async fn by_sql(client: &Client, books: &[Uuid]) -> Result<()> {
    for book in books {
        client.query("select from bindery.register_book($1)", &[book]).await?;
    }
    for (stage, substep) in STAGES {
        for book in books {
            client.query("select from bindery.transition_book($1, $2)", &[book, &stage]).await?;
        }
        for done in 1..=UNITS {
            for book in books {
                client
                    .query(
                        "select from bindery.report_progress($1, $2, done => $3, total => $4, \
                         stage => $5, attempt => 1)",
                        &[book, &substep, &f64::from(done), &f64::from(UNITS), &stage],
                    )
                    .await?;
            }
        }
    }
    for book in books {
        client.query("select from bindery.transition_book($1, 'COMPLETED')", &[book]).await?;
    }
    Ok(())
}

async fn by_events(mut redis: MultiplexedConnection, stream: &str, books: &[Uuid]) -> Result<()> {
    let mut add = async |book: &Uuid, fields: &[(&str, &str)]| -> Result<()> {
        let mut all = vec![("book_id", book.to_string())];
        all.extend(fields.iter().map(|(name, value)| (*name, (*value).to_owned())));
        bindery_client::append(&mut redis, stream, [all.as_slice()]).await?;
        Ok(())
    };
    for book in books {
        add(book, &[("type", "register")]).await?;
    }
    for (stage, substep) in STAGES {
        for book in books {
            add(book, &[("type", "transition"), ("to_status", stage)]).await?;
        }
        for done in 1..=UNITS {
            let (done, total) = (done.to_string(), UNITS.to_string());
            let report = [
                ("type", "progress"),
                ("stage", stage),
                ("substep", substep),
                ("done", &done),
                ("total", &total),
                ("attempt", "1"),
            ];
            for book in books {
                add(book, &report).await?;
            }
        }
    }
    for book in books {
        add(book, &[("type", "transition"), ("to_status", "COMPLETED")]).await?;
    }
    Ok(())
}

/// Waits until every book is complete, then checks every row and every history.
async fn check(client: &Client, books: usize) -> Result<()> {
    let complete = "select count(*) from bindery.book_status \
                    where status = 'COMPLETED' and overall_progress = 100";
    eventually(DONE_WITHIN, "every book to be complete", async || {
        let complete: i64 = client.query_one(complete, &[]).await?.get(0);
        ensure!(complete == i64::try_from(books)?, "{complete} of {books} are");
        Ok(())
    })
    .await?;
    let expected =
        ["UPLOADED", "ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK", "COMPLETED"].as_slice();
    let odd: i64 = client
        .query_one(
            "select count(*) from (select array_agg(to_status order by revision) as path \
             from bindery.book_events group by book_id) h \
             where path <> $1::text[]",
            &[&expected],
        )
        .await?
        .get(0);
    ensure!(odd == 0, "{odd} books have another history than {expected:?}");
    // Each stage has one substep that was reported; the declared others are at 0.
    let finished =
        "select count(*) from bindery.book_progress where progress = 100 and done = total";
    let finished: i64 = client.query_one(finished, &[]).await?.get(0);
    let expected = i64::try_from(books * STAGES.len())?;
    ensure!(finished == expected, "{finished} substeps are at 100, not {expected}");
    Ok(())
}

async fn check_relay(client: &Client, database: &Database<'_>) -> Result<()> {
    let cursor = client
        .query_one(
            "select stale, early, rejected from bindery.relay_cursors where stream = $1",
            &[&database.stream()],
        )
        .await?;
    let (stale, early, rejected): (i64, i64, i64) = (cursor.get(0), cursor.get(1), cursor.get(2));
    ensure!(
        (stale, early, rejected) == (0, 0, 0),
        "{stale} events were stale, {early} early, {rejected} rejected"
    );
    Ok(())
}
