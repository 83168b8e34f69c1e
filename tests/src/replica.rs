//! A Postgres that replicates another one, and can be promoted.

use std::net::SocketAddr;

use anyhow::Result;
use tokio_postgres::Client;

use crate::database::connect;
use crate::leash::Leash;

/// A streaming replica: a hot standby until [`Replica::promote`]. It ends, and its folder goes,
/// when this is dropped or the test program ends in any way.
#[derive(Debug)]
pub struct Replica {
    leash: Leash,
    database_url: String,
}

impl Replica {
    /// What `synchronous_standby_names` and `pg_stat_replication` call it.
    pub const NAME: &str = "replica";

    /// A copy of the server at this URL that follows it; at this address, or at a free one. It
    /// reads what it follows from the URL's host, which may be a proxy.
    pub async fn start(primary_url: &str, at: Option<SocketAddr>) -> Result<Replica> {
        let (server, _) = primary_url.rsplit_once('/').unwrap_or((primary_url, ""));
        let primary = format!("{server}/?application_name={}", Self::NAME);
        let leash = Leash::start_replica(&primary, at).await?;
        let database_url = leash.variable("DATABASE_URL")?;
        Ok(Replica { leash, database_url })
    }

    /// Where this database is reached, as superuser.
    pub fn url_of(&self, database: &str) -> String {
        crate::servers::url_of(&self.database_url, database)
    }

    /// A session in this database.
    pub async fn connect(&self, database: &str) -> Result<Client> {
        connect(&self.url_of(database)).await
    }

    /// Makes it a primary, and waits until it is one.
    pub async fn promote(&self) -> Result<()> {
        let client = connect(&self.database_url).await?;
        let promoted: bool = client.query_one("select pg_promote()", &[]).await?.get(0);
        anyhow::ensure!(promoted, "it was not promoted in time");
        Ok(())
    }

    /// Ends it and all its sessions by SIGKILL.
    pub async fn kill9(&self) -> Result<()> {
        self.leash.run("kill9-postgres", &[]).await
    }
}
