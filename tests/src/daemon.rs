//! The real `binderyd`.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::eventually::{SOON, eventually};
use crate::servers::Servers;

const LINES_SHOWN: usize = 200;

/// The program under test: the release build next to this test program, or the value of `BINDERYD`.
pub fn binderyd() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("BINDERYD") {
        return Ok(path.into());
    }
    let here = std::env::current_exe()?;
    let built =
        here.ancestors().map(|folder| folder.join("release/binderyd")).find(|path| path.is_file());
    built.with_context(|| {
        format!("no release/binderyd in any folder above {}; run: make build", here.display())
    })
}

/// Runs `binderyd` with these arguments to its end; returns its exit status and output. The
/// caller's own environment variables of the daemon are not passed on.
pub async fn run_binderyd(args: &[&str]) -> Result<Output> {
    let mut command = Command::new(binderyd()?);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("BINDERY_")
            || name == "DATABASE_URL"
            || name == "REDIS_URL"
            || name == "RUST_LOG"
        {
            command.env_remove(&*name);
        }
    }
    let running = command.args(args).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(SOON, running).await;
    Ok(output.with_context(|| format!("binderyd {args:?} did not end within {SOON:?}"))??)
}

/// A running `binderyd run` or `serve`. It is killed when dropped; its log is then printed, which
/// Rust shows for a test that failed.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    http: SocketAddr,
    log: PathBuf,
}

