//! A database in use, with books in every kind of status, and the proof that they continue.
//! `upgrade` fills an older version of the schema with it, so every call here must work in each
//! version.

use anyhow::{Result, ensure};
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::{book_row, json, refused, transition};

/// The books, by their status.
const REGISTERED: u128 = 1;
const WORKING: u128 = 2;
const FAILED: u128 = 3;
const RESUMED: u128 = 4;
const CANCELLED: u128 = 5;
const COMPLETED: u128 = 6;
const PLANNED: u128 = 7;
const BY_HAND: u128 = 8;
const RELAYED: u128 = 9;

const OWNER: u128 = 100;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x4000_8000_0000_0000_0000 | number)
}

/// Creates the books by the schema's own functions, and with them history, messages, a stream's
/// cursor, a dead letter and an early event.
pub async fn fill(client: &Client) -> Result<()> {
    let setting = r#"
        create function pg_temp.id(n integer) returns uuid language sql as $$
            select ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$;
        select bindery.define_pipeline('mine',
            '{"states": [{"name": "IN"},
              {"name": "WORK", "weight": 1, "open_substeps": true}, {"name": "OUT"}]}');
        select bindery.register_book(pg_temp.id(n), pg_temp.id(100),
            case n when 7 then 'mine' else 'comic' end,
            e'A "book"\n\'s title \u00e4 \U0001F40B ' || n,
            jsonb_build_object('n', n, 'deep', '[{"a": null}, 1.50, "\\"]'::jsonb))
        from generate_series(1, 9) n"#;
    client.batch_execute(setting).await?;
    let calls = r#"
        select bindery.transition_book(pg_temp.id(n), 'ANALYZING', 'begun')
            from unnest(array[2, 3, 4, 5, 6, 9]) n;
        select bindery.report_progress(pg_temp.id(2), 'extract_text', 40,
            message => 'page 4', checkpoint => '{"page": 4}');
        select bindery.report_progress(pg_temp.id(2), 'detect_chapters',
            done => 3, total => 8, unit => 'chapter');
        select bindery.transition_book(pg_temp.id(n), 'GENERATING_SCENES')
            from unnest(array[3, 5, 6]) n;
        select bindery.report_progress(pg_temp.id(3), 'split_scenes', 100);
        select bindery.report_progress(pg_temp.id(3), 'write_prompts', 30,
            checkpoint => '{"prompt": 7}');
        select bindery.fail_book(pg_temp.id(3), '{"code": "out_of_paper", "tray": 2}', 'no paper');
        select bindery.report_progress(pg_temp.id(4), 'extract_text', 100);
        select bindery.report_progress(pg_temp.id(4), 'analyze_characters', 50);
        select bindery.fail_book(pg_temp.id(4));
        select bindery.resume_book(pg_temp.id(4));
        select bindery.transition_book(pg_temp.id(n), 'CREATING_ARTWORK')
            from unnest(array[5, 6]) n;
        select bindery.report_progress(pg_temp.id(5), 'page_1', 50);
        select bindery.cancel_book(pg_temp.id(5), 'not wanted');
        select bindery.transition_book(pg_temp.id(6), 'COMPLETED');
        select bindery.transition_book(pg_temp.id(7), 'WORK');
        select bindery.plan_substeps(pg_temp.id(7), 'WORK',
            '[{"substep": "chapter_1", "weight": 3}, {"substep": "chapter_2"}]');
        select bindery.report_progress(pg_temp.id(7), 'chapter_1', 100);
        update bindery.book_status set status = 'ANALYZING' where book_id = pg_temp.id(8);
        update bindery.book_status set title = 'another' where book_id = pg_temp.id(8);
        select bindery.acquire_stream('live', 'one', '1 hour');
        select bindery.apply_events('live', 1, '5-0', jsonb_build_array(
            jsonb_build_object('type', 'progress', 'id', '3-0', 'first_id', '2-0', 'count', 2,
                'segment', 0, 'book_id', pg_temp.id(9), 'substep', 'extract_text',
                'progress', 60),
            jsonb_build_object('type', 'progress', 'id', '4-0', 'first_id', '4-0', 'count', 1,
                'segment', 0, 'book_id', pg_temp.id(99), 'stage', 'ANALYZING',
                'substep', 'extract_text', 'progress', 60),
            jsonb_build_object('type', 'progress', 'id', '5-0', 'first_id', '5-0', 'count', 1,
                'segment', 0, 'book_id', pg_temp.id(9), 'substep', 'no_such_substep',
                'progress', 60)))"#;
    // One statement at a time: the triggers of each statement see what the one before it committed.
    for call in calls.split(';') {
        client.batch_execute(call).await?;
    }
    let kinds: i64 = client
        .query_one("select count(distinct status) from bindery.book_status", &[])
        .await?
        .get(0);
    let dead: i64 =
        client.query_one("select count(*) from bindery.dead_letters", &[]).await?.get(0);
    let early: i64 =
        client.query_one("select count(*) from bindery.early_events", &[]).await?.get(0);
    ensure!(
        (kinds, dead, early) == (6, 1, 1),
        "{kinds} kinds of status, {dead} dead letters, {early} early events"
    );
    Ok(())
}

