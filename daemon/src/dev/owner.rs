//! The user that runs Postgres.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::Context;

/// The user that runs Postgres if this program runs as root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The user's name.
    pub name: String,
    /// Its numeric id.
    pub uid: u32,
    /// Its group's.
    pub gid: u32,
}

impl Owner {
    /// For root: the user `postgres`, or else `nobody`. `None` for other users.
    pub fn needed() -> anyhow::Result<Option<Self>> {
        if !is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").context("/etc/passwd cannot be read")?;
        let found = ["postgres", "nobody"].into_iter().find_map(|name| Self::of(name, &users));
        let missing = "Postgres does not run as root, and this machine has neither a user postgres \
                       nor `nobody`; run this as another user";
        found.context(missing).map(Some)
    }

    fn of(name: &str, users: &str) -> Option<Self> {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Self { name: name.to_owned(), uid, gid })
    }

    /// The command, to be run by that user.
    pub fn run_as(owner: Option<&Self>, mut command: Command) -> Command {
        if let Some(owner) = owner {
            command.uid(owner.uid).gid(owner.gid);
        }
        // Postgres refuses a working directory that its user cannot enter.
        command.current_dir("/").stdin(Stdio::null());
        command
    }
}

/// Whether this process runs as root.
fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let users = "root:x:0:0::/root:/bin/sh\npostgres2:x:7:7::/:/bin/sh\n\
                     postgres:x:106:113:,,,:/var/lib/postgresql:/bin/bash\n";
        let expected = Owner { name: "postgres".to_owned(), uid: 106, gid: 113 };
        assert_eq!(Owner::of("postgres", users), Some(expected));
        assert_eq!(Owner::of("nobody", users), None);
    }
}
