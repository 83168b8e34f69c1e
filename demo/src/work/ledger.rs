//! The work log: one line for each finished unit, written between its file's rename and its report. It proves that no
//! finished unit was done twice.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Error, Result, bail};

/// A unit's name: stage, substep, number.
pub type Key = (String, String, usize);

/// One line: `STAGE substep unit attempt pid`, and `found` at its end where the unit's file was there already, finished
/// by a worker that was killed before it could write this line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The unit.
    pub key: Key,
    /// The attempt that did or found it.
    pub attempt: u32,
    /// The worker's process id.
    pub pid: u32,
    /// It was found finished.
    pub found: bool,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stage, substep, unit) = &self.key;
        let found = if self.found { " found" } else { "" };
        write!(f, "{stage} {substep} {unit} {} {}{found}", self.attempt, self.pid)
    }
}

impl FromStr for Entry {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let (fields, found) = match words.as_slice() {
            [fields @ .., "found"] => (fields, true),
            fields => (fields, false),
        };
        let [stage, substep, unit, attempt, pid] = fields else {
            bail!(
                "a line of the work log should read `STAGE substep unit attempt pid`, and is {line:?}"
            );
        };
        let key = ((*stage).to_owned(), (*substep).to_owned(), unit.parse()?);
        Ok(Self { key, attempt: attempt.parse()?, pid: pid.parse()?, found })
    }
}

/// A worker's hand on the log.
#[derive(Debug)]
pub struct Ledger {
    file: File,
    entries: Vec<Entry>,
}

impl Ledger {
    /// Opens the log, and reads what earlier workers wrote.
    pub fn open(path: &Path) -> Result<Self> {
        let entries = read(path)?;
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self { file, entries })
    }

    /// Whether a unit stands in it.
    pub fn knows(&self, key: &Key) -> bool {
        self.entries.iter().any(|entry| entry.key == *key)
    }

    /// Appends a line, in one write.
    pub fn append(&mut self, entry: Entry) -> Result<()> {
        self.file
            .write_all(format!("{entry}\n").as_bytes())
            .context("cannot write to the work log")?;
        self.entries.push(entry);
        Ok(())
    }
}

/// All lines of a log; none where there is no log yet.
pub fn read(path: &Path) -> Result<Vec<Entry>> {
    match fs::read_to_string(path) {
        Ok(text) => text.lines().map(str::parse).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// The units that were done more than once, and how often.
pub fn done_twice(entries: &[Entry]) -> Vec<(Key, usize)> {
    let mut counts: BTreeMap<&Key, usize> = BTreeMap::new();
    for entry in entries {
        *counts.entry(&entry.key).or_default() += 1;
    }
    counts
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .map(|(key, count)| (key.clone(), count))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(substep: &str, unit: usize, attempt: u32, found: bool) -> Entry {
        Entry { key: ("CREATING_ARTWORK".into(), substep.into(), unit), attempt, pid: 7, found }
    }

    #[test]
    fn lines_are_read_as_they_were_written() {
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join("work.log");
        let written = [entry("chapter_1", 1, 1, false), entry("chapter_1", 2, 2, true)];
        let mut ledger = Ledger::open(&path).unwrap();
        written.iter().for_each(|entry| ledger.append(entry.clone()).unwrap());
        assert_eq!(
            fs::read_to_string(&path).unwrap().lines().next(),
            Some("CREATING_ARTWORK chapter_1 1 1 7")
        );
        assert_eq!(read(&path).unwrap(), written);
        assert!(Ledger::open(&path).unwrap().knows(&written[1].key));
        assert!(read(&out.path().join("none")).unwrap().is_empty());
    }

    #[test]
    fn a_unit_done_twice_is_found() {
        let once = [
            entry("chapter_1", 1, 1, false),
            entry("chapter_1", 2, 1, false),
            entry("chapter_2", 1, 2, true),
        ];
        assert!(done_twice(&once).is_empty());
        let twice = [once.as_slice(), &[entry("chapter_1", 2, 2, false)]].concat();
        assert_eq!(done_twice(&twice), [(once[1].key.clone(), 2)]);
    }

    #[test]
    fn a_broken_line_is_an_error_and_not_overlooked() {
        assert!("CREATING_ARTWORK chapter_1".parse::<Entry>().is_err());
        assert!("CREATING_ARTWORK chapter_1 x 1 7".parse::<Entry>().is_err());
    }
}
