//! Events: their content, every possible error, and what a rejection keeps.

#![allow(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

use bindery_core::event::{
    Begin, Beginning, Event, EventError, EventKind, Fail, Heartbeat, Plan, PlannedSubstep,
    Progress, Register, Rejection, Transition,
};
use bindery_core::json::Json;
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

/// The code and the message of an entry's error.
fn fault(fields: Fields<'_>) -> (&'static str, String) {
    let error = flat(fields).unwrap_err().error;
    (error.code(), error.to_string())
}

/// An event of these JSON fields and the book's id, which must be the same through the field `data`
/// and directly.
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
    let event = flat(&[
        ("type", "progress"),
        ("stage", "ANALYZING"),
        ("substep", "extract_text"),
        ("progress", "40"),
    ]);
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
fn every_type_accepts_all_of_its_fields() {
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
            checkpoint: Some(json!({"page": 3}).into()),
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
        kind(&[
            ("type", "transition"),
            ("to_status", "ANALYZING"),
            ("message", "go"),
            ("attempt", "1")
        ]),
        EventKind::Transition(Transition {
            to_status: "ANALYZING".into(),
            message: Some("go".into()),
            attempt: Some(1)
        })
    );
    assert_eq!(
        kind(&[
            ("type", "begin"),
            ("to_status", "ANALYZING"),
            ("worker", "w1"),
            ("attempt", "1"),
            ("resume", "false"),
            ("pipeline", "comic"),
            ("title", "T"),
            ("owner_id", BOOK),
            ("metadata", "{}"),
        ]),
        EventKind::Begin(Begin {
            to_status: "ANALYZING".into(),
            worker: Some("w1".into()),
            attempt: Some(1),
            resume: Some(false),
            pipeline: Some("comic".into()),
            title: Some("T".into()),
            owner_id: Some(Uuid::parse_str(BOOK).unwrap()),
            metadata: Some(json!({}).into()),
        })
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
            error: Some(json!({"code": "oom"}).into()),
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
    let substeps =
        r#"[{"substep": "chapter_1", "weight": 2.5, "label": "One"}, {"substep": "chapter_2"}]"#;
    assert_eq!(
        kind(&[("type", "plan"), ("stage", "A"), ("substeps", substeps)]),
        EventKind::Plan(Plan {
            stage: "A".into(),
            substeps: vec![
                PlannedSubstep { substep: "chapter_1".into(), weight: Some(2.5) },
                PlannedSubstep { substep: "chapter_2".into(), weight: None },
            ]
        })
    );
    assert_eq!(
        kind(&[
            ("type", "register"),
            ("owner_id", BOOK),
            ("pipeline", "comic"),
            ("title", "T"),
            ("metadata", "{}")
        ]),
        EventKind::Register(Register {
            owner_id: Some(Uuid::parse_str(BOOK).unwrap()),
            pipeline: Some("comic".into()),
            title: Some("T".into()),
            metadata: Some(json!({}).into())
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
        ("to_status", ""),
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
        data(json!({"type": "progress", "progress": 1, "checkpoint": null, "stage": null,
                "attempt": null, "at": ""})),
        flat(&[("type", "progress"), ("progress", "1"), ("checkpoint", "null")])
    );
}

#[test]
fn json_may_hold_numbers_and_json_or_their_texts() {
    let texts = json!({"type": "progress", "done": "3", "total": "4", "attempt": "1",
        "checkpoint": "[1]", "at": "17"});
    let values = json!({"type": "progress", "done": 3, "total": 4.0, "attempt": 1.0,
        "checkpoint": [1], "at": 17});
    assert_eq!(data(texts).unwrap(), data(values).unwrap());
    let texts = json!({"type": "plan", "stage": "A",
        "substeps": "[{\"substep\": \"a\", \"weight\": \"2\"}]"});
    let values = json!({"type": "plan", "stage": "A", "substeps": [{"substep": "a", "weight": 2}]});
    assert_eq!(data(texts).unwrap(), data(values).unwrap());
}

#[test]
fn type_and_book_are_needed() {
    assert_eq!(
        fault(&[("progress", "4")]),
        (
            "missing_field",
            "type is missing; expected progress, transition, begin, fail, heartbeat, plan or \
             register"
                .into()
        )
    );
    assert_eq!(
        fault(&[("type", "progres")]),
        (
            "unknown_type",
            "type is \"progres\"; expected progress, transition, begin, fail, heartbeat, \
             plan or register"
                .into()
        )
    );
    assert_eq!(data_fault(json!({"type": 5})).0, "wrong_type");
    let without_book = Event::parse(vec![(b"type".to_vec(), b"heartbeat".to_vec())]).unwrap_err();
    assert_eq!(without_book.error.to_string(), "book_id is missing; expected a uuid");
    for bad in ["book-1", "018f3c1e-7b2a-7c3d-9e4f-5a6b7c8d9e0", "null"] {
        let entry =
            vec![(b"type".to_vec(), b"heartbeat".to_vec()), (b"book_id".to_vec(), bad.into())];
        let rejection = Event::parse(entry).unwrap_err();
        assert_eq!(rejection.error, EventError::BadUuid { field: "book_id".into() }, "{bad}");
        assert_eq!(rejection.payload, json!({"type": "heartbeat", "book_id": bad}));
    }
    assert_eq!(
        Event::from_json(json!({"type": "heartbeat", "book_id": 5})).unwrap_err().error.code(),
        "bad_uuid"
    );
}

#[test]
fn progress_is_a_percent_or_parts() {
    let fault = |fields: Fields<'_>| fault(&[&[("type", "progress")], fields].concat());
    assert_eq!(
        fault(&[]),
        (
            "missing_field",
            "progress is missing; expected a number from 0 to 100, or done and total".into()
        )
    );
    assert_eq!(
        fault(&[("done", "1")]).1,
        "total is missing; expected the number that done counts towards"
    );
    assert_eq!(fault(&[("total", "1")]).1, "done is missing; expected a number from 0 to total");
    for fields in [
        &[("progress", "1"), ("done", "1"), ("total", "2")][..],
        &[("progress", "1"), ("total", "2")],
    ] {
        assert_eq!(
            fault(fields),
            ("conflicting_fields", "progress and done or total cannot be given together".into())
        );
    }
    for progress in
        ["NaN", "inf", "-inf", "1e999", "forty", "4 0", "40%", "0x10", "1,5", "true", "[]"]
    {
        let expected =
            ("bad_number", "progress is not a number; expected a number from 0 to 100".to_owned());
        assert_eq!(fault(&[("progress", progress)]), expected, "{progress}");
    }
    for progress in ["-1", "100.001", "100.0000002", "-0.0000002", "1e300"] {
        let expected = (
            "out_of_range",
            "progress is out of range; expected a number from 0 to 100".to_owned(),
        );
        assert_eq!(fault(&[("progress", progress)]), expected, "{progress}");
    }
    for (done, total) in [("1", "0"), ("0", "0"), ("1", "-1"), ("1", "1e16")] {
        assert_eq!(
            fault(&[("done", done), ("total", total)]).1,
            "total is out of range; expected a number above 0, up to 1e15"
        );
    }
    for (done, total) in [("3", "2"), ("-1", "2"), ("2.00000001", "2"), ("-0.00000001", "2")] {
        assert_eq!(
            fault(&[("done", done), ("total", total)]).1,
            "done is out of range; expected a number from 0 to total"
        );
    }
    for (progress, expected) in
        [("-0", 0.0), ("1e2", 100.0), ("0.5", 0.5), ("99.999", 99.999), (" 40\n", 40.0)]
    {
        let EventKind::Progress(event) = kind(&[("type", "progress"), ("progress", progress)])
        else {
            panic!()
        };
        assert_eq!(event.report.progress, expected);
        assert!(event.report.progress.is_sign_positive());
    }
    // Rounding errors of a sum or quotient of doubles at an end do not matter.
    for (progress, expected) in [
        ("100.00000000000001", 100.0),
        ("99.99999999999999", 100.0),
        ("-1e-300", 0.0),
        ("1e-12", 0.0),
    ] {
        let EventKind::Progress(event) = kind(&[("type", "progress"), ("progress", progress)])
        else {
            panic!()
        };
        assert_eq!(event.report.progress, expected, "{progress}");
    }
    for (done, total, expected) in [
        ("0.30000000000000004", "0.3", (100.0, 0.3)),
        ("0.29999999999999999", "0.3", (100.0, 0.3)),
        ("-1e-17", "0.3", (0.0, 0.0)),
        ("1", "4", (25.0, 1.0)),
    ] {
        let EventKind::Progress(event) =
            kind(&[("type", "progress"), ("done", done), ("total", total)])
        else {
            panic!()
        };
        assert_eq!(
            (event.report.progress, event.report.done),
            (expected.0, Some(expected.1)),
            "{done}"
        );
    }
    let by_field =
        |data: &str| Event::parse(vec![(b"data".to_vec(), data.into())]).unwrap_err().error.code();
    for number in ["NaN", "Infinity", "-Infinity", "1e400", "1e999999"] {
        let data = format!(r#"{{"type": "progress", "book_id": "{BOOK}", "progress": {number}}}"#);
        assert_eq!(by_field(&data), "bad_number", "{number}");
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
fn texts_for_people_are_cleaned_and_cut() {
    let of = |event: Event| match event.kind {
        EventKind::Progress(progress) => (progress.report.unit, progress.report.message),
        EventKind::Fail(fail) => (None, fail.message),
        EventKind::Begin(begin) => (begin.worker, begin.title),
        EventKind::Register(register) => (None, register.title),
        other => panic!("{other:?}"),
    };
    let begin = [("type", "begin"), ("to_status", "A")];
    for (needed, field, limit) in [
        (&[("type", "progress"), ("progress", "1")][..], "unit", 63),
        (&[("type", "progress"), ("progress", "1")], "message", 8192),
        (&[("type", "fail")], "message", 8192),
        (&begin, "worker", 255),
        (&begin, "title", 1024),
        (&[("type", "register")], "title", 1024),
    ] {
        let text = |text: &str| {
            let (first, second) = of(flat(&[needed, &[(field, text)]].concat()).unwrap());
            first.or(second)
        };
        let long = |length: usize| "ä".repeat(length);
        assert_eq!(text(&long(limit)), Some(long(limit)), "{field}");
        assert_eq!(text(&long(limit + 1)), Some(long(limit - 1) + "…"), "{field}");
        assert_eq!(text(&long(100_000)), Some(long(limit - 1) + "…"), "{field}");
        assert_eq!(
            text("\u{1b}[31mPage\u{1b}[0m \u{2068}31\u{2069}\0 is\ttorn").as_deref(),
            Some("Page 31 is\ttorn")
        );
        assert_eq!(text("\u{1b}[0m"), None);
    }
    let event = flat(&[("type", "heartbeat"), ("at", &"1".repeat(65))]).unwrap();
    assert_eq!(event.at, Some("1".repeat(63) + "…"));
    // A sender may send another value for a text.
    let message = |value: Value| {
        of(data(json!({"type": "progress", "progress": 1, "message": value})).unwrap()).1
    };
    assert_eq!(message(json!(5)).as_deref(), Some("5"));
    assert_eq!(message(json!({"page": [1, null]})).as_deref(), Some("{\"page\":[1,null]}"));
    assert_eq!(message(json!(null)), None);
}

#[test]
fn the_name_of_a_stage_state_or_pipeline_has_a_length() {
    for (r#type, field) in [
        ("progress", "stage"),
        ("transition", "to_status"),
        ("transition", "to"),
        ("begin", "stage"),
        ("fail", "stage"),
        ("register", "pipeline"),
    ] {
        let fields = |text: &str| {
            let with = [("type", r#type), ("progress", "1"), (field, text)];
            flat(&with).map_err(|rejection| (rejection.error.code(), rejection.error.to_string()))
        };
        assert!(fields(&"ä".repeat(63)).is_ok(), "{field}");
        let expected = ("too_long", format!("{field} is too long; expected up to 63 characters"));
        assert_eq!(fields(&"ä".repeat(64)).unwrap_err(), expected);
        assert_eq!(fields(" \u{2068}A\u{2069}\n").unwrap(), fields("A").unwrap(), "{field}");
    }
    assert_eq!(
        data_fault(json!({"type": "transition", "to_status": 5})),
        ("wrong_type", "to_status is of the wrong type; expected the name of a state".into())
    );
    for r#type in ["transition", "begin"] {
        assert_eq!(
            fault(&[("type", r#type)]).1,
            "to_status is missing; expected the name of a state"
        );
    }
    assert_eq!(fault(&[("type", "plan")]).1, "stage is missing; expected the name of a state");
}

#[test]
fn to_status_has_aliases() {
    let expected = kind(&[("type", "transition"), ("to_status", "A")]);
    assert_eq!(kind(&[("type", "transition"), ("to", "A")]), expected);
    assert_eq!(
        kind(&[("type", "transition"), ("to", "A"), ("to_status", "A"), ("stage", "B")]),
        expected
    );
    assert_eq!(
        fault(&[("type", "transition"), ("to", "A"), ("to_status", "B")]).0,
        "conflicting_fields"
    );
    let expected = kind(&[("type", "begin"), ("to_status", "A")]);
    assert_eq!(kind(&[("type", "begin"), ("to", "A")]), expected);
    assert_eq!(kind(&[("type", "begin"), ("stage", "A")]), expected);
    assert_eq!(
        fault(&[("type", "begin"), ("to_status", "A"), ("stage", "B")]).0,
        "conflicting_fields"
    );
}

#[test]
fn bytes_that_are_not_utf8_become_replacement_characters() {
    let entry = |name: &str, value: &[u8]| {
        let fields = [("type", &b"fail"[..]), ("book_id", BOOK.as_bytes()), (name, value)];
        Event::parse(fields.iter().map(|&(name, value)| (name.into(), value.into())).collect())
    };
    let EventKind::Fail(fail) = entry("message", b"a\xFFb\0c").unwrap().kind else { panic!() };
    assert_eq!(fail.message.as_deref(), Some("a\u{FFFD}bc"));
    let EventKind::Fail(fail) = entry("error", b"{\"a\": \"\xFF\"}").unwrap().kind else {
        panic!()
    };
    assert_eq!(fail.error, Some(json!({"a": "\u{FFFD}"}).into()));
    let data = format!("{{\"type\": \"fail\", \"book_id\": \"{BOOK}\", \"message\": \"a?b\"}}")
        .replace('?', "\u{1}");
    let mut data = data.into_bytes();
    let at = data.iter().position(|&byte| byte == 1).unwrap();
    data[at] = 0xFF;
    let EventKind::Fail(fail) = Event::parse(vec![(b"data".to_vec(), data)]).unwrap().kind else {
        panic!()
    };
    assert_eq!(fail.message.as_deref(), Some("a\u{FFFD}b"));
}

#[test]
fn a_fail_is_never_rejected_for_its_message_or_error() {
    let error = |text: &str| match kind(&[("type", "fail"), ("error", text)]) {
        EventKind::Fail(fail) => fail.error.map(|error| error.as_str().to_owned()),
        other => panic!("{other:?}"),
    };
    for (sent, kept) in [
        (
            r#"{"code": "oom", "used": NaN, "of": 1e400}"#,
            Some(r#"{"code":"oom","used":null,"of":1e400}"#),
        ),
        (
            r#"{"text": "half \ud83e", "nul": "a\u0000b"}"#,
            Some("{\"text\":\"half \u{FFFD}\",\"nul\":\"ab\"}"),
        ),
        ("out of memory", Some(r#"{"message":"out of memory"}"#)),
        ("\u{1b}[31mred\u{1b}[0m", Some(r#"{"message":"red"}"#)),
        (r#""in quotes""#, Some(r#"{"message":"in quotes"}"#)),
        ("[1, 2]", Some(r#"{"errors":[1,2]}"#)),
        ("5", Some(r#"{"value":5}"#)),
        ("false", Some(r#"{"value":false}"#)),
        ("null", None),
        (" ", None),
        ("{\"code\": \"cut short", Some(r#"{"message":"{\"code\": \"cut short"}"#)),
    ] {
        assert_eq!(error(sent).as_deref(), kept, "{sent}");
    }
    // Too large or too deep: what fits is kept, small entries first.
    let large =
        json!({"code": "oom", "stack": "x".repeat(70_000), "frames": vec![1; 30_000], "n": 1})
            .to_string();
    let kept: Value = serde_json::from_str(&error(&large).unwrap()).unwrap();
    assert_eq!((&kept["code"], &kept["n"], &kept["cut"]), (&json!("oom"), &json!(1), &json!(true)));
    let size = Json::from(kept).as_str().len();
    assert!((30_000..65_536).contains(&size), "{size}");
    let stack = error(&"at f (file.js:1)\n".repeat(6_000)).unwrap();
    assert!(
        stack.len() > 60_000 && stack.ends_with(r#"…","cut":true}"#),
        "{}",
        &stack[stack.len() - 40..]
    );
    let deep = format!("{{\"code\": \"x\", \"deep\": {}1{}}}", "[".repeat(200), "]".repeat(200));
    let kept = error(&deep).unwrap();
    assert!(
        kept.starts_with(r#"{"code":"x","deep":[[["#) && kept.ends_with(r#"]]],"cut":true}"#),
        "{kept}"
    );
    let list = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(error(&list).unwrap().ends_with(r#"],"cut":true}"#));
    // If a key is given twice, the later value counts.
    let twice = kind(&[
        ("type", "fail"),
        ("message", "a"),
        ("error", "a"),
        ("error", "b"),
        ("message", "b"),
    ]);
    let EventKind::Fail(twice) = twice else { panic!() };
    assert_eq!(
        (twice.message.as_deref(), twice.error),
        (Some("b"), Some(json!({"message": "b"}).into()))
    );
}

#[test]
fn json_keeps_the_digits_of_its_numbers() {
    let numbers = concat!(
        r#"{"cursor":147696713205860203665304570961189620315,"#,
        r#""at":12345678901234567.89,"small":1.10,"e":1E+2}"#,
    );
    let EventKind::Progress(progress) =
        kind(&[("type", "progress"), ("progress", "1"), ("checkpoint", numbers)])
    else {
        panic!()
    };
    assert_eq!(progress.report.checkpoint.unwrap().as_str(), numbers);
    for (r#type, field) in [("fail", "error"), ("register", "metadata"), ("progress", "checkpoint")]
    {
        let data =
            format!(r#"{{"type":"{type}","book_id":"{BOOK}","progress":1,"{field}":{numbers}}}"#);
        let mut batch = bindery_core::batch::Batch::new();
        batch.push(
            bindery_core::stream_id::StreamId::new(1, 0),
            Event::parse(vec![(b"data".to_vec(), data.into())]),
        );
        assert!(batch.to_json().contains(numbers), "{}", batch.to_json());
    }
}

#[test]
fn a_substep_is_named_as_substeps_are() {
    for name in ["Extract text", "EXTRACT", "1st", "a-b", "ä"] {
        let expected =
            "substep is not a name of the form [a-z][a-z0-9_]*, up to 63 characters".to_owned();
        assert_eq!(
            fault(&[("type", "progress"), ("progress", "1"), ("substep", name)]),
            ("bad_name", expected)
        );
    }
    assert_eq!(
        fault(&[("type", "progress"), ("progress", "1"), ("substep", &"a".repeat(64))]).0,
        "too_long"
    );
}

#[test]
fn json_fields_are_json() {
    let checkpoint =
        |json: &str| flat(&[("type", "progress"), ("progress", "1"), ("checkpoint", json)]);
    for json in [
        "5",
        "\"page\"",
        "[]",
        "{}",
        "true",
        "1e300",
        "NaN",
        "1e999",
        "\"\\ud800\"",
        "{\"a\u{0}\": 1}",
    ] {
        assert!(checkpoint(json).is_ok(), "{json}");
    }
    for json in [
        "{",
        "{'a': 1}",
        "[1,]",
        "nan",
        "01",
        "+1",
        "1.",
        ".5",
        "[1] 2",
        "\"\\x\"",
        &"[".repeat(200),
    ] {
        let error = checkpoint(json).unwrap_err().error;
        assert_eq!(error.code(), "bad_json", "{json}");
        assert!(error.to_string().starts_with("checkpoint is not JSON: expected "), "{error}");
    }
    // Texts in a checkpoint stay unchanged, except for NUL.
    let kept = |json: &str| match checkpoint(json).unwrap().kind {
        EventKind::Progress(progress) => {
            progress.report.checkpoint.map(|json| json.as_str().to_owned())
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(
        kept(r#"{"a": "\u001b[31m \u202e\u0000"}"#).unwrap(),
        "{\"a\":\"\\u001b[31m \u{202e}\"}"
    );
    assert_eq!(kept(r#""\\u0000""#).unwrap(), r#""\\u0000""#);
    assert_eq!(kept(r#"{"a": 1, "b": 2, "a\u0000": 3}"#).unwrap(), r#"{"b":2,"a":3}"#);
    assert_eq!(kept("NaN"), None);
    for (open, close) in [("[", "]"), (r#"{"a": "#, "}")] {
        let nested = |levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
        assert!(checkpoint(&nested(64)).is_ok());
        for levels in [65, 72, 73, 200, 20_000] {
            let error = checkpoint(&nested(levels)).unwrap_err().error;
            assert_eq!(
                (error.code(), error.to_string().as_str()),
                ("too_deep", "checkpoint is nested too deep; expected up to 64 levels")
            );
        }
    }
    let quoted = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
    assert!(checkpoint(&quoted(65_536)).is_ok());
    assert_eq!(
        checkpoint(&quoted(65_537)).unwrap_err().error.to_string(),
        "checkpoint is too large; expected up to 65536 bytes"
    );
    // Sizes are those of jsonb's text: 301 digits for 1e300, and a space after a comma.
    let list = |values: usize| format!("[{}]", vec!["1e300"; values].join(","));
    assert!(checkpoint(&list(216)).is_ok());
    assert_eq!(checkpoint(&list(217)).unwrap_err().error.code(), "too_large");
    let value = |length: usize| {
        data(json!({"type": "progress", "progress": 1, "checkpoint": ["x".repeat(length - 4)]}))
    };
    assert!(value(65_536).is_ok());
    assert_eq!(value(65_537).unwrap_err().error.code(), "too_large");
    let metadata =
        ("wrong_type", "metadata is of the wrong type; expected a JSON object".to_owned());
    for fields in [&[("type", "register")][..], &[("type", "begin"), ("to_status", "A")]] {
        assert_eq!(fault(&[fields, &[("metadata", "[1]")]].concat()), metadata);
    }
}

#[test]
fn a_plan_names_each_substep_once() {
    let fault = |substeps: &str| fault(&[("type", "plan"), ("stage", "A"), ("substeps", substeps)]);
    assert_eq!(fault("").0, "missing_field");
    assert_eq!(fault("null").0, "missing_field");
    assert_eq!(fault("{}").0, "wrong_type");
    assert_eq!(
        fault("[5]").1,
        "substeps[0] is of the wrong type; expected an object with substep and weight"
    );
    assert_eq!(fault("[{}]").1, "substeps[0].substep is missing; expected the name of a substep");
    assert_eq!(fault(r#"[{"substep": "a"}, {"substep": "B"}]"#).0, "bad_name");
    assert_eq!(fault(r#"[{"substep": 5}]"#).0, "bad_name");
    assert_eq!(
        fault(r#"[{"substep": "a"}, {"substep": "a"}]"#),
        ("conflicting_fields", "substeps[1].substep is given twice".into())
    );
    for (weight, code) in [
        ("0", "out_of_range"),
        ("1e-10", "out_of_range"),
        ("-1", "out_of_range"),
        ("1e10", "out_of_range"),
        ("\"x\"", "bad_number"),
        ("[]", "bad_number"),
    ] {
        let (found, message) = fault(&format!(r#"[{{"substep": "a", "weight": {weight}}}]"#));
        assert_eq!(found, code, "{weight}");
        assert!(message.starts_with("substeps[0].weight is "), "{message}");
    }
    let substeps = |json: &str| kind(&[("type", "plan"), ("stage", "A"), ("substeps", json)]);
    assert_eq!(
        substeps(r#"[{"name": "a", "weight": 1e-9}]"#),
        substeps(r#"[{"substep": " a\n", "weight": 1e-9}]"#)
    );
    assert_eq!(fault(r#"[{"substep": "a", "name": "b"}]"#).0, "conflicting_fields");
    let many = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
    assert_eq!(
        fault(&many(10_001)),
        ("too_many_substeps", "substeps has 10001 substeps; expected up to 10000".into())
    );
    assert_eq!(fault(&many(10_000)).0, "missing_field");
    // The invalid field is still shown.
    let rejection = data(json!({"type": "plan", "stage": "A", "substeps": [{}]})).unwrap_err();
    assert!(rejection.payload["data"].as_str().unwrap().contains("substeps"));
    let rejection =
        Event::from_json(json!({"type": "plan", "book_id": BOOK, "stage": "A", "substeps": [{}]}))
            .unwrap_err();
    assert_eq!(rejection.payload["substeps"], "[{}]");
}

#[test]
fn one_form_or_the_other() {
    let entry = |fields: &[(&str, &[u8])]| {
        Event::parse(fields.iter().map(|&(name, value)| (name.into(), value.into())).collect())
            .unwrap_err()
    };
    let rejection = entry(&[("data", b"{}"), ("type", b"heartbeat")]);
    assert_eq!(
        rejection.error.to_string(),
        "data and any other field of an event cannot be given together"
    );
    assert_eq!(rejection.payload, json!({"data": "{}", "type": "heartbeat"}));
    let rejection = entry(&[("type", b"heartbeat"), ("type", b"fail")]);
    assert_eq!(rejection.error, EventError::Duplicate { field: "type".into() });
    assert_eq!(rejection.error.to_string(), "type is given twice");
    assert_eq!(entry(&[("data", b"{")]).error.code(), "bad_json");
    assert_eq!(
        entry(&[("data", b"[]")]).error.to_string(),
        "data is of the wrong type; expected a JSON object"
    );
    assert_eq!(Event::from_json(json!([1])).unwrap_err().payload, json!({"data": "[1]"}));
    // Fields without a meaning do not change the result.
    let book = json!({"type": "heartbeat", "book_id": BOOK, "data": 5}).to_string();
    assert!(
        Event::parse(vec![(b"data".to_vec(), book.into()), (b"trace".to_vec(), vec![255])]).is_ok()
    );
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
    assert_eq!(
        (&rejection.payload["type"], &rejection.payload["book_id"]),
        (&json!("fail"), &json!(BOOK))
    );
    let length = rejection.payload.to_string().len();
    assert!((16_000..16_384).contains(&length), "{length}");
    let large = json!({"type": "fail", "book_id": BOOK, "x": "y".repeat(262_144)});
    assert_eq!(Event::from_json(large).unwrap_err().error.code(), "too_large");
    // Fields that are cut to their size do not count.
    let EventKind::Fail(fail) = kind(&[("type", "fail"), ("message", &"y".repeat(300_000))]) else {
        panic!()
    };
    assert_eq!(fail.message.map(|message| message.len()), Some(8191 + "…".len()));
}

#[test]
fn an_entry_of_which_only_beginnings_are_known_is_read_where_they_suffice() {
    let field = |name: &str, value: &str, is_whole| Beginning {
        name: name.into(),
        value: value.into(),
        is_whole,
    };
    let head = |kind| [field("type", kind, true), field("book_id", BOOK, true)];
    let read = |kind, fields: &[Beginning]| {
        Event::read_beginnings(&[&head(kind)[..], fields].concat(), true)
    };
    let error = read("fail", &[field("error", "{\"stack\": \"at f", false)]).unwrap();
    let EventKind::Fail(fail) = error.kind else { panic!() };
    assert_eq!(fail.error.unwrap().as_str(), r#"{"message":"{\"stack\": \"at f…","cut":true}"#);
    let message = "m".repeat(17_000);
    let event =
        read("progress", &[field("progress", "40", true), field("message", &message, false)])
            .unwrap();
    let EventKind::Progress(progress) = event.kind else { panic!() };
    assert_eq!(progress.report.progress, 40.0);
    for lost in ["checkpoint", "unknown", "stage"] {
        let read = read("progress", &[field("progress", "40", true), field(lost, "1", false)]);
        assert_eq!(read.unwrap_err().error.code(), "too_large", "{lost}");
    }
    assert_eq!(Event::read_beginnings(&head("fail"), false).unwrap_err().error.code(), "too_large");
}
