//! Postgres, as the daemon's role sees it.

use std::collections::BTreeMap;

use bindery_core::stream_id::StreamId;
use postgres_types::Type;
use tokio_postgres::Client;

use super::{Findings, now, realtime};
use crate::database::{self, DatabaseError, DatabaseUrl, Transport};
use crate::kernel;
use crate::migrate::HISTORY;
use crate::schema::Schema;

/// The oldest version that the tests run on.
const OLDEST: i32 = 150_000;
/// A slot that holds back more bytes of WAL than this is reported.
const HELD_BACK: i64 = 1 << 30;
/// An early event that waits longer than this many seconds is reported. The change that makes it
/// applicable usually follows within seconds.
const EARLY_WARNS: f64 = 60.0;

/// Runs all checks of Postgres; returns the known positions of the streams.
pub async fn check(
    url: &DatabaseUrl,
    streams: &[String],
    findings: &mut Findings,
) -> BTreeMap<String, StreamId> {
    let (client, transport) = match database::connect_described(url).await {
        Ok(connected) => connected,
        Err(error) => {
            findings.fail(
                "postgres_reach",
                error.to_string(),
                error.remedy().unwrap_or(
                    "check --database-url, that the server runs, and that pg_hba.conf allows this \
                     role",
                ),
            );
            return BTreeMap::new();
        }
    };
    tls(&transport, url.is_local(), findings);
    let mut positions = BTreeMap::new();
    // Separate queries: one that lacks a right, or that this server does not support, fails alone.
    let outcomes = [
        ("postgres_server", server(&client, findings).await),
        ("postgres_schema", schema_and_kernel(&client, findings).await),
        ("postgres_rights", rights(&client, findings).await),
        ("postgres_slots", slots(&client, findings).await),
        ("postgres_realtime", realtime::changes(&client, findings).await),
        ("realtime_messages", realtime::broadcasts(&client, findings).await),
        ("relay_cursors", cursors(&client, streams, &mut positions, findings).await),
        ("early_events", early_events(&client, findings).await),
    ];
    for (check, outcome) in outcomes {
        if let Err(error) = outcome {
            let remedy = error.remedy().unwrap_or("see the server's log for this error");
            findings.fail(check, error.to_string(), remedy);
        }
    }
    positions
}

fn tls(transport: &Transport, is_local: bool, findings: &mut Findings) {
    let (found, remedy) = match transport {
        Transport::Socket => {
            findings.ok("postgres_tls", "a Unix-domain socket, which needs no TLS");
            return;
        }
        Transport::Plain => (
            "the connection is not encrypted".to_owned(),
            "use sslmode=verify-full, and sslrootcert=FILE for an authority of your own, in \
             --database-url",
        ),
        Transport::Tls(tls) => match &tls.verified {
            Some(verified) => {
                let found = format!("{}, certificate of {}, {verified}", tls.version, tls.issuer);
                findings.ok("postgres_tls", found);
                return;
            }
            None => (
                format!("{}, certificate of {}, not verified", tls.version, tls.issuer),
                "use sslmode=verify-full, and sslrootcert=FILE for an authority of your own, in \
                 --database-url: another server could pose as this one",
            ),
        },
    };
    if is_local {
        findings.ok("postgres_tls", found + "; the server is on this machine");
    } else {
        findings.warn("postgres_tls", found, remedy);
    }
}

async fn server(client: &Client, findings: &mut Findings) -> Result<(), DatabaseError> {
    let asked = now();
    let query = "select current_setting('server_version_num')::integer, \
        extract(epoch from clock_timestamp())::float8, current_setting('fsync'), \
        current_setting('full_page_writes'), pg_is_in_recovery(), \
        current_setting('server_version')";
    let row = client.query_typed_one(query, &[]).await?;
    let answered = now();
    let version: String = row.try_get(5)?;
    if row.try_get::<_, i32>(0)? < OLDEST {
        findings.fail(
            "postgres_version",
            format!("PostgreSQL {version}"),
            "upgrade the server to PostgreSQL 15 or later",
        );
    } else {
        findings.ok("postgres_version", format!("PostgreSQL {version}"));
    }
    findings.clock("postgres_clock", row.try_get(1)?, asked, answered);
    if row.try_get(4)? {
        findings.fail(
            "postgres_primary",
            "this server is a standby and refuses writes",
            "give the primary's address in --database-url",
        );
    }
    let (fsync, pages): (String, String) = (row.try_get(2)?, row.try_get(3)?);
    if fsync == "on" && pages == "on" {
        findings.ok("postgres_durability", "committed data survives a crash");
    } else {
        findings.warn(
            "postgres_durability",
            format!("fsync is {fsync}, full_page_writes is {pages}"),
            "set both on: a crash of the machine can lose applied events, and the relay then reads \
             the stream again from its older position",
        );
    }
    Ok(())
}

