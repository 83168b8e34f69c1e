//! Structured logs on standard error. `RUST_LOG` filters.
//!
//! A separate thread writes the lines. If standard error is closed or not read, lines are dropped
//! and counted; no other thread waits or fails.

use std::io::{self, ErrorKind, IsTerminal, Stderr, Write, stderr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The maximum number of queued lines, of about 300 bytes each.
const WAITING: usize = 2048;
/// How long to wait before the next try while a non-blocking standard error is full.
const FULL: Duration = Duration::from_millis(10);

/// The number of lines that could not be written.
static UNWRITTEN: AtomicU64 = AtomicU64::new(0);
/// The number of lines dropped because the queue was full.
static WITHOUT_ROOM: OnceLock<ErrorCounter> = OnceLock::new();

/// How long the end of the program waits for queued lines.
const END_WITHIN: Duration = Duration::from_millis(1500);

/// The log. Dropping it waits for queued lines, `END_WITHIN` at most.
pub struct Log {
    format: LogFormat,
    lines: NonBlocking,
    worker: Option<WorkerGuard>,
}

/// Starts logging in this format.
pub fn init(format: LogFormat) -> Log {
    let (lines, worker) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING)
        .lossy(true)
        .thread_name("log")
        .finish(Counting(stderr()));
    let _ = WITHOUT_ROOM.set(lines.error_counter());
    // refinery logs each migration at info, which migrate reports itself.
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,refinery_core=warn"));
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(lines.clone())
        .with_target(false)
        .with_ansi(stderr().is_terminal());
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    // Rust's default hook writes to standard error directly and may block forever.
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::capture();
        match backtrace.status() {
            std::backtrace::BacktraceStatus::Captured => {
                tracing::error!(panic = %panic, %backtrace, "a part of the daemon panicked");
            }
            _ => tracing::error!(panic = %panic, "a part of the daemon panicked"),
        }
    }));
    Log { format, lines, worker: Some(worker) }
}

/// The number of lines lost since the start.
pub fn lost() -> u64 {
    let without_room = WITHOUT_ROOM.get().map_or(0, ErrorCounter::dropped_lines);
    UNWRITTEN.load(Ordering::Relaxed) + without_room as u64
}

impl Log {
    /// Logs the error that the program ends with.
    pub fn failed(&mut self, error: &anyhow::Error) {
        match self.format {
            LogFormat::Text => {
                let line = format!("binderyd: {error:#}\n");
                // The writer queues the line or counts it as lost.
                let _ = self.lines.write_all(line.as_bytes());
            }
            LogFormat::Json => {
                tracing::error!(error = %format_args!("{error:#}"), "binderyd failed");
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let worker = self.worker.take();
        let (ended, end) = mpsc::channel::<()>();
        // With a full queue, the library's shutdown writes to standard output, which may block, so
        // it runs in a separate thread.
        let ending = thread::Builder::new().spawn(move || {
            drop(worker);
            drop(ended);
        });
        if ending.is_ok() {
            let _ = end.recv_timeout(END_WITHIN);
        }
    }
}

/// Standard error, with a count of failed writes.
struct Counting(Stderr);

impl Write for Counting {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.0.write(line) {
            // Another program with the same terminal or pipe may have made it non-blocking.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(FULL);
                Err(ErrorKind::Interrupted.into())
            }
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                UNWRITTEN.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
