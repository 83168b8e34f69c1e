//! The limit of open files, which includes connections, and the share of HTTP.

use tracing::{debug, warn};

/// The highest limit that a daemon needs.
const ENOUGH: u64 = 65_536;
/// The assumed limit if it cannot be read.
const USUAL: u64 = 1024;
/// Files reserved for the process: logs, timers, the outbox, the sweeper, the port, name lookups.
const KEPT: u64 = 64;
/// Files reserved for each stream, including reconnections and the nodes of a cluster.
const KEPT_PER_STREAM: u64 = 8;

/// Raises the soft limit of open files as far as the hard limit allows; returns the new limit.
pub fn raise_limit() -> u64 {
    let (soft, hard) = rlimit::Resource::NOFILE.get().unwrap_or((USUAL, USUAL));
    let wanted = hard.min(ENOUGH);
    if soft >= wanted {
        return soft;
    }
    // A sandbox may forbid it.
    match rlimit::Resource::NOFILE.set(wanted, hard) {
        Ok(()) => wanted,
        Err(error) => {
            debug!(error = %error, soft, hard, "the limit of open files stays");
            soft
        }
    }
}

/// The limit of HTTP connections, at most `wanted`, that leaves enough files for the relays.
pub fn connections(limit: u64, wanted: u32, streams: usize, others: usize) -> usize {
    let kept = KEPT + KEPT_PER_STREAM * streams as u64 + others as u64;
    let wanted = u64::from(wanted);
    let connections = wanted.min(limit.saturating_sub(kept)).max(1);
    if connections < wanted {
        warn!(
            connections,
            wanted,
            files = limit,
            remedy = "raise the hard limit of open files (LimitNOFILE= in systemd, ulimit -Hn)",
            "fewer HTTP connections than --http-connections are accepted, so that relaying does not run out of files"
        );
    }
    usize::try_from(connections).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_leaves_the_files_that_relaying_needs() {
        assert_eq!(connections(65_536, 2048, 3, 40), 2048);
        assert_eq!(connections(1024, 2048, 2, 40), 1024 - 64 - 16 - 40);
        assert_eq!(connections(64, 2048, 9, 40), 1, "it still answers");
        assert_eq!(connections(1024, 10, 2, 40), 10);
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let (_, hard) = rlimit::Resource::NOFILE.get().unwrap();
        assert_eq!(raise_limit(), hard.min(ENOUGH).max(raise_limit()));
        let (soft, _) = rlimit::Resource::NOFILE.get().unwrap();
        assert!(soft >= hard.min(ENOUGH), "{soft} of {hard}");
    }
}
