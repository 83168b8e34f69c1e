//! What a legal change of status costs next to a bare UPDATE with its history row, in one prepared statement.

use anyhow::{Context, Result, ensure};
use bindery_tests::Servers;
use tokio_postgres::{Client, Row, Statement};
use uuid::Uuid;

use crate::figure::Figure;
use crate::timing::{Times, ratio};

const BOOKS: usize = 300;
/// Each stage and the substeps reported to it, before it is left.
const WALK: [(&str, &[&str]); 4] = [
    ("ANALYZING", &["extract_text", "detect_chapters", "analyze_characters"]),
    ("GENERATING_SCENES", &["split_scenes", "write_prompts"]),
    ("CREATING_ARTWORK", &["page_1", "page_2", "page_3"]),
    ("COMPLETED", &[]),
];

/// Twins of the two tables: the same columns, checks, indexes and fill factor; no triggers, no foreign keys, no policies.
const TWINS: &str = "
    create schema twin;
    create table twin.book_status (like bindery.book_status including all) with (fillfactor = 70);
    create table twin.book_events (like bindery.book_events including all);";

/// The least that the same change takes: every value is known to the caller beforehand.
const BARE: &str = "
    with book as (
        update twin.book_status
        set status = $2, current_stage = $3, overall_progress = $4, stage_progress = $5, substeps = $6, message = $7,
            error = null, revision = revision + 1, heartbeat_at = clock_timestamp(), stage_started_at = clock_timestamp(),
            updated_at = clock_timestamp(), completed_at = case when $8 then clock_timestamp() end
        where book_id = $1
        returning *
    ), event as (
        insert into twin.book_events (book_id, revision, kind, from_status, to_status, stage, attempt, actor, message, at)
        select book_id, revision, case when $8 then 'complete' else 'transition' end, $9, status, current_stage, attempt,
            'postgres', message, updated_at
        from book
    )
    select * from book";

const OURS: &str = "select * from bindery.transition_book($1, $2, $3)";
const MESSAGE: &str = "by the benchmark";

/// Three figures: as a client has it by default, without waiting for the disk, and many in one transaction.
pub async fn transition(servers: &Servers, figures: &mut Vec<Figure>) -> Result<()> {
    let database = servers.database().await?;
    let client = database.connect().await?;
    client.batch_execute(TWINS).await?;
    let durable = client.query_one("select current_setting('fsync') || current_setting('synchronous_commit')", &[]);
    let durable: String = durable.await?.get(0);
    ensure!(durable == "onon", "the server does not wait for the disk");
    let calls = BOOKS * WALK.len();
    for (name, setting, how) in [
        ("transition_ratio", "set synchronous_commit = on", "fsync and synchronous_commit on, a transaction each"),
        ("transition_ratio_no_sync", "set synchronous_commit = off", "synchronous_commit off, a transaction each"),
        ("transition_ratio_one_commit", "begin", "all in one transaction"),
    ] {
        eprintln!("transition: {calls} of each, {how}");
        let (ours, bare) = walks(&client, setting).await?;
        let (value, medians) = ratio(&ours, &bare)?;
        let how = format!("transition_book to a bare UPDATE and INSERT, {medians}; {calls} of each, {how}");
        figures.push(Figure { name, value, unit: "ratio", how });
    }
    Ok(())
}

