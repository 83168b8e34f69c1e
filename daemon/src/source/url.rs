//! A Redis URL that never shows its secrets.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, RedisError};

/// No server that is there takes longer to say so.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where Redis is, and how to log in there.
#[derive(Clone)]
pub struct RedisUrl(Client);

impl RedisUrl {
    /// A connection of one's own, whose calls wait for `response_timeout` at most.
    pub async fn connect(&self, response_timeout: Duration) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(response_timeout));
        self.0.get_multiplexed_async_connection_with_config(&config).await
    }
}

impl FromStr for RedisUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The parser's own message may quote the URL, and with it the password.
        text.into_connection_info()
            .and_then(Client::open)
            .map(Self)
            .map_err(|_| "not a Redis URL; give redis://user:password@host:6379/ (rediss:// for TLS)".to_owned())
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RedisUrl({})", self.0.get_connection_info().addr())
    }
}
