//! Installs and upgrades the schema, and prints it.

use anyhow::{Context, ensure};
use refinery_core::{Migration, Runner, Target};
use tokio_postgres::Client;
use tracing::info;

use crate::database;
use crate::kernel;
use crate::options::{MigrateOptions, MigrationOptions};

/// The table of the applied versions, which refinery maintains.
pub const HISTORY: &str = "bindery_internal.schema_history";

/// The advisory lock that lets one migration run at a time. The number is arbitrary.
const LOCK: i64 = 0x0062_696e_6465_7279;

/// Files that every run of `migrate` repeats, because their effect can be lost: a dump restored
/// without owners changes the owner of the function that calls guards, and Supabase Realtime may
/// create its table after the schema is installed.
const REPEATED: [&str; 2] = ["pipelines/guards.sql", "access/realtime_messages.sql"];

const NOT_CHANGED: &str = "the schema was not changed (a database that was made from other sources \
    of the same version cannot be upgraded; `make clean` removes a private one of `make dev`)";

/// Installs or upgrades the schema; changes nothing if it is up to date.
pub async fn migrate(options: &MigrateOptions) -> anyhow::Result<()> {
    let schema = options.sql.schema()?;
    let mut client = database::connect(&options.database.database_url).await?;
    // Hide the notices of `if exists` and `if not exists`, but not warnings.
    client.batch_execute("set client_min_messages = warning").await?;
    let lock = "select pg_advisory_lock($1)";
    client.execute_typed(lock, &[(&LOCK, postgres_types::Type::INT8)]).await?;
    let newest = schema.newest()?;
    let target = options.to.unwrap_or(newest);
    check_encoding(&client).await?;
    check_version(&client, target).await?;
    // The kernel comes first: the schema calls it. It also serves the schema's older versions.
    kernel::install(&mut client, options.kernel, &schema).await?;
    // refinery creates its table before the first migration, which creates the schema.
    client.batch_execute("create schema if not exists bindery_internal").await?;
    let report = Runner::new(&schema.versions()?)
        .set_target(Target::Version(target))
        .set_migration_table_name(HISTORY)
        .run_async(&mut client)
        .await
        .map_err(|error| anyhow::Error::new(error).context(NOT_CHANGED))?;
    if target == newest {
        for path in REPEATED {
            client.batch_execute(schema.file(path)?).await?;
        }
    }
    client.batch_execute(&secured()).await?;
    match report.applied_migrations().as_slice() {
        [] => info!(version = target, "the schema is up to date"),
        applied => applied.iter().for_each(|migration| info!(%migration, "applied")),
    }
    Ok(())
}

/// Titles and messages hold any character, and JSON takes `\u` escapes of all of them only in UTF8.
async fn check_encoding(client: &Client) -> anyhow::Result<()> {
    let query = "select current_setting('server_encoding'), current_database()::text";
    let row = client.query_typed_one(query, &[]).await?;
    let (encoding, database): (String, String) = (row.get(0), row.get(1));
    ensure!(
        encoding == "UTF8",
        "the database \"{database}\" has the encoding {encoding}, and Bindery needs UTF8; nothing \
         was changed. Make a database with `create database NAME encoding 'UTF8' template \
         template0`, and run `binderyd migrate` on it"
    );
    Ok(())
}

/// Refuses a downgrade, and an upgrade of a schema whose version is not recorded.
async fn check_version(client: &Client, target: i32) -> anyhow::Result<()> {
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
        "the schema bindery is there, but no record of its version in {HISTORY}; restore that \
         table from a dump, or install the schema in a new database, with `binderyd migrate` or \
         with what `binderyd migration` prints"
    );
    ensure!(
        version <= target,
        "the schema is of version {version} already, and there is no way back to {target}"
    );
    Ok(())
}

/// Prints the schema, or the upgrade from an older version, as one SQL file, which records the
/// version as `migrate` does.
pub fn print(options: &MigrationOptions) -> anyhow::Result<()> {
    let schema = options.sql.schema()?;
    let versions = schema.versions()?;
    let (kernel, record) = (options.kernel.sql(&schema)?, record(&versions));
    let Some(from) = options.from else {
        println!(
            "-- Bindery's schema, printed by `binderyd migration`. Do not edit it: print it again.\n"
        );
        println!("{kernel}");
        println!("{}\n{record}", marked("The schema", schema.newest()?, &schema.text()?));
        return Ok(());
    };
    println!(
        "-- An upgrade of Bindery's schema from version {from}, printed by \
         `binderyd migration --from {from}`.\n"
    );
    println!("{}\n{}\n{kernel}", only_from(from), kernel::CHANGE);
    for version in versions.iter().filter(|version| version.version() > from) {
        let text = version.sql().context("a version without text")?;
        println!("{}", marked("The upgrade to", version.version(), text));
    }
    println!("{record}");
    Ok(())
}

/// The text of a version between two marker lines (`sql/upgrades/README.md`). refinery's checksum
/// is that of the text between them.
fn marked(what: &str, version: i32, text: &str) -> String {
    format!("-- {what} version {version} begins.\n{text}-- {what} version {version} ends.\n")
}

/// SQL that fails if the database has another version.
fn only_from(from: i32) -> String {
    format!(
        "do $$
declare
  version integer;
begin
  if to_regclass('{HISTORY}') is not null then
    select max(h.version) into version from {HISTORY} h;
  end if;
  if version is distinct from {from} then
    raise exception 'This upgrades version {from} of Bindery''s schema; here is %.',
      coalesce('version ' || version, 'none');
  end if;
end
$$;"
    )
}

/// SQL that secures the history like every internal table: with row-level security, for no role.
fn secured() -> String {
    format!(
        "alter table {HISTORY} enable row level security;
drop policy if exists nobody on {HISTORY};
create policy nobody on {HISTORY} using (false);"
    )
}

/// The rows that refinery writes when it runs these versions.
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
