//! `binderyd doctor`: each fault is provoked, and the finding has its remedy.

use anyhow::{Context, Result};
use bindery_tests::{Node, Servers, run_binderyd};
use serde_json::Value;

use crate::support::text;

/// Whether it succeeded, and its findings: check, level, text.
async fn findings(
    database: &str,
    redis: &str,
    more: &[&str],
) -> Result<(bool, Vec<(String, String, String)>)> {
    let output = run_binderyd(
        &[&["doctor", "--json", "--database-url", database, "--redis-url", redis], more].concat(),
    )
    .await?;
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = lines.lines().map(|line| {
        let finding: Value = serde_json::from_str(line).with_context(|| text(&output))?;
        let part = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        anyhow::ensure!((finding["level"] == "ok") == finding["remedy"].is_null(), "{finding}");
        Ok((part("check"), part("level"), format!("{} {}", part("found"), part("remedy"))))
    });
    Ok((output.status.success(), found.collect::<Result<_>>()?))
}

fn expect(found: &[(String, String, String)], check: &str, level: &str, message: &str) {
    let has = found.iter().any(|(c, l, words)| c == check && l == level && words.contains(message));
    assert!(has, "no {level} of {check} with {message:?} in {found:#?}");
}

#[tokio::test]
async fn doctor_finds_no_failure_in_a_sound_installation_and_changes_nothing() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let stream = database.stream();
    let outbox = format!("{stream}-out");
    let args = [
        "--stream",
        stream,
        "--outbox",
        &outbox,
        "--retain",
        "1h",
        "--channel",
        stream,
        "--bullmq",
        "draw=DRAWING",
    ];
    let (well, found) = findings(database.url(), servers.redis_url(), &args).await?;
    assert!(well && found.iter().all(|(_, level, _)| level != "failure"), "{found:#?}");
    for (check, message) in [
        ("postgres_version", "PostgreSQL"),
        ("postgres_clock", "agrees"),
        ("postgres_schema", "this binderyd's"),
        ("postgres_rights", "may call"),
        ("redis_version", "Redis"),
        ("redis_clock", "agrees"),
        ("redis_rights", "XREAD"),
        ("redis_rights", "XTRIM"),
        ("redis_rights", "XADD"),
        ("channel", "SUBSCRIBE"),
        ("redis_rights", "EVAL"),
        ("redis_rights", "LRANGE of bull:draw:active"),
        ("redis_rights", "HGET of bull:draw:0"),
        ("stream", "bull:draw:events does not exist yet"),
        ("stream", "does not exist yet"),
        ("early_events", "0 early events wait"),
        ("http_access", "this machine only, as service_role"),
    ] {
        expect(&found, check, "ok", message);
    }
    let mut redis = servers.redis().await?;
    let of_channel = format!("bindery:channel:{{{stream}}}");
    let keys =
        [stream, "bull:draw:events", &outbox, &of_channel, &format!("{of_channel}:subscriber")];
    let there: u8 = redis::cmd("EXISTS").arg(&keys).query_async(&mut redis).await?;
    assert_eq!(there, 0, "doctor makes no stream and no claim");
    Ok(())
}

#[tokio::test]
async fn a_fault_in_postgres_is_a_finding_with_its_remedy() -> Result<()> {
    let servers = Servers::shared().await?;
    let redis = servers.redis_url();
    let (well, found) = findings("postgresql://postgres@127.0.0.1:1/none", redis, &[]).await?;
    assert!(!well);
    expect(&found, "postgres_reach", "failure", "--database-url");
    let blank = servers.blank_database().await?;
    expect(
        &findings(&blank, redis, &[]).await?.1,
        "postgres_schema",
        "failure",
        "run binderyd migrate",
    );

    let database = servers.database().await?;
    let client = database.connect().await?;
    let role = format!("doctor_{}", uuid::Uuid::new_v4().simple());
    client.batch_execute(&format!("create role {role} login")).await?;
    let as_role = database.url().replace("//postgres@", &format!("//{role}@"));
    let (well, found) = findings(&as_role, redis, &[]).await?;
    assert!(!well);
    expect(&found, "postgres_rights", "failure", &format!("grant bindery_relay to \"{role}\""));
    client.batch_execute(&format!("grant bindery_relay to {role}")).await?;
    expect(&findings(&as_role, redis, &[]).await?.1, "postgres_rights", "ok", &role);
    client.batch_execute(&format!("drop role {role}")).await?;

    client
        .batch_execute(
            "drop publication if exists supabase_realtime; create publication supabase_realtime",
        )
        .await?;
    expect(
        &findings(database.url(), redis, &[]).await?.1,
        "postgres_realtime",
        "failure",
        "add table bindery.book_status",
    );
    let stream = database.stream();
    client
        .execute(
            "insert into bindery.relay_cursors
               (stream, position, rejected, losses, lost, last_loss, lost_at)
             values ($1, '9-0', 3, 1, 7, 'trimmed', now())",
            &[&stream],
        )
        .await?;
    let (_, found) = findings(database.url(), redis, &["--stream", stream]).await?;
    expect(&found, "lease", "warning", "no relay reads");
    expect(&found, "losses", "warning", "7 entries");
    expect(&found, "dead_letters", "warning", "dead-letters list");
    Ok(())
}

