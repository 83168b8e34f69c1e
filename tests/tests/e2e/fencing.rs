//! One relay a stream, and each batch applied once even if its answer is lost.

use anyhow::{Context, Result};
use bindery_tests::Servers;
use serde_json::{Value, json};
use tokio_postgres::{Client, Error, NoTls};
use uuid::Uuid;

use crate::support::{
    Cursor, all_of, batches_wait, book_in, book_row, cursor, cursor_when, pid, refused,
    until_blocked,
};

const STREAM: &str = "events";

/// Acquires the stream; returns its epoch and position.
async fn acquire(client: &Client, holder: &str) -> Result<(i64, String), Error> {
    let row = client
        .query_one(
            "select epoch, position from bindery.acquire_stream($1, $2, '1 hour')",
            &[&STREAM, &holder],
        )
        .await?;
    Ok((row.get(0), row.get(1)))
}

async fn apply(client: &Client, epoch: i64, position: &str, events: &Value) -> Result<i64, Error> {
    let query = "select applied from bindery.apply_events($1, $2, $3, $4)";
    Ok(client.query_one(query, &[&STREAM, &epoch, &position, events]).await?.get(0))
}

/// Progress, a transition, and an invalid event: every kind of effect of a batch.
fn batch(book: Uuid) -> Value {
    json!([
        {"type": "progress", "id": "1-0", "segment": 0, "book_id": book, "substep": "extract_text",
            "progress": 40},
        {"type": "transition", "id": "2-0", "segment": 1, "book_id": book,
            "to_status": "GENERATING_SCENES"},
        {"type": "rejected", "id": "3-0", "segment": 0, "reason": "unknown_type",
            "message": "type is sneeze", "payload": {}},
        {"type": "register", "id": "4-0", "segment": 2, "book_id": Uuid::nil()},
    ])
}

/// Everything that a batch can change.
async fn everything(client: &Client, book: Uuid) -> Result<(Cursor, String, [i64; 2])> {
    let query = "select (select count(*) from bindery.dead_letters),
        (select count(*) from bindery.book_status)";
    let counts = client.query_one(query, &[]).await?;
    Ok((cursor(client, STREAM).await?, all_of(client, book).await?, [counts.get(0), counts.get(1)]))
}

fn fenced() -> (String, String) {
    ("PT409".to_owned(), "fenced".to_owned())
}

