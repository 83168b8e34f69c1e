//! The effective configuration as a file, with secrets masked.

use std::ffi::OsString;
use std::fmt::Write;

use super::setting::{Setting, Source, takes_values};

const HIDDEN: &str = "***";

/// The settings as TOML, each with its source.
pub fn toml(command: &str, settings: &[Setting<'_>]) -> String {
    let mut text = format!(
        "# binderyd {command}: the configuration in effect. Secrets are shown as {HIDDEN}.\n"
    );
    for Setting { arg, values } in settings {
        let name = arg.get_long().unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = match values {
            None => writeln!(text, "# {name} is not set"),
            Some((source, values)) => {
                let mut texts =
                    values.iter().map(|value| plain(value, arg.is_hide_env_values_set()));
                let value = if arg.get_value_delimiter().is_some() {
                    toml::Value::Array(texts.map(toml::Value::String).collect())
                } else {
                    let value = texts.next_back().unwrap_or_default();
                    match value.parse::<i64>() {
                        Ok(number) => toml::Value::Integer(number),
                        Err(_) if !takes_values(arg) => toml::Value::Boolean(value == "true"),
                        Err(_) => toml::Value::String(value),
                    }
                };
                let from = match source {
                    Source::Flag => "flag",
                    Source::Environment => "environment",
                    Source::File => "file",
                    Source::Default => "default",
                };
                writeln!(text, "{name} = {value}  # {from}")
            }
        };
    }
    text
}

fn plain(value: &OsString, secret: bool) -> String {
    let text = value.to_string_lossy().into_owned();
    if secret { masked(&text) } else { text }
}

/// Masks a secret: a URL without its password and query; any other value completely.
fn masked(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return HIDDEN.to_owned();
    };
    let (rest, query) =
        rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let (authority, path) = rest
        .split_once('/')
        .map_or((rest, String::new()), |(host, path)| (host, format!("/{path}")));
    let authority = match authority.rsplit_once('@') {
        Some((login, hosts)) => match login.split_once(':') {
            Some((user, _)) => format!("{user}:{HIDDEN}@{hosts}"),
            None => format!("{login}@{hosts}"),
        },
        None => authority.to_owned(),
    };
    let parameter = |pair: &str| match pair.split_once('=') {
        Some((name, _))
            if ["pass", "key", "secret", "token"]
                .iter()
                .any(|word| name.to_lowercase().contains(word)) =>
        {
            format!("{name}={HIDDEN}")
        }
        _ => pair.to_owned(),
    };
    let query = query
        .map(|query| format!("?{}", query.split('&').map(parameter).collect::<Vec<_>>().join("&")));
    format!("{scheme}://{authority}{path}{}", query.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_all_but_its_secrets() {
        for (url, shown) in [
            ("postgresql://u:hush@h:5432/d", "postgresql://u:***@h:5432/d"),
            (
                "postgresql://u@h/d?password=hush&sslmode=require",
                "postgresql://u@h/d?password=***&sslmode=require",
            ),
            ("redis://:hush@h/", "redis://:***@h/"),
            (
                "redis://u:hu:sh@a,b/0?sentinel_password=hush",
                "redis://u:***@a,b/0?sentinel_password=***",
            ),
            ("redis://h", "redis://h"),
            ("host=h user=u password=hush", "***"),
            ("hush", "***"),
        ] {
            assert_eq!(masked(url), shown);
        }
    }
}