/// Realtime's table, policy and partition, and the plugins that logical decoding may use.
#[tokio::test]
async fn what_realtime_misses_is_found() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let redis = servers.redis_url();
    let none = findings(database.url(), redis, &[]).await?.1;
    assert!(none.iter().all(|(check, ..)| check != "realtime_messages"), "{none:#?}");

    client.batch_execute("create schema realtime").await?;
    let found = findings(database.url(), redis, &[]).await?.1;
    expect(&found, "realtime_messages", "warning", "no table messages");
    let standin = include_str!("../../pgtap/realtime/standin.psql");
    client.batch_execute(&format!("drop schema realtime; {standin}")).await?;
    let (well, found) = findings(database.url(), redis, &[]).await?;
    assert!(!well);
    expect(&found, "realtime_messages", "failure", "binderyd migrate");
    client.query("select bindery.make_realtime_policy()", &[]).await?;
    let found = findings(database.url(), redis, &[]).await?.1;
    expect(&found, "realtime_messages", "ok", "a partition for today");
    // Realtime makes a partition a day.
    let partition = |name: &str, from: &str, to: &str| {
        format!(
            "do $$ begin execute format('create table realtime.{name} partition of \
             realtime.messages for values from (%L) to (%L)', {from}, {to}); end $$"
        )
    };
    client.batch_execute("drop table realtime.messages_all").await?;
    let yesterday = partition("yesterday", "current_date - 1", "current_date");
    client.batch_execute(&yesterday).await?;
    let found = findings(database.url(), redis, &[]).await?.1;
    expect(&found, "realtime_messages", "failure", "no partition for today");
    client.batch_execute(&partition("today", "current_date", "current_date + 1")).await?;
    let found = findings(database.url(), redis, &[]).await?.1;
    expect(&found, "realtime_messages", "ok", "a partition for today");

    let publication = "drop publication if exists supabase_realtime;
        create publication supabase_realtime for table bindery.book_status";
    client.batch_execute(publication).await?;
    let query = "select current_setting('wal_level'),
        (select setting from pg_settings where name = 'output_plugin_libraries')";
    let row = client.query_one(query, &[]).await?;
    let (wal, plugins): (String, Option<String>) = (row.get(0), row.get(1));
    let found = findings(database.url(), redis, &[]).await?.1;
    if wal != "logical" {
        expect(&found, "postgres_realtime", "failure", "wal_level = 'logical'");
    } else if plugins.is_some_and(|plugins| !plugins.contains("wal2json")) {
        expect(&found, "postgres_realtime", "failure", "wal2json; select pg_reload_conf()");
    } else {
        expect(&found, "postgres_realtime", "ok", "wal2json may be used");
    }
    Ok(())
}

#[tokio::test]
async fn early_events_that_wait_longer_than_a_minute_are_a_warning() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let keep = "select bindery.acquire_stream('early', 'one');
        select bindery.apply_events('early', 1, '3-0', (
          select jsonb_agg(jsonb_build_object('type', 'heartbeat', 'id', n || '-0', 'count', 4,
            'book_id', gen_random_uuid())) from generate_series(1, 3) n))";
    client.batch_execute(keep).await?;
    let found = findings(database.url(), servers.redis_url(), &[]).await?.1;
    expect(&found, "early_events", "ok", "12 early events wait");
    let age = "update bindery.early_events set at = at - interval '95 s' where id = 1";
    client.batch_execute(age).await?;
    let (well, found) = findings(database.url(), servers.redis_url(), &[]).await?;
    assert!(well, "{found:#?}");
    expect(&found, "early_events", "warning", "12 early events of 3 books wait, the oldest for 9");
    expect(&found, "early_events", "warning", "BinderyEarlyEventsWait");
    Ok(())
}

