//! The whole: all books at once, an end in any case, and the last word.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use super::args::Args;
use super::board::Board;
use super::book::{Book, Driver, Outcome};
use super::database::Database;
use super::sender::Sender;
use crate::text::story::Story;
use crate::work::files::BookDir;

/// Makes the books. An error says what went wrong, and where every book stands.
pub async fn run(args: Args) -> Result<()> {
    let board = Arc::new(Board::new(args.once));
    let deadline = args.deadline();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let made = tokio::select! {
        made = timeout(deadline, make(Arc::new(args), Arc::clone(&board))) => match made {
            Ok(made) => made,
            Err(_) => Err(anyhow!("not all books are made after {} s", deadline.as_secs())),
        },
        // However this ends, no worker is left behind: they are killed when their drivers are dropped.
        _ = terminate.recv() => Err(anyhow!("told to stop")),
        _ = tokio::signal::ctrl_c() => Err(anyhow!("interrupted")),
    };
    let outcomes = made.map_err(|error| anyhow!("{error:#}\n{}", board.summary().trim_end()))?;
    conclude(&outcomes)
}

async fn make(args: Arc<Args>, board: Arc<Board>) -> Result<Vec<Outcome>> {
    let books = find_books(&args)?;
    let sender = Sender::connect(&args.redis_url, &args.stream).await?;
    let mut drivers = JoinSet::new();
    for book in books {
        let database = Database::connect(&args.database_url).await?;
        let (args, board) = (Arc::clone(&args), Arc::clone(&board));
        let driver = Driver { book, args, sender: sender.clone(), database, board };
        drivers.spawn(driver.drive());
    }
    let mut outcomes = Vec::new();
    while let Some(outcome) = drivers.join_next().await {
        outcomes.push(outcome.context("a driver broke down")??);
    }
    outcomes.sort_by(|a, b| a.title.cmp(&b.title));
    Ok(outcomes)
}

/// The stories of the folder, each as a new book. The one in the middle will lose its artist.
fn find_books(args: &Args) -> Result<Vec<Book>> {
    let stories = stories(&args.books)?;
    let doomed = stories.len() / 2;
    let mut books = Vec::new();
    for (at, story) in stories.into_iter().enumerate() {
        let text = fs::read_to_string(&story)
            .with_context(|| format!("cannot read {}", story.display()))?;
        let parsed = Story::parse(&text).with_context(|| story.display().to_string())?;
        let id = Uuid::new_v4();
        let dir = BookDir::new(&args.out, &story, id);
        books.push(Book {
            id,
            title: parsed.title,
            author: parsed.author,
            story,
            dir,
            doomed: at == doomed,
        });
    }
    Ok(books)
}

fn stories(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut stories: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    stories.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    stories.sort();
    if stories.is_empty() {
        bail!("there are no stories (*.txt) in {}", folder.display());
    }
    Ok(stories)
}

/// The last word on each book; an error unless all are COMPLETED.
fn conclude(outcomes: &[Outcome]) -> Result<()> {
    for outcome in outcomes {
        let comic = outcome.comic.canonicalize().unwrap_or_else(|_| outcome.comic.clone());
        println!(
            "{}: {} {:.2}  attempt {}  {}",
            outcome.title,
            outcome.status.status,
            outcome.status.overall_progress,
            outcome.attempts,
            comic.display()
        );
    }
    for outcome in outcomes {
        // The proof would have been an error if a single panel had been drawn twice.
        if let Some(after) = outcome.killed_after {
            println!(
                "resumed: {}: killed after panel {after} of {}, {} panels drawn by attempt {}, 0 drawn twice",
                outcome.title,
                outcome.panels,
                outcome.proof.drawn_later,
                outcome.proof.last_attempt
            );
        }
    }
    let units: usize = outcomes.iter().map(|outcome| outcome.proof.units).sum();
    println!("{units} units of work in the logs of {} books, none of them twice", outcomes.len());
    let finished =
        |o: &Outcome| o.status.status == "COMPLETED" && o.status.overall_progress == 100.0;
    if !outcomes.iter().all(finished) {
        bail!("not every book is COMPLETED at 100");
    }
    Ok(())
}