#[tokio::test]
async fn an_epoch_that_is_over_changes_nothing() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let (old, new) = (database.connect().await?, database.connect().await?);
    let book = book_in(&new, &["ANALYZING"]).await?;
    let (epoch, _) = acquire(&old, "old").await?;
    let early = acquire(&new, "new").await;
    assert_eq!(refused(early)?, ("PT409".into(), "lease_held".into()), "while the lease lasts");
    // The lease ends: the new relay's clock is a day ahead.
    new.batch_execute("select set_config('bindery.now', (now() + '1 day')::text, false)").await?;
    let (newer, position) = acquire(&new, "new").await?;
    assert_eq!((newer, position.as_str()), (epoch + 1, "0-0"));
    let before = everything(&new, book).await?;

    assert_eq!(refused(apply(&old, epoch, "4-0", &batch(book)).await)?, fenced());
    assert_eq!(
        refused(apply(&old, epoch + 2, "4-0", &batch(book)).await)?,
        fenced(),
        "an epoch that never was"
    );
    for function in ["renew_stream", "release_stream"] {
        let query = format!("select bindery.{function}($1, $2)");
        assert_eq!(
            refused(old.query_one(&query, &[&STREAM, &epoch]).await)?,
            fenced(),
            "{function}"
        );
    }
    assert_eq!(everything(&new, book).await?, before);

    assert_eq!(apply(&new, newer, "4-0", &batch(book)).await?, 3);
    new.query_one("select bindery.release_stream($1, $2)", &[&STREAM, &newer]).await?;
    let before = everything(&new, book).await?;
    assert_eq!(
        refused(apply(&new, newer, "5-0", &batch(book)).await)?,
        fenced(),
        "after its own release"
    );
    assert_eq!(everything(&new, book).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_takeover_waits_for_the_batch_in_flight_and_continues_behind_it() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let (old, new, watcher) =
        (database.connect().await?, database.connect().await?, database.connect().await?);
    let book = book_in(&watcher, &["ANALYZING"]).await?;
    batches_wait(&watcher).await?;
    let (epoch, _) = acquire(&old, "old").await?;
    new.batch_execute("select set_config('bindery.now', (now() + '1 day')::text, false)").await?;
    let (holding, waiting) = (pid(&old).await?, pid(&new).await?);
    old.batch_execute("begin").await?;
    assert_eq!(apply(&old, epoch, "4-0", &batch(book)).await?, 3);

    let committing = async {
        until_blocked(&watcher, waiting, holding).await?;
        Ok::<_, anyhow::Error>(old.batch_execute("commit").await?)
    };
    let (taken, committed) = tokio::join!(acquire(&new, "new"), committing);
    committed?;

    assert_eq!(
        taken?,
        (epoch + 1, "4-0".to_owned()),
        "the position is behind what the old relay has applied"
    );
    let before = everything(&watcher, book).await?;
    assert_eq!(refused(apply(&old, epoch, "5-0", &batch(book)).await)?, fenced());
    assert_eq!(
        refused(apply(&new, epoch + 1, "4-0", &batch(book)).await)?,
        ("PT409".into(), "position_passed".into())
    );
    assert_eq!(everything(&watcher, book).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_batch_that_waited_for_a_takeover_is_fenced() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let (old, new, watcher) =
        (database.connect().await?, database.connect().await?, database.connect().await?);
    let book = book_in(&watcher, &["ANALYZING"]).await?;
    batches_wait(&watcher).await?;
    let (epoch, _) = acquire(&old, "old").await?;
    new.batch_execute("select set_config('bindery.now', (now() + '1 day')::text, false); begin")
        .await?;
    let (holding, waiting) = (pid(&new).await?, pid(&old).await?);
    acquire(&new, "new").await?;
    let before = all_of(&watcher, book).await?;

    let committing = async {
        until_blocked(&watcher, waiting, holding).await?;
        Ok::<_, anyhow::Error>(new.batch_execute("commit").await?)
    };
    let events = batch(book);
    let (late, committed) = tokio::join!(apply(&old, epoch, "4-0", &events), committing);
    committed?;

    assert_eq!(refused(late)?, fenced());
    assert_eq!(all_of(&watcher, book).await?, before);
    assert_eq!(cursor(&watcher, STREAM).await?.position, "0-0");
    Ok(())
}

#[tokio::test]
async fn a_batch_whose_answer_was_lost_is_not_applied_twice() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let (holder, watcher) = (database.connect().await?, database.connect().await?);
    let book = book_in(&watcher, &["ANALYZING"]).await?;
    let (relay, connection) = tokio_postgres::connect(database.url(), NoTls).await?;
    let wire = tokio::spawn(connection);
    batches_wait(&watcher).await?;
    let (epoch, _) = acquire(&relay, "relay").await?;
    let (holding, session) = (pid(&holder).await?, pid(&relay).await?);
    holder.batch_execute("begin").await?;
    holder.query("select from bindery.book_status where book_id = $1 for update", &[&book]).await?;

    let events = batch(book);
    let cutting = async {
        until_blocked(&watcher, session, holding).await?;
        // The connection is cut while the batch runs, so its answer is lost.
        wire.abort();
        Ok::<_, anyhow::Error>(holder.batch_execute("rollback").await?)
    };
    let (answer, cut) = tokio::join!(apply(&relay, epoch, "4-0", &events), cutting);
    cut?;
    let error = answer.err().context("the answer came through")?;
    assert!(error.as_db_error().is_none(), "{error:?}");
    cursor_when(&watcher, STREAM, "the batch to be committed", |cursor| cursor.position == "4-0")
        .await?;
    let before = everything(&watcher, book).await?;

    // The same relay again, with the same name, so that it need not wait for its own lease.
    let relay = database.connect().await?;
    let (again, position) = acquire(&relay, "relay").await?;
    assert_eq!((again, position.as_str()), (epoch + 1, "4-0"));
    assert_eq!(
        refused(apply(&relay, again, "4-0", &events).await)?,
        ("PT409".into(), "position_passed".into())
    );
    assert_eq!(
        refused(apply(&relay, again, "3-7", &events).await)?,
        ("PT409".into(), "position_passed".into())
    );

    let (mut cursor, book_now, counts) = everything(&watcher, book).await?;
    cursor.epoch = epoch;
    assert_eq!((cursor, book_now, counts), before);
    assert_eq!(
        book_row(&watcher, book).await?["revision"],
        4,
        "registered, moved, reported, moved"
    );
    Ok(())
}

#[tokio::test]
async fn positions_are_compared_as_numbers() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let client = database.connect().await?;
    let (epoch, _) = acquire(&client, "relay").await?;
    for position in ["9-9", "9-10", "10-0"] {
        apply(&client, epoch, position, &json!([])).await.with_context(|| position.to_owned())?;
    }
    assert_eq!(
        refused(apply(&client, epoch, "9-11", &json!([])).await)?,
        ("PT409".into(), "position_passed".into())
    );
    for (position, events) in
        [("$", json!([])), ("100-0", json!({})), ("100-0", Value::Null), ("-", json!([]))]
    {
        assert_eq!(
            refused(apply(&client, epoch, position, &events).await)?.0,
            "PT422",
            "{position} {events}"
        );
    }
    let last = "18446744073709551615-18446744073709551615";
    apply(&client, epoch, last, &json!([])).await?;
    assert_eq!(
        refused(apply(&client, epoch, last, &json!([])).await)?,
        ("PT409".into(), "position_passed".into())
    );
    Ok(())
}
