//! JSON as producers send it, made fit for Postgres `jsonb` without losing a digit.
//!
//! [`Node::read`] accepts what common serializers write beyond the standard: `NaN` and the
//! infinities, half of a surrogate pair, NUL, unescaped control characters, nesting of any depth.
//! [`Json`] holds the result as compact JSON text that every Postgres `jsonb` accepts: numbers keep
//! the digits they were sent with, numbers that `numeric` cannot hold are null, half of a surrogate
//! pair is U+FFFD, and NUL is left out.
//!
//! Sizes are those of the text that Postgres prints for a `jsonb`, in which `1e300` has 301 digits.

mod cut;
mod number;
mod read;
mod write;

use std::borrow::Cow;

use serde::ser::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

pub use read::SyntaxError;

/// How deep a [`Node`] may be nested. What lies deeper is checked and left out; see [`Node::Deep`].
pub const MAX_READ_DEPTH: usize = 72;

/// A JSON value that borrows from the text it was read from.
#[derive(Debug, Clone, PartialEq)]
pub enum Node<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it was written, or `NaN`, `Infinity`, `-Infinity`.
    Number(Cow<'a, str>),
    /// A text without NUL.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Node<'a>>),
    /// An object; no key occurs twice. Of repeated keys the last one counts, as in Postgres.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
    /// An array or object that is not empty and lies in [`MAX_READ_DEPTH`] others.
    Deep,
}

impl<'a> Node<'a> {
    /// Reads a JSON text.
    ///
    /// # Errors
    /// [`SyntaxError`] where the text is not JSON, apart from the deviations named in the module's
    /// description.
    pub fn read(text: &'a str) -> Result<Self, SyntaxError> {
        read::read(text)
    }

    /// Whether this is null or a number that Postgres cannot hold, which is stored as null.
    pub fn is_null(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Number(number) => !number::fits(number),
            _ => false,
        }
    }

    /// The value of a key of an object.
    pub fn get(&self, key: &str) -> Option<&Node<'a>> {
        match self {
            Self::Object(entries) => {
                entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The value as compact JSON text.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        write::write(self, &mut text);
        text
    }

    /// The bytes of the text that Postgres prints for this value as a `jsonb`.
    pub fn size(&self) -> usize {
        write::size(self)
    }

    /// Whether any value lies in more arrays and objects than `levels`.
    pub fn is_deeper(&self, levels: usize) -> bool {
        let is_deeper = |inner: &Node<'_>| levels == 0 || inner.is_deeper(levels - 1);
        match self {
            Self::List(values) => values.iter().any(is_deeper),
            Self::Object(entries) => entries.iter().any(|(_, value)| is_deeper(value)),
            Self::Deep => true,
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => false,
        }
    }

    /// The object, cut to at most `bytes` and `levels`. A cut object has the additional key `cut`
    /// with the value true. Small entries are kept whole first; the rest is shortened as far as
    /// there is room.
    #[must_use]
    pub fn cut_object(self, bytes: usize, levels: usize) -> Self {
        cut::cut_object(self, bytes, levels)
    }
}

impl From<Value> for Node<'static> {
    fn from(value: Value) -> Self {
        fn node(value: Value, depth: usize) -> Node<'static> {
            let is_deep = depth >= MAX_READ_DEPTH;
            match value {
                Value::Null => Node::Null,
                Value::Bool(value) => Node::Bool(value),
                Value::Number(number) => Node::Number(number.to_string().into()),
                Value::String(text) => Node::Text(without_nul(text.into())),
                Value::Array(values) if is_deep && !values.is_empty() => Node::Deep,
                Value::Object(entries) if is_deep && !entries.is_empty() => Node::Deep,
                Value::Array(values) => {
                    Node::List(values.into_iter().map(|value| node(value, depth + 1)).collect())
                }
                Value::Object(entries) => {
                    let entries = entries.into_iter();
                    let entries = entries
                        .map(|(key, value)| (without_nul(key.into()), node(value, depth + 1)));
                    Node::Object(without_duplicates(entries.collect()))
                }
            }
        }
        node(value, 0)
    }
}

impl<'a> From<&'a str> for Node<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(without_nul(text.into()))
    }
}

fn without_nul(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.as_bytes().contains(&0) { text.replace('\0', "").into() } else { text }
}

/// Of entries with the same key only the last one.
fn without_duplicates<'a>(
    mut entries: Vec<(Cow<'a, str>, Node<'a>)>,
) -> Vec<(Cow<'a, str>, Node<'a>)> {
    let mut seen = std::collections::HashSet::with_capacity(entries.len());
    let is_last: Vec<bool> =
        entries.iter().rev().map(|(key, _)| seen.insert(key.as_ref())).collect();
    if seen.len() < is_last.len() {
        let mut is_last = is_last.into_iter().rev();
        entries.retain(|_| is_last.next().unwrap_or(true));
    }
    entries
}

/// A JSON value as compact text. Postgres accepts every such text as `jsonb`.
#[derive(Debug, Clone)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Reads a JSON text; see [`Node::read`].
    ///
    /// # Errors
    /// [`SyntaxError`] where the text is not JSON.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        Node::read(text).map(|node| Self::from(&node))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The text, without a copy.
    pub fn into_text(self) -> String {
        Box::<str>::from(self.0).into_string()
    }

    /// The value as `serde_json` reads it: numbers lose what a double does not hold. Null where
    /// that reader refuses a number.
    pub fn to_value(&self) -> Value {
        serde_json::from_str(self.as_str()).unwrap_or_default()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl From<&Node<'_>> for Json {
    fn from(node: &Node<'_>) -> Self {
        // The writer writes JSON only.
        Self(RawValue::from_string(node.to_text()).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self::from(&Node::from(value))
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
