//! `serve`: the HTTP port alone. Nothing is relayed, published or swept, so that a hot standby, or
//! any other server that takes no writes, can answer readers.

use crate::answers;
use crate::cli::ServeOptions;
use crate::process::Process;

/// Serves until SIGTERM or SIGINT.
pub async fn serve(options: ServeOptions) -> anyhow::Result<()> {
    let database = options.database.database_url;
    let mut process = Process::begin(&options.http).await?;
    answers::watch(&database, &mut process);
    process.until_stopped(&options.http, &database, 0).await
}
