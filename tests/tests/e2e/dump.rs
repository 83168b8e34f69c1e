//! A dump of the schema and its books, restored into another server.

use std::path::Path;

use anyhow::{Result, ensure};
use bindery_tests::{Servers, connect, dump, restore, run_binderyd};

use crate::live::{fill, go_on, rows, tables};
use crate::support::{same_schema, text};

const ROLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/access/roles.sql");

/// Roles belong to the server, not to the database, so they are made first, as operators do.
#[tokio::test]
async fn a_dump_restored_in_a_fresh_server_has_the_same_books_and_they_continue() -> Result<()> {
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
    // A condition that is restored from a dump groups the operands of two `and` differently.
    same_schema(&other, database.url(), &url, |dump| dump.replace(['(', ')'], "")).await?;
    let output = run_binderyd(&["migrate", "--database-url", &url]).await?;
    ensure!(output.status.success() && text(&output).contains("up to date"), "{}", text(&output));
    ensure!(!text(&output).contains("installed the kernel"), "{}", text(&output));
    go_on(&copy).await
}
