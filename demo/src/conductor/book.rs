//! One book, driven from registration to COMPLETED.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use uuid::Uuid;

use super::args::Args;
use super::board::Board;
use super::database::{Database, Status};
use super::proof::{Proof, check};
use super::saboteur::kill_midway;
use super::sender::Sender;
use crate::events::Event;
use crate::work::drawing::script;
use crate::work::files::BookDir;
use crate::work::stage::Stage;

/// How often a stage is tried.
const ATTEMPTS: u32 = 3;
/// How long the relay may take to show what was sent.
const PATIENCE: Duration = Duration::from_secs(60);

/// A book to be made.
#[derive(Debug, Clone)]
pub struct Book {
    /// Its id.
    pub id: Uuid,
    /// Its title.
    pub title: String,
    /// Its author.
    pub author: String,
    /// Its text.
    pub story: PathBuf,
    /// Its folder.
    pub dir: BookDir,
    /// Its artist is to be killed midway.
    pub doomed: bool,
}

/// How a book ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its title.
    pub title: String,
    /// What Bindery says at the end.
    pub status: Status,
    /// The most attempts that a stage took.
    pub attempts: u32,
    /// Where the comic lies.
    pub comic: PathBuf,
    /// How many panels it has.
    pub panels: usize,
    /// After which panel its worker was killed.
    pub killed_after: Option<usize>,
    /// What its work log proves.
    pub proof: Proof,
}

/// What one book's driver works with.
pub struct Driver {
    /// The book.
    pub book: Book,
    /// The command line.
    pub args: Arc<Args>,
    /// The stream.
    pub sender: Sender,
    /// Bindery.
    pub database: Database,
    /// Where milestones go.
    pub board: Arc<Board>,
}

/// A worker that ended before its work did.
struct Loss {
    error: Value,
    message: String,
}

impl Driver {
    /// Makes the book.
    pub async fn drive(mut self) -> Result<Outcome> {
        let title = self.book.title.clone();
        self.run().await.with_context(|| title)
    }

    async fn run(&mut self) -> Result<Outcome> {
        let metadata = json!({ "author": self.book.author });
        self.send(Event::register(self.book.id, &self.book.title, &metadata)).await?;
        self.send(Event::transition(
            self.book.id,
            Stage::Analyzing.name(),
            "a worker is on its way",
            1,
        ))
        .await?;
        self.say(&format!("registered as {}", self.book.id));
        let (mut attempts, mut killed_after) = (1, None);
        for stage in Stage::ALL {
            attempts = attempts.max(self.stage(stage, &mut killed_after).await?);
        }
        self.board.note(&self.book.title, "waits for COMPLETED");
        let id = self.book.id;
        let status = self
            .database
            .wait(id, PATIENCE, |s| s.status == "COMPLETED", |s| s.status == "FAILED")
            .await?;
        let panels = script(&self.book.dir)?.scenes.len();
        Ok(Outcome {
            title: self.book.title.clone(),
            attempts: attempts.max(status.attempt),
            status,
            comic: self.book.dir.comic(),
            panels,
            killed_after,
            proof: check(&self.book.dir, panels)?,
        })
    }

