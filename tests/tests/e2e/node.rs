//! Programs in Node.js beside the daemon: those of tests/bridges, with their npm packages.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use bindery_tests::Servers;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::support::{SOON, text};

/// The folder of the programs.
pub fn bridges() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bridges")
}

/// Installs the programs' packages once; every version is pinned, so an existing installation that
/// matches is complete.
pub async fn installed() -> Result<()> {
    static DONE: OnceCell<()> = OnceCell::const_new();
    let install = || async {
        let npm = |args: &'static [&'static str]| {
            Command::new("npm").args(args).current_dir(bridges()).output()
        };
        if !npm(&["ls", "--all"]).await.context("no npm; run: make setup")?.status.success() {
            let output = npm(&["ci", "--ignore-scripts"]).await?;
            ensure!(output.status.success(), "{}", text(&output));
        }
        Ok(())
    };
    DONE.get_or_try_init(install).await.copied()
}

/// A folder for another program, with the npm packages of tests/bridges.
pub async fn folder(servers: &Servers) -> Result<PathBuf> {
    installed().await?;
    let folder = servers.new_file("program");
    std::fs::create_dir(&folder)?;
    std::os::unix::fs::symlink(bridges().join("node_modules"), folder.join("node_modules"))?;
    std::fs::write(folder.join("package.json"), r#"{"type": "module"}"#)?;
    Ok(folder)
}

/// Runs a program to its end; returns what it printed.
pub async fn run(args: &[&str]) -> Result<String> {
    installed().await?;
    let running =
        Command::new("node").args(args).current_dir(bridges()).kill_on_drop(true).output();
    let output =
        timeout(SOON, running).await.with_context(|| format!("node {args:?} did not end"))??;
    ensure!(output.status.success(), "node {args:?}: {}", text(&output));
    Ok(String::from_utf8(output.stdout)?)
}

/// A running program. It is killed when dropped, with the processes it has started, such as those
/// of BullMQ's sandboxed processors.
pub struct Running {
    child: Child,
    group: Group,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// Starts a program, and waits for its line that it is ready.
    pub async fn start(program: &str, args: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        installed().await?;
        let mut command = Command::new(program);
        command.args(args).envs(environment.iter().copied()).current_dir(bridges());
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .process_group(0)
            .spawn()?;
        let group = Group(child.id().context("it has ended")?);
        let lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let mut running = Self { child, group, lines };
        running.until("ready").await?;
        Ok(running)
    }

    /// Waits for a line that it prints.
    pub async fn until(&mut self, wanted: &str) -> Result<()> {
        timeout(SOON, async {
            while let Some(line) = self.lines.next_line().await? {
                if line == wanted {
                    return Ok(());
                }
            }
            bail!("it ended without printing {wanted:?}")
        })
        .await
        .with_context(|| format!("it did not print {wanted:?}"))?
    }

    /// Kills it with SIGKILL, and waits for its end.
    pub async fn sigkill(&mut self) -> Result<()> {
        self.group.kill();
        Ok(self.child.kill().await?)
    }
}

/// A process group, which ends when this is dropped.
struct Group(u32);

impl Group {
    fn kill(&self) {
        let group = format!("-{}", self.0);
        // The group may have ended already.
        let _ = std::process::Command::new("kill").args(["-KILL", "--", &group]).output();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