/// The tables with their columns, for a later comparison.
pub async fn tables(client: &Client) -> Result<Vec<(String, String)>> {
    let query = "select c.oid::regclass::text,
          string_agg(quote_ident(a.attname), ', ' order by a.attnum)
        from pg_class c join pg_attribute a on a.attrelid = c.oid
        where c.relnamespace in (to_regnamespace('bindery'), to_regnamespace('bindery_internal'))
          and c.relkind = 'r'
          and a.attnum > 0 and not a.attisdropped and c.relname <> 'schema_history'
        group by c.oid order by 1";
    Ok(client.query(query, &[]).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Every row of these columns, one a line. Of the pipelines, only those that the books follow: an
/// upgrade may add more.
pub async fn rows(client: &Client, tables: &[(String, String)]) -> Result<String> {
    let mut all = String::new();
    for (table, columns) in tables {
        let only =
            if table == "bindery.pipelines" { "where name in ('comic', 'mine')" } else { "" };
        let query = format!(
            "select coalesce(string_agg(line, e'\\n' order by line), '') from
                (select to_jsonb(t)::text as line from (select {columns} from {table} {only}) t) l"
        );
        let rows: String = client.query_one(&query, &[]).await?.get(0);
        all += &format!("{table}\n{rows}\n");
    }
    Ok(all)
}

/// Checks that the books continue from where they were. This uses up what [`fill`] created.
pub async fn go_on(client: &Client) -> Result<()> {
    the_triggers_are_there(client).await?;
    owners_see_their_own_only(client).await?;
    let report = "select overall_progress, revision from bindery.report_progress($1, $2, $3)";

    // Reports of substeps add to the earlier ones.
    let book = id(WORKING);
    let before = book_row(client, book).await?;
    let row = client.query_one(report, &[&book, &"extract_text", &10.0]).await?;
    assert_eq!(
        json!(row.get::<_, f64>(0)),
        before["overall_progress"],
        "a substep does not go back"
    );
    let row = client.query_one(report, &[&book, &"extract_text", &100.0]).await?;
    assert_eq!(row.get::<_, f64>(0), 6.88, "a fifth of (100 + 37.5) / 4");
    assert_eq!(
        json!(row.get::<_, i64>(1)),
        json!(before["revision"].as_i64().unwrap_or_default() + 1)
    );
    to_the_end(client, book, &["GENERATING_SCENES", "CREATING_ARTWORK", "COMPLETED"]).await?;

    // A failed book resumes with its progress.
    let book = id(FAILED);
    let point = json(client, "select bindery.get_resume_point($1)", &[&book]).await?;
    assert_eq!(
        (&point["stage"], &point["done"]),
        (&json!("GENERATING_SCENES"), &json!(["split_scenes"]))
    );
    client.query("select from bindery.resume_book($1)", &[&book]).await?;
    let row = book_row(client, book).await?;
    assert_eq!((&row["status"], &row["attempt"]), (&json!("GENERATING_SCENES"), &json!(2)));
    assert_eq!(
        row["stage_progress"],
        json!(65),
        "finished substeps and those with a checkpoint are kept"
    );
    to_the_end(client, book, &["CREATING_ARTWORK", "COMPLETED"]).await?;
    assert_eq!(book_row(client, id(RESUMED)).await?["attempt"], json!(2));
    to_the_end(client, id(RESUMED), &["GENERATING_SCENES", "CREATING_ARTWORK", "COMPLETED"])
        .await?;
    to_the_end(client, id(BY_HAND), &["GENERATING_SCENES", "CREATING_ARTWORK", "COMPLETED"])
        .await?;
    to_the_end(
        client,
        id(REGISTERED),
        &["ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK", "COMPLETED"],
    )
    .await?;

    // Ended books stay ended.
    for book in [CANCELLED, COMPLETED] {
        let refused = refused(transition(client, id(book), "ANALYZING").await)?;
        assert_eq!(refused, ("PT409".to_owned(), "illegal_transition".to_owned()));
    }

    // A book's own plan and its own pipeline.
    let row = client.query_one(report, &[&id(PLANNED), &"chapter_2", &50.0]).await?;
    assert_eq!(row.get::<_, f64>(0), 87.5);
    to_the_end(client, id(PLANNED), &["OUT"]).await?;

    // The relay continues at its position, in the same epoch.
    let item = json!([{"type": "progress", "id": "6-0", "first_id": "6-0", "count": 1, "segment": 0,
        "book_id": id(RELAYED), "substep": "extract_text", "progress": 80}]);
    let apply = "select applied from bindery.apply_events('live', 1, $1, $2)";
    let again = refused(client.query_one(apply, &[&"5-0", &item]).await)?;
    assert_eq!(again, ("PT409".to_owned(), "position_passed".to_owned()));
    let applied: i64 = client.query_one(apply, &[&"6-0", &item]).await?.get(0);
    assert_eq!(applied, 1);
    assert_eq!(book_row(client, id(RELAYED)).await?["overall_progress"], json!(4));

    // A new book is registered, and its early event takes effect.
    let early = "select count(*) from bindery.early_events";
    client.query("select from bindery.register_book($1)", &[&id(99)]).await?;
    transition(client, id(99), "ANALYZING").await?;
    assert_eq!(client.query_one(early, &[]).await?.get::<_, i64>(0), 0);
    assert_eq!(book_row(client, id(99)).await?["stage_progress"], json!(15), "a quarter of 60");
    Ok(())
}

async fn to_the_end(client: &Client, book: Uuid, way: &[&str]) -> Result<()> {
    for to in way {
        transition(client, book, to).await?;
    }
    let row = book_row(client, book).await?;
    assert_eq!(
        (&row["overall_progress"], row["completed_at"].is_string()),
        (&json!(100), true),
        "{row}"
    );
    let newest = "select to_jsonb(e) from bindery.book_events e
        where e.book_id = $1 order by e.revision desc limit 1";
    let last = json(client, newest, &[&book]).await?;
    assert_eq!((&last["kind"], &last["revision"]), (&json!("complete"), &row["revision"]));
    Ok(())
}

async fn the_triggers_are_there(client: &Client) -> Result<()> {
    let forbidden = [
        (
            "update bindery.book_status set status = 'COMPLETED' where status = 'UPLOADED'",
            "illegal_transition",
        ),
        (
            "update bindery.book_status set overall_progress = 99 where status = 'ANALYZING'",
            "column_is_derived",
        ),
        ("update bindery.book_events set message = 'another'", "history_is_append_only"),
        ("update bindery.pipelines set definition = '{}'", "pipeline_is_immutable"),
    ];
    for (statement, code) in forbidden {
        assert_eq!(refused(client.batch_execute(statement).await)?.1, code, "{statement}");
    }
    Ok(())
}

async fn owners_see_their_own_only(client: &Client) -> Result<()> {
    client.batch_execute("set role authenticated").await?;
    for (user, sees) in [(OWNER, 9), (OWNER + 1, 0)] {
        let claims = json!({"sub": id(user)}).to_string();
        client.query_one("select set_config('request.jwt.claims', $1, false)", &[&claims]).await?;
        let books: i64 =
            client.query_one("select count(*) from bindery.book_status", &[]).await?.get(0);
        assert_eq!(books, sees);
    }
    let denied = refused(client.batch_execute("select from bindery.outbox").await)?;
    let called =
        refused(client.batch_execute("select bindery.register_book(gen_random_uuid())").await)?;
    assert_eq!((denied.0.as_str(), called.0.as_str()), ("42501", "42501"));
    client.batch_execute("reset role; reset request.jwt.claims").await?;
    Ok(())
}
