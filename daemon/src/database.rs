//! Postgres, by the functions of schema `bindery` and nothing else.

mod error;
mod relay;
mod url;

use std::future::poll_fn;
use std::time::Duration;

use tokio_postgres::{AsyncMessage, Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

pub use error::{DatabaseError, Policy};
pub use relay::{Applied, FUNCTIONS, Lease};
pub use url::DatabaseUrl;

/// No server that is there takes longer to say so.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// TLS by the system's certificates; whether it is used is the URL's `sslmode`.
pub fn tls() -> MakeRustlsConnect {
    match MakeRustlsConnect::with_native_certs() {
        Ok((tls, _unreadable)) => tls,
        // A bare machine has no certificates at all: then no TLS can be trusted, but a plain connection may still be asked for.
        Err(_none) => {
            let nobody = rustls::RootCertStore::empty();
            MakeRustlsConnect::new(
                rustls::ClientConfig::builder()
                    .with_root_certificates(nobody)
                    .with_no_client_auth(),
            )
        }
    }
}

/// What the URL says, and what every connection of ours does besides.
pub fn config(url: &DatabaseUrl) -> Config {
    let mut config = url.config().clone();
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    // A server that vanished without a word is noticed within half a minute.
    config
        .keepalives_idle(Duration::from_secs(10))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3);
    config.tcp_user_timeout(Duration::from_secs(20));
    if config.get_application_name().is_none() {
        config.application_name("binderyd");
    }
    config
}

/// A connection of one's own. It ends when the client is dropped.
pub async fn connect(url: &DatabaseUrl) -> Result<Client, DatabaseError> {
    let (client, connection) = config(url).connect(tls()).await?;
    tokio::spawn(async move {
        // Whoever uses the client sees the same error from its call, and tells it.
        if let Err(error) = connection.await {
            tracing::debug!(error = %error, "a connection to Postgres ended");
        }
    });
    Ok(client)
}

/// A connection of one's own that says what it is notified of.
pub async fn connect_listening(
    url: &DatabaseUrl,
    notified: impl Fn(&str) + Send + 'static,
) -> Result<Client, DatabaseError> {
    let (client, mut connection) = config(url).connect(tls()).await?;
    tokio::spawn(async move {
        // An error is seen by whoever uses the client, too.
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                notified(notification.payload());
            }
        }
    });
    Ok(client)
}
