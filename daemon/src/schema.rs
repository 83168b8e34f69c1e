//! The schema's SQL, compiled in from `sql/`, and its versions.
//!
//! `sql/install.sql` lists the files of the schema in the order of installation, one
//! `\ir folder/file.sql` a line; `sql/kernel/install.sql` lists those of the portable kernel.
//! Files in `sql/tables/` run once. All other files are code, which an upgrade runs again.
//!
//! Version 1 is all of `sql/install.sql`. `sql/upgrades/README.md` describes later versions.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use include_dir::{Dir, DirEntry, include_dir};
use refinery_core::Migration;

static SQL: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sql");

/// The file that lists the schema's files.
const INSTALL: &str = "install.sql";

/// The file that lists the portable kernel's files.
const INSTALL_KERNEL: &str = "kernel/install.sql";

/// How a line of psql includes a file, relative to the file that the line is in.
const INCLUDE: &str = "\\ir ";

/// The files of `sql/`, by their paths below it.
#[derive(Debug)]
pub struct Schema {
    files: BTreeMap<String, Cow<'static, str>>,
}

impl Schema {
    /// The files that are compiled in.
    pub fn compiled_in() -> anyhow::Result<Self> {
        let mut files = BTreeMap::new();
        collect(&SQL, &mut files)?;
        Ok(Self { files })
    }

    /// The files of a folder that is laid out like `sql/`, or without one those compiled in.
    pub fn load(folder: Option<&Path>) -> anyhow::Result<Self> {
        let Some(folder) = folder else { return Self::compiled_in() };
        let mut files = BTreeMap::new();
        read(folder, "", &mut files)?;
        Ok(Self { files })
    }

    /// The whole schema: all files that `install.sql` lists.
    pub fn text(&self) -> anyhow::Result<String> {
        self.join(INSTALL)
    }

    /// The portable kernel: all files that `kernel/install.sql` lists.
    pub fn kernel(&self) -> anyhow::Result<String> {
        self.join(INSTALL_KERNEL)
    }

    /// One file, by its path below `sql/`.
    pub fn file(&self, path: &str) -> anyhow::Result<&str> {
        self.files.get(path).map(Cow::as_ref).with_context(|| format!("sql/ has no file {path}"))
    }

    /// Every version, the oldest first. The last one leads to what `install.sql` makes.
    pub fn versions(&self) -> anyhow::Result<Vec<Migration>> {
        let (released, upgrades) = (self.below("released/"), self.below("upgrades/"));
        ensure!(
            released.is_empty() == upgrades.is_empty() && upgrades.len() < 2,
            "sql/released/ must hold every version but the newest, and sql/upgrades/ the newest; \
             see sql/upgrades/README.md"
        );
        let mut versions = Vec::new();
        for path in released {
            versions.push(Migration::unapplied(&version_name(path)?, self.file(path)?)?);
        }
        for path in &upgrades {
            versions.push(Migration::unapplied(&version_name(path)?, &self.upgrade(path)?)?);
        }
        if versions.is_empty() {
            versions.push(Migration::unapplied("V1__bindery", &self.text()?)?);
        }
        let numbers = versions.iter().map(Migration::version);
        ensure!(numbers.eq((1..).take(versions.len())), "the versions must be numbered 1, 2, …");
        Ok(versions)
    }

    /// The newest version's number.
    pub fn newest(&self) -> anyhow::Result<i32> {
        Ok(self.versions()?.last().context("sql/ has no version")?.version())
    }

    /// The steps of an upgrade, then the comments of all tables and all code.
    fn upgrade(&self, path: &str) -> anyhow::Result<String> {
        let mut parts = Vec::new();
        for line in self.file(path)?.lines() {
            parts.push(match line.strip_prefix(INCLUDE) {
                Some(included) => self.file(&resolve(path, included)?)?,
                None => line,
            });
        }
        for path in self.listed(INSTALL)? {
            let text = self.file(&path)?;
            parts.push(if is_table(&path) { comments(text) } else { text });
        }
        Ok(parts.join("\n"))
    }

    fn join(&self, install: &str) -> anyhow::Result<String> {
        let paths = self.listed(install)?;
        let texts: anyhow::Result<Vec<_>> = paths.iter().map(|path| self.file(path)).collect();
        Ok(texts?.join("\n"))
    }

    /// The paths that an `install.sql` lists, in its order.
    fn listed(&self, install: &str) -> anyhow::Result<Vec<String>> {
        let mut paths = Vec::new();
        for line in self.file(install)?.lines().map(str::trim) {
            if line.is_empty() || line.starts_with("--") {
                continue;
            }
            let path = line
                .strip_prefix(INCLUDE)
                .with_context(|| format!("sql/{install}: `{line}` is no comment and no `\\ir`"))?;
            paths.push(resolve(install, path)?);
        }
        Ok(paths)
    }

    /// The paths of the `.sql` files in a folder, in the order of their names.
    fn below(&self, folder: &str) -> Vec<&str> {
        let paths = self.files.keys().map(String::as_str);
        paths.filter(|path| path.starts_with(folder)).collect()
    }
}

/// The checksum of a text, as refinery computes it for a version.
pub fn checksum(text: &str) -> anyhow::Result<u64> {
    Ok(Migration::unapplied("V1__text", text)?.checksum())
}

fn collect(
    folder: &Dir<'static>,
    files: &mut BTreeMap<String, Cow<'static, str>>,
) -> anyhow::Result<()> {
    for entry in folder.entries() {
        let path = entry.path().to_string_lossy();
        match entry {
            DirEntry::Dir(folder) => collect(folder, files)?,
            DirEntry::File(file) if is_sql(&path) => {
                let text = file.contents_utf8();
                let text = text.with_context(|| format!("sql/{path} is not UTF-8"))?;
                files.insert(path.into_owned(), Cow::Borrowed(text));
            }
            DirEntry::File(_) => {}
        }
    }
    Ok(())
}

fn read(
    root: &Path,
    folder: &str,
    files: &mut BTreeMap<String, Cow<'static, str>>,
) -> anyhow::Result<()> {
    let here = root.join(folder);
    for entry in std::fs::read_dir(&here).with_context(|| here.display().to_string())? {
        let entry = entry?;
        let path = format!("{folder}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            read(root, &format!("{path}/"), files)?;
        } else if is_sql(&path) {
            let text = std::fs::read_to_string(entry.path())
                .with_context(|| entry.path().display().to_string())?;
            files.insert(path, Cow::Owned(text));
        }
    }
    Ok(())
}

fn is_sql(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "sql")
}

/// The path below `sql/` of a file that another file includes.
fn resolve(from: &str, included: &str) -> anyhow::Result<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in included.trim().split('/') {
        if part != ".." {
            parts.push(part);
        } else if parts.pop().is_none() {
            anyhow::bail!("sql/{from}: `{INCLUDE}{included}` is outside sql/");
        }
    }
    Ok(parts.join("/"))
}

/// `upgrades/0002_rules.sql` is `V2__rules` to refinery.
fn version_name(path: &str) -> anyhow::Result<String> {
    let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str());
    let (number, name) = stem
        .and_then(|stem| stem.split_once('_'))
        .with_context(|| format!("sql/{path} must be named like 0002_name.sql"))?;
    Ok(format!("V{}__{name}", number.trim_start_matches('0')))
}

fn is_table(path: &str) -> bool {
    path.starts_with("tables/")
}

/// A table's file ends with its comments.
fn comments(text: &str) -> &str {
    text.find("\ncomment on ").map_or("", |place| &text[place..])
}

#[cfg(test)]
mod tests;
