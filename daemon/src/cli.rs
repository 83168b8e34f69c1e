//! Commands and flags. A setting's flag overrides its environment variable.

use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::commands::{
    CompletionsOptions, DeadLettersOptions, DoctorOptions, ManOptions, PublishOptions,
    SimulateOptions, WatchOptions,
};
use crate::database::DatabaseUrl;
use crate::dev::DevOptions;
use crate::http::HttpOptions;
use crate::kernel::Kernel;
use crate::schema::Schema;
use crate::source::{RedisUrl, SourceOptions};

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

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
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

/// The option for Postgres.
#[derive(Debug, Clone, Args)]
pub struct DatabaseOptions {
    /// Postgres, such as postgresql://user:password@host:5432/database, with the parameters of
    /// libpq: sslmode=verify-full, sslrootcert=FILE, several hosts and more.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: DatabaseUrl,
}

/// The option for the schema's SQL.
#[derive(Debug, Clone, Args)]
pub struct SqlOptions {
    /// For tests: a folder laid out like `sql/`, used instead of the files that are compiled in.
    #[arg(long, hide = true, value_name = "DIR")]
    pub sql_dir: Option<PathBuf>,
}

impl SqlOptions {
    /// The files of the schema.
    pub fn schema(&self) -> anyhow::Result<Schema> {
        Schema::load(self.sql_dir.as_deref())
    }
}

/// Options of `migrate`.
#[derive(Debug, Clone, Args)]
pub struct MigrateOptions {
    #[command(flatten)]
    pub database: DatabaseOptions,
    #[command(flatten)]
    pub sql: SqlOptions,
    /// The kernel, which replaces another one without changing books. By default the current one;
    /// in a new database native if the server offers the extension, or else portable.
    #[arg(long, env = "BINDERY_KERNEL", value_enum)]
    pub kernel: Option<Kernel>,
    /// Stop at this version of the schema, to upgrade in steps; by default the newest. A downgrade
    /// is not possible.
    #[arg(long)]
    pub to: Option<i32>,
}

/// Options of `migration`.
#[derive(Debug, Clone, Args)]
pub struct MigrationOptions {
    #[command(flatten)]
    pub sql: SqlOptions,
    /// The kernel.
    #[arg(long, env = "BINDERY_KERNEL", value_enum, default_value_t = Kernel::Native)]
    pub kernel: Kernel,
    /// Print only the upgrade from this version of the schema, with the kernel.
    #[arg(long)]
    pub from: Option<i32>,
}

/// Options of `run`.
#[derive(Debug, Clone, Args)]
pub struct RunOptions {
    #[command(flatten)]
    pub database: DatabaseOptions,
    /// Redis, such as redis://host:6379/, rediss://user:password@host:6380/ for TLS,
    /// redis+sentinel://host,host/master or redis+cluster://host,host. Without it the daemon
    /// relays and publishes nothing: services report over HTTP or SQL.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<RedisUrl>,
    #[command(flatten)]
    pub sources: SourceOptions,
    #[command(flatten)]
    pub http: HttpOptions,
    /// How long a batch that is not full waits for more events.
    #[arg(long, env = "BINDERY_LINGER", default_value = "2ms", value_parser = humantime::parse_duration)]
    pub linger: Duration,
    /// The maximum number of progress items (coalesced reports) in a batch; any other event counts
    /// as 20.
    #[arg(long, env = "BINDERY_MAX_BATCH", default_value_t = 40_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_batch: u32,
    /// How long a stream's lease lasts without a renewal; then another daemon may acquire it.
    #[arg(long, env = "BINDERY_LEASE", default_value = "10s", value_parser = lease)]
    pub lease: Duration,
    /// Trim applied entries that are older than this; by default never.
    #[arg(long, env = "BINDERY_RETAIN", value_parser = humantime::parse_duration)]
    pub retain: Option<Duration>,
    /// The stream to publish the outbox to; empty: do not publish it.
    #[arg(long, env = "BINDERY_OUTBOX", default_value = "bindery:changes")]
    pub outbox: String,
    /// The interval at which stalled books fail and due books resume: seconds, or a duration such
    /// as 500ms; 0: never.
    #[arg(long, env = "BINDERY_SWEEP", value_name = "SECONDS", default_value = "5", value_parser = sweep)]
    pub sweep: Duration,
    /// Print the effective configuration with the source of each setting, without secrets, and
    /// exit.
    #[arg(long)]
    pub print_config: bool,
}

/// Options of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeOptions {
    #[command(flatten)]
    pub database: DatabaseOptions,
    #[command(flatten)]
    pub http: HttpOptions,
    /// Print the effective configuration with the source of each setting, without secrets, and
    /// exit.
    #[arg(long)]
    pub print_config: bool,
}

/// The names that `bindery.acquire_stream` accepts.
pub fn stream(text: &str) -> Result<String, String> {
    let name = text.trim();
    if (1..=512).contains(&name.chars().count()) {
        Ok(name.to_owned())
    } else {
        Err("must be a name of 1 to 512 characters".to_owned())
    }
}

/// The range that `bindery.acquire_stream` accepts.
fn lease(text: &str) -> Result<Duration, String> {
    let lease = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&lease) {
        Ok(lease)
    } else {
        Err("must be between 100ms and 1h".to_owned())
    }
}

/// Seconds, or a duration with its unit; zero disables the sweeper.
fn sweep(text: &str) -> Result<Duration, String> {
    let every = match text.trim().parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string())?,
    };
    if every.is_zero() || (Duration::from_millis(10)..=Duration::from_secs(3600)).contains(&every) {
        Ok(every)
    } else {
        Err("must be 0, or between 10ms and 1h".to_owned())
    }
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
    fn a_lease_out_of_range_is_refused() {
        assert!(lease("50ms").is_err());
        assert_eq!(lease("2s"), Ok(Duration::from_secs(2)));
    }

    #[test]
    fn the_sweep_is_given_in_seconds_or_as_a_duration() {
        assert_eq!(sweep("7"), Ok(Duration::from_secs(7)));
        assert_eq!(sweep("50ms"), Ok(Duration::from_millis(50)));
        assert_eq!(sweep("0").as_ref().map(Duration::is_zero), Ok(true));
        assert_eq!(sweep("0s").as_ref().map(Duration::is_zero), Ok(true));
        for wrong in ["", "-1", "1ms", "2h", "99999999999999999999"] {
            assert!(sweep(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_stream_without_a_name_is_wrong_usage() {
        assert!(stream(" ").is_err());
        assert_eq!(stream(" a ").as_deref(), Ok("a"));
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
