//! `binderyd dead-letters`: lists, shows, replays or drops rejected events.

use anyhow::{bail, ensure};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio_postgres::{Client, Error};
use uuid::Uuid;

use crate::database::{self, DatabaseError};
use crate::dead_letters::{self, Filter, Place, Replayed};
use crate::options::DatabaseOptions;

/// The number of dead letters in one call, which is one transaction.
const BATCH: i64 = 500;

/// Options of `dead-letters`.
#[derive(Debug, Clone, Args)]
pub struct DeadLettersOptions {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Subcommand)]
enum Action {
    /// List dead letters, the newest first.
    List {
        #[command(flatten)]
        database: DatabaseOptions,
        #[command(flatten)]
        which: Which,
        /// The maximum number of dead letters.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        max: i64,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show one dead letter as JSON.
    Show {
        #[command(flatten)]
        database: DatabaseOptions,
        /// The id, as listed.
        id: i64,
    },
    /// Apply dead letters again, the oldest first, each once. Those that are applied or stale are
    /// removed; the others stay.
    Replay {
        #[command(flatten)]
        database: DatabaseOptions,
        #[command(flatten)]
        which: Which,
        /// All that the relay could parse.
        #[arg(long)]
        all: bool,
    },
    /// Delete dead letters, finally.
    Drop {
        #[command(flatten)]
        database: DatabaseOptions,
        #[command(flatten)]
        which: Which,
        /// All of them.
        #[arg(long)]
        all: bool,
        /// Delete them; without this, only print their number.
        #[arg(long)]
        yes: bool,
    },
}

/// The filter of dead letters; all given conditions must hold.
#[derive(Debug, Clone, Default, Args)]
struct Which {
    /// Of this stream.
    #[arg(long, value_name = "STREAM")]
    of_stream: Option<String>,
    /// With this reason, such as unknown_book.
    #[arg(long)]
    reason: Option<String>,
    /// About this book.
    #[arg(long, value_name = "UUID")]
    book_id: Option<Uuid>,
    /// With this id; may be given again.
    #[arg(long = "id", value_name = "ID", value_delimiter = ',')]
    ids: Vec<i64>,
}

impl Which {
    fn is_all(&self) -> bool {
        self.of_stream.is_none()
            && self.reason.is_none()
            && self.book_id.is_none()
            && self.ids.is_empty()
    }

    /// Refuses a choice that may be an accident.
    fn ensure_meant(&self, all: bool) -> anyhow::Result<()> {
        match (self.is_all(), all) {
            (true, false) => {
                bail!("choose dead letters with --of-stream, --reason, --book-id, --id, or --all")
            }
            (false, true) => {
                bail!("--all does not go with --of-stream, --reason, --book-id or --id")
            }
            _ => Ok(()),
        }
    }

    fn filter(&self) -> Filter {
        Filter {
            stream: self.of_stream.clone(),
            reason: self.reason.clone(),
            book_id: self.book_id,
            q: None,
            ids: (!self.ids.is_empty()).then(|| self.ids.clone()),
            replayable: false,
        }
    }
}

const WHOLE: &str = "to_jsonb(d)";

/// Runs the command.
pub async fn dead_letters(options: &DeadLettersOptions) -> anyhow::Result<()> {
    match &options.action {
        Action::List { database, which, max, json } => {
            let client = database::connect(&database.database_url).await?;
            let rows = which
                .filter()
                .rows(&client, WHOLE, Place::Before(i64::MAX), i64::MAX, *max)
                .await
                .map_err(with_remedy)?;
            for row in rows {
                let letter: Value = row.try_get(0)?;
                println!("{}", if *json { letter.to_string() } else { line(&letter) });
            }
            Ok(())
        }
        Action::Show { database, id } => {
            let client = database::connect(&database.database_url).await?;
            let filter = Filter { ids: Some(vec![*id]), ..Filter::default() };
            let rows = filter
                .rows(&client, WHOLE, Place::After(0), i64::MAX, 1)
                .await
                .map_err(with_remedy)?;
            ensure!(
                !rows.is_empty(),
                "no dead letter has the id {id}; list them with binderyd dead-letters list"
            );
            let letter: Value = rows[0].try_get(0)?;
            println!("{letter:#}");
            Ok(())
        }
        Action::Replay { database, which, all } => {
            which.ensure_meant(*all)?;
            replay(&database::connect(&database.database_url).await?, &which.filter()).await
        }
        Action::Drop { database, which, all, yes } => {
            which.ensure_meant(*all)?;
            let client = database::connect(&database.database_url).await?;
            drop_letters(&client, &which.filter(), *yes).await
        }
    }
}

/// Replays the letters that exist at the start, each once: one that is rejected again keeps its id.
async fn replay(client: &Client, filter: &Filter) -> anyhow::Result<()> {
    let (mut after, mut outcome) = (0, Replayed::default());
    loop {
        let ids = filter.ids(client, after, i64::MAX, BATCH).await.map_err(with_remedy)?;
        let Some(last) = ids.last() else { break };
        after = *last;
        outcome.add(dead_letters::replay(client, &ids).await.map_err(with_remedy)?);
    }
    println!("{}", json!(outcome));
    Ok(())
}

async fn drop_letters(client: &Client, filter: &Filter, yes: bool) -> anyhow::Result<()> {
    let (mut after, mut number) = (0, 0_i64);
    loop {
        let ids = filter.ids(client, after, i64::MAX, BATCH).await.map_err(with_remedy)?;
        let Some(last) = ids.last() else { break };
        after = *last;
        number += if yes {
            dead_letters::drop_letters(client, &ids).await.map_err(with_remedy)?
        } else {
            i64::try_from(ids.len())?
        };
    }
    ensure!(
        yes || number == 0,
        "{number} dead letters would be dropped permanently; give --yes to do it"
    );
    println!("{}", json!({ "dropped": number }));
    Ok(())
}

/// A letter on one line.
fn line(letter: &Value) -> String {
    let text = |name: &str| match &letter[name] {
        Value::String(text) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    ["id", "at", "stream", "event_id", "book_id", "reason", "message"].map(text).join("  ")
}

fn with_remedy(error: Error) -> anyhow::Error {
    let error = DatabaseError::from(error);
    let remedy = error.remedy();
    let error = anyhow::Error::new(error);
    match remedy {
        Some(remedy) => error.context(remedy),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaying_or_dropping_all_needs_an_explicit_choice() {
        let none = Which::default();
        let some = Which { reason: Some("unknown_book".to_owned()), ..Which::default() };
        assert!(none.ensure_meant(false).is_err() && none.ensure_meant(true).is_ok());
        assert!(some.ensure_meant(true).is_err() && some.ensure_meant(false).is_ok());
    }

    #[test]
    fn a_message_cannot_drive_the_terminal() {
        let letter = json!({"id": 7, "at": "now", "stream": "s", "event_id": null, "book_id": null, "reason": "bad", "message": "a\u{1b}[31m"});
        assert_eq!(line(&letter), "7  now  s  -  -  bad  a [31m");
    }
}
