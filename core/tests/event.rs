//! Events: what they hold, every way they can be wrong, and what is kept of those that are.

#![allow(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

use bindery_core::event::{
    Event, EventError, EventKind, Fail, Heartbeat, Plan, PlannedSubstep, Progress, Register, Rejection, Transition,
};
use bindery_core::progress::SubstepProgress;
use serde_json::{Value, json};
use uuid::Uuid;

const BOOK: &str = "018f3c1e-7b2a-7c3d-9e4f-5a6b7c8d9e0f";

type Fields<'a> = &'a [(&'a str, &'a str)];

/// A stream entry with these fields and the book's id.
fn flat(fields: Fields<'_>) -> Result<Event, Rejection> {
    let fields = fields.iter().copied().chain([("book_id", BOOK)]);
    Event::parse(fields.map(|(name, value)| (name.into(), value.into())).collect())
}

fn kind(fields: Fields<'_>) -> EventKind {
    flat(fields).unwrap().kind
}

/// The code and the message of what is wrong with an entry.
fn fault(fields: Fields<'_>) -> (&'static str, String) {
    let error = flat(fields).unwrap_err().error;
    (error.code(), error.to_string())
}

/// An event of these JSON fields and the book's id, which has to be the same by the field `data` and directly.
fn data(mut fields: Value) -> Result<Event, Rejection> {
    fields["book_id"] = json!(BOOK);
    let by_field = Event::parse(vec![(b"data".to_vec(), fields.to_string().into_bytes())]);
    let direct = Event::from_json(fields);
    match (&by_field, &direct) {
        (Ok(by_field), Ok(direct)) => assert_eq!(by_field, direct),
        (Err(by_field), Err(direct)) => assert_eq!(by_field.error, direct.error),
        _ => panic!("{by_field:?} is not {direct:?}"),
    }
    by_field
}

fn data_fault(fields: Value) -> (&'static str, String) {
    let error = data(fields).unwrap_err().error;
    (error.code(), error.to_string())
}

#[test]
fn the_shortest_producer() {
    let event = flat(&[("type", "progress"), ("stage", "ANALYZING"), ("substep", "extract_text"), ("progress", "40")]);
    let expected = Progress {
        stage: Some("ANALYZING".into()),
        substep: Some("extract_text".into()),
        attempt: None,
        report: SubstepProgress { progress: 40.0, ..SubstepProgress::default() },
    };
    let book_id = Uuid::parse_str(BOOK).unwrap();
    assert_eq!(event.unwrap(), Event { book_id, at: None, kind: EventKind::Progress(expected) });
}

#[test]
fn everything_a_type_may_hold() {
    let full = Progress {
        stage: Some("ANALYZING".into()),
        substep: Some("extract_text".into()),
        attempt: Some(2),
        report: SubstepProgress {
            progress: 30.0,
            done: Some(3.0),
            total: Some(10.0),
            unit: Some("page".into()),
            message: Some("Läuft".into()),
            checkpoint: Some(json!({"page": 3})),
        },
    };
    let at = ("at", "2026-01-31T12:00:00Z");
    let event = flat(&[
        ("type", "progress"),
        ("stage", "ANALYZING"),
        ("substep", "extract_text"),
        ("attempt", "2"),
        ("done", "3"),
        ("total", "10"),
        ("unit", "page"),
        ("message", "Läuft"),
        ("checkpoint", "{\"page\": 3}"),
        at,
        ("trace", "x"),
    ])
    .unwrap();
    assert_eq!((event.at.as_deref(), event.kind), (Some(at.1), EventKind::Progress(full)));

    assert_eq!(
        kind(&[("type", "transition"), ("to", "ANALYZING"), ("message", "go"), ("attempt", "1")]),
        EventKind::Transition(Transition { to: "ANALYZING".into(), message: Some("go".into()), attempt: Some(1) })
    );
    assert_eq!(
        kind(&[
            ("type", "fail"),
            ("error", "{\"code\": \"oom\"}"),
            ("message", "no"),
            ("attempt", "1"),
            ("stage", "A")
        ]),
        EventKind::Fail(Fail {
            error: Some(json!({"code": "oom"})),
            message: Some("no".into()),
            attempt: Some(1),
            stage: Some("A".into())
        })
    );
    assert_eq!(
        kind(&[("type", "heartbeat"), ("attempt", "3"), ("stage", "A"), ("message", "still here")]),
        EventKind::Heartbeat(Heartbeat {
            attempt: Some(3),
            stage: Some("A".into()),
            message: Some("still here".into())
        })
    );
    let substeps = r#"[{"name": "chapter_1", "weight": 2.5, "label": "One"}, {"name": "chapter_2"}]"#;
    assert_eq!(
        kind(&[("type", "plan"), ("stage", "A"), ("substeps", substeps)]),
        EventKind::Plan(Plan {
            stage: "A".into(),
            substeps: vec![
                PlannedSubstep { name: "chapter_1".into(), weight: Some(2.5) },
                PlannedSubstep { name: "chapter_2".into(), weight: None },
            ]
        })
    );
    assert_eq!(
        kind(&[("type", "register"), ("owner_id", BOOK), ("pipeline", "comic"), ("title", "T"), ("metadata", "{}")]),
        EventKind::Register(Register {
            owner_id: Some(Uuid::parse_str(BOOK).unwrap()),
            pipeline: Some("comic".into()),
            title: Some("T".into()),
            metadata: Some(json!({}))
        })
    );
}

