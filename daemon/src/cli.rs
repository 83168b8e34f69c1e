//! The command line: the commands, and what concerns all of them.

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{
    CompletionsOptions, DeadLettersOptions, DoctorOptions, ManOptions, PublishOptions,
    SimulateOptions, WatchOptions,
};
use crate::dev::DevOptions;
use crate::logging::LogFormat;
use crate::options::{MigrateOptions, MigrationOptions, RunOptions, ServeOptions};

/// Keeps the status and progress of books in Postgres up to date with the events in Redis.
#[derive(Debug, Parser)]
#[command(name = "binderyd", version, about, max_term_width = 100)]
pub struct Cli {
    /// The format of log lines.
    #[arg(long, global = true, env = "BINDERY_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// A TOML file of settings by the names of the flags, such as stream = ["a", "b"]; flags and
    /// environment win over it.
    #[arg(long, global = true, env = "BINDERY_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Checks the requested versions against those of the schema.
    pub fn checked(self) -> Result<Self, clap::Error> {
        let (sql, flag, version, before) = match &self.command {
            Command::Migrate(options) => (&options.sql, "--to", options.to, 0),
            Command::Migration(options) => (&options.sql, "--from", options.from, 1),
            _ => return Ok(self),
        };
        let Some(version) = version else { return Ok(self) };
        let wrong = |problem: String| {
            Self::command()
                .error(ErrorKind::ValueValidation, format!("{flag} {version}: {problem}"))
        };
        let newest = sql.schema().and_then(|schema| schema.newest());
        let newest = newest.map_err(|error| wrong(format!("{error:#}")))?;
        match newest - before {
            0 => Err(wrong(format!("{newest} is the first version: omit the option"))),
            last if (1..=last).contains(&version) => Ok(self),
            last => Err(wrong(format!("must be a version from 1 to {last}"))),
        }
    }
}

/// Hides values in clap's errors, which quote them: a URL may hold a password.
pub fn without_secrets(mut error: clap::Error) -> clap::Error {
    let hidden = || ContextValue::String("(not shown)".to_owned());
    let mentions = |error: &clap::Error, kind, what| matches!(error.get(kind), Some(ContextValue::String(text)) if text.contains(what));
    if ["-url", "-secret"].into_iter().any(|what| mentions(&error, ContextKind::InvalidArg, what)) {
        error.insert(ContextKind::InvalidValue, hidden());
    }
    // A URL in a wrong place.
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidValue, ContextKind::InvalidSubcommand]
    {
        if mentions(&error, kind, "://") {
            error.insert(kind, hidden());
            error.remove(ContextKind::Suggested);
        }
    }
    error
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Relay events from Redis streams into Postgres, until stopped by SIGTERM or SIGINT.
    Run(Box<RunOptions>),
    /// Serve the HTTP port alone, as from a hot standby; nothing is relayed, published or swept.
    Serve(Box<ServeOptions>),
    /// Try Bindery on this machine: a private Postgres, the schema, the page and the API; no Redis.
    Dev(Box<DevOptions>),
    /// Install or upgrade the schema.
    Migrate(MigrateOptions),
    /// Print the schema, or an upgrade of it, as one SQL file, for supabase/migrations/.
    Migration(MigrationOptions),
    /// Show the books live in the terminal, or as plain lines without one.
    Watch(WatchOptions),
    /// Check Postgres and Redis, and print problems with their remedies; changes nothing.
    Doctor(Box<DoctorOptions>),
    /// Publish one event from flags, unless the relay would reject it.
    Publish(Box<PublishOptions>),
    /// List, show, replay or drop rejected events.
    DeadLetters(DeadLettersOptions),
    /// Publish the events of many books, including faults, and print the expected outcome.
    Simulate(SimulateOptions),
    /// Print completions for a shell.
    Completions(CompletionsOptions),
    /// Print the manual, or write its pages.
    Man(ManOptions),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_setting_of_run_is_in_the_table_of_the_documents() {
        let documents = include_str!("../../docs/configure.md");
        let (command, run) =
            (Cli::command(), Cli::command().find_subcommand("run").unwrap().clone());
        for arg in command.get_arguments().chain(run.get_arguments()) {
            let Some(long) = arg.get_long() else { continue };
            let row = documents
                .lines()
                .find(|line| line.starts_with("| `--") && line.contains(&format!("`--{long}`")));
            let row = row.unwrap_or_else(|| panic!("docs/configure.md has no row of --{long}"));
            if let Some(variable) = arg.get_env() {
                assert!(row.contains(variable.to_str().unwrap()), "--{long}: {row}");
            }
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let cli = Cli::parse_from([
            "binderyd",
            "run",
            "--database-url",
            "postgresql://u:hush@h/d",
            "--redis-url",
            "redis://u:hush@h/",
        ]);
        assert!(!format!("{cli:?}").contains("hush"));
        for url in ["--database-url=postgresql://u:hush@[h", "--redis-url=http://u:hush@h/"] {
            let text = without_secrets(Cli::try_parse_from(["binderyd", "run", url]).unwrap_err())
                .to_string();
            assert!(!text.contains("hush") && text.contains("give "), "{text}");
        }
    }

    #[test]
    fn a_url_where_none_belongs_is_not_shown() {
        let url = "postgresql://u:hush@h/d";
        for args in [
            vec!["binderyd", url],
            vec!["binderyd", "run", url],
            vec!["binderyd", "run", "--linger", url],
        ] {
            let text = without_secrets(Cli::try_parse_from(args).unwrap_err()).to_string();
            assert!(!text.contains("hush"), "{text}");
        }
    }
}
