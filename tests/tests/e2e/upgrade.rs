//! From an older version of the schema to the newest: the result equals a fresh install, and the
//! books keep their rows. The older version is the made-up one in `tests/fixtures/older-version`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bindery_tests::{Servers, connect, run_binderyd};
use tokio::sync::OnceCell;
use tokio_postgres::Client;

use crate::live::{fill, go_on, rows, tables};
use crate::support::{same_schema, text};

const SQL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sql");
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/older-version");

const LACKS: &str = "the upgraded schema (+) is not the fresh one (-)";

/// The kernel of this run of the tests.
fn kernel() -> String {
    std::env::var("BINDERY_KERNEL").unwrap_or_else(|_| "native".to_owned())
}

/// Two folders laid out like `sql/`, for `--sql-dir`.
#[derive(Debug)]
struct Versions {
    /// Version 1 is the newest.
    older: String,
    /// Version 2 is the newest, and version 1 frozen.
    newest: String,
}

/// The made-up versions, built once. Version 1 is frozen as `sql/upgrades/README.md` describes it.
async fn versions(servers: &Servers) -> Result<&'static Versions> {
    static VERSIONS: OnceCell<Versions> = OnceCell::const_new();
    VERSIONS
        .get_or_try_init(async || {
            let (older, newest) = (overlaid(servers, "older")?, overlaid(servers, "newest")?);
            let printed = printed(&older, &[]).await?;
            let (_, rest) = printed
                .split_once("-- The schema version 1 begins.\n")
                .context("`migration` marks no beginning")?;
            let (first, _) = rest
                .split_once("-- The schema version 1 ends.\n")
                .context("`migration` marks no end")?;
            fs::create_dir(Path::new(&newest).join("released"))?;
            fs::write(Path::new(&newest).join("released/0001_bindery.sql"), first)?;
            Ok(Versions { older, newest })
        })
        .await
}

/// A copy of `sql/` without its versions, and a folder of the fixture laid over it. The fixture's
/// tables follow the schema's own, so that the grants on all tables hold for them; its code is
/// last.
fn overlaid(servers: &Servers, folder: &str) -> Result<String> {
    let target = servers.new_file("sql");
    copy(Path::new(SQL), &target, &["released", "upgrades"])?;
    let install = fs::read_to_string(target.join("install.sql"))?;
    let overlay = PathBuf::from(FIXTURE).join(folder);
    copy(&overlay, &target, &[])?;
    let lines = fs::read_to_string(overlay.join("install.sql"))?;
    let (tables, code): (Vec<_>, Vec<_>) =
        lines.lines().partition(|line| line.starts_with("\\ir tables/"));
    let last = install.rfind("\\ir tables/").context("sql/install.sql lists no table")?;
    let (before, after) = install.split_at(last);
    let install = format!("{before}{}\n{after}\n{}\n", tables.join("\n"), code.join("\n"));
    fs::write(target.join("install.sql"), install)?;
    target.into_os_string().into_string().ok().context("a path that is not UTF-8")
}

fn copy(from: &Path, to: &Path, without: &[&str]) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let (name, target) = (entry.file_name(), to.join(entry.file_name()));
        if without.iter().any(|without| name == *without) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target, &[])?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Runs `binderyd migrate` with a folder of SQL, which must succeed; its output.
async fn migrate(url: &str, sql: &str, args: &[&str]) -> Result<String> {
    let kernel = kernel();
    let mut all = vec!["migrate", "--database-url", url, "--sql-dir", sql, "--kernel", &kernel];
    all.extend_from_slice(args);
    let output = run_binderyd(&all).await?;
    ensure!(output.status.code() == Some(0), "{args:?}: {}", text(&output));
    Ok(text(&output))
}

/// Runs `binderyd migrate`, which must fail; its output.
async fn migrate_refused(url: &str, args: &[&str]) -> Result<String> {
    let mut all = vec!["migrate", "--database-url", url];
    all.extend_from_slice(args);
    let output = run_binderyd(&all).await?;
    ensure!(output.status.code() == Some(1), "{args:?}: {} {}", output.status, text(&output));
    Ok(text(&output))
}

/// What `binderyd migration` prints for a folder of SQL.
async fn printed(sql: &str, args: &[&str]) -> Result<String> {
    let kernel = kernel();
    let mut all = vec!["migration", "--sql-dir", sql, "--kernel", &kernel];
    all.extend_from_slice(args);
    let output = run_binderyd(&all).await?;
    ensure!(output.status.success() && output.stderr.is_empty(), "{args:?}: {}", text(&output));
    Ok(String::from_utf8(output.stdout)?)
}

