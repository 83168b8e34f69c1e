//! A real pgbouncer in transaction mode before the private Postgres.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use anyhow::{Context, Result};
use tokio::process::{Child, Command};

use crate::daemon::free_address;
use crate::database::connect;
use crate::eventually::{SOON, eventually};
use crate::servers::Servers;

/// A pooler. It ends when dropped.
#[derive(Debug)]
pub struct Pooler {
    address: SocketAddr,
    _process: Child,
}

impl Pooler {
    /// Starts a pooler with this many sessions in a database for all its clients, and waits until
    /// it takes connections.
    pub async fn start(servers: &Servers, sessions: usize) -> Result<Pooler> {
        let address = free_address()?;
        let (_, port) = servers.database_url().rsplit_once(':').context("a URL without a port")?;
        let port = port.split('/').next().context("a URL without a port")?;
        let (users, config, log) =
            (servers.new_file("users"), servers.new_file("pgbouncer"), servers.new_file("log"));
        fs::write(&users, "\"postgres\" \"\"\n")?;
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={port}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\n\
             auth_type = trust\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = {sessions}\nunix_socket_dir =\n",
            address.port(),
            users.display(),
        );
        fs::write(&config, settings)?;
        let mut command = Command::new("pgbouncer");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin"));
        // pgbouncer does not run as root.
        if fs::metadata("/proc/self")?.uid() == 0 {
            command.args(["-u", "postgres"]);
        }
        let output = fs::File::create(&log)?;
        let process = command
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .context("starting pgbouncer; run: make setup")?;
        let pooler = Pooler { address, _process: process };
        let url = pooler.url(servers.database_url());
        eventually(SOON, "pgbouncer to take connections", async || {
            connect(&url).await?.simple_query("select").await.map_err(anyhow::Error::from)
        })
        .await
        .with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        Ok(pooler)
    }

    /// The same URL through the pooler.
    pub fn url(&self, url: &str) -> String {
        let (before, after) = url.split_once("127.0.0.1:").unwrap_or((url, ""));
        let rest = after.split_once('/').map_or("", |(_, rest)| rest);
        format!("{before}{}/{rest}", self.address)
    }
}
