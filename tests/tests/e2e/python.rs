//! Programs in Python beside the daemon, with redis-py as tests/bridges/requirements.txt pins it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::node::bridges;
use crate::support::text;

/// The interpreter of an environment that has redis-py. The environment is created once per
/// machine, and again if it is broken.
pub async fn python() -> Result<PathBuf> {
    static DONE: OnceCell<PathBuf> = OnceCell::const_new();
    DONE.get_or_try_init(make).await.cloned()
}

async fn make() -> Result<PathBuf> {
    let pins = bridges().join("requirements.txt");
    let text_of_pins = std::fs::read_to_string(&pins)?;
    let version = text_of_pins.split_once(' ').and_then(|(pin, _)| pin.strip_prefix("redis=="));
    let version = version.context("requirements.txt does not begin with redis-py")?;
    let folder = cache()?.join(format!("redis-py-{version}"));
    let python = folder.join("bin/python");
    if !works(&python, version).await {
        // Built in another folder and renamed, so that a parallel run sees all of it or nothing.
        let aside = folder.with_extension(Uuid::new_v4().simple().to_string());
        run(Command::new("python3").args(["-m", "venv"]).arg(&aside))
            .await
            .context("run: make setup")?;
        let mut install = Command::new(aside.join("bin/python"));
        install
            .args(["-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r"])
            .arg(&pins);
        run(&mut install).await?;
        if !works(&python, version).await {
            // The old folder may be broken or missing.
            let _ = std::fs::remove_dir_all(&folder);
            let _ = std::fs::rename(&aside, &folder);
        }
        let _ = std::fs::remove_dir_all(&aside);
        ensure!(works(&python, version).await, "{} has no redis-py {version}", folder.display());
    }
    Ok(python)
}

/// The same cache as scripts/postgres.sh uses.
fn cache() -> Result<PathBuf> {
    let variable =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = variable("BINDERY_CACHE")
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("bindery")))
        .or_else(|| Some(variable("HOME")?.join(".cache/bindery")))
        .context("no HOME")?;
    std::fs::create_dir_all(&cache)?;
    Ok(cache)
}

async fn works(python: &Path, version: &str) -> bool {
    let look = format!("import redis; assert redis.__version__ == '{version}'");
    Command::new(python)
        .args(["-c", &look])
        .output()
        .await
        .is_ok_and(|output| output.status.success())
}

async fn run(command: &mut Command) -> Result<()> {
    let output = command.output().await.with_context(|| format!("{:?}", command.as_std()))?;
    ensure!(output.status.success(), "{:?}: {}", command.as_std(), text(&output));
    Ok(())
}
