//! A dump of the schema and its books, restored into another server by the commands that
//! docs/upgrade.md prints.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use bindery_tests::{Servers, binderyd, connect, program, run_binderyd};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio_postgres::Client;

use crate::live::{fill, go_on, rows, tables};
use crate::support::{json, same_schema, text};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The commands of a section of docs/upgrade.md.
fn commands(section: &str) -> Result<String> {
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/upgrade.md"))?;
    let (_, rest) =
        page.split_once(&format!("\n### {section}\n")).with_context(|| section.to_owned())?;
    let section = rest.split("\n#").next().unwrap_or_default();
    let (_, block) = section.split_once("```sh\n").context("no commands")?;
    Ok(block.split("```").next().unwrap_or_default().to_owned())
}

/// Runs commands in a folder that has the repository's `sql/`, up to the first failure.
async fn type_in(folder: &Path, commands: &str, old: &str, new: &str) -> Result<()> {
    let sql = folder.join("sql");
    if !sql.exists() {
        std::os::unix::fs::symlink(Path::new(ROOT).join("sql").canonicalize()?, &sql)?;
    }
    let mut path: Vec<PathBuf> = Vec::new();
    for executable in [PathBuf::from(program("psql").await?.as_std().get_program()), binderyd()?] {
        path.extend(executable.parent().map(Path::to_path_buf));
    }
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let output = Command::new("bash")
        .args(["-eu", "-c", commands])
        .current_dir(folder)
        .env("PATH", std::env::join_paths(path)?)
        .env("OLD_URL", old)
        .env("NEW_URL", new)
        .stdin(Stdio::null())
        .output()
        .await?;
    ensure!(output.status.success(), "{commands}\n{}", text(&output));
    Ok(())
}

#[tokio::test]
async fn a_dump_restored_in_a_fresh_server_has_the_same_books_and_they_continue() -> Result<()> {
    let (servers, other) = (Servers::shared().await?, Servers::start().await?);
    let database = servers.database().await?;
    let source = database.connect().await?;
    fill(&source).await?;
    let tables = tables(&source).await?;
    let url = other.blank_database().await?;

    type_in(other.dir(), &commands("Everything")?, database.url(), &url).await?;

    let copy = connect(&url).await?;
    assert_eq!(rows(&source, &tables).await?, rows(&copy, &tables).await?);
    // Restoring a dump regroups the operands of two `and` in a condition.
    same_schema(&other, database.url(), &url, |dump| dump.replace(['(', ')'], "")).await?;
    let output = run_binderyd(&["migrate", "--database-url", &url]).await?;
    ensure!(output.status.success() && text(&output).contains("up to date"), "{}", text(&output));
    ensure!(!text(&output).contains("installed the kernel"), "{}", text(&output));
    go_on(&copy).await
}

#[tokio::test]
async fn data_restored_in_a_migrated_database_is_the_same_and_the_books_continue() -> Result<()> {
    let (servers, other) = (Servers::shared().await?, Servers::start().await?);
    let database = servers.database().await?;
    let source = database.connect().await?;
    fill(&source).await?;
    source.batch_execute("update bindery.settings set patience = '1 hour'").await?;
    let tables = tables(&source).await?;
    let url = other.blank_database().await?;

    type_in(other.dir(), &commands("Data alone")?, database.url(), &url).await?;

    let copy = connect(&url).await?;
    assert_eq!(rows(&source, &tables).await?, rows(&copy, &tables).await?);
    go_on(&copy).await
}

async fn pipelines(client: &Client) -> Result<i64> {
    Ok(client.query_one("select count(*) from bindery.pipelines", &[]).await?.get(0))
}

#[tokio::test]
async fn a_book_restored_without_its_pipeline_fails_alone_until_the_pipeline_is_there() -> Result<()>
{
    let servers = Servers::shared().await?;
    let (old, new) = (servers.database().await?, servers.database().await?);
    let source = old.connect().await?;
    fill(&source).await?;
    let own_pipeline = "select book_id::text from bindery.book_status where pipeline = 'mine'";
    let lost: String = source.query_one(own_pipeline, &[]).await?.get(0);
    let folder = servers.new_file("restore");
    std::fs::create_dir(&folder)?;
    // Without the old database's pipelines, the new one has those that `migrate` created.
    let without = commands("Data alone")?
        .replace("--exclude-table=", "--exclude-table=bindery.pipelines --exclude-table=")
        .replace("truncate bindery.pipelines, ", "truncate ");
    type_in(&folder, &without, old.url(), new.url()).await?;
    let copy = new.connect().await?;
    ensure!(pipelines(&copy).await? < pipelines(&source).await?, "a pipeline is missing");

    let daemon = new.daemon(&[]).await?;
    let one = daemon.get(&format!("/api/books/{lost}/status")).await?;
    let error: Value = serde_json::from_str(&one.body)?;
    assert_eq!((one.status, &error["code"]), (409, &json!("PT409")), "{}", one.body);
    ensure!(one.body.contains("missing_pipeline") && one.body.contains("Restore"), "{}", one.body);
    let list: Value = serde_json::from_str(&daemon.get("/api/books").await?.body)?;
    let books = list["books"].as_array().with_context(|| format!("{list}"))?;
    assert_eq!(books.len(), 9);
    for book in books {
        let missing = &book["missing_pipeline"]["code"];
        let expected = if book["book_id"] == json!(lost) { "missing_pipeline" } else { "" };
        assert_eq!(missing.as_str().unwrap_or_default(), expected, "{book}");
    }
    drop(daemon);
    let swept = json(&copy, "select bindery.sweep()", &[]).await?;
    assert_eq!(swept["ran"], json!(true), "{swept}");

    let lacking = source
        .query_one(
            "select name, version, definition::text, machine::text from bindery.pipelines
             where name = 'mine'",
            &[],
        )
        .await?;
    let (name, version): (String, i32) = (lacking.get(0), lacking.get(1));
    let (definition, machine): (String, String) = (lacking.get(2), lacking.get(3));
    copy.execute(
        "insert into bindery.pipelines (name, version, definition, machine)
         values ($1, $2, $3::text::jsonb, $4::text::jsonb)",
        &[&name, &version, &definition, &machine],
    )
    .await?;
    go_on(&copy).await
}
