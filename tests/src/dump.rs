//! The output of `pg_dump` for a database, and databases restored from it, with the programs of the
//! server's own version.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

/// The schema as SQL, without the parts that differ between servers or dumps.
pub async fn dump_schema(url: &str, args: &[&str]) -> Result<String> {
    let mut all =
        vec!["--schema-only", "--no-owner", "--schema=bindery", "--schema=bindery_internal"];
    all.extend_from_slice(args);
    let dump = dump(url, &all).await?;
    let mut lines: Vec<&str> = Vec::new();
    for line in dump.lines() {
        let passing =
            ["-- Dumped ", "\\restrict ", "\\unrestrict ", "SET ", "SELECT pg_catalog.set_config"];
        let is_noise = line == "--" || passing.iter().any(|begin| line.starts_with(begin));
        let is_second_blank = line.is_empty() && lines.last().is_none_or(|last| last.is_empty());
        if !is_noise && !is_second_blank {
            lines.push(line);
        }
    }
    ensure!(lines.len() > 100, "there is hardly a schema in {url}:\n{dump}");
    Ok(lines.join("\n") + "\n")
}

/// Everything, or what the arguments of `pg_dump` select, as SQL.
pub async fn dump(url: &str, args: &[&str]) -> Result<String> {
    let output =
        program("pg_dump").await?.args(args).arg(url).stdin(Stdio::null()).output().await?;
    ensure!(
        output.status.success(),
        "pg_dump {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a file of SQL in one transaction with `psql`, which accepts the output of `pg_dump`; the
/// first error ends it.
pub async fn restore(url: &str, file: &Path) -> Result<()> {
    let mut psql = program("psql").await?;
    psql.args([
        "--no-psqlrc",
        "--quiet",
        "--single-transaction",
        "--set=ON_ERROR_STOP=1",
        "--file",
    ])
    .arg(file)
    .arg(url);
    let output = psql.stdin(Stdio::null()).output().await?;
    ensure!(
        output.status.success(),
        "psql {}: {}",
        file.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The lines in which two texts differ, as `diff` shows them; empty if they are equal.
pub async fn difference(one: &Path, other: &Path) -> Result<String> {
    let output = Command::new("diff")
        .arg("--unified")
        .args([one, other])
        .stdin(Stdio::null())
        .output()
        .await?;
    ensure!(
        output.status.code().is_some_and(|code| code < 2),
        "diff: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A program of the PostgreSQL under test: that of PG_CONFIG, else Debian's.
pub async fn program(name: &str) -> Result<Command> {
    Ok(Command::new(Path::new(&pg_config("--bindir").await?).join(name)))
}

/// The answer of the `pg_config` of the PostgreSQL under test to a flag.
pub async fn pg_config(flag: &str) -> Result<String> {
    let major = std::env::var("PG_MAJOR").unwrap_or_else(|_| "15".to_owned());
    let config = std::env::var("PG_CONFIG")
        .unwrap_or_else(|_| format!("/usr/lib/postgresql/{major}/bin/pg_config"));
    let output = Command::new(&config).arg(flag).output().await.with_context(|| config.clone())?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
