//! `binderyd`: relays progress events from Redis into Postgres, each taking effect exactly once; and the commands around it.
//!
//! | module | subject |
//! |---|---|
//! | `cli` | commands, flags and their environment variables |
//! | `run` | the daemon: one relay a stream, the outbox, the sweeper, the HTTP port, a clean stop |
//! | `relay` | Redis stream -> batches -> `bindery.apply_events` |
//! | `sweep` | calls `bindery.sweep` now and then |
//! | `outbox` | `bindery.outbox` -> Redis stream |
//! | `http` | health, metrics, the API, streams of events, the page |
//! | `database`, `source` | the two ends: Postgres by functions of schema `bindery`, Redis |
//! | `migrate`, `schema`, `kernel` | installing the schema, its versions, and what it stands on |
//! | `watch` | live bars in the terminal |

mod cli;
mod database;
mod http;
mod kernel;
mod logging;
mod metrics;
mod migrate;
mod outbox;
mod pauses;
mod relay;
mod run;
mod schema;
mod source;
mod state;
mod sweep;
mod watch;

use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command};

fn main() -> ExitCode {
    // clap prints usage errors itself and exits with 2.
    let cli = Cli::try_parse().unwrap_or_else(|error| cli::without_secrets(error).exit());
    logging::init(cli.log_format);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::new(error).context("the runtime does not start")),
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Run(options) => run::run(*options).await,
            Command::Migrate(options) => migrate::migrate(&options).await,
            Command::Migration(options) => migrate::print(&options),
            Command::Watch(options) => watch::watch(&options).await,
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("binderyd: {error:#}");
    ExitCode::FAILURE
}
