//! A Postgres that replicates another one, and can be promoted.

use std::net::SocketAddr;

use anyhow::Result;
use tokio_postgres::Client;

use crate::database::connect;
use crate::leash::Leash;

/// A streaming replica: a hot standby until [`Replica::promote`]. It ends, and its folder is
/// removed, when this is dropped or the test program ends in any way.
#[derive(Debug)]
pub struct Replica {
    leash: Leash,
    database_url: String,
}

impl Replica {
    /// Its name in `synchronous_standby_names` and `pg_stat_replication`.
    pub const NAME: &str = "replica";

    /// A copy of the server at this URL that follows it, at this address or at a free one. It
    /// replicates from the URL's host, which may be a proxy.
    pub async fn start(primary_url: &str, at: Option<SocketAddr>) -> Result<Replica> {
        let (server, _) = primary_url.rsplit_once('/').unwrap_or((primary_url, ""));
        let primary = format!("{server}/?application_name={}", Self::NAME);
        let leash = Leash::start_replica(&primary, at).await?;
        let database_url = leash.variable("DATABASE_URL")?;
        Ok(Replica { leash, database_url })
    }

    /// The superuser's URL of this database.
    pub fn url_of(&self, database: &str) -> String {
        crate::servers::url_of(&self.database_url, database)
    }

    /// A session in this database.
    pub async fn connect(&self, database: &str) -> Result<Client> {
        connect(&self.url_of(database)).await
    }

    /// Promotes it, and waits until it is a primary.
    pub async fn promote(&self) -> Result<()> {
        let client = connect(&self.database_url).await?;
        let promoted: bool = client.query_one("select pg_promote()", &[]).await?.get(0);
        anyhow::ensure!(promoted, "it was not promoted in time");
        Ok(())
    }

    /// Kills it and all its sessions with SIGKILL.
    pub async fn kill9(&self) -> Result<()> {
        self.leash.run("kill9-postgres", &[]).await
    }
}
