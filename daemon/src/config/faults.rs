//! The faults of a configuration, with the errors of the flags' parsers.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt;

use clap::{Arg, ArgAction, Command};

use super::file::File;
use super::{Setting, Source, takes_values};
use crate::cli::without_secrets;
use crate::source::channel::Channel;

/// The faults, one line each.
#[derive(Debug, Default)]
pub struct Faults(Vec<String>);

impl Faults {
    /// Adds a fault.
    pub fn add(&mut self, fault: String) {
        self.0.push(fault);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks a setting with its flag's parser.
    pub fn check(&mut self, setting: &Setting<'_>, file: &File) {
        let arg = setting.arg;
        let Some((source, values)) = &setting.values else {
            if arg.is_required_set() {
                let variable = arg.get_env().map(OsStr::to_string_lossy);
                let or_variable = variable
                    .map(|name| format!(", the environment variable {name},"))
                    .unwrap_or_default();
                let name = arg.get_long().unwrap_or_default();
                self.add(format!("{name} is missing: give --{name}{or_variable} or {name} in the file of --config"));
            }
            return;
        };
        let at = place(arg, *source, file);
        for value in values {
            if arg.is_hide_env_values_set() && has_space_around(value) {
                self.add(format!(
                    "{at}: the value (not shown) begins or ends with white space, such as the line \
                     end of the file it was read from; remove it"
                ));
            } else if let Some(problem) = problem(arg, value) {
                self.add(format!("{at}: {problem}"));
            }
        }
    }

    /// Checks that required claims come with a key for tokens: without a key, nothing is checked.
    pub fn check_tokens(&mut self, settings: &[Setting<'_>], file: &File) {
        let of = |long: &str| {
            let setting = settings.iter().find(|setting| setting.arg.get_long() == Some(long))?;
            Some((setting.arg, setting.values.as_ref()?.0))
        };
        if of("jwt-secret").is_some() || of("jwks-url").is_some() {
            return;
        }
        for (arg, source) in ["jwt-issuer", "jwt-audience"].into_iter().filter_map(of) {
            let at = place(arg, source, file);
            self.add(format!("{at}: no token is checked without jwt-secret or jwks-url: give one"));
        }
    }

    /// Checks that Redis is configured if a setting needs it.
    pub fn check_redis(&mut self, settings: &[Setting<'_>], file: &File) {
        let is_missing = |setting: &Setting<'_>| {
            setting.arg.get_long() == Some("redis-url") && setting.values.is_none()
        };
        if !settings.iter().any(is_missing) {
            return;
        }
        for Setting { arg, values } in settings {
            let Some((source, values)) = values else { continue };
            let of_redis =
                matches!(arg.get_long(), Some("stream" | "bullmq" | "channel" | "outbox"));
            // A file from --print-config contains the defaults.
            let default = arg.get_default_values().iter().eq(values);
            if of_redis && !default && values.iter().any(|text| !text.is_empty()) {
                let at = place(arg, *source, file);
                self.add(format!("{at}: redis-url is missing: give --redis-url or REDIS_URL"));
            }
        }
    }

    /// Checks that channels do not conflict with each other or with the streams.
    pub fn check_channels(&mut self, settings: &[Setting<'_>], file: &File) {
        let of = |long: &str| settings.iter().find(|setting| setting.arg.get_long() == Some(long));
        let texts = |setting: Option<&Setting<'_>>| -> Vec<String> {
            let values = setting.and_then(|setting| setting.values.as_ref());
            values
                .map(|(_, values)| {
                    values.iter().map(|value| value.to_string_lossy().trim().to_owned()).collect()
                })
                .unwrap_or_default()
        };
        let Some(Setting { arg, values: Some((source, _)) }) = of("channel") else { return };
        let (at, streams, mut known) =
            (place(arg, *source, file), texts(of("stream")), BTreeSet::new());
        // An invalid name is already a fault.
        for channel in texts(of("channel")).iter().filter_map(|text| text.parse::<Channel>().ok()) {
            let stream = channel.stream();
            if streams.contains(&stream) {
                self.add(format!("{at}: {stream} is what keeps the channel's messages, and is relayed for it: name the channel or the stream"));
            }
            if !known.insert(channel.clone()) {
                self.add(format!("{at}: the channel {channel} is named twice"));
            }
        }
    }
}

/// Whether white space or a line end surrounds a value. In a secret it is probably a mistake, and
/// makes every check with the secret fail.
fn has_space_around(value: &OsStr) -> bool {
    let text = value.to_string_lossy();
    text.trim() != text
}

/// The location of a value, for people.
fn place(arg: &Arg, source: Source, file: &File) -> String {
    let name = arg.get_long().unwrap_or_default();
    match (source, arg.get_env()) {
        (Source::File, _) => format!("{}: {name}", file.location_of(arg)),
        (Source::Environment, Some(variable)) => variable.to_string_lossy().into_owned(),
        _ => format!("--{name}"),
    }
}

/// The error of the flag's own parser for a value.
fn problem(arg: &Arg, value: &OsStr) -> Option<String> {
    if !takes_values(arg) {
        let switch = matches!(arg.get_action(), ArgAction::SetTrue);
        return (switch && value != "true" && value != "false")
            .then(|| "must be true or false".to_owned());
    }
    let mut word = OsString::from(format!("--{}=", arg.get_long()?));
    word.push(value);
    let alone = Command::new("binderyd")
        .no_binary_name(true)
        .disable_help_flag(true)
        .arg(arg.clone().required(false));
    let error = without_secrets(alone.try_get_matches_from([word]).err()?);
    // One line of it: "error: invalid value 'x' for '--name <NAME>': why". The rest is the usage;
    // possible values stand on the next.
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let possible = lines
        .next()
        .filter(|line| line.starts_with('['))
        .map(|line| format!(" {line}"))
        .unwrap_or_default();
    Some(format!("{first}{possible}"))
}

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, faults) = (self.0.len(), if self.0.len() == 1 { "fault" } else { "faults" });
        writeln!(
            formatter,
            "binderyd: the configuration has {number} {faults}; nothing was started:"
        )?;
        self.0.iter().try_for_each(|fault| writeln!(formatter, "  - {fault}"))
    }
}
