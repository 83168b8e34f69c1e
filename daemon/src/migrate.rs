//! Installs and upgrades the schema, and prints it.

use anyhow::{Context, ensure};
use refinery::{Migration, Runner, Target};
use tokio_postgres::Client;
use tracing::info;

use crate::cli::{MigrateOptions, MigrationOptions};
use crate::database;
use crate::kernel;
use crate::schema::{file, files, newest, versions};

/// Where refinery keeps what it has applied.
const HISTORY: &str = "bindery_internal.schema_history";

/// Two migrations at once would both find nothing done. The number is arbitrary and ours.
const LOCK: i64 = 0x0062_696e_6465_7279;

const NOT_CHANGED: &str = "the schema was not changed (a database that was made from other sources of the same version cannot \
    be upgraded; a private one of `make dev` goes with `make clean`)";

/// Installs or upgrades the schema; changes nothing where it is up to date.
pub async fn migrate(options: &MigrateOptions) -> anyhow::Result<()> {
    let mut client = database::connect(&options.database.database_url).await?;
    // `if exists` and `if not exists` are told as notices; what somebody has to do is a warning.
    client.batch_execute("set client_min_messages = warning").await?;
    client.execute_typed("select pg_advisory_lock($1)", &[(&LOCK, postgres_types::Type::INT8)]).await?;
    let target = options.to.unwrap_or(newest()?);
    check_what_is_there(&client, target).await?;
    // The kernel comes first: the schema's functions stand on it. Each kernel serves the versions before it, too.
    kernel::install(&mut client, options.kernel).await?;
    // refinery makes its table before the first migration, which makes the schema.
    client.batch_execute("create schema if not exists bindery_internal").await?;
    let report = Runner::new(&versions()?)
        .set_target(Target::Version(target))
        .set_migration_table_name(HISTORY)
        .run_async(&mut client)
        .await
        .map_err(|error| anyhow::Error::new(error).context(NOT_CHANGED))?;
    if target == newest()? {
        // A dump restored without owners leaves the guards' asker to whoever restored it.
        client.batch_execute(file("225_guards.sql")?).await?;
    }
    client.batch_execute(&secured()).await?;
    match report.applied_migrations().as_slice() {
        [] => info!(version = target, "the schema is up to date"),
        applied => applied.iter().for_each(|migration| info!(%migration, "applied")),
    }
    Ok(())
}

/// Before anything is changed.
async fn check_what_is_there(client: &Client, target: i32) -> anyhow::Result<()> {
    let there = "select to_regclass($1) is not null, to_regclass('bindery.pipelines') is not null";
    let row = client.query_typed_one(there, &[(&HISTORY, postgres_types::Type::TEXT)]).await?;
    let (history, schema): (bool, bool) = (row.get(0), row.get(1));
    let mut version = 0;
    if history {
        let query = format!("select coalesce(max(version), 0) from {HISTORY}");
        version = client.query_typed_one(&query, &[]).await?.get(0);
    }
    ensure!(
        version > 0 || !schema,
        "the schema is there, but no record of its version: it was made from SQL that an older binderyd had printed; \
         run what `binderyd migration --from 1` prints, which records it, too"
    );
    ensure!(version <= target, "the schema is of version {version} already, and there is no way back to {target}");
    Ok(())
}

/// Prints the schema as one SQL file, or what an older version lacks; either records the version as `migrate` does.
pub fn print(options: &MigrationOptions) -> anyhow::Result<()> {
    let versions = versions()?;
    let (kernel, record) = (options.kernel.sql()?, record(&versions));
    let Some(from) = options.from else {
        println!(
            "-- Bindery's schema, printed by `binderyd migration`. Do not edit: change sql/ and print it again.\n"
        );
        println!("{kernel}\n{}\n{record}", files("")?);
        return Ok(());
    };
    println!("-- An upgrade of Bindery's schema from version {from}, printed by `binderyd migration --from {from}`.\n");
    println!("{}\n{}\n{kernel}", only_from(from), kernel::CHANGE);
    for version in versions.iter().filter(|version| version.version() > from) {
        println!("{}", version.sql().context("a version without text")?);
    }
    println!("{record}");
    Ok(())
}

/// Refuses to run where another version is.
fn only_from(from: i32) -> String {
    format!(
        "do $$
declare
  version integer := case when to_regclass('bindery.pipelines') is not null then 1 end;
begin
  if to_regclass('{HISTORY}') is not null then
    select max(h.version) into version from {HISTORY} h;
  end if;
  if version is distinct from {from} then
    raise exception 'This upgrades version {from} of Bindery''s schema; here is %.', coalesce('version ' || version, 'none');
  end if;
end
$$;"
    )
}

/// Like every table: what nobody was granted, nobody reads; and it says so.
fn secured() -> String {
    format!(
        "alter table {HISTORY} enable row level security;
drop policy if exists nobody on {HISTORY};
create policy nobody on {HISTORY} using (false);"
    )
}

/// What refinery would have written, had it run these versions.
fn record(versions: &[Migration]) -> String {
    let now = r#"to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"#;
    let row = |version: &Migration| {
        format!("  ({}, '{}', {now}, '{}')", version.version(), version.name(), version.checksum())
    };
    format!(
        "-- Which versions these are, for `binderyd migrate`.
create table if not exists {HISTORY} (
  version int4 primary key,
  name varchar(255),
  applied_on varchar(255),
  checksum varchar(255)
);
{}
insert into {HISTORY} (version, name, applied_on, checksum) values
{}
on conflict (version) do nothing;",
        secured(),
        versions.iter().map(row).collect::<Vec<_>>().join(",\n")
    )
}