async fn schema_and_kernel(client: &Client, findings: &mut Findings) -> Result<(), DatabaseError> {
    let query = "select to_regclass('bindery.book_status') is not null, \
        (select extversion from pg_catalog.pg_extension where extname = 'bindery'), \
        exists (select from pg_catalog.pg_proc p \
          join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
          where n.nspname = 'bindery_core' and p.proname = 'compile_pipeline'), \
        exists (select from pg_catalog.pg_proc p \
          join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
          where n.nspname = 'bindery' and p.proname = 'early_backlog'), \
        (select default_version from pg_catalog.pg_available_extensions where name = 'bindery')";
    let row = client.query_typed_one(query, &[]).await?;
    let (there, native): (bool, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
    let (any_kernel, is_current): (bool, bool) = (row.try_get(2)?, row.try_get(3)?);
    let offered: Option<String> = row.try_get(4)?;
    if !there {
        findings.fail(
            "postgres_schema",
            "there is no schema bindery in this database",
            "run binderyd migrate as the role that is to own the schema",
        );
        return Ok(());
    }
    let version = Schema::compiled_in().and_then(|schema| schema.newest()).unwrap_or_default();
    // Without a record that this role may read, the presence of early_backlog decides.
    let recorded = recorded_version(client).await?.unwrap_or(if is_current { version } else { 0 });
    if recorded == version {
        findings
            .ok("postgres_schema", format!("the schema has version {version}, this binderyd's"));
    } else if recorded > version {
        findings.warn(
            "postgres_schema",
            format!("the schema has version {recorded}, and this binderyd has version {version}"),
            "upgrade binderyd",
        );
    } else {
        findings.fail(
            "postgres_schema",
            format!("the schema is older than version {version}, this binderyd's"),
            "run binderyd migrate; books keep their state",
        );
    }
    match native {
        Some(version) if version == kernel::VERSION => {
            findings.ok("kernel", format!("native, extension {version}"));
        }
        Some(version) => findings.fail(
            "kernel",
            format!("native, extension {version}; this binderyd needs {}", kernel::VERSION),
            "install the extension of this release into the server, then run binderyd migrate",
        ),
        None if !any_kernel => findings.fail("kernel", "there is none", "run binderyd migrate"),
        None if offered.is_some() => findings.warn(
            "kernel",
            "portable, though this server offers the extension",
            "run binderyd migrate --kernel native: it needs a tenth of the time",
        ),
        None => findings.ok("kernel", "portable (this server has no extension bindery)"),
    }
    Ok(())
}

/// The schema's version, where it is recorded and this role may read the record.
async fn recorded_version(client: &Client) -> Result<Option<i32>, DatabaseError> {
    let query = "select coalesce(has_table_privilege(to_regclass($1), 'select'), false)";
    let row = client.query_typed_one(query, &[(&HISTORY, Type::TEXT)]).await?;
    if !row.try_get(0)? {
        return Ok(None);
    }
    // Row-level security hides every row from roles other than the owner.
    let query = format!("select max(version) from {HISTORY}");
    Ok(client.query_typed_one(&query, &[]).await?.try_get(0)?)
}

async fn rights(client: &Client, findings: &mut Findings) -> Result<(), DatabaseError> {
    let query = "select current_user::text, array(select p.proname::text from pg_catalog.pg_proc p \
        join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
        where n.nspname = 'bindery' and p.proname = any ($1) \
        and not (has_schema_privilege(n.oid, 'usage') \
          and has_function_privilege(p.oid, 'execute')) \
        order by 1), \
        (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user)";
    let functions = &database::FUNCTIONS[..];
    let row = client.query_typed_one(query, &[(&functions, Type::TEXT_ARRAY)]).await?;
    let (role, missing): (String, Vec<String>) = (row.try_get(0)?, row.try_get(1)?);
    if missing.is_empty() {
        findings.ok("postgres_rights", format!("{role} may call the daemon's functions"));
    } else {
        findings.fail(
            "postgres_rights",
            format!("{role} may not call {}", missing.join(", ")),
            format!("grant bindery_relay to \"{role}\""),
        );
    }
    if row.try_get::<_, Option<bool>>(2)? == Some(true) {
        findings.warn(
            "postgres_role",
            format!("{role} is a superuser"),
            "let the daemon log in as a role of its own that has bindery_relay",
        );
    }
    Ok(())
}

