//! The notifications of `NOTIFY bindery`, in order.

use std::future::poll_fn;

use anyhow::{Context, Result};
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client, NoTls};

/// A session that listens on the channel `bindery`.
#[derive(Debug)]
pub struct Listener {
    payloads: mpsc::UnboundedReceiver<String>,
    // Dropping it ends the session.
    _client: Client,
}

impl Listener {
    /// Listens in the database at `url`; no commit after this returns is missed.
    pub async fn start(url: &str) -> Result<Listener> {
        let (client, mut connection) = tokio_postgres::connect(url, NoTls).await?;
        let (sender, payloads) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await
            {
                if let AsyncMessage::Notification(notification) = message
                    && sender.send(notification.payload().to_owned()).is_err()
                {
                    break;
                }
            }
        });
        client.batch_execute("listen bindery").await?;
        Ok(Listener { payloads, _client: client })
    }

    /// The next payload.
    pub async fn next(&mut self) -> Result<String> {
        self.payloads.recv().await.context("the listening session ended")
    }
}
