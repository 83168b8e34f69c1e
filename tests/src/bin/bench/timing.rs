//! Medians of what one call takes, as its client sees it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

/// What several calls of one kind took.
#[derive(Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Runs a prepared statement on a connection, and keeps how long it took until all its rows were there.
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
        let mut sorted = self.0.clone();
        sorted.sort();
        let middle = sorted.get(sorted.len() / 2).context("nothing was measured")?;
        Ok(middle.as_secs_f64() * 1e6)
    }
}

/// The ratio of two medians, and both of them in words.
pub fn ratio(of: &Times, to: &Times) -> Result<(f64, String)> {
    let (of, to) = (of.median()?, to.median()?);
    Ok((of / to, format!("{of:.0} to {to:.0} us at the median")))
}
