//! Waiting for a condition.

use std::fmt::Display;
use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, sleep, timeout_at};

/// Longer than any successful wait, even on a busy machine.
pub const SOON: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_millis(20);

/// Calls `probe` until it returns `Ok`, and fails after `limit`. A probe's error describes the
/// current state instead of `what`; the failure has the last one.
pub async fn eventually<T, E: Display>(
    limit: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<T, E>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + limit;
    let mut seen = String::from("(nothing: the first look did not come to an end)");
    loop {
        match timeout_at(deadline, probe()).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(instead)) => seen = format!("{instead:#}"),
            Err(_) => {}
        }
        if Instant::now() + PAUSE >= deadline {
            bail!("waited {limit:?} in vain for: {what}\nlast seen: {seen}");
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_returns_the_result_of_its_probe() {
        let mut looks = 0;
        let found = eventually(Duration::from_secs(5), "the third look", async || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err(looks) }
        });
        assert_eq!(found.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_failed_wait_has_the_last_error() {
        let limit = Duration::from_millis(50);
        let failure = eventually(limit, "rain", async || Err::<(), _>("sunshine"))
            .await
            .unwrap_err()
            .to_string();
        assert!(failure.contains("rain") && failure.contains("sunshine"), "{failure}");
    }

    #[tokio::test]
    async fn a_wait_does_not_outlast_its_limit_for_a_probe_that_hangs() {
        let hanging = eventually(Duration::from_millis(50), "an answer", async || {
            std::future::pending::<Result<(), String>>().await
        });
        assert!(hanging.await.is_err());
    }
}
