//! How long calls take, as the client sees it, and medians.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

/// How long several calls of one kind took.
#[derive(Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Runs a prepared statement, and keeps the time until all its rows have arrived.
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

/// The ratio of two medians, and both of them in words.
pub fn ratio(of: &Times, to: &Times) -> Result<(f64, String)> {
    let (of, to) = (of.median()?, to.median()?);
    Ok((of / to, format!("{of:.0} to {to:.0} us at the median")))
}

/// The value in the middle; of an even number of values the higher one of the two.
pub fn median(values: &[f64]) -> Result<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().context("nothing was measured")
}