#[test]
fn what_may_be_left_out_may_be_empty() {
    let empty = [
        ("stage", ""),
        ("substep", ""),
        ("attempt", ""),
        ("done", ""),
        ("total", ""),
        ("unit", ""),
        ("message", ""),
        ("checkpoint", ""),
        ("at", ""),
        ("data", ""),
        ("error", ""),
        ("owner_id", ""),
        ("metadata", ""),
        ("to", ""),
    ];
    for bare in [
        &[("type", "progress"), ("progress", "0")][..],
        &[("type", "fail")],
        &[("type", "heartbeat")],
        &[("type", "register")],
    ] {
        let with: Vec<(&str, &str)> = bare.iter().copied().chain(empty).collect();
        assert_eq!(flat(&with).unwrap(), flat(bare).unwrap());
    }
    assert_eq!(
        data(json!({"type": "progress", "progress": 1, "checkpoint": null, "stage": null, "attempt": null, "at": ""})),
        flat(&[("type", "progress"), ("progress", "1"), ("checkpoint", "null")])
    );
}

#[test]
fn json_may_hold_numbers_and_json_or_their_texts() {
    let texts = json!({"type": "progress", "done": "3", "total": "4", "attempt": "1", "checkpoint": "[1]", "at": "17"});
    let values = json!({"type": "progress", "done": 3, "total": 4.0, "attempt": 1.0, "checkpoint": [1], "at": 17});
    assert_eq!(data(texts).unwrap(), data(values).unwrap());
    let texts = json!({"type": "plan", "stage": "A", "substeps": "[{\"name\": \"a\", \"weight\": \"2\"}]"});
    let values = json!({"type": "plan", "stage": "A", "substeps": [{"name": "a", "weight": 2}]});
    assert_eq!(data(texts).unwrap(), data(values).unwrap());
}

#[test]
fn type_and_book_are_needed() {
    assert_eq!(
        fault(&[("progress", "4")]),
        ("missing_field", "type is missing; expected progress, transition, fail, heartbeat, plan or register".into())
    );
    assert_eq!(
        fault(&[("type", "progres")]),
        (
            "unknown_type",
            "type is \"progres\"; expected progress, transition, fail, heartbeat, plan or register".into()
        )
    );
    assert_eq!(data_fault(json!({"type": 5})).0, "wrong_type");
    let without_book = Event::parse(vec![(b"type".to_vec(), b"heartbeat".to_vec())]).unwrap_err();
    assert_eq!(without_book.error.to_string(), "book_id is missing; expected a uuid");
    for bad in ["book-1", "018f3c1e-7b2a-7c3d-9e4f-5a6b7c8d9e0", "null"] {
        let entry = vec![(b"type".to_vec(), b"heartbeat".to_vec()), (b"book_id".to_vec(), bad.into())];
        let rejection = Event::parse(entry).unwrap_err();
        assert_eq!(rejection.error, EventError::BadUuid { field: "book_id".into() }, "{bad}");
        assert_eq!(rejection.payload, json!({"type": "heartbeat", "book_id": bad}));
    }
    assert_eq!(Event::from_json(json!({"type": "heartbeat", "book_id": 5})).unwrap_err().error.code(), "bad_uuid");
}

