//! Returns free memory to the system.
//!
//! The C library keeps freed memory between blocks that are in use. Without this, the process stays
//! at its largest size after many slow readers have gone.

use std::time::Duration;

/// The interval between two measurements.
const MEASURE_EVERY: Duration = Duration::from_secs(5);
/// The size of the process from which on memory is returned.
const LARGE: u64 = 40 * 1024 * 1024;

/// Returns free memory while the process is large, until it is dropped.
pub async fn give_back() {
    loop {
        tokio::time::sleep(MEASURE_EVERY).await;
        if resident().is_some_and(|bytes| bytes > LARGE) {
            // Takes some milliseconds, during which other threads may wait for memory.
            let _ = tokio::task::spawn_blocking(trim).await;
        }
    }
}

/// The resident size of the process, in bytes.
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
