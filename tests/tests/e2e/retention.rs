//! Pruning, replaying and refreshing beside other sessions: they neither wait for each other nor
//! delay others.

use anyhow::Result;
use bindery_tests::Servers;
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::{book_in, json, pid, refused, until_blocked};

/// Rejects a report for each of this many unknown books; returns the ids of the dead letters.
async fn letters(client: &Client, count: i32) -> Result<Vec<i64>> {
    let reject = "select bindery_internal.reject('tap', jsonb_build_array(jsonb_build_object(
        'type', 'progress', 'book_id', gen_random_uuid(), 'progress', 1,
        'reason', 'unknown_book'))) from generate_series(1, $1)";
    client.query(reject, &[&count]).await?;
    ids(client, "select id from bindery.dead_letters order by id").await
}

async fn ids(client: &Client, query: &str) -> Result<Vec<i64>> {
    Ok(client.query(query, &[]).await?.iter().map(|row| row.get(0)).collect())
}

async fn count(client: &Client, query: &str) -> Result<i32> {
    Ok(client.query_one(query, &[]).await?.get(0))
}

async fn replay(client: &Client) -> Result<serde_json::Value> {
    json(client, "select to_jsonb(r) from bindery.replay_dead_letters() r", &[]).await
}

#[tokio::test]
async fn pruning_skips_rows_that_another_session_holds() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let (mut holder, client) = (database.connect().await?, database.connect().await?);
    // A session that waits would fail.
    client.batch_execute("set lock_timeout = '30s'").await?;
    let letters = letters(&client, 3).await?;
    book_in(&client, &["ANALYZING", "FAILED", "ANALYZING", "FAILED"]).await?;
    let revisions = "select revision from bindery.book_events order by revision";
    let events = ids(&client, revisions).await?;

    let held = holder.transaction().await?;
    held.query("select from bindery.dead_letters where id = $1 for update", &[&letters[1]]).await?;
    held.query("select from bindery.book_events where revision = $1 for update", &[&events[1]])
        .await?;
    assert_eq!(count(&client, "select bindery.prune_dead_letters('infinity')").await?, 2);
    assert_eq!(count(&client, "select bindery.prune_events('infinity')").await?, 3);
    held.rollback().await?;

    assert_eq!(
        ids(&client, "select id from bindery.dead_letters order by id").await?,
        vec![letters[1]]
    );
    // The newest row of a book stays.
    assert_eq!(ids(&client, revisions).await?, vec![events[1], events[4]]);
    Ok(())
}

#[tokio::test]
async fn pruning_delays_no_other_session() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let (mut pruner, client) = (database.connect().await?, database.connect().await?);
    client.batch_execute("set lock_timeout = '30s'").await?;
    let book = book_in(&client, &["ANALYZING", "FAILED", "ANALYZING"]).await?;
    letters(&client, 2).await?;

    let pruning = pruner.transaction().await?;
    for function in ["prune_events", "prune_dead_letters", "prune_outbox"] {
        let pruned: i32 =
            pruning.query_one(&format!("select bindery.{function}('infinity')"), &[]).await?.get(0);
        assert!(pruned > 0, "{function} had nothing to do");
    }
    client.query("select from bindery.transition_book($1, 'GENERATING_SCENES')", &[&book]).await?;
    book_in(&client, &["ANALYZING"]).await?;
    letters(&client, 1).await?;
    assert_eq!(
        client.query("select from bindery.take_outbox()", &[]).await?.len(),
        0,
        "it has the outbox to itself"
    );
    pruning.commit().await?;
    Ok(())
}

#[tokio::test]
async fn messages_that_a_publisher_gives_back_are_pruned_with_the_others() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let (mut publisher, pruner, watcher) =
        (database.connect().await?, database.connect().await?, database.connect().await?);
    book_in(&watcher, &["ANALYZING", "GENERATING_SCENES"]).await?;
    let (holding, waiting) = (pid(&publisher).await?, pid(&pruner).await?);

    let publishing = publisher.transaction().await?;
    assert_eq!(publishing.query("select from bindery.take_outbox(1)", &[]).await?.len(), 1);
    let (pruned, ()) =
        tokio::try_join!(count(&pruner, "select bindery.prune_outbox('infinity')"), async {
            until_blocked(&watcher, waiting, holding).await?;
            Ok(publishing.rollback().await?)
        })?;
    assert_eq!(pruned, 3);
    Ok(())
}

#[tokio::test]
async fn one_replay_at_a_time_and_it_passes_over_what_is_being_pruned() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let (mut other, client) = (database.connect().await?, database.connect().await?);
    client.batch_execute("set lock_timeout = '30s'").await?;
    letters(&client, 3).await?;

    let pruning = other.transaction().await?;
    pruning.query("select bindery.prune_dead_letters('infinity', 1)", &[]).await?;
    assert_eq!(replay(&client).await?, json!({"applied": 0, "stale": 0, "rejected": 2}));
    pruning.rollback().await?;

    let replaying = other.transaction().await?;
    replaying.query("select from bindery.replay_dead_letters()", &[]).await?;
    let second = client.query("select from bindery.replay_dead_letters()", &[]).await;
    assert_eq!(refused(second)?, ("PT409".into(), "replay_running".into()));
    replaying.commit().await?;
    assert_eq!(replay(&client).await?, json!({"applied": 0, "stale": 0, "rejected": 3}));
    Ok(())
}

#[tokio::test]
async fn concurrent_replays_replay_a_dead_letter_once() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let (mut first, client) = (database.connect().await?, database.connect().await?);
    let book = Uuid::new_v4();
    let event = json!({
        "type": "transition", "book_id": book, "to_status": "ANALYZING", "count": 1,
        "reason": "unknown_book",
    });
    client
        .query("select bindery_internal.reject('tap', jsonb_build_array($1::jsonb))", &[&event])
        .await?;
    client.query("select from bindery.register_book($1)", &[&book]).await?;

    let replaying = first.transaction().await?;
    assert_eq!(
        replaying
            .query_one("select applied from bindery.replay_dead_letters()", &[])
            .await?
            .get::<_, i64>(0),
        1
    );
    replaying.rollback().await?;
    assert_eq!(
        replay(&client).await?,
        json!({"applied": 1, "stale": 0, "rejected": 0}),
        "what was undone is still there"
    );
    assert_eq!(
        replay(&client).await?,
        json!({"applied": 0, "stale": 0, "rejected": 0}),
        "what was done is not"
    );
    Ok(())
}

#[tokio::test]
async fn refreshing_the_pace_delays_no_other_session() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let (mut first, client) = (database.connect().await?, database.connect().await?);
    client.batch_execute("set lock_timeout = '30s'").await?;
    let way = ["ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK", "COMPLETED"];
    book_in(&client, &way).await?;

    let refreshing = first.transaction().await?;
    assert!(
        refreshing
            .query_one("select bindery_internal.refresh_pace()", &[])
            .await?
            .get::<_, bool>(0)
    );
    assert!(
        !client.query_one("select bindery_internal.refresh_pace()", &[]).await?.get::<_, bool>(0)
    );
    book_in(&client, &way).await?;
    refreshing.commit().await?;
    Ok(())
}
