//! `binderyd watch`: the books live in the terminal, as bars; plain lines where there is no terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::cli::WatchOptions;
use crate::database::{self, DatabaseError};

/// Smooth to the eye, and nothing to Postgres.
const EVERY: Duration = Duration::from_millis(150);
/// Bars count hundredths of a percent.
const HUNDREDTHS: f64 = 100.0;

/// A book as it is shown.
#[derive(Debug, Clone, PartialEq)]
struct Book {
    id: Uuid,
    title: Option<String>,
    status: String,
    overall: f64,
    attempt: i32,
    substeps: Value,
    revision: i64,
    over: bool,
}

/// Shows the books until interrupted, or until all are done where that is asked for. Postgres may come and go meanwhile.
pub async fn watch(options: &WatchOptions) -> anyhow::Result<()> {
    // A database that is not there at the start is more likely a wrong address than an outage.
    let mut client = database::connect(&options.database.database_url).await?;
    let mut view: Box<dyn View> =
        if std::io::stdout().is_terminal() { Box::new(Bars::default()) } else { Box::new(Lines::default()) };
    let mut seen: BTreeSet<Uuid> = BTreeSet::new();
    let mut away = false;
    loop {
        match books(&client, options.max_books).await {
            Ok(mut books) => {
                // What was over before anyone looked is not news.
                books.retain(|book| !book.over || seen.contains(&book.id));
                books.reverse();
                seen.extend(books.iter().map(|book| book.id));
                view.show(&books);
                if options.until_done && !books.is_empty() && books.iter().all(|book| book.over) {
                    return Ok(());
                }
            }
            Err(error) if client.is_closed() => {
                if !away {
                    view.say(&format!("reconnecting ({error})"));
                }
                away = true;
                if let Ok(again) = database::connect(&options.database.database_url).await {
                    client = again;
                    away = false;
                    view.say("connected again");
                }
            }
            Err(error) => {
                let remedy = error.remedy().map(|remedy| format!("; {remedy}")).unwrap_or_default();
                anyhow::bail!("{error}{remedy}");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => (),
            interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
        }
    }
}

async fn books(client: &Client, most: i32) -> Result<Vec<Book>, DatabaseError> {
    let rows = client
        .query_typed(
            "select book_id, title, status, overall_progress, attempt, substeps, revision, \
             completed_at is not null or status = 'CANCELLED' from bindery.list_books($1)",
            &[(&most, postgres_types::Type::INT4)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Book {
                id: row.try_get(0)?,
                title: row.try_get(1)?,
                status: row.try_get(2)?,
                overall: row.try_get(3)?,
                attempt: row.try_get(4)?,
                substeps: row.try_get(5)?,
                revision: row.try_get(6)?,
                over: row.try_get(7)?,
            })
        })
        .collect()
}

impl Book {
    fn name(&self) -> String {
        let name = self.title.clone().unwrap_or_else(|| self.id.to_string());
        // A title may hold anything; the terminal gets only what can be seen.
        name.chars().filter(|c| !c.is_control()).take(28).collect()
    }

    fn standing(&self) -> String {
        let attempt = if self.attempt > 1 { format!(", attempt {}", self.attempt) } else { String::new() };
        let working = self.substeps.as_array().into_iter().flatten().find(|substep| substep["state"] == "active");
        let substep = match working {
            Some(substep) if !self.over => {
                let label = substep["label"].as_str().unwrap_or_default();
                match (substep["done"].as_f64(), substep["total"].as_f64()) {
                    (Some(done), Some(total)) => format!(": {label} {done}/{total}"),
                    _ => format!(": {label}"),
                }
            }
            _ => String::new(),
        };
        format!("{}{attempt}{substep}", self.status)
    }
}

trait View {
    fn show(&mut self, books: &[Book]);
    fn say(&mut self, words: &str);
}

/// One bar a book.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    bars: BTreeMap<Uuid, ProgressBar>,
}

impl View for Bars {
    fn show(&mut self, books: &[Book]) {
        for book in books {
            let bar = self.bars.entry(book.id).or_insert_with(|| {
                // The template is ours and fixed; were it wrong, the default shows the bar all the same.
                let style = ProgressStyle::with_template("{prefix:28} {bar:30.cyan/blue} {msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar())
                    .progress_chars("█▉▊▋▌▍▎▏ ");
                self.all.add(ProgressBar::new(10_000).with_style(style))
            });
            bar.set_prefix(book.name());
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "overall is 0 to 100")]
            bar.set_position((book.overall * HUNDREDTHS).round() as u64);
            bar.set_message(format!("{:6.2} %  {}", book.overall, book.standing()));
            if book.over {
                bar.abandon();
            }
        }
    }

    fn say(&mut self, words: &str) {
        // A terminal that is gone hears nothing, and the bars go with it.
        let _ = self.all.println(words);
    }
}

/// One line a change.
#[derive(Default)]
struct Lines {
    shown: BTreeMap<Uuid, i64>,
}

impl View for Lines {
    fn show(&mut self, books: &[Book]) {
        for book in books {
            if self.shown.insert(book.id, book.revision) != Some(book.revision) {
                println!("{}  {:6.2} %  {}", book.name(), book.overall, book.standing());
            }
        }
    }

    fn say(&mut self, words: &str) {
        println!("{words}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn book() -> Book {
        Book {
            id: Uuid::nil(),
            title: Some("The \u{1b}[31mTide".to_owned()),
            status: "ANALYZING".to_owned(),
            overall: 12.5,
            attempt: 2,
            substeps: json!([{"state": "done"}, {"state": "active", "label": "Find names", "done": 3.0, "total": 7.0}]),
            revision: 4,
            over: false,
        }
    }

    #[test]
    fn a_book_says_what_it_is_at() {
        assert_eq!(book().standing(), "ANALYZING, attempt 2: Find names 3/7");
    }

    #[test]
    fn a_title_cannot_drive_the_terminal() {
        assert_eq!(book().name(), "The [31mTide");
    }
}
