//! Calls to Postgres, only through the functions of schema `bindery`.
//!
//! | module | subject |
//! |---|---|
//! | `relay` | the daemon's calls |
//! | `policy` | what a relay does after a call failed |
//!
//! `bindery_client` has the URLs and the connections.

mod policy;
mod relay;

use std::future::poll_fn;

use tokio_postgres::{AsyncMessage, Client};

use bindery_client::postgres::{Connected, open};
pub use bindery_client::postgres::{DatabaseError, DatabaseUrl, Transport};

pub use policy::{Policy, is_too_much};
pub use relay::{Applied, FUNCTIONS, Lease};

/// Opens a connection, which ends when the client is dropped.
pub async fn connect(url: &DatabaseUrl) -> Result<Client, DatabaseError> {
    Ok(connect_described(url).await?.0)
}

/// Opens a connection, and describes its transport.
pub async fn connect_described(url: &DatabaseUrl) -> Result<(Client, Transport), DatabaseError> {
    let Connected { client, connection, transport } = open(url).await?;
    tokio::spawn(async move {
        // The client's calls return the same error.
        if let Err(error) = connection.await {
            tracing::debug!(error = %error, "a connection to Postgres ended");
        }
    });
    Ok((client, transport))
}

/// Opens a connection that passes its notifications to a callback.
pub async fn connect_listening(
    url: &DatabaseUrl,
    notified: impl Fn(&str) + Send + 'static,
) -> Result<Client, DatabaseError> {
    let Connected { client, mut connection, .. } = open(url).await?;
    tokio::spawn(async move {
        // The client's calls return the same error.
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                notified(notification.payload());
            }
        }
    });
    Ok(client)
}
