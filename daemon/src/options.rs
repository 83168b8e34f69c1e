//! The options of commands. A setting's flag overrides its environment variable.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::database::DatabaseUrl;
use crate::http::HttpOptions;
use crate::kernel::Kernel;
use crate::schema::Schema;
use crate::source::{RedisUrl, SourceOptions};

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
}
