//! Events from any bytes or JSON: each keeps the rules, or is rejected with a reason.

#![allow(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

mod common;

use std::collections::BTreeMap;

use bindery_core::batch::Batch;
use bindery_core::event::{Event, EventKind, Progress, Rejection};
use bindery_core::stream_id::StreamId;
use common::any_json;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

const BOOK: &str = "018f3c1e-7b2a-7c3d-9e4f-5a6b7c8d9e0f";

/// Entries that are nearly events.
fn nearly() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let name = prop_oneof![
        Just("type"),
        Just("book_id"),
        Just("stage"),
        Just("substep"),
        Just("progress"),
        Just("done"),
        Just("total"),
        Just("unit"),
        Just("message"),
        Just("checkpoint"),
        Just("attempt"),
        Just("to"),
        Just("to_status"),
        Just("worker"),
        Just("resume"),
        Just("error"),
        Just("substeps"),
        Just("owner_id"),
        Just("metadata"),
        Just("at"),
        Just("data"),
        Just("other"),
    ];
    let value = prop_oneof![
        Just(String::new()),
        Just(BOOK.to_owned()),
        Just("1".to_owned()),
        Just("50".to_owned()),
        Just("name".to_owned()),
        Just(format!("{{\"type\":\"heartbeat\",\"book_id\":\"{BOOK}\"}}")),
        Just("[{\"substep\":\"a\"}]".to_owned()),
        any_json().prop_map(|json| json.to_string()),
        ".{0,20}",
    ];
    let event = prop_oneof![
        Just("progress"),
        Just("transition"),
        Just("begin"),
        Just("fail"),
        Just("heartbeat"),
        Just("plan"),
        Just("register"),
    ];
    let head = prop::option::weighted(0.8, event);
    let pair = (name, value).prop_map(|(name, value)| (name.into(), value.into_bytes()));
    (head, prop::collection::vec(pair, 0..8)).prop_map(
        |(event, mut fields): (_, Vec<(Vec<u8>, Vec<u8>)>)| {
            if let Some(event) = event {
                fields.retain(|(name, _)| name != b"type" && name != b"book_id" && name != b"data");
                fields.push((b"type".to_vec(), event.into()));
                fields.push((b"book_id".to_vec(), BOOK.into()));
            }
            fields
        },
    )
}

fn has_a_reason(rejection: &Rejection) -> Result<(), TestCaseError> {
    prop_assert!(!rejection.error.code().is_empty() && !rejection.error.to_string().is_empty());
    let json = rejection.payload.to_string();
    prop_assert!(json.len() < 16 * 1024, "{}", json.len());
    let fields = rejection.payload.as_object().unwrap();
    let storable = |(name, value): (&String, &Value)| {
        !name.contains('\0') && value.as_str().is_some_and(|text| !text.contains('\0'))
    };
    let all_storable = fields.iter().all(storable);
    prop_assert!(all_storable);
    Ok(())
}

/// The invariants of an event.
fn keeps_the_rules(event: &Event) -> Result<(), TestCaseError> {
    let attempt = match &event.kind {
        EventKind::Progress(Progress { attempt, substep, report, .. }) => {
            prop_assert!((0.0..=100.0).contains(&report.progress));
            prop_assert_eq!(report.done.is_some(), report.total.is_some());
            prop_assert_ne!(substep.as_deref(), Some(""));
            *attempt
        }
        EventKind::Transition(transition) => {
            prop_assert!(!transition.to_status.is_empty());
            transition.attempt
        }
        EventKind::Begin(begin) => {
            prop_assert!(!begin.to_status.is_empty());
            begin.attempt
        }
        EventKind::Fail(fail) => fail.attempt,
        EventKind::Heartbeat(heartbeat) => heartbeat.attempt,
        EventKind::Plan(plan) => {
            prop_assert!(
                plan.substeps
                    .iter()
                    .all(|substep| substep.weight.is_none_or(|weight| weight > 0.0))
            );
            None
        }
        EventKind::Register(_) => None,
    };
    prop_assert!(attempt.is_none_or(|attempt| attempt >= 1));
    Ok(())
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(entry in any::<Vec<(Vec<u8>, Vec<u8>)>>()) {
        match Event::parse(entry) {
            Ok(event) => keeps_the_rules(&event)?,
            Err(rejection) => has_a_reason(&rejection)?,
        }
    }

    #[test]
    fn a_near_event_is_an_event_or_has_a_rejection_reason(entry in nearly()) {
        match Event::parse(entry) {
            Ok(event) => keeps_the_rules(&event)?,
            Err(rejection) => has_a_reason(&rejection)?,
        }
    }

    #[test]
    fn what_is_accepted_is_written_and_read_again_as_the_same(entry in nearly()) {
        if let Ok(event) = Event::parse(entry) {
            // The form that the daemon passes on; a reader ignores what the batch adds.
            let mut batch = Batch::new();
            batch.push(StreamId::new(1, 0), Ok(event.clone()));
            let json = batch.to_json();
            let mut written: Vec<BTreeMap<String, Box<RawValue>>> =
                serde_json::from_str(&json).unwrap();
            if written[0].contains_key("done") {
                // `progress` is already computed from `done` and `total`; a sender gives either.
                written[0].remove("progress");
            }
            let data = serde_json::to_vec(&written[0]).unwrap();
            // Progress writes no row of the history, so its time is not passed on.
            let at = event.at.clone().filter(|_| !matches!(event.kind, EventKind::Progress(_)));
            prop_assert_eq!(
                Event::parse(vec![(b"data".to_vec(), data)]),
                Ok(Event { at, ..event }),
            );
        }
    }

    #[test]
    fn both_forms_are_one(entry in nearly()) {
        // Each field once, because an object cannot hold more.
        let object: serde_json::Map<String, Value> = entry
            .into_iter()
            .map(|(name, value)| {
                (String::from_utf8(name).unwrap(), String::from_utf8(value).unwrap().into())
            })
            .filter(|(name, _)| name != "data")
            .collect();
        let flat = object
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_str().unwrap().into()));
        let flat = Event::parse(flat.collect());
        let json = Event::from_json(Value::Object(object));
        prop_assert_eq!(&flat, &json);
    }

    #[test]
    fn no_json_makes_it_panic(data in any_json()) {
        match Event::from_json(data) {
            Ok(event) => keeps_the_rules(&event)?,
            Err(rejection) => has_a_reason(&rejection)?,
        }
    }

    #[test]
    fn a_payload_is_cut_to_size_and_no_more(
        sizes in prop::collection::vec(0..9000_usize, 1..6),
        piece in "[aä\"\\x01\\n\\x00€𝄞]",
    ) {
        let entry: Vec<(Vec<u8>, Vec<u8>)> = sizes
            .iter()
            .enumerate()
            .map(|(index, &size)| (format!("field_{index}").into(), piece.repeat(size).into()))
            .collect();
        let whole: Value = entry
            .iter()
            .map(|(name, value)| {
                let text = String::from_utf8(value.clone()).unwrap().replace('\0', "");
                (String::from_utf8(name.clone()).unwrap(), Value::from(text))
            })
            .collect::<serde_json::Map<_, _>>()
            .into();
        let rejection = Event::parse(entry).unwrap_err();
        has_a_reason(&rejection)?;
        if !rejection.truncated {
            prop_assert_eq!(&rejection.payload, &whole);
        } else {
            prop_assert!(whole.to_string().len() > 16_000);
        }
    }
}
