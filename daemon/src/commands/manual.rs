//! `binderyd completions` and `binderyd man`: what clap makes of the flags, for shells and for man.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

/// Options of `completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsOptions {
    /// The shell to complete in.
    #[arg(value_enum)]
    shell: Shell,
}

/// Options of `man`.
#[derive(Debug, Clone, Args)]
pub struct ManOptions {
    /// Write binderyd.1 and a page for each command into this folder; without it binderyd(1) is
    /// printed.
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// Prints a shell's completions.
pub fn completions(options: &CompletionsOptions, mut command: Command) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(options.shell, &mut command, "binderyd", &mut text);
    io::stdout().write_all(&text).context("the completions cannot be written")
}

/// Prints the manual, or writes all its pages.
pub fn man(options: &ManOptions, command: Command) -> anyhow::Result<()> {
    match &options.folder {
        Some(folder) => std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(command, folder))
            .with_context(|| format!("the manual cannot be written to {}", folder.display())),
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            io::stdout().write_all(&page).context("the manual cannot be written")
        }
    }
}
