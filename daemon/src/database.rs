//! Postgres, by the functions of schema `bindery` and nothing else.
//!
//! | module | subject |
//! |---|---|
//! | `url` | the URL or connection string, by libpq's rules |
//! | `connect` | hosts in turn, TLS and its fallbacks, time limits |
//! | `unanswered` | hosts that did not answer lately, which are tried last |
//! | `session` | `target_session_attrs` |
//! | `tls`, `certificate` | what is verified, and why a certificate is refused |
//! | `relay` | the daemon's calls |
//! | `error` | what Postgres can answer, and what to do about it |

mod certificate;
mod connect;
mod error;
mod relay;
mod session;
mod tls;
mod unanswered;
mod url;

use std::future::poll_fn;

use tokio_postgres::{AsyncMessage, Client};

pub use connect::Transport;
pub use error::{DatabaseError, Policy};
pub use relay::{Applied, FUNCTIONS, Lease};
pub use url::DatabaseUrl;

/// A connection of one's own. It ends when the client is dropped.
pub async fn connect(url: &DatabaseUrl) -> Result<Client, DatabaseError> {
    Ok(connect_described(url).await?.0)
}

/// The same, and how it goes to the server.
pub async fn connect_described(url: &DatabaseUrl) -> Result<(Client, Transport), DatabaseError> {
    let connect::Connected { client, connection, transport } = connect::open(url).await?;
    tokio::spawn(async move {
        // The client's calls return the same error.
        if let Err(error) = connection.await {
            tracing::debug!(error = %error, "a connection to Postgres ended");
        }
    });
    Ok((client, transport))
}

/// A connection of one's own that passes on what it is notified of.
pub async fn connect_listening(
    url: &DatabaseUrl,
    notified: impl Fn(&str) + Send + 'static,
) -> Result<Client, DatabaseError> {
    let connect::Connected { client, mut connection, .. } = connect::open(url).await?;
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
