//! A worker on the Rust client, for the end-to-end tests: `client BOOK ITEMS`, with `BINDERY_URL`
//! in its environment.
//!
//! It goes through the first stage of the pipeline comic, prints a line for each item that it
//! processes, and waits forever at the item `STOPS_AT`.

use anyhow::{Context, Result};
use bindery_client::Client;

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let book = args.next().context("usage: client BOOK ITEMS")?;
    let items: u64 = args.next().context("usage: client BOOK ITEMS")?.parse()?;
    let stops_at: Option<u64> = std::env::var("STOPS_AT").ok().map(|at| at.parse()).transpose()?;
    let book = Client::from_env()?.book(book).title("The Tide").register()?;
    book.stage("ANALYZING")
        .run(async |stage| {
            println!("attempt {:?}", stage.attempt());
            for item in stage.track("extract_text", 0..items).unit("page") {
                let item = item?;
                println!("item {item}");
                if stops_at == Some(item) {
                    std::future::pending::<()>().await;
                }
            }
            anyhow::Ok(())
        })
        .await
}
