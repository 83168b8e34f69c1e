//! `bindery-demo`: makes comics of the stories in a folder, through Bindery, and shows that a killed worker costs
//! nothing that was finished.

use std::process::ExitCode;

use bindery_demo::conductor::args::Args;
use bindery_demo::conductor::run::run;
use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bindery-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