/// Takes books through their pipeline in both pairs of tables, call by call in turn.
async fn walks(client: &Client, setting: &str) -> Result<(Times, Times)> {
    let prepared = (client.prepare(OURS).await?, client.prepare(BARE).await?);
    let steps = rehearse(client, &prepared.0).await?;
    let books: Vec<Uuid> = (0..BOOKS).map(|_| Uuid::new_v4()).collect();
    client
        .query("select count(*) from unnest($1::uuid[]) b, bindery.register_book(b, b, title => 'A book')", &[&books])
        .await?;
    client
        .query("insert into twin.book_status select * from bindery.book_status where book_id = any ($1)", &[&books])
        .await?;
    client.query("insert into twin.book_events overriding user value select * from bindery.book_events where book_id = any ($1)", &[&books]).await?;
    client.batch_execute("vacuum analyze").await?;

    let (mut ours, mut bare) = (Times::default(), Times::default());
    client.batch_execute(setting).await?;
    let mut from = "UPLOADED";
    for ((to, substeps), step) in WALK.into_iter().zip(&steps) {
        let stage: &str = step.get("current_stage");
        let numbers: (f64, f64) = (step.get("overall_progress"), step.get("stage_progress"));
        let listed: serde_json::Value = step.get("substeps");
        for (number, book) in books.iter().enumerate() {
            let first = number % 2 == 0;
            if first {
                ours.measure(client, &prepared.0, &[book, &to, &MESSAGE]).await?;
            }
            let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 9] =
                [book, &to, &stage, &numbers.0, &numbers.1, &listed, &MESSAGE, &(to == "COMPLETED"), &from];
            bare.measure(client, &prepared.1, &parameters).await?;
            if !first {
                ours.measure(client, &prepared.0, &[book, &to, &MESSAGE]).await?;
            }
        }
        report(client, &books, substeps).await?;
        from = to;
    }
    if setting == "begin" {
        client.batch_execute("commit").await?;
    }
    same(client, &books).await?;
    Ok((ours, bare))
}

/// Takes one book through its pipeline, untimed; its rows on the way, which the bare statement then writes.
async fn rehearse(client: &Client, ours: &Statement) -> Result<Vec<Row>> {
    let book = Uuid::new_v4();
    client.query("select * from bindery.register_book($1, $1, title => 'A book')", &[&book]).await?;
    let mut steps = Vec::new();
    for (to, substeps) in WALK {
        steps.push(client.query_one(ours, &[&book, &to, &MESSAGE]).await?);
        report(client, &[book], substeps).await?;
    }
    Ok(steps)
}

/// Reports the substeps as done, and brings the twins to the same state.
async fn report(client: &Client, books: &[Uuid], substeps: &[&str]) -> Result<()> {
    for substep in substeps {
        client
            .query("select count(*) from unnest($1::uuid[]) b, bindery.report_progress(b, $2, done => 40, total => 40, unit => 'page')", &[&books, substep])
            .await?;
    }
    let copy = "update twin.book_status t set overall_progress = b.overall_progress, stage_progress = b.stage_progress, \
        substeps = b.substeps, revision = b.revision from bindery.book_status b where b.book_id = t.book_id and b.book_id = any ($1)";
    client.execute(copy, &[&books]).await?;
    Ok(())
}

/// What was compared did the same: books and histories are equal, but for the times.
async fn same(client: &Client, books: &[Uuid]) -> Result<()> {
    let query = "
        select count(*), count(*) filter (where to_jsonb(b) - $2::text[] = to_jsonb(t) - $2::text[])
        from bindery.book_status b join twin.book_status t using (book_id) where b.book_id = any ($1)
        union all
        select count(*), count(*) filter (where to_jsonb(b) - $2::text[] = to_jsonb(t) - $2::text[])
        from bindery.book_events b left join twin.book_events t using (book_id, revision) where b.book_id = any ($1)";
    let times =
        ["heartbeat_at", "stage_started_at", "updated_at", "completed_at", "id", "at", "estimated_completion_at"];
    let rows = client.query(query, &[&books, &&times[..]]).await?;
    for (row, a_book) in rows.iter().zip([1, 1 + WALK.len()]) {
        let counts: (i64, i64) = (row.get(0), row.get(1));
        let expected = i64::try_from(books.len() * a_book).context("few books")?;
        ensure!(
            counts == (expected, expected),
            "of {expected} rows there are {}, and {} are equal",
            counts.0,
            counts.1
        );
    }
    Ok(())
}