async fn slots(client: &Client, findings: &mut Findings) -> Result<(), DatabaseError> {
    let query = "select s.slot_name::text, s.active, coalesce(pg_wal_lsn_diff(\
          case when pg_is_in_recovery() then pg_last_wal_replay_lsn() \
          else pg_current_wal_lsn() end, s.restart_lsn), 0)::bigint, coalesce(s.wal_status, '') \
        from pg_catalog.pg_replication_slots s where s.database = current_database() order by 1";
    let rows = client.query_typed(query, &[]).await?;
    let mut healthy = 0;
    for row in &rows {
        let (name, active, held, state): (String, bool, i64, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        if state == "lost" || (!active && held > HELD_BACK) {
            let reader = if active { "a reader" } else { "no reader" };
            findings.warn(
                "postgres_slots",
                format!("the slot {name} has {reader} and holds back {} MB of WAL", held >> 20),
                format!(
                    "start its reader again, or drop the slot before the disk is full: \
                     select pg_drop_replication_slot('{name}')"
                ),
            );
        } else {
            healthy += 1;
        }
    }
    if healthy == rows.len() {
        findings.ok("postgres_slots", format!("{healthy} replication slots, all of them read"));
    }
    Ok(())
}

async fn cursors(
    client: &Client,
    streams: &[String],
    positions: &mut BTreeMap<String, StreamId>,
    findings: &mut Findings,
) -> Result<(), DatabaseError> {
    let query = "select coalesce(has_table_privilege(\
        to_regclass('bindery.relay_cursors'), 'select'), false)";
    let may = client.query_typed_one(query, &[]).await;
    if !may.and_then(|row| row.try_get(0)).unwrap_or(false) {
        findings.warn(
            "relay_cursors",
            "this role may not read bindery.relay_cursors: positions are not compared with streams",
            "run doctor as service_role or the schema's owner to compare them",
        );
        return Ok(());
    }
    let query = "select c.stream, c.position, c.holder, c.lease_expires_at < clock_timestamp(), \
        c.last_loss, c.lost, extract(epoch from clock_timestamp() - c.lost_at)::float8, c.rejected \
        from bindery.relay_cursors c where c.stream = any ($1) order by 1";
    for row in client.query_typed(query, &[(&streams, Type::TEXT_ARRAY)]).await? {
        let (stream, position): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let (holder, over): (Option<String>, Option<bool>) = (row.try_get(2)?, row.try_get(3)?);
        match (holder, over) {
            (Some(holder), Some(false)) => {
                findings.ok("lease", format!("{holder} reads {stream}"));
            }
            _ => findings.warn(
                "lease",
                format!("no relay reads {stream}"),
                "start binderyd run with the same --stream, --bullmq and --channel",
            ),
        }
        if let Some(loss) = row.try_get::<_, Option<String>>(4)? {
            let (lost, ago): (i64, Option<f64>) = (row.try_get(5)?, row.try_get(6)?);
            findings.warn(
                "losses",
                format!(
                    "{stream} was {loss} {:.0} s ago; {lost} entries are known to be lost",
                    ago.unwrap_or_default()
                ),
                "see docs/alerts.md, BinderyEntriesLost",
            );
        }
        let rejected: i64 = row.try_get(7)?;
        if rejected > 0 {
            findings.warn(
                "dead_letters",
                format!("{rejected} events of {stream} were rejected"),
                format!("binderyd dead-letters list --of-stream {stream}"),
            );
        }
        if let Ok(position) = position.parse() {
            positions.insert(stream, position);
        }
    }
    Ok(())
}

async fn early_events(client: &Client, findings: &mut Findings) -> Result<(), DatabaseError> {
    // Where the function or the right is missing, another check reports it.
    let query = "select coalesce(has_schema_privilege(to_regnamespace('bindery'), 'usage') \
        and has_function_privilege(to_regproc('bindery.early_backlog'), 'execute'), false)";
    let may = client.query_typed_one(query, &[]).await;
    if !may.and_then(|row| row.try_get(0)).unwrap_or(false) {
        return Ok(());
    }
    let query =
        "select events, books, extract(epoch from age)::float8 from bindery.early_backlog()";
    let row = client.query_typed_one(query, &[]).await?;
    let (events, books, age): (i64, i64, f64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if age > EARLY_WARNS {
        findings.warn(
            "early_events",
            format!("{events} early events of {books} books wait, the oldest for {age:.0} s"),
            "see docs/alerts.md, BinderyEarlyEventsWait",
        );
    } else {
        findings.ok("early_events", format!("{events} early events wait"));
    }
    Ok(())
}
