//! Deployment on a host: the systemd unit, the notifications to systemd, and the installation.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context, Result, ensure};
use bindery_tests::{Servers, binderyd, eventually};
use tokio::net::UnixDatagram;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::{SOON, text};

/// The highest exposure that `systemd-analyze security` may report for the unit, of 100.
const EXPOSURE: &str = "--threshold=20";

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

async fn installed(into: &Path) -> Result<Output> {
    let release = binderyd()?;
    let target = release.ancestors().nth(2).context("a target directory")?;
    let mut install = Command::new(checkout().join("scripts/install.sh"));
    install
        .env("DESTDIR", into)
        .env("PREFIX", "/opt/bindery")
        .env("CARGO_TARGET_DIR", target)
        .stdin(Stdio::null());
    Ok(install.output().await?)
}

#[tokio::test]
async fn install_puts_files_below_destdir_and_keeps_an_existing_configuration() -> Result<()> {
    let into = tempfile::tempdir()?;
    let env = into.path().join("etc/binderyd/env");
    let output = installed(into.path()).await?;
    ensure!(output.status.success(), "{}", text(&output));
    ensure!(
        std::fs::read_to_string(&env)?.contains("DATABASE_URL="),
        "an example of the configuration"
    );
    std::fs::write(&env, "DATABASE_URL=mine\n")?;
    let output = installed(into.path()).await?;
    ensure!(output.status.success(), "{}", text(&output));
    ensure!(std::fs::read_to_string(&env)? == "DATABASE_URL=mine\n", "an existing file stays");

    let program = into.path().join("opt/bindery/bin/binderyd");
    let version = Command::new(&program).arg("--version").output().await?;
    ensure!(version.status.success(), "{}", text(&version));
    let unit = into.path().join("etc/systemd/system/binderyd.service");
    let content = std::fs::read_to_string(&unit)?;
    ensure!(content.contains("\nExecStart=/opt/bindery/bin/binderyd run\n"), "{content}");

    // systemd checks that the program exists; it must report no fault of the unit.
    std::fs::write(&unit, content.replace("=/opt/", &format!("={}/opt/", into.path().display())))?;
    let verified = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&unit)
        .output()
        .await
        .context("systemd-analyze")?;
    let complaints = text(&verified);
    let complaints: Vec<_> =
        complaints.lines().filter(|line| line.contains("binderyd.service")).collect();
    ensure!(complaints.is_empty(), "{complaints:#?}");
    Ok(())
}

#[tokio::test]
async fn the_unit_denies_everything_that_the_daemon_does_not_need() -> Result<()> {
    let unit = checkout().join("deploy/systemd/binderyd.service");
    let mut analyze = Command::new("systemd-analyze");
    let rated = analyze
        .args(["security", "--offline=true", "--no-pager", EXPOSURE])
        .arg(unit)
        .output()
        .await?;
    ensure!(rated.status.success(), "{}", text(&rated));
    ensure!(text(&rated).contains("Overall exposure level"), "{}", text(&rated));
    Ok(())
}

#[tokio::test]
async fn the_daemon_notifies_systemd_when_it_is_ready_alive_and_stopping() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let dir = tempfile::tempdir()?;
    let address = dir.path().join("notify");
    let socket = UnixDatagram::bind(&address)?;
    let mut daemon = Command::new(binderyd()?)
        .args([
            "run",
            "--http",
            "127.0.0.1:0",
            "--outbox",
            "",
            "--sweep",
            "0",
            "--stream",
            database.stream(),
        ])
        .args(["--database-url", database.url(), "--redis-url", servers.redis_url()])
        .env("NOTIFY_SOCKET", &address)
        .env("WATCHDOG_USEC", "200000")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut notifications = Notifications { socket, lines: Vec::new() };
    notifications.wait_for("READY=1").await?;
    notifications.wait_for("WATCHDOG=1").await?;
    notifications.wait_for("STATUS=of 1 streams 1 held, 0 standing by").await?;
    let after = notifications.lines.len();
    notifications.wait_for("WATCHDOG=1").await?;
    ensure!(notifications.lines.len() > after, "systemd is notified repeatedly");

    let pid = daemon.id().context("it runs")?.to_string();
    ensure!(
        Command::new("bash").args(["-c", &format!("kill -TERM {pid}")]).status().await?.success(),
        "a signal"
    );
    notifications.wait_for("STOPPING=1").await?;
    // The daemon must stop even if nothing reads its further notifications.
    drop(notifications);
    ensure!(timeout(SOON, daemon.wait()).await??.success(), "it stops without a signal");
    Ok(())
}

struct Notifications {
    socket: UnixDatagram,
    lines: Vec<String>,
}

impl Notifications {
    /// Waits until the next message has this line.
    async fn wait_for(&mut self, line: &str) -> Result<()> {
        eventually(SOON, line, async || {
            let mut message = [0; 4096];
            let length = self.socket.recv(&mut message).await.map_err(|error| error.to_string())?;
            let lines = String::from_utf8_lossy(&message[..length]).into_owned();
            let found = lines.lines().any(|found| found == line);
            self.lines.push(lines);
            if found { Ok(()) } else { Err(format!("{:?}", self.lines)) }
        })
        .await
    }
}
