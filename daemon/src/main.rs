//! `binderyd`: relays progress events from Redis into Postgres, exactly once, and has commands for
//! operators.
//!
//! | module | subject |
//! |---|---|
//! | `cli`, `options` | the commands; their flags and environment variables |
//! | `config` | settings from flags, environment and file; reports all faults at once |
//! | `run` | the daemon: one relay a stream, the outbox, the sweeper, the HTTP port |
//! | `serve` | the HTTP port alone, for a hot standby |
//! | `dev` | Bindery on one machine, with a private Postgres |
//! | `answers` | checks that Postgres answers, in a process without relays |
//! | `process` | the parts that long-running commands share: the port, metrics, a clean stop |
//! | `relay` | Redis stream -> batches -> `bindery.apply_events` |
//! | `broadcasts` | Supabase Realtime: sends deferred progress, creates the policy |
//! | `sweep` | calls `bindery.sweep` at an interval |
//! | `channel` | Redis Pub/Sub -> Redis stream, which is relayed like any other stream |
//! | `outbox` | `bindery.outbox` -> Redis stream |
//! | `retry` | starts work again after each failure, with pauses and a limited log |
//! | `files` | the limit of open files, and the share of HTTP |
//! | `memory` | returns free memory to the system |
//! | `service` | notifications to systemd |
//! | `http` | health, metrics, the API, event streams, the page |
//! | `database`, `source` | the two ends: Postgres by functions of schema `bindery`, Redis |
//! | `migrate`, `schema`, `kernel` | installing the schema, its versions, and the kernel |
//! | `dead_letters` | reading, replaying and dropping dead letters, for the API and the command |
//! | `commands` | operators' commands: doctor, watch, publish, dead-letters, simulate, manual |

mod answers;
mod broadcasts;
mod channel;
mod cli;
mod commands;
mod config;
mod database;
mod dead_letters;
mod dev;
mod files;
mod http;
mod kernel;
mod logging;
mod memory;
mod metrics;
mod migrate;
mod options;
mod outbox;
mod process;
mod relay;
mod retry;
mod run;
mod schema;
mod serve;
mod service;
mod source;
mod state;
mod sweep;

use std::process::ExitCode;

use clap::CommandFactory;
use cli::{Cli, Command};
use config::Stop;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let cli = match config::load(&arguments) {
        Ok(cli) => cli,
        // clap prints help and usage errors itself and exits with 0 or 2.
        Err(Stop::Usage(error)) => cli::without_secrets(error).exit(),
        Err(Stop::Print(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(Stop::Faults(text)) => {
            eprint!("{text}");
            return ExitCode::from(2);
        }
    };
    let mut log = logging::init(cli.log_format);
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                log.failed(&anyhow::Error::new(error).context("the runtime does not start"));
                return ExitCode::FAILURE;
            }
        };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Run(options) => run::run(*options).await,
            Command::Serve(options) => serve::serve(*options).await,
            Command::Dev(options) => dev::dev(*options).await,
            Command::Migrate(options) => migrate::migrate(&options).await,
            Command::Migration(options) => migrate::print(&options),
            Command::Watch(options) => commands::watch(&options).await,
            Command::Doctor(options) => commands::doctor(&options).await,
            Command::Publish(options) => commands::publish(&options).await,
            Command::DeadLetters(options) => commands::dead_letters(&options).await,
            Command::Simulate(options) => commands::simulate(&options).await,
            Command::Completions(options) => commands::completions(&options, Cli::command()),
            Command::Man(options) => commands::man(&options, Cli::command()),
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.failed(&error);
            ExitCode::FAILURE
        }
    }
}
