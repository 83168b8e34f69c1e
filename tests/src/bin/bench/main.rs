//! The benchmarks: real Postgres, Redis and daemon on this machine. Prints a table, then one line
//! of JSON per figure.
//!
//! Figures compare runs on one machine. docs/benchmarks.md defines each, and states the machine of
//! each measurement.

mod figure;
mod kernels;
mod million;
mod peer;
mod relay;
mod stage;
mod steady;
mod timing;
mod track;
mod transition;

use anyhow::{Result, bail, ensure};

/// The groups and the benchmarks in them; `make bench ONLY=…` names one of either.
const NAMES: [(&str, &[&str]); 4] = [
    ("relay", &["drain", "wide", "large", "latency", "steady"]),
    ("peer", &["peer"]),
    ("client", &["track"]),
    ("rules", &["transition", "stage", "kernels", "million"]),
];

#[tokio::main]
async fn main() -> Result<()> {
    let only = std::env::args().nth(1);
    let wanted: Vec<&str> = NAMES
        .iter()
        .flat_map(|(group, names)| names.iter().map(move |name| (*group, *name)))
        .filter(|(group, name)| only.as_deref().is_none_or(|only| only == *group || only == *name))
        .map(|(_, name)| name)
        .collect();
    ensure!(!wanted.is_empty(), "no benchmark {only:?}; there are {NAMES:?}");
    let servers = bindery_tests::Servers::start().await?;
    let mut figures = Vec::new();
    for name in wanted {
        match name {
            "drain" => relay::drain(&servers, &mut figures).await?,
            "wide" => relay::wide(&servers, &mut figures).await?,
            "large" => relay::large(&servers, &mut figures).await?,
            "latency" => relay::latency(&servers, &mut figures).await?,
            "steady" => steady::steady(&servers, &mut figures).await?,
            "peer" => peer::peer(&servers, &mut figures).await?,
            "track" => track::track(&servers, &mut figures).await?,
            "transition" => transition::transition(&servers, &mut figures).await?,
            "stage" => stage::stage(&servers, &mut figures).await?,
            "kernels" => kernels::kernels(&servers, &mut figures).await?,
            "million" => million::million(&servers, &mut figures).await?,
            _ => bail!("{name} has no function"),
        }
    }
    figure::print(&figures);
    Ok(())
}