/// A database with the newest version from its files, as `binderyd migration` prints them.
async fn fresh(servers: &Servers, sql: &str) -> Result<String> {
    let url = servers.blank_database().await?;
    connect(&url).await?.batch_execute(&printed(sql, &[]).await?).await?;
    Ok(url)
}

async fn pipelines(client: &Client) -> Result<Vec<String>> {
    let query = "select format('%s %s %s %s', name, version, definition, machine)
        from bindery.pipelines where name <> 'mine' order by 1";
    Ok(client.query(query, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// The message of the error that a statement must give.
async fn error_of(client: &Client, sql: &str) -> Option<String> {
    let error = client.batch_execute(sql).await.err()?;
    Some(error.as_db_error()?.message().to_owned())
}

#[tokio::test]
async fn an_older_version_with_books_becomes_the_newest_and_the_books_continue() -> Result<()> {
    let servers = Servers::shared().await?;
    let versions = versions(servers).await?;
    let url = servers.blank_database().await?;
    let printed = migrate(&url, &versions.older, &[]).await?;
    ensure!(printed.contains("V1__bindery"), "{printed}");
    // A session that stays connected throughout, with its cached plans.
    let client = connect(&url).await?;
    fill(&client).await?;
    let shelve = "select bindery.shelve_book(book_id, 'comics') from bindery.book_status";
    client.batch_execute(shelve).await?;
    let tables = tables(&client).await?;
    let before = rows(&client, &tables).await?;
    ensure!(before.lines().count() > 60, "{before}");

    let printed = migrate(&url, &versions.newest, &[]).await?;
    ensure!(printed.contains("V2__loans") && !printed.contains("V1__"), "{printed}");

    assert_eq!(before, rows(&client, &tables).await?, "an upgrade changes no book");
    let fresh = fresh(servers, &versions.newest).await?;
    same_schema(servers, &fresh, &url, |dump| dump).await.context(LACKS)?;
    assert_eq!(pipelines(&connect(&fresh).await?).await?, pipelines(&client).await?);
    let again = migrate(&url, &versions.newest, &[]).await?;
    ensure!(again.contains("up to date"), "{again}");
    go_on(&client).await
}

#[tokio::test]
async fn an_upgrade_corrects_the_rows_that_a_new_constraint_would_refuse_and_no_others()
-> Result<()> {
    let servers = Servers::shared().await?;
    let versions = versions(servers).await?;
    let url = servers.blank_database().await?;
    // In steps: version 1 is the same, frozen or not.
    migrate(&url, &versions.newest, &["--to", "1"]).await?;
    let printed = migrate(&url, &versions.older, &[]).await?;
    ensure!(printed.contains("up to date"), "{printed}");
    let client = connect(&url).await?;
    fill(&client).await?;
    let shelve =
        "select bindery.shelve_book(book_id, case when row_number() over (order by book_id) = 1
        then repeat('long ', 9) else 'short' end) from bindery.book_status";
    client.batch_execute(shelve).await?;

    migrate(&url, &versions.newest, &[]).await?;

    let query = "select string_agg(distinct format('%s|%s', s.shelf, s.place), ', ')
        from bindery.shelves s";
    let found: String = client.query_one(query, &[]).await?.get(0);
    assert_eq!(found, "long long long long |1, short|1");
    Ok(())
}

/// For users whose own tool runs the migrations.
#[tokio::test]
async fn a_printed_upgrade_equals_migrate_and_is_recorded() -> Result<()> {
    let servers = Servers::shared().await?;
    let Versions { older, newest } = versions(servers).await?;
    let (fresh, upgraded) = (fresh(servers, newest).await?, servers.blank_database().await?);
    migrate(&upgraded, older, &[]).await?;
    let client = connect(&upgraded).await?;
    fill(&client).await?;
    let tables = tables(&client).await?;
    let before = rows(&client, &tables).await?;
    let upgrade = printed(newest, &["--from", "1"]).await?;

    client.batch_execute(&upgrade).await?;

    assert_eq!(before, rows(&client, &tables).await?);
    same_schema(servers, &fresh, &upgraded, |dump| dump).await.context(LACKS)?;
    let again = error_of(&client, &upgrade).await;
    let refused = "This upgrades version 1 of Bindery's schema; here is version 2.";
    assert_eq!(again.as_deref(), Some(refused));
    for url in [&fresh, &upgraded] {
        let printed = migrate(url, newest, &[]).await?;
        ensure!(
            printed.contains("up to date") && !printed.contains("installed the kernel"),
            "{printed}"
        );
    }
    go_on(&client).await
}

#[tokio::test]
async fn a_printed_upgrade_refuses_a_database_without_the_schema() -> Result<()> {
    let servers = Servers::shared().await?;
    let upgrade = printed(&versions(servers).await?.newest, &["--from", "1"]).await?;
    let client = connect(&servers.blank_database().await?).await?;
    let refused = "This upgrades version 1 of Bindery's schema; here is none.";
    assert_eq!(error_of(&client, &upgrade).await.as_deref(), Some(refused));
    Ok(())
}

#[tokio::test]
async fn migrate_refuses_to_go_back() -> Result<()> {
    let servers = Servers::shared().await?;
    let Versions { older, newest } = versions(servers).await?;
    let url = servers.blank_database().await?;
    migrate(&url, newest, &[]).await?;
    for args in [&["--sql-dir", newest, "--to", "1"][..], &["--sql-dir", older]] {
        let printed = migrate_refused(&url, args).await?;
        ensure!(
            printed.contains("of version 2 already") && printed.contains("no way back to 1"),
            "{printed}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn migrate_refuses_another_text_of_the_older_version() -> Result<()> {
    let servers = Servers::shared().await?;
    let versions = versions(servers).await?;
    let url = servers.blank_database().await?;
    migrate(&url, &versions.older, &[]).await?;
    let changed = overlaid(servers, "newest")?;
    let first = Path::new("released/0001_bindery.sql");
    fs::create_dir(Path::new(&changed).join("released"))?;
    let frozen = fs::read_to_string(Path::new(&versions.newest).join(first))?;
    fs::write(Path::new(&changed).join(first), frozen + "\n-- One more line.\n")?;
    let client = connect(&url).await?;
    let tables = tables(&client).await?;
    let before = rows(&client, &tables).await?;

    let printed = migrate_refused(&url, &["--sql-dir", &changed]).await?;

    ensure!(printed.contains("not changed") && printed.contains("make clean"), "{printed}");
    assert_eq!(before, rows(&client, &tables).await?);
    let loans = "select to_regclass('bindery.loans') is null";
    ensure!(client.query_one(loans, &[]).await?.get::<_, bool>(0), "the upgrade began");
    Ok(())
}

#[tokio::test]
async fn migrate_refuses_a_schema_whose_version_is_not_recorded() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let client = database.connect().await?;
    client.batch_execute("drop table bindery_internal.schema_history").await?;
    let printed = migrate_refused(database.url(), &[]).await?;
    ensure!(printed.contains("no record of its version"), "{printed}");
    Ok(())
}

#[tokio::test]
async fn a_version_that_does_not_exist_is_wrong_usage() -> Result<()> {
    let versions = versions(Servers::shared().await?).await?;
    let nowhere = ["migrate", "--database-url", "postgresql://x@127.0.0.1:1/x"];
    let newest = ["--sql-dir", &versions.newest];
    for args in [
        [&nowhere[..], &["--to", "99"]].concat(),
        [&nowhere[..], &newest, &["--to", "3"]].concat(),
        [&nowhere[..], &["--to", "0"]].concat(),
        vec!["migration", "--from", "99"],
        [&["migration"], &newest[..], &["--from", "2"]].concat(),
        [&["migration"], &newest[..], &["--from", "0"]].concat(),
    ] {
        let output = run_binderyd(&args).await?;
        let printed = text(&output);
        ensure!(
            output.status.code() == Some(2) && printed.contains("version"),
            "{args:?}: {printed}"
        );
    }
    Ok(())
}

/// On a server that has a newer extension than the database. The number of the kernel's functions
/// shows that they were created again.
#[tokio::test]
async fn an_older_extension_is_replaced_and_the_books_continue() -> Result<()> {
    let servers = Servers::shared().await?;
    let url = servers.blank_database().await?;
    let first = run_binderyd(&["migrate", "--database-url", &url, "--kernel", "native"]).await?;
    ensure!(first.status.success(), "{}", text(&first));
    let client = connect(&url).await?;
    fill(&client).await?;
    let functions =
        "select count(*) from pg_proc where pronamespace = 'bindery_core'::regnamespace";
    let before: i64 = client.query_one(functions, &[]).await?.get(0);
    let older = "
        alter extension bindery drop function bindery_core.next_statuses(jsonb, text, text);
        drop function bindery_core.next_statuses(jsonb, text, text);
        update pg_extension set extversion = '0.0.1' where extname = 'bindery'";
    client.batch_execute(older).await?;

    let output = run_binderyd(&["migrate", "--database-url", &url]).await?;

    let printed = text(&output);
    ensure!(output.status.success() && printed.contains("installed the kernel"), "{printed}");
    assert_eq!(client.query_one(functions, &[]).await?.get::<_, i64>(0), before);
    go_on(&client).await
}
