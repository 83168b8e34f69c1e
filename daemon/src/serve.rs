//! `serve`: the HTTP port alone. It relays, publishes and sweeps nothing, so that it can serve
//! readers from a hot standby or another read-only server.

use crate::answers;
use crate::commands::Subject;
use crate::options::ServeOptions;
use crate::process::Process;

/// Serves until SIGTERM or SIGINT.
pub async fn serve(options: ServeOptions) -> anyhow::Result<()> {
    let database = options.database.database_url;
    let mut process = Process::begin(&options.http).await?;
    answers::watch(&database, &mut process);
    let subject = Subject { database, http: options.http, relaying: None };
    process.until_stopped(subject, 0).await
}
