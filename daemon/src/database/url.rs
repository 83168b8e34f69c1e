//! A Postgres URL that never shows its secrets.

use std::fmt;
use std::str::FromStr;

use tokio_postgres::Config;

/// Where Postgres is, and how to log in there.
#[derive(Clone)]
pub struct DatabaseUrl(Config);

impl DatabaseUrl {
    /// What the URL says.
    pub fn config(&self) -> &Config {
        &self.0
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The parser's own message may quote the URL, and with it the password.
        text.parse().map(Self).map_err(|_| {
            "not a Postgres URL; give postgresql://user:password@host:5432/database".to_owned()
        })
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DatabaseUrl({:?}/{:?})", self.0.get_hosts(), self.0.get_dbname())
    }
}
