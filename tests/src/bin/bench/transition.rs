//! The cost of a legal change of status compared with a bare UPDATE with its history row, in one
//! prepared statement.

use anyhow::{Context, Result, ensure};
use bindery_tests::Servers;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};
use uuid::Uuid;

use crate::figure::Figure;
use crate::timing::{Times, ratio};

const BOOKS: usize = 300;
/// Each stage and the substeps reported in it before the next transition.
const WALK: [(&str, &[&str]); 4] = [
    ("ANALYZING", &["extract_text", "detect_chapters", "analyze_characters"]),
    ("GENERATING_SCENES", &["split_scenes", "write_prompts"]),
    ("CREATING_ARTWORK", &["page_1", "page_2", "page_3"]),
    ("COMPLETED", &[]),
];

/// Twins of the two tables: the same columns, checks, indexes and fill factor; no triggers, foreign
/// keys or policies.
const TWINS: &str = "
    create schema twin;
    create table twin.book_status (like bindery.book_status including all) with (fillfactor = 50);
    create table twin.book_events (like bindery.book_events including all);";

/// The minimum for the same change: the caller already has every value.
const BARE: &str = "
    with book as (
        update twin.book_status
        set status = $2, current_stage = $3, overall_progress = $4, stage_progress = $5,
            substeps_total = $6, substeps_done = $7, substeps_weight = $8::bigint,
            substeps_points = $9::bigint, stage_base = $10, stage_share = $11, message = $12,
            error = null, revision = revision + 1, heartbeat_at = clock_timestamp(),
            stage_entered_at = clock_timestamp(), stage_started_at = clock_timestamp(),
            updated_at = clock_timestamp(), completed_at = case when $13 then clock_timestamp() end
        where book_id = $1
        returning *
    ), event as (
        insert into twin.book_events
            (book_id, revision, kind, from_status, to_status, stage, attempt, actor, message, at)
        select book_id, revision, case when $13 then 'complete' else 'transition' end, $14, status,
            current_stage, attempt, 'postgres', message, updated_at
        from book
    )
    select * from book";

const OURS: &str = "select * from bindery.transition_book($1, $2, $3)";
const MESSAGE: &str = "by the benchmark";
/// What the bare statement writes. The sums are small here, and fit a bigint.
const STEP: &str = "
    select current_stage, overall_progress, stage_progress, substeps_total, substeps_done,
        substeps_weight::bigint, substeps_points::bigint, stage_base, stage_share
    from bindery.book_status where book_id = $1";

/// Three figures: with a client's defaults, without waiting for the disk, and in one transaction.
pub async fn transition(servers: &Servers, figures: &mut Vec<Figure>) -> Result<()> {
    let database = servers.database().await?;
    let client = database.connect().await?;
    client.batch_execute(TWINS).await?;
    let query = "select current_setting('fsync') || current_setting('synchronous_commit')";
    let durable: String = client.query_one(query, &[]).await?.get(0);
    ensure!(durable == "onon", "fsync or synchronous_commit is off: {durable}");
    let calls = BOOKS * WALK.len();
    for (name, setting, how) in [
        (
            "transition_ratio",
            "set synchronous_commit = on",
            "fsync and synchronous_commit on, a transaction each",
        ),
        (
            "transition_ratio_no_sync",
            "set synchronous_commit = off",
            "synchronous_commit off, a transaction each",
        ),
        ("transition_ratio_one_commit", "begin", "all in one transaction"),
    ] {
        eprintln!("transition: {calls} of each, {how}");
        let (ours, bare) = walks(&client, setting).await?;
        let (value, medians) = ratio(&ours, &bare)?;
        let how = format!(
            "transition_book to a bare UPDATE and INSERT, {medians}; {calls} of each, {how}"
        );
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
        .query(
            "select count(*) from unnest($1::uuid[]) b,
                bindery.register_book(b, b, title => 'A book')",
            &[&books],
        )
        .await?;
    for table in ["book_status", "book_events"] {
        let copy = format!(
            "insert into twin.{table} select * from bindery.{table} where book_id = any ($1)"
        );
        client.query(&copy, &[&books]).await?;
    }
    client.batch_execute("vacuum analyze").await?;

    let (mut ours, mut bare) = (Times::default(), Times::default());
    client.batch_execute(setting).await?;
    let mut from = "UPLOADED";
    for ((to, substeps), step) in WALK.into_iter().zip(&steps) {
        let stage: &str = step.get("current_stage");
        let [overall, progress, base, share]: [f64; 4] =
            ["overall_progress", "stage_progress", "stage_base", "stage_share"]
                .map(|column| step.get(column));
        let [total, done]: [i32; 2] =
            ["substeps_total", "substeps_done"].map(|column| step.get(column));
        let [weight, points]: [i64; 2] =
            ["substeps_weight", "substeps_points"].map(|column| step.get(column));
        let complete = to == "COMPLETED";
        for (number, book) in books.iter().enumerate() {
            let first = number % 2 == 0;
            if first {
                ours.measure(client, &prepared.0, &[book, &to, &MESSAGE]).await?;
            }
            let parameters: [&(dyn ToSql + Sync); 14] = [
                book, &to, &stage, &overall, &progress, &total, &done, &weight, &points, &base,
                &share, &MESSAGE, &complete, &from,
            ];
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

/// Takes one book through its pipeline, untimed. Returns, after each transition, what the bare
/// statement has to write.
async fn rehearse(client: &Client, ours: &Statement) -> Result<Vec<Row>> {
    let book = Uuid::new_v4();
    client
        .query("select * from bindery.register_book($1, $1, title => 'A book')", &[&book])
        .await?;
    let mut steps = Vec::new();
    for (to, substeps) in WALK {
        client.query_one(ours, &[&book, &to, &MESSAGE]).await?;
        steps.push(client.query_one(STEP, &[&book]).await?);
        report(client, &[book], substeps).await?;
    }
    Ok(steps)
}

/// Reports the substeps as done, and brings the twin to the same state.
async fn report(client: &Client, books: &[Uuid], substeps: &[&str]) -> Result<()> {
    for substep in substeps {
        client
            .query(
                "select count(*) from unnest($1::uuid[]) b,
                    bindery.report_progress(b, $2, done => 40, total => 40, unit => 'page')",
                &[&books, substep],
            )
            .await?;
    }
    let copy = "
        update twin.book_status t
        set overall_progress = b.overall_progress, stage_progress = b.stage_progress,
            substeps_total = b.substeps_total, substeps_done = b.substeps_done,
            substeps_weight = b.substeps_weight, substeps_points = b.substeps_points,
            revision = b.revision
        from bindery.book_status b where b.book_id = t.book_id and b.book_id = any ($1)";
    client.execute(copy, &[&books]).await?;
    Ok(())
}

/// Checks that both did the same: books and histories are equal, except for times.
async fn same(client: &Client, books: &[Uuid]) -> Result<()> {
    let query = "
        select count(*), count(*) filter (where to_jsonb(b) - $2::text[] = to_jsonb(t) - $2::text[])
        from bindery.book_status b join twin.book_status t using (book_id)
        where b.book_id = any ($1)
        union all
        select count(*), count(*) filter (where to_jsonb(b) - $2::text[] = to_jsonb(t) - $2::text[])
        from bindery.book_events b left join twin.book_events t using (book_id, revision)
        where b.book_id = any ($1)";
    let times = [
        "heartbeat_at",
        "stage_entered_at",
        "stage_started_at",
        "updated_at",
        "completed_at",
        "at",
        "estimated_completion_at",
    ];
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