#[tokio::test]
async fn a_schema_of_another_version_is_a_finding_for_every_login() -> Result<()> {
    let servers = Servers::shared().await?;
    let (database, redis) = (servers.database().await?, servers.redis_url());
    let client = database.connect().await?;
    let role = format!("doctor_{}", uuid::Uuid::new_v4().simple());
    client.batch_execute(&format!("create role {role} login in role bindery_relay")).await?;
    let as_role = database.url().replace("//postgres@", &format!("//{role}@"));
    // For a role without access to the record of migrations, doctor checks the functions.
    expect(&findings(&as_role, redis, &[]).await?.1, "postgres_schema", "ok", "version 1");

    client.batch_execute("update bindery_internal.schema_history set version = 7").await?;
    let found = findings(database.url(), redis, &[]).await?.1;
    expect(&found, "postgres_schema", "warning", "upgrade binderyd");
    client.batch_execute("update bindery_internal.schema_history set version = 0").await?;
    let found = findings(database.url(), redis, &[]).await?.1;
    expect(&found, "postgres_schema", "failure", "run binderyd migrate");

    client.batch_execute("drop function bindery.early_backlog()").await?;
    let found = findings(&as_role, redis, &[]).await?.1;
    expect(&found, "postgres_schema", "failure", "run binderyd migrate");
    client.batch_execute(&format!("drop role {role}")).await?;
    Ok(())
}

#[tokio::test]
async fn a_fault_in_redis_is_a_finding_with_its_remedy() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let url = database.url();
    let (well, found) = findings(url, "redis://127.0.0.1:1/", &[]).await?;
    assert!(!well);
    expect(&found, "redis_reach", "failure", "--redis-url");

    let node = Node::server(
        servers,
        &["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", "--appendonly", "no"],
    )
    .await?;
    let redis = format!("redis://127.0.0.1:{}/", node.port());
    let stream = database.stream();
    node.cli(&["SET", "text", "none"]).await?;
    node.cli(&["XADD", stream, "5-0", "a", "b"]).await?;
    let client = database.connect().await?;
    client
        .execute(
            "insert into bindery.relay_cursors (stream, position) values ($1, '9-0')",
            &[&stream],
        )
        .await?;
    let (well, found) = findings(url, &redis, &["--stream", "text", "--stream", stream]).await?;
    assert!(!well);
    expect(&found, "redis_eviction", "failure", "noeviction");
    expect(&found, "redis_durability", "warning", "appendonly");
    expect(&found, "stream", "failure", "another type");
    expect(&found, "stream", "warning", "before the position 9-0");

    node.cli(&[
        "ACL", "SETUSER", "reader", "on", ">hush", "~*", "+xread", "+ping", "+client", "+select",
    ])
    .await?;
    let reader = format!("redis://reader:hush@127.0.0.1:{}/", node.port());
    let (well, found) =
        findings(url, &reader, &["--stream", stream, "--retain", "1h", "--bullmq", "draw=DRAWING"])
            .await?;
    assert!(!well && !format!("{found:?}").contains("hush"));
    expect(&found, "redis_rights", "failure", "XTRIM");
    expect(&found, "redis_rights", "failure", "XADD");
    expect(&found, "redis_rights", "failure", "HGET of bull:draw:0");
    Ok(())
}

#[tokio::test]
async fn doctor_reports_who_has_access_and_whether_the_public_keys_can_be_read() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let (url, redis) = (database.url(), servers.redis_url());
    let closed = findings(url, redis, &["--http", "0.0.0.0:7890"]).await?;
    expect(&closed.1, "http_access", "warning", "give --jwt-secret");
    let keys = servers.new_file("keys.json");
    let args = ["--jwks-url", &keys.to_string_lossy(), "--jwt-issuer", "a,b"];
    let (well, found) = findings(url, redis, &args).await?;
    assert!(!well);
    expect(&found, "http_access", "ok", "public keys; iss: a or b; aud: any");
    expect(&found, "http_keys", "failure", "check --jwks-url");
    let public = r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "a",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    std::fs::write(&keys, public)?;
    expect(&findings(url, redis, &args).await?.1, "http_keys", "ok", "1 public keys");
    Ok(())
}
