//! Structured logs on standard error: what happened, once, with its fields. `RUST_LOG` filters.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::cli::LogFormat;

/// Starts logging in this format.
pub fn init(format: LogFormat) {
    // refinery tells each migration at info, which migrate says in its own words.
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,refinery_core=warn"));
    let colours = std::io::stderr().is_terminal();
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(colours);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => {
            builder.json().flatten_event(true).init();
            // A reader of JSON has no use for lines that are none. Text keeps Rust's own form, with its backtrace.
            std::panic::set_hook(Box::new(
                |panic| tracing::error!(panic = %panic, "a part of the daemon panicked"),
            ));
        }
    }
}

/// Says what the program ends with.
pub fn failed(format: LogFormat, error: &anyhow::Error) {
    match format {
        LogFormat::Text => eprintln!("binderyd: {error:#}"),
        LogFormat::Json => tracing::error!(error = %format_args!("{error:#}"), "binderyd failed"),
    }
}
