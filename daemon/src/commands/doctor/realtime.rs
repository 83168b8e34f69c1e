//! Supabase Realtime, by the catalogs: the daemon's role has no rights on its schema.

use tokio_postgres::Client;

use super::Findings;
use crate::database::DatabaseError;

/// Checks the requirements of Postgres Changes.
pub async fn changes(client: &Client, findings: &mut Findings) -> Result<(), DatabaseError> {
    let query = "select exists (select from pg_catalog.pg_publication \
          where pubname = 'supabase_realtime'), \
        exists (select from pg_catalog.pg_publication_tables where pubname = 'supabase_realtime' \
          and schemaname = 'bindery' and tablename = 'book_status'), \
        current_setting('wal_level'), \
        (select setting from pg_catalog.pg_settings where name = 'output_plugin_libraries')";
    let row = client.query_typed_one(query, &[]).await?;
    let (publication, table, wal): (bool, bool, String) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    // Newer minor versions of Postgres name the plugins that may be used.
    let plugins: Option<String> = row.try_get(3)?;
    if !publication {
        findings.ok(
            "postgres_realtime",
            "no publication supabase_realtime: NOTIFY and the daemon's event streams carry changes",
        );
    } else if !table {
        findings.fail(
            "postgres_realtime",
            "bindery.book_status is not in the publication supabase_realtime",
            "alter publication supabase_realtime add table bindery.book_status",
        );
    } else if wal != "logical" {
        findings.fail(
            "postgres_realtime",
            format!("wal_level is {wal}: Realtime reads nothing"),
            "alter system set wal_level = 'logical', and restart the server",
        );
    } else if let Some(plugins) = plugins.filter(|plugins| !allows(plugins, "wal2json")) {
        let allowed = [plugins.as_str(), "wal2json"].map(str::trim).join(", ");
        let allowed = allowed.trim_start_matches(", ");
        findings.fail(
            "postgres_realtime",
            format!("output_plugin_libraries is '{plugins}': Realtime may not use wal2json"),
            format!(
                "alter system set output_plugin_libraries = {allowed}; select pg_reload_conf()"
            ),
        );
    } else {
        findings.ok(
            "postgres_realtime",
            "book_status is in supabase_realtime, wal_level is logical, and wal2json may be used",
        );
    }
    Ok(())
}

/// Whether a list of libraries has this one.
fn allows(libraries: &str, library: &str) -> bool {
    libraries.split(',').any(|name| name.trim().trim_matches('"') == library)
}

/// Checks the requirements of broadcasts: the table, the policy, today's partition.
pub async fn broadcasts(client: &Client, findings: &mut Findings) -> Result<(), DatabaseError> {
    let query = r"select t.oid is not null, exists (select from pg_catalog.pg_policy p
          where p.polrelid = t.oid and p.polname = 'bindery_owner_joins'),
        t.relkind is distinct from 'p' or exists (
          select from pg_catalog.pg_inherits i
          join pg_catalog.pg_class c on c.oid = i.inhrelid
          cross join lateral (select pg_get_expr(c.relpartbound, c.oid) as bound) b
          cross join lateral (select regexp_match(b.bound,
            'FROM \(''([-0-9: .]+)''\) TO \(''([-0-9: .]+)''\)') as ends) e
          where i.inhparent = t.oid and case when e.ends is null
            then b.bound ~ 'DEFAULT|MINVALUE|MAXVALUE'
            else localtimestamp >= e.ends[1]::timestamp
              and localtimestamp < e.ends[2]::timestamp end)
        from pg_catalog.pg_namespace n
        left join pg_catalog.pg_class t on t.relnamespace = n.oid and t.relname = 'messages'
        where n.nspname = 'realtime'";
    let Some(row) = client.query_typed(query, &[]).await?.into_iter().next() else {
        return Ok(());
    };
    let (table, policy, partition): (bool, bool, bool) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if !table {
        findings.warn(
            "realtime_messages",
            "the schema realtime has no table messages: nothing is broadcast",
            "start Realtime, which makes it; binderyd run then makes the policy",
        );
    } else if !policy {
        findings.fail(
            "realtime_messages",
            "realtime.messages has no policy bindery_owner_joins: no user can join a private topic",
            "run binderyd migrate, or the SQL of docs/supabase.md as the table's owner",
        );
    } else if !partition {
        findings.fail(
            "realtime_messages",
            "realtime.messages has no partition for today: nothing is broadcast",
            "restart Realtime, which makes the partitions, and see its log",
        );
    } else {
        findings.ok(
            "realtime_messages",
            "realtime.messages has the policy bindery_owner_joins and a partition for today",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_plugins_allows_what_it_names() {
        assert!(allows("pgoutput, wal2json", "wal2json"));
        assert!(allows("\"wal2json\"", "wal2json"));
        assert!(!allows("pgoutput,test_decoding", "wal2json"));
        assert!(!allows("", "wal2json"));
    }
}
