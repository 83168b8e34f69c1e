//! A daemon that requires tokens, and tokens for it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use bindery_tests::{Daemon, Database, Servers, token};
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

pub const SECRET: &str = "the secret of the tests: 32 bytes or more";

/// A daemon that requires tokens.
pub struct Guarded {
    pub database: Database<'static>,
    pub client: Client,
    pub daemon: Daemon,
}

impl Guarded {
    pub async fn start(args: &[&str]) -> Result<Guarded> {
        let database = Servers::shared().await?.database().await?;
        let client = database.connect().await?;
        let daemon = database.daemon(&[&["--jwt-secret", SECRET], args].concat()).await?;
        Ok(Guarded { database, client, daemon })
    }

    /// Registers a book of this owner.
    pub async fn book_of(&self, owner: Uuid, title: &str) -> Result<Uuid> {
        let book = Uuid::new_v4();
        self.client
            .query(
                "select from bindery.register_book($1, $2, title => $3)",
                &[&book, &owner, &title],
            )
            .await?;
        Ok(book)
    }
}

pub fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// A user's token, valid for an hour.
pub fn user(id: Uuid) -> Result<String> {
    let expires = seconds() + 3600;
    let role = "authenticated";
    token(SECRET, &json!({"role": role, "sub": id, "aud": role, "exp": expires}))
}

/// A worker's token with these claims.
pub fn worker(mut claims: Value) -> Result<String> {
    claims["role"] = json!("bindery_worker");
    claims["exp"] = json!(seconds() + 3600);
    token(SECRET, &claims)
}

pub fn service() -> Result<String> {
    token(SECRET, &json!({"role": "service_role", "exp": seconds() + 3600}))
}
