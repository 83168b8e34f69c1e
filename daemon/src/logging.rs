//! Structured logs on standard error. `RUST_LOG` filters.
//!
//! A thread of its own writes the lines. Where standard error cannot be written to, or nobody reads
//! it, lines are lost and counted; nothing else waits or fails.

use std::io::{self, ErrorKind, IsTerminal, Stderr, Write, stderr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::cli::LogFormat;

/// Lines that wait to be written. A line has some 300 bytes.
const WAITING: usize = 2048;
/// How long to wait where standard error is non-blocking and full.
const FULL: Duration = Duration::from_millis(10);

/// Lines that could not be written.
static UNWRITTEN: AtomicU64 = AtomicU64::new(0);
/// Lines that found no room.
static WITHOUT_ROOM: OnceLock<ErrorCounter> = OnceLock::new();

/// How long the end of the program waits for lines that are not written yet.
const END_WITHIN: Duration = Duration::from_millis(1500);

/// The log. When it is dropped, it waits for what is not written yet, for a limited time.
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
    // Rust's own hook writes to standard error itself, and may wait there for ever.
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

/// Lines lost since the start.
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
                // It keeps the line, or counts it as lost.
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
        // Where the queue is full, the library's own end writes to standard output, which may be
        // the same pipe that nobody reads: it gets a thread of its own.
        let ending = thread::Builder::new().spawn(move || {
            drop(worker);
            drop(ended);
        });
        if ending.is_ok() {
            let _ = end.recv_timeout(END_WITHIN);
        }
    }
}

/// Standard error, which counts what it could not write.
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
