//! What `pg_dump` makes of the schema: the golden file, and a copy in another server.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use bindery_tests::{Servers, connect, difference, dump, dump_schema, restore, run_binderyd};

use crate::live::{fill, go_on, rows, tables};
use crate::support::{same_schema, text};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/schema.sql");
const ROLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/010_roles.sql");

/// For the eyes of whoever reviews a change. Of PostgreSQL 15, because each major's `pg_dump` writes differently.
#[tokio::test]
async fn the_schema_is_the_golden_one() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let version = database.connect().await?.query_one("show server_version", &[]).await?.get::<_, String>(0);
    ensure!(
        version.starts_with("15."),
        "the golden file is of PostgreSQL 15, this is {version}; leave this test out (--skip golden)"
    );
    let found = servers.dir().join("schema.sql");
    std::fs::write(&found, dump_schema(database.url(), &[]).await?)?;
    if std::env::var("BINDERY_GOLDEN").is_ok_and(|wish| wish == "renew") {
        std::fs::copy(&found, GOLDEN).context(GOLDEN)?;
        return Ok(());
    }
    let difference = difference(Path::new(GOLDEN), &found).await?;
    ensure!(
        difference.is_empty(),
        "The schema (+) is not the one in tests/golden/schema.sql (-). If the change is meant: make golden, and commit the file.\n\
        {difference}"
    );
    Ok(())
}

/// Roles are the server's, not the database's: they are there first, as an operator makes them.
#[tokio::test]
async fn a_dump_restored_in_a_fresh_server_has_the_same_books_and_they_go_on() -> Result<()> {
    let (servers, other) = (Servers::shared().await?, Servers::start().await?);
    let database = servers.database().await?;
    let source = database.connect().await?;
    fill(&source).await?;
    let tables = tables(&source).await?;
    let file = other.dir().join("dump.sql");
    std::fs::write(&file, dump(database.url(), &[]).await?)?;
    let url = other.blank_database().await?;

    restore(&url, Path::new(ROLES)).await?;
    restore(&url, &file).await?;

    let copy = connect(&url).await?;
    assert_eq!(rows(&source, &tables).await?, rows(&copy, &tables).await?);
    // Conditions that were read from a dump group what stands between two `and` otherwise.
    same_schema(&other, database.url(), &url, |dump| dump.replace(['(', ')'], "")).await?;
    let output = run_binderyd(&["migrate", "--database-url", &url]).await?;
    ensure!(output.status.success() && text(&output).contains("up to date"), "{}", text(&output));
    ensure!(!text(&output).contains("installed the kernel"), "{}", text(&output));
    go_on(&copy).await
}
