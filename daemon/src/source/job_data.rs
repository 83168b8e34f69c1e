//! The few fields of a BullMQ job's data that Bindery needs, read from JSON text that arrives in
//! pieces.
//!
//! The memory needed does not depend on the data's size or depth. Everything else in the data is
//! skipped without being checked, so any JSON text from Node.js can be read.

use bindery_core::json::Node;

use super::bullmq::{Job, Unusable};

/// The fields of [`Job`], each with its names; the first name that has a value counts.
const FIELDS: [&[&str]; 4] =
    [&["bookId", "book_id"], &["substep"], &["attempt"], &["to_status", "to"]];
/// The maximum length of a name of a book, substep or state.
const MAX_TEXT: usize = 256;
/// The maximum kept size of a name or value, in bytes: [`MAX_TEXT`] escaped characters.
const MAX_RAW: usize = 12 * MAX_TEXT + 2;

/// The part that the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// The text before the object.
    #[default]
    Before,
    /// A name in the object.
    Name,
    /// A value in the object.
    Value,
    /// The text after the object, or data that is not an object.
    After,
}

/// Reads a job's data.
#[derive(Debug, Default)]
pub struct JobReader {
    place: Place,
    /// How many arrays and objects are open.
    depth: u64,
    in_text: bool,
    is_escaped: bool,
    /// The name or value at the present place, as it is written.
    raw: Vec<u8>,
    /// The field and the name in [`FIELDS`] of the present value.
    current: Option<(usize, usize)>,
    values: [[Option<String>; 2]; FIELDS.len()],
    is_object: bool,
}

impl JobReader {
    /// Reads the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        for &byte in piece {
            if self.place == Place::After {
                return;
            }
            self.byte(byte);
        }
    }

    /// The job, once all pieces were read.
    pub fn finish(self) -> Result<Job, Unusable> {
        if !self.is_object {
            return Err(Unusable::NoObject);
        }
        let [book_id, substep, attempt, to_status] =
            self.values.map(|[first, second]| first.or(second));
        Ok(Job { book_id: book_id.ok_or(Unusable::NoBook)?, substep, attempt, to_status })
    }

    fn byte(&mut self, byte: u8) {
        if self.in_text {
            self.keep(byte);
            if self.is_escaped {
                self.is_escaped = false;
            } else if byte == b'\\' {
                self.is_escaped = true;
            } else if byte == b'"' {
                self.in_text = false;
            }
            return;
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => (),
            b'{' if self.place == Place::Before => (self.place, self.depth) = (Place::Name, 1),
            _ if self.place == Place::Before => self.place = Place::After,
            b':' if self.place == Place::Name => {
                self.current = self.field();
                self.raw.clear();
                self.place = Place::Value;
            }
            b',' if self.depth == 1 => {
                self.end_value();
                self.place = Place::Name;
            }
            b'}' | b']' if self.depth == 1 => {
                self.end_value();
                (self.place, self.is_object) = (Place::After, true);
            }
            _ => {
                match byte {
                    b'"' => self.in_text = true,
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => self.depth -= 1,
                    _ => (),
                }
                self.keep(byte);
            }
        }
    }

    fn keep(&mut self, byte: u8) {
        let is_wanted = self.place == Place::Name || self.current.is_some();
        if is_wanted && self.raw.len() < MAX_RAW {
            self.raw.push(byte);
        }
    }

    /// The field of the name that was read.
    fn field(&self) -> Option<(usize, usize)> {
        let name = text(&self.raw)?;
        let names = FIELDS.iter().enumerate();
        names
            .flat_map(|(field, names)| (0..names.len()).map(move |place| (field, place)))
            .find(|&(field, place)| FIELDS[field][place] == name)
    }

    fn end_value(&mut self) {
        if let Some((field, place)) = self.current.take() {
            // The last value of a repeated name counts, as in JavaScript.
            self.values[field][place] = text(&self.raw);
        }
        self.raw.clear();
    }
}