    /// Has one stage done, by as many workers as it takes. Gives the attempt that did it.
    async fn stage(&mut self, stage: Stage, killed_after: &mut Option<usize>) -> Result<u32> {
        let id = self.book.id;
        let mut attempt = 1;
        loop {
            self.board.note(&self.book.title, &format!("waits for {stage}"));
            let here = |s: &Status| s.status == stage.name() && s.attempt >= attempt;
            self.database.wait(id, PATIENCE, here, |s| s.status == "FAILED").await?;
            let point = self.database.resume_point(id).await?;
            let attempt_now =
                point["attempt"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(attempt);
            if attempt > 1 {
                self.say(&format!("{stage}: attempt {attempt_now} goes on, {}", left(&point)));
            }
            self.board.note(
                &self.book.title,
                &format!("{stage}, attempt {attempt_now}: a worker is at work"),
            );
            let Some(loss) = self.worker(stage, &point, killed_after).await? else {
                self.say(&format!("{stage} done"));
                return Ok(attempt_now);
            };
            self.say(&format!("{stage}: {}", loss.message));
            self.send(Event::fail(id, stage.name(), &loss.error, &loss.message, attempt_now))
                .await?;
            if attempt == ATTEMPTS {
                bail!("{stage} failed {ATTEMPTS} times; the last time: {}", loss.message);
            }
            self.board.note(&self.book.title, "waits for FAILED");
            let gone = |s: &Status| s.status == "FAILED" || s.attempt > attempt_now;
            self.database.wait(id, PATIENCE, gone, |_| false).await?;
            self.database.resume(id).await?;
            self.say("FAILED, and resumed");
            attempt += 1;
        }
    }

    /// Runs one worker to its end; `None` where it did its work.
    async fn worker(
        &self,
        stage: Stage,
        point: &Value,
        killed_after: &mut Option<usize>,
    ) -> Result<Option<Loss>> {
        let mut child = self.spawn(stage, point)?;
        let doomed = self.book.doomed && stage == Stage::CreatingArtwork && killed_after.is_none();
        if !doomed {
            return Ok(loss(child.wait().await.context("cannot look after the worker")?));
        }
        let total = script(&self.book.dir)?.scenes.len();
        let (status, done) = kill_midway(&mut child, &self.book.dir, total).await?;
        *killed_after = Some(done);
        Ok(loss(status).map(|loss| Loss {
            message: format!("{}, after panel {done} of {total}", loss.message),
            ..loss
        }))
    }

    /// Starts the worker that was built along with this program.
    fn spawn(&self, stage: Stage, point: &Value) -> Result<Child> {
        let program = std::env::current_exe()
            .context("cannot find this program")?
            .with_file_name("bindery-worker");
        let (args, book) = (&self.args, &self.book);
        let mut command = Command::new(&program);
        command
            .args([
                "--stage",
                stage.name(),
                "--book-id",
                &book.id.to_string(),
                "--stream",
                &args.stream,
            ])
            .arg("--story")
            .arg(&book.story)
            .arg("--out")
            .arg(&args.out)
            .args(["--resume-point", &point.to_string()])
            // Not on the command line: it may hold a password, and that is for all to see.
            .env("REDIS_URL", &args.redis_url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        command.spawn().with_context(|| format!("cannot start {}", program.display()))
    }

    async fn send(&self, event: Event) -> Result<()> {
        self.sender.send(&event).await
    }

    fn say(&self, text: &str) {
        self.board.milestone(&self.book.title, text);
    }
}

/// What a worker's end means.
fn loss(status: ExitStatus) -> Option<Loss> {
    if status.success() {
        return None;
    }
    let (error, message) = match status.signal() {
        Some(signal) => (
            json!({ "code": "worker_lost", "signal": signal }),
            format!("worker lost to signal {signal}"),
        ),
        None => {
            let code = status.code().unwrap_or(-1);
            (
                json!({ "code": "worker_failed", "exit": code }),
                format!("worker failed with exit code {code}"),
            )
        }
    };
    Some(Loss { error, message })
}

/// What a resume point leaves to do, in words.
fn left(point: &Value) -> String {
    let substeps = point["left"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<String> = substeps
        .iter()
        .map(|left| {
            let name = left["substep"].as_str().unwrap_or("?");
            left["checkpoint"]["next"]
                .as_u64()
                .map_or_else(|| name.to_owned(), |next| format!("{name} from {next}"))
        })
        .collect();
    format!("{} done, left: {}", point["done"].as_array().map_or(0, Vec::len), names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_worker_is_lost_and_a_finished_one_is_not() {
        assert!(loss(ExitStatus::from_raw(0)).is_none());
        let lost = loss(ExitStatus::from_raw(9)).unwrap();
        assert_eq!(lost.error, json!({ "code": "worker_lost", "signal": 9 }));
        let failed = loss(ExitStatus::from_raw(256)).unwrap();
        assert_eq!(failed.error, json!({ "code": "worker_failed", "exit": 1 }));
    }

    #[test]
    fn what_is_left_is_told_in_words() {
        let point = json!({
            "done": ["chapter_1"],
            "left": [{"substep": "chapter_2", "checkpoint": {"next": 3}}, {"substep": "bind", "checkpoint": null}],
        });
        assert_eq!(left(&point), "1 done, left: chapter_2 from 3, bind");
    }
}
