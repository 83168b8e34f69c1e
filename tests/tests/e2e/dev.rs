//! `binderyd dev`: a private Postgres that starts and ends with the command and keeps its books.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use bindery_tests::{Daemon, Servers, connect, run_binderyd};
use serde_json::{Value, json};

use crate::support::{book_in, transition};

/// The folder of a private Postgres; stops what a killed daemon left in it.
struct Folder(PathBuf);

impl Folder {
    fn path(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    fn read(&self, name: &str) -> Result<String> {
        let text = fs::read_to_string(self.0.join(name)).with_context(|| name.to_owned())?;
        Ok(text.trim().to_owned())
    }

    /// The process of its Postgres, where one is known.
    fn postgres(&self) -> Option<String> {
        let file = fs::read_to_string(self.0.join("postgres/postmaster.pid")).ok()?;
        let pid = file.lines().next()?.trim().to_owned();
        Path::new("/proc").join(&pid).is_dir().then_some(pid)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(pid) = self.postgres() {
            let _ = Command::new("bash").args(["-c", &format!("kill -QUIT {pid}")]).status();
        }
    }
}

#[tokio::test]
async fn dev_keeps_its_books_when_it_is_stopped_or_killed() -> Result<()> {
    let servers = Servers::shared().await?;
    let folder = Folder(servers.new_file("dev"));
    let mut daemon = Daemon::dev(servers, folder.path())?;
    daemon.ready().await?;
    ensure!(daemon.get("/").await?.body.contains("<html"), "no page");

    // The printed commands work unchanged.
    let log = daemon.log();
    let export = log.lines().find(|line| line.trim_start().starts_with("export "));
    let url = export.and_then(|line| line.split("DATABASE_URL=").nth(1)).context(log.clone())?;
    let curl = log.lines().find(|line| line.trim_start().starts_with("curl "));
    let output = Command::new("bash").args(["-c", curl.context(log.clone())?]).output()?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let answer: Value = serde_json::from_str(&printed).with_context(|| printed.clone())?;
    ensure!(answer["outcomes"] == json!(vec![json!({"outcome": "applied"}); 3]), "{printed}");
    let client = connect(url).await?;
    let query = "select overall_progress from bindery.book_status where title = 'Moby Dick'";
    ensure!(client.query_one(query, &[]).await?.get::<_, f64>(0) > 0.0, "no bar");
    let book = book_in(&client, &["ANALYZING"]).await?;
    let status = format!("/api/books/{book}/status");
    ensure!(daemon.ask("GET", &status).answer().await?.json()?["current_stage"] == "ANALYZING");

    // Only one may run at a time; the second changes nothing.
    let second = run_binderyd(&["dev", "--data", folder.path(), "--http", "127.0.0.1:0"]).await?;
    let printed = String::from_utf8_lossy(&second.stderr).into_owned();
    ensure!(
        second.status.code() == Some(1) && printed.contains("another `binderyd dev`"),
        "{printed}"
    );
    // A port in use is found before anything else starts.
    let http = daemon.http().to_string();
    let other = Folder(servers.new_file("dev-other"));
    let taken = run_binderyd(&["dev", "--data", other.path(), "--http", &http]).await?;
    let printed = String::from_utf8_lossy(&taken.stderr).into_owned();
    ensure!(taken.status.code() == Some(1) && printed.contains("--http"), "{printed}");
    ensure!(!other.0.exists(), "a folder was made");

    let (port, first) = (folder.read("port")?, folder.postgres());
    daemon.sigkill().await?;
    ensure!(folder.postgres() == first && first.is_some(), "Postgres did not outlive a kill -9");
    let mut daemon = Daemon::dev(servers, folder.path())?;
    daemon.ready().await?;
    ensure!(folder.read("port")? == port, "another port");
    ensure!(folder.postgres() != first, "the left Postgres still runs");
    let client = connect(url).await?;
    transition(&client, book, "GENERATING_SCENES").await?;
    let answer = daemon.ask("GET", &status).answer().await?.json()?;
    ensure!(answer["current_stage"] == "GENERATING_SCENES", "{answer}");
    // Reports over HTTP need no Redis.
    let cancel = format!("/api/books/{book}/cancel");
    let cancelled = daemon.ask("POST", &cancel).json(&json!({})).answer().await?;
    ensure!(cancelled.status == 200, "{}", cancelled.body);

    ensure!(daemon.sigterm().await?.success(), "{}", daemon.log());
    ensure!(folder.postgres().is_none(), "Postgres still runs");
    ensure!(connect(url).await.is_err(), "Postgres still answers");
    Ok(())
}

#[tokio::test]
async fn dev_reports_what_keeps_postgres_from_running() -> Result<()> {
    let servers = Servers::shared().await?;
    let folder = servers.new_file("dev-none");
    let bin = servers.new_file("dev-bin");
    let (data, programs) = (folder.to_str().unwrap_or_default(), bin.to_str().unwrap_or_default());
    let dev = ["dev", "--data", data, "--http", "127.0.0.1:0", "--pg-bin", programs];
    let missing = run_binderyd(&dev).await?;
    let printed = String::from_utf8_lossy(&missing.stderr).into_owned();
    ensure!(missing.status.code() == Some(1) && printed.contains("has no initdb"), "{printed}");
    ensure!(!folder.exists(), "a folder was made");

    // Data of another major version is not changed.
    fs::create_dir_all(folder.join("postgres"))?;
    fs::write(folder.join("postgres/PG_VERSION"), "9\n")?;
    let other = run_binderyd(&dev[..5]).await?;
    let printed = String::from_utf8_lossy(&other.stderr).into_owned();
    ensure!(
        other.status.code() == Some(1) && printed.contains("no PostgreSQL 9, which made the data"),
        "{printed}"
    );
    Ok(())
}
