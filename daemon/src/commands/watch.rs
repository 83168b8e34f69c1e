//! `binderyd watch`: the books live in the terminal; plain lines where there is none.
//!
//! | module | subject |
//! |---|---|
//! | `book` | a book as it is shown |
//! | `screen` | the view that fills a terminal, and its keys |
//! | `lines` | one line a change |

mod book;
mod lines;
mod screen;

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::cli::DatabaseOptions;
use crate::database::{self, DatabaseError};
use book::{Book, Filter, Flow};
use lines::Lines;
use screen::Screen;

/// Smooth to the eye, and nothing to Postgres.
const EVERY: Duration = Duration::from_millis(150);

/// What a shell says of a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Options of `watch`.
#[derive(Debug, Clone, Args)]
pub struct WatchOptions {
    #[command(flatten)]
    database: DatabaseOptions,
    /// The most books to show, the newest first.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i32).range(1..=1000))]
    max_books: i32,
    /// Only books whose title or id holds this; in the terminal, / changes it.
    #[arg(long, default_value = "", hide_default_value = true)]
    search: String,
    /// Only books of this status; may be given again.
    #[arg(long, value_delimiter = ',')]
    status: Vec<String>,
    /// Show what was completed or cancelled before, too.
    #[arg(long)]
    all: bool,
    /// The address of the page, to be shown in the terminal's first line.
    #[arg(long, default_value = "", hide_default_value = true)]
    page: String,
    /// End once every book shown is completed or cancelled.
    #[arg(long)]
    until_done: bool,
}

/// Where the books are shown.
trait View {
    /// Shows them; says whether the viewer wants to see more.
    fn show(&mut self, books: &[Book], flow: Option<&Flow>) -> anyhow::Result<bool>;
    /// What is the matter; nothing, if nothing is.
    fn say(&mut self, words: &str);
    /// Whether a key was pressed that must be answered now.
    async fn pressed(&mut self);
}

/// Shows the books until interrupted, or until all are done where that is asked for. Postgres may
/// come and go meanwhile.
pub async fn watch(options: &WatchOptions) -> anyhow::Result<()> {
    // A database that is not there at the start is more likely a wrong address than an outage.
    let client = database::connect(&options.database.database_url).await?;
    let filter = Filter { search: options.search.clone(), statuses: options.status.clone() };
    if std::io::stdout().is_terminal() {
        let mut screen = Screen::open(filter, &options.page)?;
        let shown = follow(client, options, &mut screen).await;
        let (last, interrupted) = screen.close();
        // The screen is gone with all that was on it.
        last.iter().for_each(|book| println!("{}", book.line()));
        if interrupted {
            // In a raw terminal Ctrl-C is a key; whoever started this is told as by the signal.
            std::process::exit(INTERRUPTED);
        }
        shown
    } else {
        follow(client, options, &mut Lines::new(filter)).await
    }
}

async fn follow(
    mut client: Client,
    options: &WatchOptions,
    view: &mut impl View,
) -> anyhow::Result<()> {
    let mut seen: BTreeSet<Uuid> = BTreeSet::new();
    let mut known: Vec<Book> = Vec::new();
    let mut flow = None;
    let mut away = false;
    // A supervisor's word ends it as well as a key: the terminal is given back either way.
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        match look(&client, options.max_books, &known, flow.as_ref()).await {
            Ok((mut books, now)) => {
                flow = now;
                known.clone_from(&books);
                // What was over before anyone looked is not news.
                books.retain(|book| options.all || !book.over || seen.contains(&book.id));
                seen.extend(books.iter().map(|book| book.id));
                if std::mem::take(&mut away) {
                    view.say("");
                }
                let done =
                    options.until_done && !books.is_empty() && books.iter().all(|book| book.over);
                if !view.show(&books, flow.as_ref())? || done {
                    return Ok(());
                }
            }
            Err(error) if client.is_closed() => {
                if !std::mem::replace(&mut away, true) {
                    view.say(&format!("reconnecting ({error})"));
                }
                if let Ok(again) = database::connect(&options.database.database_url).await {
                    client = again;
                }
            }
            Err(error) => {
                let remedy = error.remedy().map(|remedy| format!("; {remedy}")).unwrap_or_default();
                anyhow::bail!("{error}{remedy}");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => (),
            () = view.pressed() => (),
            _ = terminate.recv() => return Ok(()),
            interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
        }
    }
}

async fn look(
    client: &Client,
    most: i32,
    known: &[Book],
    before: Option<&Flow>,
) -> Result<(Vec<Book>, Option<Flow>), DatabaseError> {
    Ok((Book::all(client, most, known).await?, Flow::now(client, before).await?))
}
