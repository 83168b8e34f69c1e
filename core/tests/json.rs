//! JSON as producers send it: what is read, what is kept of it, and that no input makes the reader
//! fail otherwise.

#![allow(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

mod common;

use bindery_core::json::{Json, Node};
use common::any_json;
use proptest::prelude::*;
use serde_json::Value;

fn text(json: &str) -> String {
    Node::read(json).unwrap().to_text()
}

#[test]
fn deviations_of_common_serializers_are_read() {
    for (sent, kept) in [
        ("NaN", "null"),
        ("[NaN, Infinity, -Infinity]", "[null,null,null]"),
        (r#""\ud83e""#, "\"\u{FFFD}\""),
        (r#""\udd8a \ud83e\n \ud83e\u0041""#, "\"\u{FFFD} \u{FFFD}\\n \u{FFFD}A\""),
        (r#""\ud83e\udd8a \uD83E\uDD8A""#, "\"🦊 🦊\""),
        (r#""a\u0000b""#, r#""ab""#),
        ("\"a\0b\nc\"", r#""ab\nc""#),
        (r#"{"a\u0000": 1, "b": 2, "a": 3}"#, r#"{"b":2,"a":3}"#),
        ("\u{FEFF} {} ", "{}"),
        ("1e131072", "null"),
        ("[1e-16384]", "[null]"),
        (r#""\/\b\f\u007f""#, "\"/\\b\\f\u{7f}\""),
    ] {
        assert_eq!(text(sent), kept, "{sent:?}");
    }
}

#[test]
fn numbers_are_kept_as_they_were_written() {
    for number in [
        "147696713205860203665304570961189620315",
        "12345678901234567.89",
        "-0.0",
        "1E+2",
        "1e-16383",
        "0.10",
    ] {
        assert_eq!(text(number), number);
    }
}

#[test]
fn a_syntax_error_has_its_place() {
    for (sent, message) in [
        ("", "expected a value at byte 0"),
        ("{\"a\" 1}", "expected a colon at byte 5"),
        ("{\"a\": 1,}", "expected a key in double quotes at byte 8"),
        ("[1 2]", "expected a comma or ] at byte 3"),
        ("{\"a\": 1]", "expected a comma or } at byte 7"),
        ("1 1", "expected the end of the text at byte 2"),
        ("\"a", "expected a closing double quote at byte 2"),
        ("\"\\u12g4\"", "expected four hexadecimal digits at byte 5"),
        ("-", "expected a digit at byte 1"),
    ] {
        assert_eq!(Node::read(sent).unwrap_err().to_string(), message, "{sent}");
    }
}

#[test]
fn no_depth_exhausts_the_stack() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[[{\"a\":[", "]}]]")] {
        let levels = 1_000_000 / open.len();
        let deep = format!("{}1{}", open.repeat(levels), close.repeat(levels));
        let node = Node::read(&deep).unwrap();
        assert!(node.is_deeper(64) && node.is_deeper(71));
        assert!(Node::read(&open.repeat(levels)).is_err());
    }
    let node = Node::read(r#"[[1], {"a": {"b": 1}}]"#).unwrap();
    assert!(node.is_deeper(2) && !node.is_deeper(3));
}

/// JSON with deviations from the standard in it.
fn nearly_json() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just("\""),
        Just("\\"),
        Just("\\u"),
        Just("d83e"),
        Just("0000"),
        Just("NaN"),
        Just("-Infinity"),
        Just("null"),
        Just("\"a\""),
        Just("\"a\":1"),
        Just("1"),
        Just("-"),
        Just("e9"),
        Just(".5"),
        Just("1e131071"),
        Just(" "),
        Just("\0"),
        Just("ä"),
        Just("\u{1}"),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn json_that_serde_reads_is_read_as_the_same(json in any_json()) {
        let sent = json.to_string();
        let json: Value = serde_json::from_str(&sent.replace("\\u0000", "")).unwrap();
        prop_assert_eq!(&Json::parse(&sent).unwrap().to_value(), &json);
        prop_assert_eq!(text(&serde_json::to_string_pretty(&json).unwrap()), text(&sent));
    }

    #[test]
    fn parsed_json_reads_as_the_same_again(
        sent in prop_oneof![nearly_json(), any::<String>()],
    ) {
        if let Ok(node) = Node::read(&sent) {
            let text = node.to_text();
            prop_assert!(!text.contains('\0') && !text.contains("\\u0000"));
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{}", text);
            let again = Json::parse(&text).unwrap();
            prop_assert_eq!(again.as_str(), &text);
        }
    }

    #[test]
    fn json_that_serde_refuses_is_refused_except_for_the_named_deviations(sent in nearly_json()) {
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&sent).is_ok();
        let named = ["NaN", "Infinity", "\\u", "\0", "\u{1}"]
            .iter()
            .any(|part| sent.contains(part));
        if !named {
            prop_assert_eq!(Node::read(&sent).is_ok(), is_json);
        }
    }

    #[test]
    fn a_cut_object_fits_and_is_no_smaller_than_it_has_to_be(
        json in any_json(),
        bytes in 20..400_usize,
        levels in 1..5_usize,
    ) {
        let long = "x".repeat(60);
        let object = Node::Object(vec![
            ("a".into(), Node::from(json)),
            ("b".into(), Node::from(long.as_str())),
        ]);
        let whole = object.clone();
        let cut = object.cut_object(bytes, levels);
        prop_assert!(cut.size() <= bytes && !cut.is_deeper(levels), "{} of {}", cut.size(), bytes);
        if whole.size() <= bytes && !whole.is_deeper(levels) {
            prop_assert_eq!(cut, whole);
        } else {
            prop_assert_eq!(cut.get("cut"), Some(&Node::Bool(true)));
            prop_assert_eq!(cut.clone().cut_object(bytes, levels), cut);
        }
    }
}
