//! The schema's texts: `sql/` is compiled in, and its versions are made of it. One daemon, one schema.
//!
//! `sql/1*.sql` are tables, made once; everything else at the top of `sql/` is code, which can be laid over itself. A version
//! that is out stands in `sql/released/`, whole and frozen. The one that is not out yet is made of its file in `sql/upgrades/`
//! (what cannot be laid over itself), the tables' comments, and all code.

use std::path::Path;

use anyhow::Context;
use include_dir::{Dir, File, include_dir};
use refinery::Migration;

/// One object a file; the names' numbers are the order.
static SQL: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sql");

/// How psql is told to include a file of the folder above; an upgrade makes a new table with it.
const INCLUDE: &str = "\\ir ../";

/// All files of `sql/`, or of a folder in it, in their order.
pub fn files(folder: &str) -> anyhow::Result<String> {
    Ok(texts(folder)?.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n"))
}

/// One file of `sql/`.
pub fn file(name: &str) -> anyhow::Result<&'static str> {
    SQL.get_file(name).and_then(File::contents_utf8).with_context(|| format!("sql/ lacks {name}"))
}

/// A number that another text would not have.
pub fn checksum(text: &str) -> anyhow::Result<u64> {
    Ok(Migration::unapplied("V1__text", text)?.checksum())
}

/// Every version, the oldest first; the last one is what `sql/` says now.
pub fn versions() -> anyhow::Result<Vec<Migration>> {
    let mut versions = Vec::new();
    for (path, text) in texts("released")? {
        versions.push(Migration::unapplied(&version_name(path)?, text)?);
    }
    for (path, steps) in texts("upgrades")? {
        versions.push(Migration::unapplied(&version_name(path)?, &upgrade(steps)?)?);
    }
    Ok(versions)
}

/// The newest version's number.
pub fn newest() -> anyhow::Result<i32> {
    Ok(versions()?.last().context("sql/ has no version")?.version())
}

/// `0002_rules.sql` is `V2__rules` to refinery.
fn version_name(path: &Path) -> anyhow::Result<String> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let (number, name) = stem.and_then(|stem| stem.split_once('_')).with_context(|| format!("{}", path.display()))?;
    Ok(format!("V{}__{name}", number.trim_start_matches('0')))
}

fn upgrade(steps: &'static str) -> anyhow::Result<String> {
    let mut parts = Vec::new();
    for line in steps.lines() {
        parts.push(line.strip_prefix(INCLUDE).map_or(Ok(line), file)?);
    }
    for (path, text) in texts("")? {
        parts.push(if is_table(path) { comments(text) } else { text });
    }
    Ok(parts.join("\n"))
}

/// Tables are numbered 100 to 199.
fn is_table(path: &Path) -> bool {
    path.to_string_lossy().starts_with('1')
}

/// A table's file ends with its comments.
fn comments(text: &str) -> &str {
    text.find("\ncomment on ").map_or("", |place| &text[place..])
}

fn texts(folder: &str) -> anyhow::Result<Vec<(&'static Path, &'static str)>> {
    let folder = if folder.is_empty() { Some(&SQL) } else { SQL.get_dir(folder) };
    let mut files: Vec<_> = folder
        .context("sql/ lacks a folder")?
        .files()
        .filter(|file| file.path().extension().is_some_and(|end| end == "sql"))
        .collect();
    files.sort_by_key(|file| file.path());
    let texts: Option<Vec<_>> = files.iter().map(|file| Some((file.path(), file.contents_utf8()?))).collect();
    texts.context("a file of sql/ is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines that begin a statement; what stands in a function's body, or in a comment, is indented or quoted.
    fn statements(text: &str) -> Vec<&str> {
        let begins =
            ["create ", "alter ", "drop ", "comment on ", "insert ", "update ", "delete ", "grant ", "revoke ", "do "];
        text.lines().filter(|line| begins.iter().any(|begin| line.starts_with(begin))).collect()
    }

    #[test]
    fn the_schema_is_compiled_in_and_in_order() {
        let schema = files("").unwrap();
        let place = |text: &str| schema.find(text).unwrap_or_else(|| panic!("{text} is missing"));
        assert!(place("create schema if not exists bindery") < place("create table bindery.pipelines"));
        assert!(place("create table bindery.pipelines") < place("create table bindery.book_status"));
    }

    #[test]
    fn versions_count_from_one() {
        let numbers: Vec<i32> = versions().unwrap().iter().map(Migration::version).collect();
        assert_eq!(numbers, (1..=newest().unwrap()).collect::<Vec<_>>());
    }

    /// refinery's checksum of each; a database that has the version refuses to go on with another text.
    #[test]
    fn what_is_released_stays_as_it_was() {
        let checksums = [4_837_658_892_674_064_429];
        for (version, checksum) in versions().unwrap().iter().zip(checksums) {
            assert_eq!(
                version.checksum(),
                checksum,
                "{version} was changed; a change is a new version, in sql/upgrades/"
            );
        }
        assert_eq!(texts("released").unwrap().len(), checksums.len(), "add the checksum of what was released");
    }

    #[test]
    fn every_file_is_a_table_or_code() {
        for (path, text) in texts("").unwrap() {
            let path = path.display();
            for statement in statements(text) {
                let remade =
                    ["create or replace ", "create schema if not exists ", "create policy ", "drop policy if exists "];
                let is_code = remade.iter().any(|begin| statement.starts_with(begin));
                let is_either =
                    ["comment on ", "grant ", "revoke ", "do "].iter().any(|begin| statement.starts_with(begin));
                assert!(
                    is_either || is_code != is_table(Path::new(&path.to_string())),
                    "{path}: {statement}\nTables are numbered 1xx and hold no code; code can be laid over itself."
                );
            }
        }
    }

    #[test]
    fn a_table_ends_with_its_comments() {
        for (path, text) in texts("").unwrap().into_iter().filter(|(path, _)| is_table(path)) {
            let comments = statements(comments(text));
            assert!(!comments.is_empty(), "{}: no comments", path.display());
            assert!(comments.iter().all(|line| line.starts_with("comment on ")), "{}: {comments:#?}", path.display());
        }
    }

    #[test]
    fn every_function_pins_its_search_path() {
        let schema = files("").unwrap() + "\n" + &files("portable").unwrap();
        let schema = schema.replace("create or replace function ", "create function ");
        for function in schema.split("\ncreate function ").skip(1) {
            let head = function.split("\nas $$").next().unwrap();
            assert!(head.contains("set search_path = ''"), "{}", head.lines().next().unwrap());
        }
    }
}
