//! How long to pause between tries.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// The longest pause, jitter included.
pub const MAX_PAUSE: Duration = Duration::from_secs(5);

/// An endless row of pauses.
pub type Pauses = backon::ExponentialBackoff;

/// Pauses between tries: doubling, with jitter, without end.
pub fn pauses() -> Pauses {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        // The jitter is added to this limit, and is at most as long as the pause itself.
        .with_max_delay(MAX_PAUSE / 2)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_with_jitter_grow_to_the_documented_limit_and_no_further() {
        let pauses: Vec<_> = pauses().take(1000).collect();
        assert!(pauses.iter().all(|pause| *pause <= MAX_PAUSE), "{:?}", pauses.iter().max());
        assert!(pauses[0] < Duration::from_millis(150), "{:?}", pauses[0]);
        assert!(pauses[500..].iter().all(|pause| *pause >= MAX_PAUSE / 2));
        let jitter = pauses[500..].windows(2).any(|two| two[0] != two[1]);
        assert!(jitter, "daemons that failed together do not return together");
    }
}
