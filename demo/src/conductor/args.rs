//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Makes comics of the stories in a folder, through Bindery.
#[derive(Debug, Clone, Parser)]
#[command(name = "bindery-demo", version)]
pub struct Args {
    /// Where Postgres is, with Bindery's schema in it.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
    /// Where Redis is.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: String,
    /// The stream that the relay reads.
    #[arg(long, default_value = "bindery:events")]
    pub stream: String,
    /// The folder for the comics.
    #[arg(long, default_value = "demo/out")]
    pub out: PathBuf,
    /// The folder with the stories (`*.txt`).
    #[arg(long, default_value = "demo/books")]
    pub books: PathBuf,
    /// Print a line at each milestone; else only how it ended.
    #[arg(long)]
    pub once: bool,
    /// How many seconds all of it may take.
    #[arg(long, default_value_t = 600, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    deadline: u64,
}

impl Args {
    /// How long all of it may take.
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline)
    }
}
