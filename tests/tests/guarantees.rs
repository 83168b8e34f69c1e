//! The tests that docs/guarantees.md names exist, and the files that docs/architecture.md names.

#![allow(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_test_that_the_guarantees_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for folder in ["tests/tests", "core/tests", "daemon/src"] {
        sources(&root.join(folder), &mut found);
    }
    let code: String = found.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let text = fs::read_to_string(root.join("docs/guarantees.md")).unwrap();
    let (_, promised) = text.split_once("## What is promised").unwrap();
    let (promised, _) = promised.split_once("\n\n## What is not promised").unwrap();
    // In a row's last column everything in backquotes is a test, or a file of pgTAP.
    let rows = promised.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let tests: Vec<&str> = rows
        .flat_map(|row| {
            row.trim_end_matches(" |")
                .rsplit(" | ")
                .next()
                .unwrap_or_default()
                .split('`')
                .skip(1)
                .step_by(2)
        })
        .collect();
    assert!(tests.len() > 20, "{tests:?}");
    let exists = |test: &str| match test.ends_with(".sql") {
        true => root.join(test).exists(),
        false => code.contains(&format!("fn {test}(")),
    };
    let missing: Vec<_> = tests.iter().filter(|test| !exists(test)).collect();
    assert!(missing.is_empty(), "no test is called {missing:?}");
}

#[test]
fn every_file_on_the_way_of_a_value_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let (_, way) = text.split_once("## One value's way").unwrap();
    let (way, _) = way.split_once("\n## ").unwrap();
    // In a row's first column everything in backquotes is a file.
    let files: Vec<&str> = way
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|row| row.split(" | ").next().unwrap_or_default().split('`').skip(1).step_by(2))
        .collect();
    assert!(files.len() > 15, "{files:?}");
    let missing: Vec<_> = files.iter().filter(|file| !root.join(file).is_file()).collect();
    assert!(missing.is_empty(), "there is no {missing:?}");
}
