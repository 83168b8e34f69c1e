//! The parts that all long-running commands share: the HTTP port, metrics, notifications to
//! systemd, and a clean stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::commands::Subject;
use crate::files;
use crate::http::{self, Examine, Http, HttpOptions, Served};
use crate::memory;
use crate::metrics::Exporter;
use crate::service;
use crate::state::State;

/// How long a stop may take. After this grace period, unfinished tasks are aborted and logged.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How long the event streams may take to send their end.
const END_STREAMS_WITHIN: Duration = Duration::from_secs(1);

/// A process that is being set up.
#[derive(Debug)]
pub struct Process {
    /// Cancelled when the process stops.
    pub stop: CancellationToken,
    /// The state of its tasks.
    pub state: State,
    /// The tasks besides the HTTP server; each ends after `stop`, and not before.
    pub tasks: JoinSet<()>,
    files: u64,
    metrics: Exporter,
    listener: TcpListener,
    address: SocketAddr,
}

impl Process {
    /// Binds the HTTP port.
    pub async fn begin(options: &HttpOptions) -> anyhow::Result<Self> {
        let files = files::raise_limit();
        let state = State::default();
        let metrics = Exporter::install(state.clone())?;
        let listener = TcpListener::bind(options.http).await.with_context(|| {
            format!("{} cannot be listened on; choose another with --http", options.http)
        })?;
        let address = listener.local_addr()?;
        let (stop, tasks) = (CancellationToken::new(), JoinSet::new());
        Ok(Self { stop, state, tasks, files, metrics, listener, address })
    }

    /// The address of the HTTP port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves HTTP until SIGTERM, SIGINT, or the failure of a task. Reserves files for `sources`
    /// connections to Redis.
    pub async fn until_stopped(self, subject: Subject, sources: usize) -> anyhow::Result<()> {
        let Self { stop, state, mut tasks, files, metrics, listener, address } = self;
        let options = &subject.http;
        let others = usize::try_from(options.http_pool)? + http::BEYOND;
        let connections = files::connections(files, options.http_connections, sources, others);
        let served = Served {
            options: options.clone(),
            database: subject.database.clone(),
            state: state.clone(),
            publishes: subject.publishes(),
            examine: examine(subject),
        };
        let http = Http::new(served, listener, connections, metrics.clone(), &stop)?;
        // A second set, which is aborted at the end: an open connection must not delay the stop.
        let mut aside = JoinSet::new();
        aside.spawn(http.serve(stop.clone()));
        aside.spawn(metrics.upkeep());
        aside.spawn(memory::give_back());
        service::ready();
        aside.spawn(service::live(state));
        info!(http = %address, version = env!("CARGO_PKG_VERSION"), "binderyd runs");

        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let asked = async {
            tokio::select! {
                _ = terminate.recv() => (),
                _ = interrupt.recv() => (),
            }
        };
        let outcome = until_stop(asked, &mut tasks, &mut aside).await;
        service::stopping();
        info!("stopping: finishing what is in flight");
        stop.cancel();
        let stopped =
            tokio::time::timeout(STOP_WITHIN, async { while tasks.join_next().await.is_some() {} })
                .await;
        if stopped.is_err() {
            warn!(
                unfinished = tasks.len(),
                "stopped without an answer from Postgres or Redis; what was not applied is still \
                 in its stream"
            );
        }
        // Let the event streams send their end. Of the tasks in `aside`, only the HTTP server ends.
        let _ = tokio::time::timeout(END_STREAMS_WITHIN, aside.join_next()).await;
        outcome
    }
}

/// The checks of `binderyd doctor`, for the page.
fn examine(subject: Subject) -> Examine {
    let subject = Arc::new(subject);
    Examine(Arc::new(move || {
        let subject = subject.clone();
        Box::pin(async move { json!(subject.examine().await) })
    }))
}

/// Waits for a stop, or for the end of a task, which is a panic. The process then ends so that its
/// supervisor restarts it, rather than hold a stream without reading it.
async fn until_stop(
    asked: impl Future<Output = ()>,
    tasks: &mut JoinSet<()>,
    aside: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    let ended = tokio::select! {
        () = asked => return Ok(()),
        Some(ended) = tasks.join_next() => ended,
        Some(ended) = aside.join_next() => ended,
    };
    match ended {
        Ok(()) => anyhow::bail!("a part of the daemon has ended unexpectedly; start it again"),
        Err(error) => {
            Err(error).context("a part of the daemon has failed; start it again, nothing is lost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test]
    async fn a_panic_of_a_task_ends_the_daemon_and_a_requested_stop_is_no_failure() {
        let (mut tasks, mut aside) = (JoinSet::new(), JoinSet::new());
        tasks.spawn(pending());
        aside.spawn(pending());
        assert!(until_stop(async {}, &mut tasks, &mut aside).await.is_ok());
        aside.spawn(async { panic!("by the test") });
        let error = until_stop(pending(), &mut tasks, &mut aside).await.unwrap_err();
        assert!(error.to_string().contains("start it again"), "{error}");
        tasks.spawn(async { panic!("by the test") });
        assert!(until_stop(pending(), &mut tasks, &mut aside).await.is_err());
    }
}