#[test]
fn progress_is_a_percent_or_parts() {
    let fault = |fields: Fields<'_>| fault(&[&[("type", "progress")], fields].concat());
    assert_eq!(
        fault(&[]),
        ("missing_field", "progress is missing; expected a number from 0 to 100, or done and total".into())
    );
    assert_eq!(fault(&[("done", "1")]).1, "total is missing; expected the number that done counts towards");
    assert_eq!(fault(&[("total", "1")]).1, "done is missing; expected a number from 0 to total");
    for fields in [&[("progress", "1"), ("done", "1"), ("total", "2")][..], &[("progress", "1"), ("total", "2")]] {
        assert_eq!(fault(fields), ("conflicting_fields", "progress and done or total cannot be given together".into()));
    }
    for progress in ["NaN", "inf", "-inf", "1e999", "forty", "4 0", " 40", "40%", "0x10", "1,5", "true", "[]"] {
        let expected = ("bad_number", "progress is no number; expected a number from 0 to 100".to_owned());
        assert_eq!(fault(&[("progress", progress)]), expected, "{progress}");
    }
    for progress in ["-1", "100.001", "1e300", "-1e-300"] {
        let expected = ("out_of_range", "progress is out of range; expected a number from 0 to 100".to_owned());
        assert_eq!(fault(&[("progress", progress)]), expected, "{progress}");
    }
    for (done, total) in [("1", "0"), ("0", "0"), ("1", "-1"), ("1", "1e16")] {
        assert_eq!(
            fault(&[("done", done), ("total", total)]).1,
            "total is out of range; expected a number above 0, up to 1e15"
        );
    }
    for (done, total) in [("3", "2"), ("-1", "2")] {
        assert_eq!(
            fault(&[("done", done), ("total", total)]).1,
            "done is out of range; expected a number from 0 to total"
        );
    }
    for (progress, expected) in [("-0", 0.0), ("1e2", 100.0), ("0.5", 0.5), ("99.999", 99.999)] {
        let EventKind::Progress(event) = kind(&[("type", "progress"), ("progress", progress)]) else { panic!() };
        assert_eq!(event.report.progress, expected);
        assert!(event.report.progress.is_sign_positive());
    }
    assert_eq!(data_fault(json!({"type": "progress", "progress": true})).0, "bad_number");
    assert_eq!(data_fault(json!({"type": "progress", "progress": "NaN"})).0, "bad_number");
}

#[test]
fn an_attempt_is_a_whole_number_from_1() {
    for (attempt, code) in [
        ("0", "out_of_range"),
        ("-1", "out_of_range"),
        ("2147483648", "out_of_range"),
        ("1.5", "bad_number"),
        ("one", "bad_number"),
    ] {
        let (found, message) = fault(&[("type", "heartbeat"), ("attempt", attempt)]);
        assert_eq!(found, code, "{attempt}");
        assert!(message.ends_with("; expected a whole number from 1 to 2147483647"), "{message}");
    }
    assert_eq!(data_fault(json!({"type": "heartbeat", "attempt": 1.5})).0, "bad_number");
    assert!(flat(&[("type", "heartbeat"), ("attempt", "2147483647")]).is_ok());
}

