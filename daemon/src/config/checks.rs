//! Checks the settings together, with the errors of the flags' parsers.

use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};

use super::faults::Faults;
use super::file::File;
use super::setting::{Setting, Source, takes_values};
use crate::cli::without_secrets;
use crate::source::channel::Channel;

/// Checks a setting with its flag's parser.
pub fn check(setting: &Setting<'_>, file: &File, faults: &mut Faults) {
    let arg = setting.arg;
    let Some((source, values)) = &setting.values else {
        if arg.is_required_set() {
            let variable = arg.get_env().map(OsStr::to_string_lossy);
            let or_variable = variable
                .map(|name| format!(", the environment variable {name},"))
                .unwrap_or_default();
            let name = arg.get_long().unwrap_or_default();
            faults.add(format!(
                "{name} is missing: give --{name}{or_variable} or {name} in the file of --config"
            ));
        }
        return;
    };
    let at = place(arg, *source, file);
    for value in values {
        if arg.is_hide_env_values_set() && has_space_around(value) {
            faults.add(format!(
                "{at}: the value (not shown) begins or ends with white space, such as the line \
                 end of the file it was read from; remove it"
            ));
        } else if let Some(problem) = problem(arg, value) {
            faults.add(format!("{at}: {problem}"));
        }
    }
}

/// Checks that required claims come with a key for tokens: without a key, nothing is checked.
pub fn check_tokens(settings: &[Setting<'_>], file: &File, faults: &mut Faults) {
    let of = |long: &str| {
        let setting = settings.iter().find(|setting| setting.arg.get_long() == Some(long))?;
        Some((setting.arg, setting.values.as_ref()?.0))
    };
    if of("jwt-secret").is_some() || of("jwks-url").is_some() {
        return;
    }
    for (arg, source) in ["jwt-issuer", "jwt-audience"].into_iter().filter_map(of) {
        let at = place(arg, source, file);
        faults.add(format!("{at}: no token is checked without jwt-secret or jwks-url: give one"));
    }
}

/// Checks that Redis is configured if a setting needs it.
pub fn check_redis(settings: &[Setting<'_>], file: &File, faults: &mut Faults) {
    let is_missing = |setting: &Setting<'_>| {
        setting.arg.get_long() == Some("redis-url") && setting.values.is_none()
    };
    if !settings.iter().any(is_missing) {
        return;
    }
    for Setting { arg, values } in settings {
        let Some((source, values)) = values else { continue };
        let of_redis = matches!(arg.get_long(), Some("stream" | "bullmq" | "channel" | "outbox"));
        // A file from --print-config contains the defaults.
        let default = arg.get_default_values().iter().eq(values);
        if of_redis && !default && values.iter().any(|text| !text.is_empty()) {
            let at = place(arg, *source, file);
            faults.add(format!("{at}: redis-url is missing: give --redis-url or REDIS_URL"));
        }
    }
}

/// Checks that channels do not conflict with each other or with the streams.
pub fn check_channels(settings: &[Setting<'_>], file: &File, faults: &mut Faults) {
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
            faults.add(format!("{at}: {stream} is what keeps the channel's messages, and is relayed for it: name the channel or the stream"));
        }
        if !known.insert(channel.clone()) {
            faults.add(format!("{at}: the channel {channel} is named twice"));
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

/// Why the flag's own parser refuses a value.
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
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let (value, flag) = (text(ContextKind::InvalidValue), text(ContextKind::InvalidArg));
    let refused = if value.is_empty() {
        format!("a value is required for '{flag}'")
    } else {
        format!("invalid value '{value}' for '{flag}'")
    };
    let allowed = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => {
            format!(" [possible values: {}]", values.join(", "))
        }
        _ => String::new(),
    };
    let why = error.source().map(|why| format!(": {why}")).unwrap_or_default();
    Some(refused + &why + &allowed)
}
