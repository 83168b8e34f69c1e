//! Programs in Node.js beside the daemon: those of tests/bridges, with what npm has for them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use bindery_tests::Servers;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::support::{SOON, text};

/// Where the programs are.
pub fn bridges() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bridges")
}

/// Installs what the programs need, once; every version is pinned, so what is there and fits is
/// what is wanted.
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

/// A folder for a program from elsewhere, which finds there what npm has for those of
/// tests/bridges.
pub async fn folder(servers: &Servers) -> Result<PathBuf> {
    installed().await?;
    let folder = servers.new_file("program");
    std::fs::create_dir(&folder)?;
    std::os::unix::fs::symlink(bridges().join("node_modules"), folder.join("node_modules"))?;
    std::fs::write(folder.join("package.json"), r#"{"type": "module"}"#)?;
    Ok(folder)
}

/// Runs a program to its end; what it printed.
pub async fn run(args: &[&str]) -> Result<String> {
    installed().await?;
    let running =
        Command::new("node").args(args).current_dir(bridges()).kill_on_drop(true).output();
    let output =
        timeout(SOON, running).await.with_context(|| format!("node {args:?} did not end"))??;
    ensure!(output.status.success(), "node {args:?}: {}", text(&output));
    Ok(String::from_utf8(output.stdout)?)
}

/// A program that runs on; killed when dropped, with the processes it has started, such as those of
/// BullMQ's sandboxed processors.
pub struct Running {
    child: Child,
    group: Group,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// Starts a program, and waits for the line in which it says that it is ready.
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
            bail!("it ended without saying {wanted:?}")
        })
        .await
        .with_context(|| format!("it did not say {wanted:?}"))?
    }

    /// Ends it by SIGKILL, and waits until it is gone.
    pub async fn sigkill(&mut self) -> Result<()> {
        self.group.kill();
        Ok(self.child.kill().await?)
    }
}

/// A process group, which ends with this.
struct Group(u32);

impl Group {
    fn kill(&self) {
        let group = format!("-{}", self.0);
        // One that is gone is what is wanted.
        let _ = std::process::Command::new("kill").args(["-KILL", "--", &group]).output();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
