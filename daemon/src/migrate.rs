//! Installs the schema, and prints it. `sql/` is compiled in: one daemon, one schema.

use anyhow::Context;
use include_dir::{Dir, include_dir};
use refinery::{Migration, Runner};
use tracing::info;

use crate::cli::MigrateOptions;
use crate::database;
use crate::kernel::{self, Kernel};

/// One object a file; the names' numbers are the order.
static SQL: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sql");

/// Where refinery keeps what it has applied.
const HISTORY: &str = "bindery_internal.schema_history";

/// Two migrations at once would both find nothing done. The number is arbitrary and ours.
const LOCK: i64 = 0x0062_696e_6465_7279;

const NOT_CHANGED: &str = "the schema was not changed (a database that was made from other sources of the same version cannot \
    be upgraded; a private one of `make dev` goes with `make clean`)";

/// Installs or upgrades the schema; changes nothing where it is up to date.
pub async fn migrate(options: &MigrateOptions) -> anyhow::Result<()> {
    let mut client = database::connect(&options.database.database_url).await?;
    client.execute_typed("select pg_advisory_lock($1)", &[(&LOCK, postgres_types::Type::INT8)]).await?;
    // The kernel comes first: the schema's functions stand on it.
    kernel::install(&mut client, options.kernel).await?;
    // refinery makes its table before the first migration, which makes the schema.
    client.batch_execute("create schema if not exists bindery_internal").await?;
    let report = Runner::new(&migrations()?)
        .set_migration_table_name(HISTORY)
        .run_async(&mut client)
        .await
        .map_err(|error| anyhow::Error::new(error).context(NOT_CHANGED))?;
    // Like every table: what nobody was granted, nobody reads.
    client.batch_execute(&format!("alter table {HISTORY} enable row level security")).await?;
    match report.applied_migrations().as_slice() {
        [] => info!("the schema is up to date"),
        applied => applied.iter().for_each(|migration| info!(%migration, "applied")),
    }
    Ok(())
}

/// Prints the schema as one SQL file.
pub fn print(kernel: Kernel) -> anyhow::Result<()> {
    println!("-- Bindery's schema, printed by `binderyd migration`. Do not edit: change sql/ and print it again.\n");
    println!("{}\n{}", kernel.sql()?, files("")?);
    Ok(())
}

fn migrations() -> anyhow::Result<Vec<Migration>> {
    Ok(vec![Migration::unapplied("V1__bindery", &files("")?)?])
}

/// All files of `sql/`, or of a folder in it, in their order.
pub fn files(folder: &str) -> anyhow::Result<String> {
    let folder = if folder.is_empty() { Some(&SQL) } else { SQL.get_dir(folder) };
    let mut files: Vec<_> = folder
        .context("sql/ lacks a folder")?
        .files()
        .filter(|file| file.path().extension().is_some_and(|end| end == "sql"))
        .collect();
    files.sort_by_key(|file| file.path());
    let texts: Option<Vec<_>> = files.iter().map(|file| file.contents_utf8()).collect();
    Ok(texts.context("a file of sql/ is not UTF-8")?.join("\n"))
}

/// One file of `sql/`.
pub fn file(name: &str) -> anyhow::Result<&'static str> {
    SQL.get_file(name).and_then(|file| file.contents_utf8()).with_context(|| format!("sql/ lacks {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_compiled_in_and_in_order() {
        let schema = files("").unwrap();
        let place = |text: &str| schema.find(text).unwrap_or_else(|| panic!("{text} is missing"));
        assert!(place("create schema if not exists bindery") < place("create table bindery.pipelines"));
        assert!(place("create table bindery.pipelines") < place("create table bindery.book_status"));
        assert_eq!(migrations().unwrap()[0].version(), 1);
    }

    #[test]
    fn every_function_pins_its_search_path() {
        let schema = files("").unwrap() + "\n" + &files("portable").unwrap();
        let schema = schema.replace("create or replace function ", "create function ");
        for function in schema.split("\ncreate function ").skip(1) {
            let head = function.split("\nas $$").next().unwrap();
            assert!(head.contains("set search_path = ''"), "{}", head.lines().next().unwrap());
        }
    }
}