#[test]
fn texts_are_texts_of_some_length() {
    let long = |length: usize| "ä".repeat(length);
    for (r#type, field, limit) in [
        ("progress", "stage", 63),
        ("progress", "unit", 63),
        ("progress", "message", 8192),
        ("progress", "at", 64),
        ("transition", "to", 63),
        ("fail", "stage", 63),
        ("register", "pipeline", 63),
        ("register", "title", 1024),
    ] {
        let needed = [("type", r#type), ("progress", "1")];
        let fields = |text: &str| {
            let with = [&needed[..], &[(field, text)]].concat();
            flat(&with).map_err(|rejection| (rejection.error.code(), rejection.error.to_string()))
        };
        assert!(fields(&long(limit)).is_ok(), "{field}");
        let expected = ("too_long", format!("{field} is too long; expected up to {limit} characters"));
        assert_eq!(fields(&long(limit + 1)).unwrap_err(), expected);
        let refused = ['\0', '\u{1}', '\u{8}', '\u{B}', '\u{1F}', '\u{7F}', '\u{80}', '\u{9F}', '\u{202A}', '\u{202E}'];
        for found in refused.into_iter().chain(['\u{2066}', '\u{2069}']) {
            let message = format!("{field} holds U+{:04X}, which no text may", u32::from(found));
            assert_eq!(fields(&format!("a{found}b")).unwrap_err(), ("control_character", message));
        }
        // Tabs, line ends, marks and joiners, a byte order mark, and neighbours of what is refused.
        for kept in
            ["a\tb\r\nc", "a\u{200F}\u{200E}b", "a\u{200D}b", "\u{FEFF}a", "\u{A0}\u{2029}\u{2065}\u{206A}", "بحر ים"]
        {
            assert!(fields(kept).is_ok(), "{field} {kept:?}");
        }
    }
    assert_eq!(
        data_fault(json!({"type": "transition", "to": 5})),
        ("wrong_type", "to is of the wrong type; expected the name of a state".into())
    );
    assert_eq!(data_fault(json!({"type": "heartbeat", "at": {}})).0, "wrong_type");
    assert_eq!(fault(&[("type", "transition")]).1, "to is missing; expected the name of a state");
    assert_eq!(fault(&[("type", "plan")]).1, "stage is missing; expected the name of a state");
}

#[test]
fn a_substep_is_named_as_substeps_are() {
    for name in ["Extract text", "EXTRACT", "1st", "a-b", "ä"] {
        let expected = "substep is no name of the form [a-z][a-z0-9_]*, up to 63 characters".to_owned();
        assert_eq!(fault(&[("type", "progress"), ("progress", "1"), ("substep", name)]), ("bad_name", expected));
    }
    assert_eq!(fault(&[("type", "progress"), ("progress", "1"), ("substep", &"a".repeat(64))]).0, "too_long");
}

#[test]
fn json_fields_are_json() {
    let checkpoint = |json: &str| flat(&[("type", "progress"), ("progress", "1"), ("checkpoint", json)]);
    for json in ["5", "\"page\"", "[]", "{}", "true", "1e300"] {
        assert!(checkpoint(json).is_ok(), "{json}");
    }
    for json in ["{", "NaN", "{'a': 1}", "1e999", "\"\\ud800\"", "[1,]", &"[".repeat(200)] {
        let error = checkpoint(json).unwrap_err().error;
        assert_eq!(error.code(), "bad_json", "{json}");
        assert!(error.to_string().starts_with("checkpoint is no JSON: "), "{error}");
    }
    for json in [r#""a\u0000b""#, r#"{"a\u0000": 1}"#, r#"[{"a": ["\u0000"]}]"#] {
        assert_eq!(checkpoint(json).unwrap_err().error.code(), "control_character", "{json}");
    }
    // What a checkpoint's texts hold is its worker's affair, but for NUL.
    assert!(checkpoint(r#"{"a": "\u001b[31m \u202e"}"#).is_ok());
    for (open, close) in [("[", "]"), (r#"{"a": "#, "}")] {
        let nested = |levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
        assert!(checkpoint(&nested(64)).is_ok());
        let error = checkpoint(&nested(65)).unwrap_err().error;
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            ("too_deep", "checkpoint is nested too deep; expected up to 64 levels")
        );
    }
    // A backslash and u0000 are no NUL.
    assert!(checkpoint(r#""\\u0000""#).is_ok());
    let quoted = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
    assert!(checkpoint(&quoted(65_536)).is_ok());
    assert_eq!(
        checkpoint(&quoted(65_537)).unwrap_err().error.to_string(),
        "checkpoint is too large; expected up to 65536 bytes"
    );
    let value =
        |length: usize| data(json!({"type": "progress", "progress": 1, "checkpoint": ["x".repeat(length - 4)]}));
    assert!(value(65_536).is_ok());
    assert_eq!(value(65_537).unwrap_err().error.code(), "too_large");
    for (r#type, field) in [("fail", "error"), ("register", "metadata")] {
        let (code, message) = fault(&[("type", r#type), (field, "[1]")]);
        assert_eq!((code, message), ("wrong_type", format!("{field} is of the wrong type; expected a JSON object")));
    }
}

#[test]
fn a_plan_names_each_substep_once() {
    let fault = |substeps: &str| fault(&[("type", "plan"), ("stage", "A"), ("substeps", substeps)]);
    assert_eq!(fault("").0, "missing_field");
    assert_eq!(fault("null").0, "missing_field");
    assert_eq!(fault("{}").0, "wrong_type");
    assert_eq!(fault("[5]").1, "substeps[0] is of the wrong type; expected an object with name and weight");
    assert_eq!(fault("[{}]").1, "substeps[0].name is missing; expected the name of a substep");
    assert_eq!(fault(r#"[{"name": "a"}, {"name": "B"}]"#).0, "bad_name");
    assert_eq!(fault(r#"[{"name": 5}]"#).0, "bad_name");
    assert_eq!(
        fault(r#"[{"name": "a"}, {"name": "a"}]"#),
        ("conflicting_fields", "substeps[1].name is given twice".into())
    );
    for (weight, code) in [
        ("0", "out_of_range"),
        ("-1", "out_of_range"),
        ("1e10", "out_of_range"),
        ("\"x\"", "bad_number"),
        ("[]", "bad_number"),
    ] {
        let (found, message) = fault(&format!(r#"[{{"name": "a", "weight": {weight}}}]"#));
        assert_eq!(found, code, "{weight}");
        assert!(message.starts_with("substeps[0].weight is "), "{message}");
    }
    // What was wrong is still there to be looked at.
    let rejection = data(json!({"type": "plan", "stage": "A", "substeps": [{}]})).unwrap_err();
    assert!(rejection.payload["data"].as_str().unwrap().contains("substeps"));
    let rejection =
        Event::from_json(json!({"type": "plan", "book_id": BOOK, "stage": "A", "substeps": [{}]})).unwrap_err();
    assert_eq!(rejection.payload["substeps"], "[{}]");
}

#[test]
fn one_form_or_the_other() {
    let entry = |fields: &[(&str, &[u8])]| {
        Event::parse(fields.iter().map(|&(name, value)| (name.into(), value.into())).collect()).unwrap_err()
    };
    let rejection = entry(&[("data", b"{}"), ("type", b"heartbeat")]);
    assert_eq!(rejection.error.to_string(), "data and any other field of an event cannot be given together");
    assert_eq!(rejection.payload, json!({"data": "{}", "type": "heartbeat"}));
    let rejection = entry(&[("type", b"heartbeat"), ("type", b"fail")]);
    assert_eq!(rejection.error, EventError::Duplicate { field: "type".into() });
    assert_eq!(rejection.error.to_string(), "type is given twice");
    assert_eq!(entry(&[("data", b"{")]).error.code(), "bad_json");
    assert_eq!(entry(&[("data", b"[]")]).error.to_string(), "data is of the wrong type; expected a JSON object");
    assert_eq!(Event::from_json(json!([1])).unwrap_err().payload, json!({"data": "[1]"}));
    // Fields that mean nothing here do not come between.
    let book = json!({"type": "heartbeat", "book_id": BOOK, "data": 5}).to_string();
    assert!(Event::parse(vec![(b"data".to_vec(), book.into()), (b"trace".to_vec(), vec![255])]).is_ok());
}

#[test]
fn bytes_are_text() {
    let entry = vec![
        (b"type".to_vec(), b"fail".to_vec()),
        (b"message".to_vec(), b"a\xFF\0b".to_vec()),
        (b"\xFE".to_vec(), vec![]),
    ];
    let rejection = Event::parse(entry).unwrap_err();
    assert_eq!(rejection.error.to_string(), "message is no UTF-8 text");
    assert_eq!(rejection.error.code(), "not_utf8");
    assert_eq!(rejection.payload, json!({"type": "fail", "message": "a\u{FFFD}\u{FFFD}b", "\u{FFFD}": ""}));
    assert!(!rejection.truncated);
}

#[test]
fn an_entry_has_a_size() {
    let fill = |bytes: usize| {
        let rest = bytes - "typefailbook_idx".len() - BOOK.len();
        flat(&[("type", "fail"), ("x", &"\"".repeat(rest))])
    };
    assert!(fill(262_144).is_ok());
    let rejection = fill(262_145).unwrap_err();
    assert_eq!(rejection.error.to_string(), "the event is too large; expected up to 262144 bytes");
    assert!(rejection.truncated);
    // The small fields are whole, the large one is cut.
    assert_eq!((&rejection.payload["type"], &rejection.payload["book_id"]), (&json!("fail"), &json!(BOOK)));
    let length = rejection.payload.to_string().len();
    assert!((16_000..16_384).contains(&length), "{length}");
    let large = json!({"type": "fail", "book_id": BOOK, "x": "y".repeat(262_144)});
    assert_eq!(Event::from_json(large).unwrap_err().error.code(), "too_large");
}
