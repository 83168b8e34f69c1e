//! Tests of the harness, which every other end-to-end test depends on.

use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use bindery_tests::{SOON, Servers, eventually};
use redis::AsyncCommands;

#[tokio::test]
async fn servers_come_back_on_the_same_ports_with_their_data() -> Result<()> {
    let servers = Servers::start().await?;
    let client = servers.connect().await?;
    client.batch_execute("create table kept (i int); insert into kept values (1)").await?;
    let mut redis = servers.redis().await?;
    let _: String = redis.xadd("kept", "*", &[("a", "1")]).await?;

    servers.restart_postgres("fast").await?;
    servers.restart_postgres("immediate").await?;
    servers.kill9_postgres().await?;
    assert!(servers.connect().await.is_err(), "Postgres was killed");
    servers.start_postgres().await?;

    servers.restart_redis().await?;
    servers.kill9_redis().await?;
    assert!(servers.redis().await.is_err(), "Redis was killed");
    servers.start_redis().await?;

    let rows: i64 =
        servers.connect().await?.query_one("select count(*) from kept", &[]).await?.get(0);
    let entries: usize = servers.redis().await?.xlen("kept").await?;
    assert_eq!((rows, entries), (1, 1));
    Ok(())
}

/// A copied folder also has the pid and port files.
#[tokio::test]
async fn a_copy_of_the_folder_stops_nothing_of_the_original_and_has_ports_of_its_own() -> Result<()>
{
    let servers = Servers::start().await?;
    let copy = tempfile::Builder::new()
        .prefix("bindery-copy.")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir_in("/tmp")?;
    for name in ["redis.pid", "redis.port", "postgres.port", "env"] {
        std::fs::copy(servers.dir().join(name), copy.path().join(name))?;
    }
    let script = async |command: &str| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/servers.sh");
        tokio::process::Command::new(path).arg(command).arg(copy.path()).output().await
    };
    assert!(script("stop").await?.status.success());
    let mut redis = servers.redis().await?;
    let _: String = redis::cmd("PING").query_async(&mut redis).await?;
    let started = script("start").await?;
    assert!(started.status.success(), "{started:?}");
    for name in ["redis.port", "postgres.port"] {
        let [original, own] =
            [servers.dir(), copy.path()].map(|dir| std::fs::read_to_string(dir.join(name)));
        assert_ne!(original?, own?, "{name}");
    }
    assert!(script("stop").await?.status.success());
    let _: String = redis::cmd("PING").query_async(&mut redis).await?;
    servers.connect().await?;
    Ok(())
}

#[tokio::test]
async fn killing_postgres_ends_the_sessions_in_it() -> Result<()> {
    let servers = Servers::start().await?;
    let client = servers.connect().await?;
    let sleeper = tokio::spawn(async move { client.batch_execute("select pg_sleep(60)").await });
    let watcher = servers.connect().await?;
    eventually(SOON, "the session to be asleep", async || {
        let asleep = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
        let row = watcher.query_one(asleep, &[]).await?;
        if row.get::<_, i64>(0) == 1 { Ok(()) } else { Err(anyhow::anyhow!("not yet")) }
    })
    .await?;

    servers.kill9_postgres().await?;

    assert!(sleeper.await?.is_err());
    servers.start_postgres().await
}

#[tokio::test]
async fn nothing_is_left_of_dropped_servers() -> Result<()> {
    let servers = Servers::start().await?;
    let dir = servers.dir().to_owned();
    let url = servers.database_url().to_owned();
    assert!(dir.exists());

    tokio::task::spawn_blocking(move || drop(servers)).await?;

    assert!(!dir.exists());
    assert!(bindery_tests::connect(&url).await.is_err());
    Ok(())
}
