//! Settings from flags, environment and file, under the same names. A flag overrides its
//! environment variable, which overrides the file, which overrides the default. All faults are
//! reported at once, and the daemon does not start.
//!
//! | module | subject |
//! |---|---|
//! | `file` | the TOML file: keys, values and their locations |
//! | `setting` | one setting, with its values and their source |
//! | `checks` | what is checked of the settings |
//! | `faults` | the faults of a configuration |
//! | `shown` | the effective configuration, without secrets |

mod checks;
mod faults;
mod file;
mod setting;
mod shown;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::OsStringValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches};

use crate::cli::Cli;
use checks::{check, check_channels, check_redis, check_tokens};
use faults::Faults;
use file::File;
use setting::{Setting, Source, is_setting, takes_values};

/// Why no command runs.
#[derive(Debug)]
pub enum Stop {
    /// A usage error or help, as clap prints it.
    Usage(clap::Error),
    /// Every fault of the configuration.
    Faults(String),
    /// The output of `--print-config`.
    Print(String),
}

/// Loads the command from these arguments, the environment and the file that they name.
pub fn load(arguments: &[OsString]) -> Result<Cli, Stop> {
    let command = Cli::command();
    // Parse values as texts first, so that all faults can be reported.
    let texts = as_texts(command.clone()).try_get_matches_from(arguments).map_err(Stop::Usage)?;
    let (mut name, mut chosen, mut subcommand) = ("", &texts, &command);
    while let Some((next, matches)) = chosen.subcommand() {
        (name, chosen, subcommand) =
            (next, matches, subcommand.find_subcommand(next).unwrap_or(subcommand));
    }

    let mut faults = Faults::default();
    let path = chosen.get_one::<OsString>("config").map(PathBuf::from);
    let file = path.map_or_else(File::default, |path| File::read(&path, &command, &mut faults));
    let settings = settings(subcommand, &command, chosen, &file);
    for setting in &settings {
        check(setting, &file, &mut faults);
    }
    check_redis(&settings, &file, &mut faults);
    check_channels(&settings, &file, &mut faults);
    check_tokens(&settings, &file, &mut faults);
    if !faults.is_empty() {
        return Err(Stop::Faults(faults.to_string()));
    }
    if chosen.try_get_one::<bool>("print_config").is_ok_and(|asked| asked == Some(&true)) {
        return Err(Stop::Print(shown::toml(name, &settings)));
    }
    let matches = with_file(command.clone(), &settings)
        .try_get_matches_from(arguments)
        .map_err(Stop::Usage)?;
    Cli::from_arg_matches(&matches).and_then(Cli::checked).map_err(Stop::Usage)
}

/// The command with all values as texts and no required arguments.
fn as_texts(command: Command) -> Command {
    let text = |arg: Arg| {
        let arg = arg.required(false);
        if takes_values(&arg) { arg.value_parser(OsStringValueParser::new()) } else { arg }
    };
    command.mut_args(text).mut_subcommands(as_texts)
}

/// The settings of a command, including the global ones.
fn settings<'a>(
    subcommand: &'a Command,
    command: &'a Command,
    texts: &ArgMatches,
    file: &File,
) -> Vec<Setting<'a>> {
    let globals = command.get_arguments().filter(|arg| arg.is_global_set());
    let every = subcommand.get_arguments().chain(globals).filter(|arg| is_setting(arg));
    every
        .map(|arg| {
            let id = arg.get_id().as_str();
            let given = texts.value_source(id).and_then(|source| {
                let source = match source {
                    ValueSource::CommandLine => Source::Flag,
                    ValueSource::EnvVariable => Source::Environment,
                    _ => Source::Default,
                };
                let values = texts.get_raw(id)?.map(OsString::from).collect();
                Some((source, values))
            });
            let in_file = file.values(arg).map(|values| (Source::File, values));
            let values = match given {
                Some((Source::Default, _)) | None => in_file.or(given),
                given => given,
            };
            Setting { arg, values }
        })
        .collect()
}

/// The command with the file's values as defaults.
fn with_file(mut command: Command, settings: &[Setting<'_>]) -> Command {
    for Setting { arg, values } in settings {
        if let Some((Source::File, values)) = values
            && command.get_arguments().any(|own| own.get_id() == arg.get_id())
        {
            let values: Vec<_> = values.iter().map(clap::builder::OsStr::from).collect();
            command = command
                .mut_arg(arg.get_id().clone(), |arg| arg.required(false).default_values(values));
        }
    }
    command.mut_subcommands(|subcommand| with_file(subcommand, settings))
}

#[cfg(test)]
mod tests;
