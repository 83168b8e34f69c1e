//! The private Postgres of `dev`, in its own folder.
//!
//! | in the folder | what it is |
//! |---|---|
//! | `postgres/` | the data |
//! | `password`, `port` | of the superuser `postgres`, on 127.0.0.1 |
//! | `postgres.log` | the server's log |
//! | `lock` | locked by the `binderyd dev` that runs here |
//!
//! Invariant: the server runs only while this process runs. A server left by a killed process is
//! stopped before the next start.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use super::owner::Owner;
use super::programs::Programs;

/// The mode of the password's file.
const OWNER_ONLY: u32 = 0o600;
/// The time limit for a start or stop of Postgres, in seconds, for `pg_ctl`.
const WITHIN: &str = "60";
/// The number of shown lines of a log.
const SHOWN: usize = 10;

/// A private Postgres.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    programs: Programs,
    owner: Option<Owner>,
    password: String,
    port: u16,
    /// Locked as long as this process runs.
    _lock: File,
}

impl Cluster {
    /// Locks the folder and finds the programs, without starting the server.
    pub fn open(folder: Option<&Path>, programs: Option<&Path>) -> anyhow::Result<Self> {
        let owner = Owner::needed()?;
        let folder = match folder {
            Some(folder) => std::path::absolute(folder)?,
            None => default_folder(owner.is_some())?,
        };
        let data = folder.join("postgres");
        let made_by = fs::read_to_string(data.join("PG_VERSION")).ok();
        let made_by = made_by.and_then(|text| text.trim().parse().ok());
        let programs = Programs::find(programs, made_by, owner.as_ref())?;

        let unusable = || format!("{} cannot be used; give another --data", folder.display());
        fs::create_dir_all(&folder).with_context(unusable)?;
        let lock = File::create(folder.join("lock")).with_context(unusable)?;
        match lock.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => bail!(
                "another `binderyd dev` runs in {}; stop it, or give another --data (and --http)",
                folder.display()
            ),
            Err(TryLockError::Error(error)) => return Err(error).with_context(unusable),
        }
        Ok(Self { folder, programs, owner, password: String::new(), port: 0, _lock: lock })
    }

    /// Starts the server, after creating its data if missing; returns its URL.
    pub async fn start(&mut self, port: Option<u16>) -> anyhow::Result<String> {
        self.stop().await?;
        self.password = self.password()?;
        if !self.data().join("PG_VERSION").is_file() {
            self.make().await?;
        }
        let known = fs::read_to_string(self.folder.join("port")).ok();
        let known = known.and_then(|text| text.trim().parse().ok());
        self.port = match port {
            Some(port) if is_free(port) => port,
            Some(port) => bail!("the port {port} is taken; give another --pg-port"),
            None => known.filter(|port| is_free(*port)).map_or_else(free_port, Ok)?,
        };
        fs::write(self.folder.join("port"), format!("{}\n", self.port))?;
        self.start_server().await?;
        Ok(self.url())
    }

    /// Stops the server, if one runs in this folder.
    pub async fn stop(&self) -> anyhow::Result<()> {
        if !self.data().join("postmaster.pid").is_file() {
            return Ok(());
        }
        let mut stop = self.program("pg_ctl");
        stop.args(["stop", "-w", "-s", "-m", "fast", "-t", WITHIN, "-D"]).arg(self.data());
        let output = run(self.owned(stop)).await?;
        // A stale file of an ended server is checked by the next server itself.
        let is_running = || {
            let mut status = self.program("pg_ctl");
            status.args(["status", "-s", "-D"]).arg(self.data());
            self.owned(status).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        ensure!(
            output.status.success() || !is_running(),
            "the private Postgres in {} does not stop: {}",
            self.folder.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }

    /// The superuser's URL.
    pub fn url(&self) -> String {
        format!("postgresql://postgres:{}@127.0.0.1:{}/postgres", self.password, self.port)
    }

    /// The folder's path.
    pub fn folder(&self) -> String {
        self.folder.display().to_string()
    }

    fn data(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    fn program(&self, name: &str) -> Command {
        Command::new(self.programs.folder.join(name))
    }

    fn owned(&self, command: Command) -> Command {
        Owner::run_as(self.owner.as_ref(), command)
    }

    /// Gives a file or folder to the user that runs Postgres.
    fn give(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(owner) = &self.owner {
            chown(path, Some(owner.uid), Some(owner.gid))
                .with_context(|| format!("{} cannot be given to {}", path.display(), owner.name))?;
        }
        Ok(())
    }

    /// The existing password, or a new one.
    fn password(&self) -> anyhow::Result<String> {
        let path = self.folder.join("password");
        if let Ok(known) = fs::read_to_string(&path)
            && !known.trim().is_empty()
        {
            return Ok(known.trim().to_owned());
        }
        let password = uuid::Uuid::new_v4().simple().to_string();
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(OWNER_ONLY)
            .open(&path)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        writeln!(file, "{password}")?;
        self.give(&path)?;
        Ok(password)
    }

    /// Creates the data in a temporary folder, so that an interrupted run leaves no partial data.
    async fn make(&self) -> anyhow::Result<()> {
        let new = self.folder.join("postgres.new");
        match fs::remove_dir_all(&new) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("{} is in the way", new.display()));
            }
            _ => (),
        }
        fs::create_dir(&new)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o700))?;
        self.give(&new)?;
        let mut initdb = self.program("initdb");
        initdb.args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8"]);
        initdb.args(["--locale=C", "--no-sync", "--pwfile"]).arg(self.folder.join("password"));
        initdb.arg("--pgdata").arg(&new);
        let output = run(self.owned(initdb)).await?;
        ensure!(
            output.status.success(),
            "no Postgres could be made in {}: {}{}",
            self.folder.display(),
            last_lines(&String::from_utf8_lossy(&output.stderr)),
            self.unreachable()
        );
        fs::rename(&new, self.data())?;
        Ok(())
    }

    async fn start_server(&self) -> anyhow::Result<()> {
        let log = self.folder.join("postgres.log");
        File::create(&log).with_context(|| format!("{} cannot be written", log.display()))?;
        self.give(&log)?;
        let settings = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c jit=off",
            self.port
        );
        let mut start = self.program("pg_ctl");
        start.args(["start", "-w", "-s", "-t", WITHIN, "-o", &settings, "-l"]).arg(&log);
        start.arg("-D").arg(self.data());
        // The server outlives pg_ctl and would keep its output open.
        start.stdout(Stdio::null()).stderr(Stdio::null());
        let status = tokio::process::Command::from(self.owned(start)).status().await?;
        ensure!(
            status.success(),
            "the private Postgres does not start: {}{}",
            last_lines(&fs::read_to_string(&log).unwrap_or_default()),
            self.unreachable()
        );
        Ok(())
    }

    /// A hint for messages if Postgres runs as another user.
    fn unreachable(&self) -> String {
        self.owner.as_ref().map_or_else(String::new, |owner| {
            format!(
                " (Postgres runs as the user {} here, who must be able to reach this folder; see \
                 --data)",
                owner.name
            )
        })
    }
}

/// Runs a command to its end.
async fn run(command: Command) -> anyhow::Result<std::process::Output> {
    let program = command.get_program().to_owned();
    tokio::process::Command::from(command)
        .output()
        .await
        .with_context(|| format!("{} does not run", program.display()))
}

fn default_folder(as_root: bool) -> anyhow::Result<PathBuf> {
    if as_root {
        // Postgres's user cannot reach root's home.
        return Ok("/var/lib/bindery/dev".into());
    }
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let data = set("XDG_DATA_HOME").map(PathBuf::from);
    let home = || set("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    let data = data.or_else(home).context("HOME is not set; give the folder with --data")?;
    Ok(data.join("bindery/dev"))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}
