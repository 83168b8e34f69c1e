//! Servers in a folder, by `scripts/servers.sh`. The script watches the pipe that this program
//! holds.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::daemon::run;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/servers.sh");
/// Not the system's temporary folder: user postgres must be able to reach it.
const PLACE: &str = "/tmp";

/// The servers of a folder. They end, and the folder is removed, when this is dropped or the test
/// program ends in any way.
#[derive(Debug)]
pub(crate) struct Leash {
    dir: PathBuf,
    script: Child,
}

impl Leash {
    /// Starts a Postgres and a Redis.
    pub(crate) async fn start() -> Result<Leash> {
        tokio::task::spawn_blocking(|| start(None, None)).await?
    }

    /// Starts a Postgres that replicates the one at this URL, at this address or at a free one.
    pub(crate) async fn start_replica(primary: &str, at: Option<SocketAddr>) -> Result<Leash> {
        let primary = primary.to_owned();
        tokio::task::spawn_blocking(move || start(Some(&primary), at)).await?
    }

    /// The folder with the servers' data and logs.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs a command of the script; the parameters are the arguments before and after the folder.
    pub(crate) async fn run(&self, command: &str, after: &[&str]) -> Result<()> {
        run(tokio::process::Command::new(SCRIPT).arg(command).arg(&self.dir).args(after)).await
    }

    /// An export of the folder's `env`.
    pub(crate) fn variable(&self, name: &str) -> Result<String> {
        let env = fs::read_to_string(self.dir.join("env"))?;
        let prefix = format!("export {name}=");
        let value = env.lines().find_map(|line| line.strip_prefix(&prefix));
        ensure!(value.is_some(), "servers.sh wrote no {name}");
        Ok(value.unwrap_or_default().to_owned())
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        // A failure here cannot be handled, and a panic in a drop would hide the test's own.
        let _ = self.script.wait();
    }
}

fn start(primary: Option<&str>, postgres_at: Option<SocketAddr>) -> Result<Leash> {
    let dir = tempfile::Builder::new()
        .prefix("bindery-test.")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in(PLACE)?
        .keep();
    if let Some(address) = postgres_at {
        fs::write(dir.join("postgres.port"), address.port().to_string())?;
    }
    let mut script = Command::new(SCRIPT)
        .arg("leash")
        .arg(&dir)
        .args(primary)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Ctrl-C is for the test program; the script then sees the pipe close, and cleans up.
        .process_group(0)
        .spawn()
        .context(SCRIPT)?;
    if let Err(error) = await_ready(&mut script) {
        // The script has ended, perhaps before it cleaned up.
        let _ = fs::remove_dir_all(&dir);
        return Err(error);
    }
    Ok(Leash { dir, script })
}

fn await_ready(script: &mut Child) -> Result<()> {
    let stdout = script.stdout.take().context("the script's output is piped")?;
    let mut output = String::new();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        if line == "ready" {
            return Ok(());
        }
        output.push_str(&line);
        output.push('\n');
    }
    bail!("private servers did not start:\n{output}")
}
