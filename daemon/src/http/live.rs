//! How books are read: from Postgres, and again when they change.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::hub::Hub;
use super::pool::Pool;

/// At most this many slow readers of all books query Postgres at a time; the rest of the pool is
/// for other requests.
const CATCHING_UP: usize = 2;
/// The interval of comments that keep the connection open, and of checks of the token, the rights
/// and the book.
pub const CHECK_EVERY: Duration = Duration::from_secs(15);
/// The interval of these checks while Postgres does not notify.
const POLL_EVERY: Duration = Duration::from_secs(2);

/// Reads books.
#[derive(Debug, Clone)]
pub struct Live {
    /// Connections to Postgres.
    pub pool: Pool,
    /// The subscriptions to changes.
    pub hub: Hub,
    /// Limits how many slow readers query Postgres at once.
    pub catching_up: Arc<Semaphore>,
}

impl Live {
    /// Reads through this pool.
    pub fn new(pool: Pool) -> Self {
        Self { pool, hub: Hub::default(), catching_up: Arc::new(Semaphore::new(CATCHING_UP)) }
    }

    /// How often a book that has not changed is read again.
    pub fn poll_interval(&self) -> Duration {
        if self.hub.is_notified() { CHECK_EVERY } else { POLL_EVERY }
    }
}
