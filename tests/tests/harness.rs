//! The harness itself: what every other end-to-end test stands on.

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
