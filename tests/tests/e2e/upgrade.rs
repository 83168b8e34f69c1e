//! From an older version of the schema to the newest: the same schema as a fresh one, and the books go on.

use anyhow::{Context, Result, ensure};
use bindery_tests::{Servers, connect, run_binderyd};
use serde_json::json;
use tokio_postgres::Client;

use crate::live::{fill, go_on, rows, tables};
use crate::support::{json, same_schema, text};

const LACKS: &str = "the upgraded schema (+) is not the fresh one (-): sql/upgrades/ lacks something, or a new column does not \
    stand last in its table's file";

/// The kernel of this run of the tests.
pub fn kernel() -> String {
    std::env::var("BINDERY_KERNEL").unwrap_or_else(|_| "native".to_owned())
}

/// Runs `binderyd migrate`, which must succeed; what it said.
async fn migrate(url: &str, args: &[&str]) -> Result<String> {
    let kernel = kernel();
    let mut all = vec!["migrate", "--database-url", url, "--kernel", &kernel];
    all.extend_from_slice(args);
    let output = run_binderyd(&all).await?;
    ensure!(output.status.code() == Some(0), "{args:?}: {}", text(&output));
    Ok(text(&output))
}

/// Runs `binderyd migrate`, which must fail; what it said.
async fn migrate_refused(url: &str, args: &[&str]) -> Result<String> {
    let mut all = vec!["migrate", "--database-url", url];
    all.extend_from_slice(args);
    let output = run_binderyd(&all).await?;
    ensure!(output.status.code() == Some(1), "{args:?}: {} {}", output.status, text(&output));
    Ok(text(&output))
}

/// What `binderyd migration` prints.
async fn printed(args: &[&str]) -> Result<String> {
    let kernel = kernel();
    let mut all = vec!["migration", "--kernel", &kernel];
    all.extend_from_slice(args);
    let output = run_binderyd(&all).await?;
    ensure!(output.status.success() && output.stderr.is_empty(), "{args:?}: {}", text(&output));
    Ok(String::from_utf8(output.stdout)?)
}

/// A fresh database with the newest schema from the files of `sql/` in their order, as they are printed.
async fn fresh(servers: &Servers) -> Result<String> {
    let url = servers.blank_database().await?;
    connect(&url).await?.batch_execute(&printed(&[]).await?).await?;
    Ok(url)
}

async fn pipelines(client: &Client) -> Result<Vec<String>> {
    let query = "select format('%s %s %s %s', name, version, definition, machine) from bindery.pipelines where name <> 'mine' order by 1";
    Ok(client.query(query, &[]).await?.iter().map(|row| row.get(0)).collect())
}

#[tokio::test]
async fn books_of_the_first_version_go_on_in_the_newest() -> Result<()> {
    let servers = Servers::shared().await?;
    let url = servers.blank_database().await?;
    let said = migrate(&url, &["--to", "1"]).await?;
    ensure!(said.contains("V1__bindery") && !said.contains("V2__"), "{said}");
    // A session that is there all the time, with its plans.
    let client = connect(&url).await?;
    fill(&client).await?;
    let tables = tables(&client).await?;
    let before = rows(&client, &tables).await?;
    ensure!(before.lines().count() > 60, "{before}");

    let said = migrate(&url, &[]).await?;
    ensure!(said.contains("V2__rules") && !said.contains("V1__"), "{said}");

    assert_eq!(before, rows(&client, &tables).await?, "the upgrade changes no book");
    let fresh = fresh(servers).await?;
    same_schema(servers, &fresh, &url, |dump| dump).await.context(LACKS)?;
    assert_eq!(pipelines(&connect(&fresh).await?).await?, pipelines(&client).await?);
    go_on(&client).await
}

/// The first version took control characters and any depth; a row that has them could not be changed any more.
#[tokio::test]
async fn what_the_newest_would_refuse_is_mended_and_nothing_else_moves() -> Result<()> {
    let url = Servers::shared().await?.blank_database().await?;
    migrate(&url, &["--to", "1"]).await?;
    let client = connect(&url).await?;
    let book = "00000000-0000-4000-8000-000000000001";
    let calls = format!(
        "select bindery.register_book('{book}', title => e'a\\u202Eb\\nc'); select bindery.transition_book('{book}', 'ANALYZING', e'd\\u0001e');
        select bindery.report_progress('{book}', 'extract_text', 10, message => e'f\\u0085g', checkpoint => (repeat('[', 70) || repeat(']', 70))::jsonb);
        select bindery.report_progress('{book}', 'detect_chapters', done => 1, total => 2, unit => e'\\u0007', checkpoint => '[[1]]')"
    );
    client.batch_execute(&calls).await?;
    let others = "select to_jsonb(b) - 'title' - 'message' from bindery.book_status b";
    let before = json(&client, others, &[]).await?;
    migrate(&url, &[]).await?;
    assert_eq!(json(&client, others, &[]).await?, before);
    let found = "select jsonb_build_array(b.title, b.message, (select jsonb_agg(jsonb_build_array(g.message, g.unit, g.checkpoint)
        order by g.substep) from bindery.book_progress g)) from bindery.book_status b";
    let mended = json!(["a\u{FFFD}b\nc", "d\u{FFFD}e", [[null, "\u{FFFD}", [[1]]], ["f\u{FFFD}g", null, null]]]);
    assert_eq!(json(&client, found, &[]).await?, mended);
    client.batch_execute(&format!("select bindery.report_progress('{book}', 'extract_text', 100)")).await?;
    Ok(())
}

