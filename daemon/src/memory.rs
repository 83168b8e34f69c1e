//! Gives memory that is free back to the system.
//!
//! The C library keeps what was freed between what is still used. After many slow readers have
//! gone, the process would look as large as it ever was.

use std::time::Duration;

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Smaller, the process stays as it is.
const LARGE: u64 = 40 * 1024 * 1024;

/// Gives back while the process is large; ends when it is dropped.
pub async fn give_back() {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if resident().is_some_and(|bytes| bytes > LARGE) {
            // Some milliseconds, during which others may have to wait for memory.
            let _ = tokio::task::spawn_blocking(trim).await;
        }
    }
}

/// The memory that the process takes.
fn resident() -> Option<u64> {
    let process = metrics_process::collector::collect();
    process.resident_memory_bytes
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    // SAFETY: malloc_trim takes the allocator's own locks, may be called at any time by any thread,
    // and touches no memory that is in use.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}
