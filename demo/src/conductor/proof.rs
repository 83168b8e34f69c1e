//! The proof: what the work logs say about units done twice, and about who drew what.

use anyhow::{Result, bail};

use super::saboteur::is_panel;
use crate::work::files::BookDir;
use crate::work::ledger::{Entry, done_twice, read};

/// What a book's log shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Finished units over all stages and attempts.
    pub units: usize,
    /// Panels that attempts after the first drew.
    pub drawn_later: usize,
    /// The attempt that drew the last panel.
    pub last_attempt: u32,
}

/// Reads a book's log; an error names the units done twice, or says how many panels are missing.
pub fn check(dir: &BookDir, panels: usize) -> Result<Proof> {
    judge(&read(&dir.log())?, panels)
}

fn judge(log: &[Entry], panels: usize) -> Result<Proof> {
    let twice = done_twice(log);
    if !twice.is_empty() {
        let names: Vec<String> = twice
            .iter()
            .map(|((stage, substep, unit), times)| {
                format!("{stage} {substep} {unit} ({times} times)")
            })
            .collect();
        bail!("finished units were done again: {}", names.join(", "));
    }
    let drawn: Vec<&Entry> = log.iter().filter(|entry| is_panel(&entry.key)).collect();
    if drawn.len() != panels {
        bail!("{} of {panels} panels stand in the work log", drawn.len());
    }
    Ok(Proof {
        units: log.len(),
        drawn_later: drawn.iter().filter(|entry| entry.attempt > 1 && !entry.found).count(),
        last_attempt: drawn.iter().map(|entry| entry.attempt).max().unwrap_or(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: &[&str]) -> Vec<Entry> {
        lines.iter().map(|line| line.parse().unwrap()).collect()
    }

    #[test]
    fn a_clean_log_is_a_proof() {
        let log = log(&[
            "ANALYZING extract_text 1 1 7",
            "CREATING_ARTWORK chapter_1 1 1 8",
            "CREATING_ARTWORK chapter_1 2 2 9 found",
            "CREATING_ARTWORK chapter_2 1 2 9",
            "CREATING_ARTWORK bind 1 2 9",
        ]);
        assert_eq!(judge(&log, 3).unwrap(), Proof { units: 5, drawn_later: 1, last_attempt: 2 });
    }

    #[test]
    fn a_unit_done_twice_or_never_is_none() {
        let twice = log(&["CREATING_ARTWORK chapter_1 1 1 8", "CREATING_ARTWORK chapter_1 1 2 9"]);
        let error = judge(&twice, 1).unwrap_err().to_string();
        assert!(error.contains("CREATING_ARTWORK chapter_1 1 (2 times)"), "{error}");
        assert!(judge(&log(&["CREATING_ARTWORK chapter_1 1 1 8"]), 2).is_err());
    }
}
