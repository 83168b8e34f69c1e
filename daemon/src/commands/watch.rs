//! `binderyd watch`: shows the books live in the terminal, or as plain lines without one.
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

use crate::database::{self, DatabaseError};
use crate::options::DatabaseOptions;
use book::{Book, Filter, Flow};
use lines::Lines;
use screen::Screen;

/// The interval between two reads: smooth to the eye, and a small load for Postgres.
const EVERY: Duration = Duration::from_millis(150);

/// The exit status that a shell reports for a program ended by SIGINT.
const INTERRUPTED: i32 = 130;

/// Options of `watch`.
#[derive(Debug, Clone, Args)]
pub struct WatchOptions {
    #[command(flatten)]
    database: DatabaseOptions,
    /// The maximum number of books to show, the newest first.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i32).range(1..=1000))]
    max_books: i32,
    /// Only books whose title or id holds this; in the terminal, / changes it.
    #[arg(long, default_value = "", hide_default_value = true)]
    search: String,
    /// Only books of this status; may be given again.
    #[arg(long, value_delimiter = ',')]
    status: Vec<String>,
    /// Include books that were completed or cancelled before.
    #[arg(long)]
    all: bool,
    /// The address of the page, for the terminal's first line.
    #[arg(long, default_value = "", hide_default_value = true)]
    page: String,
    /// Exit once every book shown is completed or cancelled.
    #[arg(long)]
    until_done: bool,
}

/// A way to show the books.
trait View {
    /// Shows the books; returns false once the viewer has quit.
    fn show(&mut self, books: &[Book], flow: Option<&Flow>) -> anyhow::Result<bool>;
    /// Shows a notice about the connection; an empty one means that it is back.
    fn show_notice(&mut self, words: &str);
    /// Waits until a key is pressed that needs a new view at once.
    async fn pressed(&mut self);
}

/// Shows the books until interrupted or, with `--until-done`, until all are done. Reconnects to
/// Postgres.
pub async fn watch(options: &WatchOptions) -> anyhow::Result<()> {
    // Fail if the first connection fails: the address is probably wrong.
    let client = database::connect(&options.database.database_url).await?;
    let filter = Filter { search: options.search.clone(), statuses: options.status.clone() };
    if std::io::stdout().is_terminal() {
        let mut screen = Screen::open(filter, &options.page)?;
        let shown = follow(client, options, &mut screen).await;
        let (last, interrupted) = screen.close();
        // The screen is gone with all that was on it.
        last.iter().for_each(|book| println!("{}", book.line()));
        if interrupted {
            // In a raw terminal Ctrl-C is a key; exit with the status of an interrupt.
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
    // End on SIGTERM as on a key, so that the terminal is restored.
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        match read_books(&client, options.max_books, &known, flow.as_ref()).await {
            Ok((mut books, now)) => {
                flow = now;
                known.clone_from(&books);
                // Hide books that were over before they were first read.
                books.retain(|book| options.all || !book.over || seen.contains(&book.id));
                seen.extend(books.iter().map(|book| book.id));
                if std::mem::take(&mut away) {
                    view.show_notice("");
                }
                let done =
                    options.until_done && !books.is_empty() && books.iter().all(|book| book.over);
                if !view.show(&books, flow.as_ref())? || done {
                    return Ok(());
                }
            }
            Err(error) if client.is_closed() => {
                if !std::mem::replace(&mut away, true) {
                    view.show_notice(&format!("reconnecting ({error})"));
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

async fn read_books(
    client: &Client,
    most: i32,
    known: &[Book],
    before: Option<&Flow>,
) -> Result<(Vec<Book>, Option<Flow>), DatabaseError> {
    Ok((Book::all(client, most, known).await?, Flow::now(client, before).await?))
}
