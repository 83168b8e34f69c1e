//! How long to pause between tries.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// The longest pause.
pub const MAX_PAUSE: Duration = Duration::from_secs(5);

/// An endless row of pauses.
pub type Pauses = backon::ExponentialBackoff;

/// Pauses between tries: doubling, with jitter, for ever.
pub fn pauses() -> Pauses {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(MAX_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}
