//! The TOML file, whose names are those of the flags.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::{Arg, Command};
use toml::de::{DeTable, DeValue};

use super::faults::Faults;
use super::setting::is_setting;

/// The minimum similarity of names for a suggestion.
const ALIKE: f64 = 0.7;

/// The settings of a file; an empty one sets none.
#[derive(Debug, Default)]
pub struct File {
    path: PathBuf,
    /// By the flag's name: the location, and the values.
    values: BTreeMap<String, (String, Vec<OsString>)>,
}

impl File {
    /// Reads a file, and adds its errors to `faults`.
    pub fn read(path: &Path, command: &Command, faults: &mut Faults) -> Self {
        let mut file = Self { path: path.to_owned(), values: BTreeMap::new() };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                faults.add(format!(
                    "{}: {error}; --config names a TOML file that this user may read",
                    path.display()
                ));
                return file;
            }
        };
        let known = known(command);
        match DeTable::parse(&text) {
            Ok(table) => {
                for (key, value) in table.into_inner() {
                    let at = file.place(&text, key.span());
                    match known.get(key.get_ref().as_ref()) {
                        None => faults.add(format!("{at}: {}", unknown(key.get_ref(), &known))),
                        Some(&many) => match texts(value.get_ref(), many) {
                            Ok(values) => {
                                file.values.insert(key.get_ref().to_string(), (at, values));
                            }
                            Err(problem) => {
                                let at = file.place(&text, value.span());
                                faults.add(format!("{at}: {}: {problem}", key.get_ref()));
                            }
                        },
                    }
                }
            }
            // The parser's own rendering quotes the line, which may hold a secret.
            Err(error) => faults.add(format!(
                "{}: {}",
                file.place(&text, error.span().unwrap_or(0..0)),
                error.message()
            )),
        }
        file
    }

    /// The file's values for an argument.
    pub fn values(&self, arg: &Arg) -> Option<Vec<OsString>> {
        Some(self.values.get(arg.get_long()?)?.1.clone())
    }

    /// The location of an argument's value: file, line and column.
    pub fn location_of(&self, arg: &Arg) -> String {
        let place = arg.get_long().and_then(|long| self.values.get(long));
        place.map_or_else(|| self.path.display().to_string(), |(at, _)| at.clone())
    }

    fn place(&self, text: &str, span: Range<usize>) -> String {
        let before = text.get(..span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        format!("{}:{line}:{column}", self.path.display())
    }
}

/// Every name that a file may hold, of any command, and whether it takes several values.
fn known(command: &Command) -> BTreeMap<String, bool> {
    let commands = std::iter::once(command).chain(command.get_subcommands());
    let every = commands.flat_map(Command::get_arguments).filter(|arg| is_setting(arg));
    every
        .filter_map(|arg| Some((arg.get_long()?.to_owned(), arg.get_value_delimiter().is_some())))
        .collect()
}

fn unknown(key: &str, known: &BTreeMap<String, bool>) -> String {
    let alike = |name: &&String| strsim::jaro_winkler(&key.replace('_', "-"), name);
    let nearest = known
        .keys()
        .max_by(|a, b| alike(a).total_cmp(&alike(b)))
        .filter(|name| alike(name) >= ALIKE);
    match nearest {
        Some(name) => format!("there is no setting {key:?}; did you mean {name:?}?"),
        None => format!(
            "there is no setting {key:?}; binderyd run --help lists the flags, whose names the settings have"
        ),
    }
}

/// A value in the form of its flag.
fn texts(value: &DeValue<'_>, many: bool) -> Result<Vec<OsString>, String> {
    match value {
        DeValue::Array(items) if many => {
            let each = items.iter().map(|item| texts(item.get_ref(), false));
            Ok(each.collect::<Result<Vec<_>, _>>()?.concat())
        }
        DeValue::Array(_) => Err("takes one value, not a list".to_owned()),
        DeValue::String(text) => Ok(vec![text.as_ref().into()]),
        DeValue::Integer(number) => Ok(vec![number.to_string().into()]),
        DeValue::Float(number) => Ok(vec![number.to_string().into()]),
        DeValue::Boolean(yes) => Ok(vec![yes.to_string().into()]),
        DeValue::Datetime(_) => {
            Err("is a date; give a text in quotes, a number, true or false".to_owned())
        }
        DeValue::Table(_) => {
            Err("is a table; settings stand at the top, without sections".to_owned())
        }
    }
}