/// A text or number as text; `None` for an empty text and for other values.
fn text(raw: &[u8]) -> Option<String> {
    let written = String::from_utf8_lossy(raw);
    let text = match Node::read(&written) {
        Ok(Node::Text(text) | Node::Number(text)) => text.into_owned(),
        Ok(_) => return None,
        // The text was too long and is incomplete.
        Err(_) if raw.len() == MAX_RAW && raw.starts_with(b"\"") => {
            written.trim_start_matches('"').to_owned()
        }
        Err(_) => return None,
    };
    Some(text.chars().take(MAX_TEXT).collect()).filter(|text: &String| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const BOOK: &str = "6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b";

    fn read(data: &str) -> Result<Job, Unusable> {
        let mut reader = JobReader::default();
        reader.push(data.as_bytes());
        reader.finish()
    }

    fn job(substep: Option<&str>, attempt: Option<&str>, to_status: Option<&str>) -> Job {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Job {
            book_id: BOOK.to_owned(),
            substep: owned(substep),
            attempt: owned(attempt),
            to_status: owned(to_status),
        }
    }

    #[test]
    fn the_fields_are_read_whatever_else_is_in_the_data() {
        let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        let nested = r#"{"bookId": "no", "to": ["no", {"attempt": "}\"]\\"}]}"#;
        for other in [
            r#""The Fox \ud83e""#.to_owned(),
            r#""\udd8a \\\" { [ : , \u0000""#.to_owned(),
            deep(200),
            deep(100_000),
            nested.to_owned(),
            "[NaN, Infinity, 1e999, -0.0]".to_owned(),
            "\"a\u{0}\u{1}\n\"".to_owned(),
        ] {
            let data = format!(
                "\n{{\"x\": {other}, \"bookId\": \"{BOOK}\", \"y\" :{other},\"attempt\":2 , \
                 \"substep\":\"page\\u005f1\", \"to\": \"DONE\", \"z\": {other} }} "
            );
            assert_eq!(
                read(&data),
                Ok(job(Some("page_1"), Some("2"), Some("DONE"))),
                "{data:.200}"
            );
        }
        let mut bytes = format!(r#"{{"bookId": "{BOOK}", "x": ""#).into_bytes();
        bytes.extend([0xff, 0xfe, 0xed, 0xa0, 0x80]);
        bytes.extend(b"\"}");
        let mut reader = JobReader::default();
        reader.push(&bytes);
        assert_eq!(reader.finish(), Ok(job(None, None, None)));
    }

    #[test]
    fn of_two_names_the_first_counts_and_of_a_repeated_name_the_last_value() {
        for (data, expected) in [
            (format!(r#"{{"book_id": "x", "bookId": "{BOOK}"}}"#), job(None, None, None)),
            (format!(r#"{{"bookId": "", "book_id": "{BOOK}"}}"#), job(None, None, None)),
            (format!(r#"{{"bookId": "x", "bookId": "{BOOK}"}}"#), job(None, None, None)),
            (format!(r#"{{"book\u0049d": "{BOOK}"}}"#), job(None, None, None)),
            (
                format!(r#"{{"to": "A", "to_status": "B", "bookId": "{BOOK}"}}"#),
                job(None, None, Some("B")),
            ),
            (
                format!(r#"{{"substep": {{"a": "b"}}, "attempt": null, "bookId": "{BOOK}"}}"#),
                job(None, None, None),
            ),
        ] {
            assert_eq!(read(&data), Ok(expected), "{data}");
        }
    }

    #[test]
    fn data_without_a_book_differs_from_data_that_is_not_an_object() {
        for data in ["", " ", "null", "3", "[]", "[{}]", "\"bookId\"", "{", r#"{"bookId": "x""#] {
            assert_eq!(read(data), Err(Unusable::NoObject), "{data}");
        }
        for data in ["{}", r#"{"a": 1}"#, r#"{"bookId": null}"#, r#"{"a": {"bookId": "x"}}"#] {
            assert_eq!(read(data), Err(Unusable::NoBook), "{data}");
        }
    }

    #[test]
    fn little_is_kept_of_a_text_that_is_too_long() {
        let long = "é\\n".repeat(1_000_000);
        let mut reader = JobReader::default();
        for piece in format!("{{\"bookId\": \"{long}\", \"{long}\": 1}}").as_bytes().chunks(1000) {
            reader.push(piece);
            assert!(reader.raw.capacity() <= 2 * MAX_RAW);
        }
        let book_id = reader.finish().unwrap().book_id;
        assert_eq!(book_id.chars().count(), MAX_TEXT);
    }

    /// Any JSON value.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(|number| json!(number)),
            any::<f64>().prop_map(|number| json!(number)),
            r#"[\PC"\\{}\[\]:,]{0,12}"#.prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                prop::collection::hash_map("bookId|to|[a-z\"]{0,3}", inner, 0..5)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_fields_equal_those_of_a_full_parser(
            fields in prop::collection::hash_map("bookId|book_id|substep|attempt|to|to_status|[a-z\"]{0,4}", value(), 0..8),
            size in 1_usize..40,
            pretty: bool,
        ) {
            let data = Value::Object(fields.into_iter().collect());
            let written = if pretty { format!("{data:#}") } else { data.to_string() };
            let mut reader = JobReader::default();
            written.as_bytes().chunks(size).for_each(|piece| reader.push(piece));
            let text = |name: &str| match &data[name] {
                Value::String(text) if !text.is_empty() => Some(text.replace('\0', "")),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            };
            let expected = match text("bookId").or_else(|| text("book_id")) {
                None => Err(Unusable::NoBook),
                Some(book_id) => Ok(Job {
                    book_id,
                    substep: text("substep"),
                    attempt: text("attempt"),
                    to_status: text("to_status").or_else(|| text("to")),
                }),
            };
            prop_assert_eq!(reader.finish(), expected);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'{'), Just(b'}'), Just(b'"'), Just(b'\\'), Just(b':'), Just(b',')], 0..60)) {
            let mut reader = JobReader::default();
            reader.push(&bytes);
            let _ = reader.finish();
        }
    }
}
