//! One setting of a command.

use std::ffi::OsString;

use clap::{Arg, ArgAction};

/// The source of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Flag,
    Environment,
    File,
    Default,
}

/// An argument of the command, with its values as texts and their source; `None`: not set.
pub struct Setting<'a> {
    pub arg: &'a Arg,
    pub values: Option<(Source, Vec<OsString>)>,
}

/// Whether the argument takes values; a switch takes none.
pub fn takes_values(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

/// Whether a file may set it: each argument with an environment variable, except `--config`.
pub fn is_setting(arg: &Arg) -> bool {
    arg.get_long().is_some() && arg.get_env().is_some() && arg.get_id() != "config"
}
