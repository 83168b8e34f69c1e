//! Kills a worker in the middle of its stage: when, is decided by what it has finished, never by time.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Child;
use tokio::time::sleep;

use crate::work::files::BookDir;
use crate::work::ledger::read;
use crate::work::stage::Stage;

/// SIGKILL.
const KILL: i32 = 9;
/// Much shorter than a panel takes.
const GLANCE: Duration = Duration::from_millis(5);

/// How many panels stand in the log.
pub fn panels_done(dir: &BookDir) -> Result<usize> {
    let log = read(&dir.log())?;
    Ok(log.iter().filter(|entry| is_panel(&entry.key)).count())
}

/// Whether a unit is a panel.
pub fn is_panel((stage, substep, _): &crate::work::ledger::Key) -> bool {
    stage == Stage::CreatingArtwork.name() && substep.starts_with("chapter_")
}

/// Whether so many panels are the middle: a third is done, and a third is left.
fn is_middle(done: usize, total: usize) -> bool {
    done * 3 >= total && done * 3 <= total * 2
}

/// The number of panels after which the worker is killed.
fn point_of_no_return(total: usize) -> usize {
    total / 2
}

/// Waits until the worker is in the middle of its panels and kills it. Gives how it ended and after which panel.
pub async fn kill_midway(
    child: &mut Child,
    dir: &BookDir,
    total: usize,
) -> Result<(ExitStatus, usize)> {
    loop {
        if let Some(status) = child.try_wait().context("cannot look after the worker")? {
            bail!("the worker that was to be killed ended by itself ({status})");
        }
        if panels_done(dir)? >= point_of_no_return(total) {
            break;
        }
        sleep(GLANCE).await;
    }
    child.start_kill().context("cannot kill the worker")?;
    let status = child.wait().await.context("cannot look after the worker")?;
    let done = panels_done(dir)?;
    if status.signal() != Some(KILL) || !is_middle(done, total) {
        bail!(
            "the worker should have been killed midway, and ended after panel {done} of {total} ({status})"
        );
    }
    Ok((status, done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_point_lies_in_the_middle_with_room_behind_it() {
        for total in 6..40 {
            let point = point_of_no_return(total);
            assert!(is_middle(point, total) && is_middle(point + 1, total), "{total} panels");
        }
        assert!(!is_middle(4, 15) && is_middle(5, 15) && is_middle(10, 15) && !is_middle(11, 15));
    }

    #[tokio::test]
    async fn a_worker_that_ends_by_itself_is_no_success() {
        let out = tempfile::tempdir().unwrap();
        let dir = BookDir::new(out.path(), std::path::Path::new("tale.txt"), uuid::Uuid::nil());
        let mut child = tokio::process::Command::new("true").spawn().unwrap();
        assert!(kill_midway(&mut child, &dir, 15).await.is_err());
    }
}