/// An HTTP response of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Daemon {
    /// Starts a daemon on a database and the servers' Redis. `args` are further arguments of
    /// `binderyd run`.
    pub fn spawn(servers: &Servers, database_url: &str, args: &[&str]) -> Result<Daemon> {
        Self::spawn_with(servers, database_url, servers.redis_url(), args, &[])
    }

    /// The same with a Redis elsewhere, which may be a proxy, and with more environment.
    pub fn spawn_with(
        servers: &Servers,
        database_url: &str,
        redis_url: &str,
        args: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Daemon> {
        let command = Command::new(binderyd()?);
        let run = ["run", "--database-url", database_url, "--redis-url", redis_url];
        Self::start(command, servers, &run, args, environment)
    }

    /// Starts `binderyd serve` on a database; its log is in the servers' folder.
    pub fn serve(servers: &Servers, database_url: &str) -> Result<Daemon> {
        let command = Command::new(binderyd()?);
        Self::start(command, servers, &["serve", "--database-url", database_url], &[], &[])
    }

    /// Starts a daemon without Redis.
    pub fn without_redis(servers: &Servers, database_url: &str, args: &[&str]) -> Result<Daemon> {
        let command = Command::new(binderyd()?);
        Self::start(command, servers, &["run", "--database-url", database_url], args, &[])
    }

    /// Starts `binderyd dev` on a folder.
    pub fn dev(servers: &Servers, folder: &str) -> Result<Daemon> {
        let command = Command::new(binderyd()?);
        Self::start(command, servers, &["dev", "--data", folder], &[], &[])
    }

    /// The same as [`Self::spawn`] after these commands of a shell, such as `ulimit -n 100` or
    /// `exec 2>/dev/full`.
    pub fn spawn_after(
        servers: &Servers,
        database_url: &str,
        args: &[&str],
        shell: &str,
    ) -> Result<Daemon> {
        let mut command = Command::new("bash");
        command.args(["-c", &format!("set -e\n{shell}\nexec \"$0\" \"$@\"")]).arg(binderyd()?);
        let redis_url = servers.redis_url();
        let run = ["run", "--database-url", database_url, "--redis-url", redis_url];
        Self::start(command, servers, &run, args, &[])
    }

    fn start(
        mut command: Command,
        servers: &Servers,
        what: &[&str],
        args: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Daemon> {
        // Whatever address it listens on, the tests use loopback.
        let requested =
            args.iter().position(|arg| *arg == "--http").and_then(|at| args.get(at + 1));
        let http = match requested {
            Some(address) => {
                SocketAddr::from(([127, 0, 0, 1], address.parse::<SocketAddr>()?.port()))
            }
            None => free_address()?,
        };
        let here = http.to_string();
        let listen = if requested.is_some() { vec![] } else { vec!["--http", &here] };
        let log = servers.new_file("binderyd.log");
        let output = File::create(&log)?;
        let child = command
            .args(what)
            .envs(environment.iter().copied())
            .args(listen)
            .args(args)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Daemon { child, http, log })
    }

    /// Waits until `/readyz` reports that it is ready.
    pub async fn ready(&self) -> Result<()> {
        eventually(SOON, "binderyd to be ready", async || match self.get("/readyz").await {
            Ok(Response { status: 200, .. }) => Ok(()),
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => Err(format!("{error:#}")),
        })
        .await
        .with_context(|| self.log())
    }

    /// Sends a GET request.
    pub async fn get(&self, path: &str) -> Result<Response> {
        timeout(SOON, get(self.http, path))
            .await
            .with_context(|| format!("no answer to GET {path}"))?
    }

    /// A request with headers or a body, or for a stream.
    pub fn ask(&self, method: &str, path: &str) -> crate::Ask {
        crate::Ask::new(self.http, method, path)
    }

    /// Its resident memory in bytes, from `/proc`.
    pub fn resident(&self) -> Result<u64> {
        let pid = self.pid().context("it has ended")?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
    }

    /// The address of its HTTP port.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until its log has this text: an own thread writes the log, after the event.
    pub async fn logged(&self, text: &str) -> Result<()> {
        eventually(SOON, &format!("the log to have {text:?}"), async || {
            let log = self.log();
            if log.contains(text) { Ok(()) } else { Err(log) }
        })
        .await
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills it with SIGKILL, and waits for its end.
    pub async fn sigkill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Stops it with SIGTERM, and waits for its end.
    pub async fn sigterm(&mut self) -> Result<ExitStatus> {
        self.signal("TERM").await?;
        self.ended().await
    }

    /// Pauses it, and waits until each of its threads stands still: on a busy machine a signal
    /// takes time.
    pub async fn pause(&self) -> Result<()> {
        self.signal("STOP").await?;
        let pid = self.pid().context("it has ended already")?;
        eventually(SOON, "binderyd to stand still", async || {
            for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
                let stat = fs::read_to_string(thread?.path().join("stat"))?;
                // The state follows the name, which may itself have a parenthesis in it.
                let (_, state) =
                    stat.rsplit_once(") ").with_context(|| format!("no state in {stat}"))?;
                ensure!(state.starts_with('T'), "{stat}");
            }
            Ok::<_, anyhow::Error>(())
        })
        .await
    }

    /// Resumes it after [`Self::pause`].
    pub async fn resume(&self) -> Result<()> {
        self.signal("CONT").await
    }

    /// Sends it a signal by name, such as `TERM`, and does not wait.
    pub async fn signal(&self, name: &str) -> Result<()> {
        let pid = self.pid().context("it has ended already")?;
        // The shell's own `kill`: a bare system need not have the program.
        run(Command::new("bash").args(["-c", &format!("kill -{name} {pid}")])).await
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits until it has ended without a signal.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        let ended = timeout(SOON, self.child.wait()).await;
        Ok(ended.with_context(|| format!("binderyd did not end within {SOON:?}"))??)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let log = self.log();
        let skipped = log.lines().count().saturating_sub(LINES_SHOWN);
        let shown: Vec<&str> = log.lines().skip(skipped).collect();
        eprintln!(
            "---- {} ({skipped} lines before)\n{}\n----",
            self.log.display(),
            shown.join("\n")
        );
    }
}

/// Runs a command to its end; a failure has its output.
pub(crate) async fn run(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("{:?}", command.as_std()))?;
    ensure!(
        output.status.success(),
        "{:?} failed ({}):\n{}{}",
        command.as_std(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    Ok(())
}

/// A loopback address without a listener. Its port is below those that the system gives to outgoing
/// connections, and none is given out twice, so it stays free until it is used, and while its
/// server is killed and started again.
pub fn free_address() -> Result<SocketAddr> {
    const PORTS: std::ops::Range<u32> = 10_000..20_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    for _ in PORTS {
        // A parallel run of the tests on this machine begins with another port.
        let place =
            std::process::id().wrapping_mul(97).wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let address = SocketAddr::from((
            [127, 0, 0, 1],
            u16::try_from(PORTS.start + place % (PORTS.end - PORTS.start))?,
        ));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port of {PORTS:?} is free")
}

async fn get(address: SocketAddr, path: &str) -> Result<Response> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    parse(&String::from_utf8_lossy(&answer))
}

fn parse(answer: &str) -> Result<Response> {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        bail!("not an HTTP response: {answer:?}")
    };
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok(Response { status, body: body.to_owned() })
}
