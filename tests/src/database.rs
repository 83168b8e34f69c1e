//! A test's own database and stream name.

use anyhow::{Context, Result};
use redis::aio::MultiplexedConnection;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use crate::daemon::Daemon;
use crate::eventually::{SOON, eventually};
use crate::servers::Servers;

/// A migrated database and a stream that no other test uses.
#[derive(Debug)]
pub struct Database<'a> {
    servers: &'a Servers,
    url: String,
    stream: String,
}

impl<'a> Database<'a> {
    pub(crate) async fn create(servers: &'a Servers) -> Result<Database<'a>> {
        let id = Uuid::new_v4().simple();
        let name = format!("test_{id}");
        let create = format!("create database {name} template bindery_template");
        // A session that has ended may still be connected to the template for a moment.
        let client = servers.connect().await?;
        eventually(SOON, "the template to be free", async || client.batch_execute(&create).await)
            .await?;
        Ok(Database { servers, url: servers.url_of(&name), stream: format!("bindery:test:{id}") })
    }

    /// The superuser's URL of the database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The stream's name in Redis. The stream does not exist until an entry is added.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// A new session.
    pub async fn connect(&self) -> Result<Client> {
        connect(&self.url).await
    }

    /// Starts a daemon that relays this stream into this database, with more arguments of `binderyd
    /// run`, and waits until it is ready. It sweeps only if the arguments enable that: only the
    /// test's own acts move its books.
    pub async fn daemon(&self, args: &[&str]) -> Result<Daemon> {
        let daemon = self.daemon_unready(args)?;
        daemon.ready().await?;
        Ok(daemon)
    }

    /// Like [`Database::daemon`], without waiting.
    pub fn daemon_unready(&self, args: &[&str]) -> Result<Daemon> {
        Daemon::spawn(self.servers, &self.url, &self.with_stream(args))
    }

    /// Like [`Database::daemon`], after these commands of a shell.
    pub async fn daemon_after(&self, shell: &str, args: &[&str]) -> Result<Daemon> {
        let args = self.with_stream(args);
        let daemon = Daemon::spawn_after(self.servers, &self.url, &args, shell)?;
        daemon.ready().await?;
        Ok(daemon)
    }

    fn with_stream<'b>(&'b self, args: &[&'b str]) -> Vec<&'b str> {
        let mut all = vec!["--stream", &self.stream];
        all.extend_from_slice(args);
        if !args.contains(&"--sweep") {
            all.extend(["--sweep", "0"]);
        }
        all
    }

    /// Adds one event to the stream; returns its id.
    pub async fn add(
        &self,
        redis: &mut MultiplexedConnection,
        fields: &[(&str, &str)],
    ) -> Result<String> {
        let ids = bindery_client::append(redis, &self.stream, [fields]).await?;
        Ok(ids.concat())
    }
}

/// A session in the database at `url`. A background task serves it, and ends with it.
pub async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .with_context(|| format!("connecting to {url}"))?;
    // An error that ends the connection also fails the client's next call, where the test sees it.
    tokio::spawn(connection);
    Ok(client)
}