/// Printed for those who let another tool run their migrations.
#[tokio::test]
async fn what_migration_prints_is_known_to_migrate() -> Result<()> {
    let servers = Servers::shared().await?;
    let (fresh, upgraded, unrecorded) =
        (fresh(servers).await?, servers.blank_database().await?, servers.blank_database().await?);
    for url in [&upgraded, &unrecorded] {
        migrate(url, &["--to", "1"]).await?;
    }
    // As the first version printed itself: without a record.
    let client = connect(&unrecorded).await?;
    client.batch_execute("drop table bindery_internal.schema_history").await?;
    let said = migrate_refused(&unrecorded, &[]).await?;
    ensure!(said.contains("migration --from 1"), "{said}");

    let upgrade = printed(&["--from", "1"]).await?;
    for url in [&upgraded, &unrecorded] {
        let client = connect(url).await?;
        fill(&client).await?;
        let before = rows(&client, &tables(&client).await?).await?;
        let tables = tables(&client).await?;
        client.batch_execute(&upgrade).await?;
        assert_eq!(before, rows(&client, &tables).await?);
        same_schema(servers, &fresh, url, |dump| dump).await.context(LACKS)?;
        let again = client
            .batch_execute(&upgrade)
            .await
            .err()
            .and_then(|error| Some(error.as_db_error()?.message().to_owned()));
        assert_eq!(again.as_deref(), Some("This upgrades version 1 of Bindery's schema; here is version 2."));
    }
    for url in [&fresh, &upgraded, &unrecorded] {
        let said = migrate(url, &[]).await?;
        ensure!(said.contains("up to date") && !said.contains("installed the kernel"), "{said}");
    }
    go_on(&client).await
}

#[tokio::test]
async fn an_upgrade_is_not_for_a_database_without_the_schema() -> Result<()> {
    let client = connect(&Servers::shared().await?.blank_database().await?).await?;
    let error = client.batch_execute(&printed(&["--from", "1"]).await?).await.err();
    let said = error.and_then(|error| Some(error.as_db_error()?.message().to_owned()));
    assert_eq!(said.as_deref(), Some("This upgrades version 1 of Bindery's schema; here is none."));
    Ok(())
}

#[tokio::test]
async fn there_is_no_way_back_and_no_way_on_from_another_text() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let said = migrate_refused(database.url(), &["--to", "1"]).await?;
    ensure!(said.contains("no way back to 1"), "{said}");

    let client = database.connect().await?;
    let changed =
        client.execute("update bindery_internal.schema_history set checksum = '7' where version = 2", &[]).await?;
    assert_eq!(changed, 1);
    let said = migrate_refused(database.url(), &[]).await?;
    ensure!(said.contains("not changed") && said.contains("make clean"), "{said}");

    for args in [
        &["migrate", "--database-url", "postgresql://x@127.0.0.1:1/x", "--to", "99"][..],
        &["migration", "--from", "2"],
        &["migration", "--from", "0"],
    ] {
        let output = run_binderyd(args).await?;
        ensure!(output.status.code() == Some(2) && text(&output).contains("version"), "{args:?}: {}", text(&output));
    }
    Ok(())
}

/// On a server that has a newer extension than the database; only its functions' number tells here that they were made anew.
#[tokio::test]
async fn an_older_extension_is_replaced_and_the_books_go_on() -> Result<()> {
    let servers = Servers::shared().await?;
    let url = servers.blank_database().await?;
    ensure!(run_binderyd(&["migrate", "--database-url", &url, "--kernel", "native"]).await?.status.success());
    let client = connect(&url).await?;
    fill(&client).await?;
    let functions = "select count(*) from pg_proc where pronamespace = 'bindery_core'::regnamespace";
    let before: i64 = client.query_one(functions, &[]).await?.get(0);
    let older = "alter extension bindery drop function bindery_core.next_statuses(jsonb, text, text);
        drop function bindery_core.next_statuses(jsonb, text, text);
        update pg_extension set extversion = '0.0.1' where extname = 'bindery'";
    client.batch_execute(older).await?;

    let output = run_binderyd(&["migrate", "--database-url", &url]).await?;

    ensure!(output.status.success() && text(&output).contains("installed the kernel"), "{}", text(&output));
    assert_eq!(client.query_one(functions, &[]).await?.get::<_, i64>(0), before);
    go_on(&client).await
}
