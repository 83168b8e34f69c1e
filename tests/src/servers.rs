//! A private Postgres and Redis, by `scripts/servers.sh`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tokio::sync::OnceCell;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::daemon::{binderyd, run};
use crate::database::{Database, connect};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/servers.sh");
/// Not the system's temporary folder: user postgres must be able to reach it.
const PLACE: &str = "/tmp";
const REDIS_ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// A private Postgres and Redis. Both end, and their folder goes, when this is dropped or the test program ends in any
/// way: a script on a leash watches the pipe that we hold.
#[derive(Debug)]
pub struct Servers {
    dir: PathBuf,
    leash: Child,
    database_url: String,
    redis_url: String,
    template: OnceCell<()>,
    files: AtomicUsize,
}

impl Servers {
    /// A pair of its own, for a test that kills or restarts a server.
    pub async fn start() -> Result<Servers> {
        tokio::task::spawn_blocking(start_blocking).await?
    }

    /// The pair that the tests of one test program share.
    pub async fn shared() -> Result<&'static Servers> {
        static SHARED: OnceCell<Servers> = OnceCell::const_new();
        SHARED.get_or_try_init(Servers::start).await
    }

    /// Where the maintenance database `postgres` is reached, as superuser.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Where Redis is reached.
    pub fn redis_url(&self) -> &str {
        &self.redis_url
    }

    /// The folder with the servers' data and logs.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A session in the maintenance database.
    pub async fn connect(&self) -> Result<Client> {
        connect(&self.database_url).await
    }

    /// A connection to Redis; clones share it.
    pub async fn redis(&self) -> Result<MultiplexedConnection> {
        let client = redis::Client::open(self.redis_url.as_str())?;
        // The client's own limits of a second and of half a second are too little on a busy machine.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(REDIS_ANSWERS_WITHIN))
            .set_response_timeout(Some(REDIS_ANSWERS_WITHIN));
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .context("connecting to the private Redis")
    }

    /// A fresh database with the schema in it. It is copied from a template that is migrated once, so this is quick.
    pub async fn database(&self) -> Result<Database<'_>> {
        self.template.get_or_try_init(|| self.create_template()).await?;
        Database::create(self).await
    }

    /// A fresh database with nothing in it; where it is reached, as superuser.
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

    /// Stops Postgres in mode `fast` (sessions are ended) or `immediate` (as in a crash), and starts it again.
    pub async fn restart_postgres(&self, mode: &str) -> Result<()> {
        self.script(&["restart-postgres"], &[mode]).await
    }

    /// Ends Postgres and all its sessions by SIGKILL.
    pub async fn kill9_postgres(&self) -> Result<()> {
        self.script(&["kill9-postgres"], &[]).await
    }

    /// Stops Postgres in mode `fast`.
    pub async fn stop_postgres(&self) -> Result<()> {
        self.script(&["stop-postgres"], &[]).await
    }

    /// Starts Postgres after it was stopped or killed; on the same port, with the same data.
    pub async fn start_postgres(&self) -> Result<()> {
        self.script(&["start-postgres"], &[]).await
    }

    /// Stops Redis by SIGTERM and starts it again.
    pub async fn restart_redis(&self) -> Result<()> {
        self.script(&["restart-redis"], &[]).await
    }

    /// Ends Redis by SIGKILL.
    pub async fn kill9_redis(&self) -> Result<()> {
        self.script(&["kill9-redis"], &[]).await
    }

    /// Stops Redis by SIGTERM.
    pub async fn stop_redis(&self) -> Result<()> {
        self.script(&["stop-redis"], &[]).await
    }

    /// Starts Redis after it was stopped or killed; on the same port, with what its append-only file has.
    pub async fn start_redis(&self) -> Result<()> {
        self.script(&["start-redis"], &[]).await
    }

    /// A new file's path in the servers' folder.
    pub fn new_file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.{}", self.files.fetch_add(1, Ordering::Relaxed)))
    }

    async fn create_template(&self) -> Result<()> {
        let client = self.connect().await?;
        client.batch_execute("create database bindery_template").await?;
        self.migrate(&self.url_of("bindery_template")).await?;
        // Copying is refused while somebody is connected.
        client
            .batch_execute("alter database bindery_template with allow_connections false")
            .await?;
        Ok(())
    }

    pub(crate) fn url_of(&self, database: &str) -> String {
        let server = self.database_url.rsplit_once('/').map_or("", |(server, _)| server);
        format!("{server}/{database}")
    }

    async fn script(&self, before: &[&str], after: &[&str]) -> Result<()> {
        let mut command = tokio::process::Command::new(SCRIPT);
        run(command.args(before).arg(&self.dir).args(after)).await
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.leash.stdin.take());
        // Nothing could be done about a failure here, and a panic in a drop would hide the test's own.
        let _ = self.leash.wait();
    }
}

fn start_blocking() -> Result<Servers> {
    let dir = tempfile::Builder::new()
        .prefix("bindery-test.")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in(PLACE)?
        .keep();
    let mut leash = Command::new(SCRIPT)
        .arg("leash")
        .arg(&dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Ctrl-C is for the test program; the script then sees the pipe close, and cleans up.
        .process_group(0)
        .spawn()
        .context(SCRIPT)?;
    if let Err(error) = await_ready(&mut leash) {
        // The script has ended, perhaps before it came to clean up.
        let _ = fs::remove_dir_all(&dir);
        return Err(error);
    }
    let env = fs::read_to_string(dir.join("env"))?;
    Ok(Servers {
        database_url: variable(&env, "DATABASE_URL")?,
        redis_url: variable(&env, "REDIS_URL")?,
        dir,
        leash,
        template: OnceCell::new(),
        files: AtomicUsize::new(1),
    })
}

fn await_ready(leash: &mut Child) -> Result<()> {
    let output = leash.stdout.take().context("the script's output is piped")?;
    let mut said = String::new();
    for line in BufReader::new(output).lines() {
        let line = line?;
        if line == "ready" {
            return Ok(());
        }
        said.push_str(&line);
        said.push('\n');
    }
    bail!("private servers did not start:\n{said}")
}

fn variable(env: &str, name: &str) -> Result<String> {
    let prefix = format!("export {name}=");
    let value = env.lines().find_map(|line| line.strip_prefix(&prefix));
    ensure!(value.is_some(), "servers.sh wrote no {name}");
    Ok(value.unwrap_or_default().to_owned())
}
