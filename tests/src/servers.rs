//! A private Postgres and Redis, by `scripts/servers.sh`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tokio::sync::OnceCell;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::daemon::{binderyd, run};
use crate::database::{Database, connect};
use crate::leash::Leash;

const REDIS_ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// A private Postgres and Redis. Both end, and their folder is removed, when this is dropped or the
/// test program ends in any way.
#[derive(Debug)]
pub struct Servers {
    leash: Leash,
    database_url: String,
    redis_url: String,
    template: OnceCell<()>,
    files: AtomicUsize,
}

impl Servers {
    /// An own pair, for a test that kills or restarts a server.
    pub async fn start() -> Result<Servers> {
        let leash = Leash::start().await?;
        Ok(Servers {
            database_url: leash.variable("DATABASE_URL")?,
            redis_url: leash.variable("REDIS_URL")?,
            leash,
            template: OnceCell::new(),
            files: AtomicUsize::new(1),
        })
    }

    /// The pair that the tests of one test program share.
    pub async fn shared() -> Result<&'static Servers> {
        static SHARED: OnceCell<Servers> = OnceCell::const_new();
        SHARED.get_or_try_init(Servers::start).await
    }

    /// The superuser's URL of the maintenance database `postgres`.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// The URL of Redis.
    pub fn redis_url(&self) -> &str {
        &self.redis_url
    }

    /// The folder with the servers' data and logs.
    pub fn dir(&self) -> &Path {
        self.leash.dir()
    }

    /// A session in the maintenance database.
    pub async fn connect(&self) -> Result<Client> {
        connect(&self.database_url).await
    }

    /// A connection to Redis; clones share it.
    pub async fn redis(&self) -> Result<MultiplexedConnection> {
        let client = redis::Client::open(self.redis_url.as_str())?;
        // The client's default limits of one and of half a second are too short on a busy machine.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(REDIS_ANSWERS_WITHIN))
            .set_response_timeout(Some(REDIS_ANSWERS_WITHIN));
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .context("connecting to the private Redis")
    }

    /// A new database with the schema. It is copied from a template that is migrated once, so this
    /// is quick.
    pub async fn database(&self) -> Result<Database<'_>> {
        self.template.get_or_try_init(|| self.create_template()).await?;
        Database::create(self).await
    }

    /// A new empty database; returns the superuser's URL.
    pub async fn blank_database(&self) -> Result<String> {
        let name = format!("blank_{}", Uuid::new_v4().simple());
        self.connect().await?.batch_execute(&format!("create database {name}")).await?;
        Ok(self.url_of(&name))
    }

    /// Runs `binderyd migrate` on a database.
    pub async fn migrate(&self, database_url: &str) -> Result<()> {
        let mut command = tokio::process::Command::new(binderyd()?);
        run(command.args(["migrate", "--database-url", database_url])).await
    }

    /// Stops Postgres in mode `fast` (sessions are ended) or `immediate` (as in a crash), and
    /// starts it again.
    pub async fn restart_postgres(&self, mode: &str) -> Result<()> {
        self.leash.run("restart-postgres", &[mode]).await
    }

    /// Kills Postgres and all its sessions with SIGKILL.
    pub async fn kill9_postgres(&self) -> Result<()> {
        self.leash.run("kill9-postgres", &[]).await
    }

    /// Stops Postgres in mode `fast`.
    pub async fn stop_postgres(&self) -> Result<()> {
        self.leash.run("stop-postgres", &[]).await
    }

    /// Starts Postgres after it was stopped or killed, on the same port and with the same data.
    pub async fn start_postgres(&self) -> Result<()> {
        self.leash.run("start-postgres", &[]).await
    }

    /// Stops Redis by SIGTERM and starts it again.
    pub async fn restart_redis(&self) -> Result<()> {
        self.leash.run("restart-redis", &[]).await
    }

    /// Kills Redis with SIGKILL.
    pub async fn kill9_redis(&self) -> Result<()> {
        self.leash.run("kill9-redis", &[]).await
    }

    /// Stops Redis by SIGTERM.
    pub async fn stop_redis(&self) -> Result<()> {
        self.leash.run("stop-redis", &[]).await
    }

    /// Starts Redis after it was stopped or killed, on the same port and with the content of its
    /// append-only file.
    pub async fn start_redis(&self) -> Result<()> {
        self.leash.run("start-redis", &[]).await
    }

    /// A new file's path in the servers' folder.
    pub fn new_file(&self, name: &str) -> PathBuf {
        self.dir().join(format!("{name}.{}", self.files.fetch_add(1, Ordering::Relaxed)))
    }

    async fn create_template(&self) -> Result<()> {
        let client = self.connect().await?;
        client.batch_execute("create database bindery_template").await?;
        self.migrate(&self.url_of("bindery_template")).await?;
        // Postgres refuses to copy a template while a session is connected to it.
        client
            .batch_execute("alter database bindery_template with allow_connections false")
            .await?;
        Ok(())
    }

    pub(crate) fn url_of(&self, database: &str) -> String {
        url_of(&self.database_url, database)
    }
}

/// The URL of another database on the same server.
pub(crate) fn url_of(url: &str, database: &str) -> String {
    let server = url.rsplit_once('/').map_or("", |(server, _)| server);
    format!("{server}/{database}")
}
