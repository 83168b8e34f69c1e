//! Durations of calls as the client measures them, and medians.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

/// The durations of several calls of one kind.
#[derive(Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Runs a prepared statement, and records the time until all its rows have arrived.
    pub async fn measure(
        &mut self,
        client: &Client,
        statement: &Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        let start = Instant::now();
        let rows = client.query(statement, parameters).await?;
        self.0.push(start.elapsed());
        Ok(rows)
    }

    /// The median in microseconds.
    pub fn median(&self) -> Result<f64> {
        let seconds: Vec<f64> = self.0.iter().map(Duration::as_secs_f64).collect();
        Ok(median(&seconds)? * 1e6)
    }
}

/// The ratio of two medians, and a text with both.
pub fn ratio(of: &Times, to: &Times) -> Result<(f64, String)> {
    let (of, to) = (of.median()?, to.median()?);
    Ok((of / to, format!("{of:.0} to {to:.0} us at the median")))
}

/// The middle value; of an even number of values the higher of the two.
pub fn median(values: &[f64]) -> Result<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().context("nothing was measured")
}
