//! Installs the schema, and prints it. `sql/` is compiled in: one daemon, one schema.

use anyhow::Context;
use include_dir::{Dir, include_dir};
use refinery::{Migration, Runner};
use tokio_postgres::Client;
use tracing::info;

use crate::cli::DatabaseOptions;
use crate::database;

/// One object a file; the names' numbers are the order.
static SQL: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sql");

/// Where refinery keeps what it has applied.
const HISTORY: &str = "bindery_internal.schema_history";

/// Two migrations at once would both find nothing done. The number is arbitrary and ours.
const LOCK: i64 = 0x0062_696e_6465_7279;

const NOT_CHANGED: &str = "the schema was not changed (a database that was made from other sources of the same version cannot \
    be upgraded; a private one of `make dev` goes with `make clean`)";

/// The kernel comes first: the schema's functions stand on it.
const KERNEL: &str = "create extension if not exists bindery";

/// Installs or upgrades the schema; changes nothing where it is up to date.
pub async fn migrate(options: &DatabaseOptions) -> anyhow::Result<()> {
    let mut client = database::connect(&options.database_url).await?;
    client.execute_typed("select pg_advisory_lock($1)", &[(&LOCK, postgres_types::Type::INT8)]).await?;
    install_kernel(&client).await?;
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
pub fn print() -> anyhow::Result<()> {
    println!("-- Bindery's schema, printed by `binderyd migration`. Do not edit: change sql/ and print it again.\n");
    println!("{KERNEL};\n\n{}", schema()?);
    Ok(())
}

async fn install_kernel(client: &Client) -> anyhow::Result<()> {
    let there = client
        .query_typed_opt("select 1 from pg_catalog.pg_available_extensions where name = 'bindery'", &[])
        .await?
        .is_some();
    anyhow::ensure!(
        there,
        "this server has no extension bindery: install it into the server (scripts/install-extension.sh does) and run this again"
    );
    client.batch_execute(KERNEL).await.context("the extension bindery could not be created; that takes a superuser")?;
    // refinery makes its table before the first migration, which makes the schema.
    client.batch_execute("create schema if not exists bindery_internal").await?;
    Ok(())
}

fn migrations() -> anyhow::Result<Vec<Migration>> {
    Ok(vec![Migration::unapplied("V1__bindery", &schema()?)?])
}

/// All files of `sql/`, in their order.
fn schema() -> anyhow::Result<String> {
    let mut files: Vec<_> =
        SQL.files().filter(|file| file.path().extension().is_some_and(|end| end == "sql")).collect();
    files.sort_by_key(|file| file.path());
    let texts: Option<Vec<_>> = files.iter().map(|file| file.contents_utf8()).collect();
    Ok(texts.context("a file of sql/ is not UTF-8")?.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_compiled_in_and_in_order() {
        let schema = schema().unwrap();
        let place = |text: &str| schema.find(text).unwrap_or_else(|| panic!("{text} is missing"));
        assert!(place("create schema if not exists bindery") < place("create table bindery.pipelines"));
        assert!(place("create table bindery.pipelines") < place("create table bindery.book_status"));
        assert_eq!(migrations().unwrap()[0].version(), 1);
    }

    #[test]
    fn every_function_pins_its_search_path() {
        let schema = schema().unwrap();
        for function in schema.split("\ncreate function ").skip(1) {
            let head = function.split("\nas $$").next().unwrap();
            assert!(head.contains("set search_path = ''"), "{}", head.lines().next().unwrap());
        }
    }
}
