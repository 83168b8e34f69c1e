//! Coalescing: which events merge, and that merging makes no difference to a book.

#![allow(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

mod common;

use std::collections::{BTreeMap, HashSet};

use bindery_core::batch::{Batch, OTHER_WORK, ProgressColumns};
use bindery_core::definition::compile;
use bindery_core::event::{Event, EventKind};
use bindery_core::machine::Machine;
use bindery_core::stream_id::StreamId;
use bindery_model::{Book, BookSubstep};
use common::{Step, branching, machine, step};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

const BOOK: &str = "018f3c1e-7b2a-7c3d-9e4f-5a6b7c8d9e0f";
const OTHER: &str = "018f3c1e-7b2a-7c3d-9e4f-000000000000";

/// The batch of these events: JSON with their fields, by default of the first book. Their ids count
/// from 1-0.
fn batch(events: &[Value]) -> Batch {
    let mut batch = Batch::new();
    for (index, event) in events.iter().enumerate() {
        let mut event = event.clone();
        if event.get("book_id").is_none() {
            event["book_id"] = json!(BOOK);
        }
        batch.push(StreamId::new(index as u64 + 1, 0), Event::from_json(event));
    }
    batch
}

fn items(events: &[Value]) -> Vec<Value> {
    serde_json::from_str(&batch(events).to_json()).unwrap()
}

fn progress(substep: &str, progress: f64) -> Value {
    json!({"type": "progress", "substep": substep, "progress": progress})
}

#[test]
fn an_empty_batch_is_an_empty_array() {
    let batch = Batch::new();
    assert!(batch.is_empty());
    assert_eq!((batch.items(), batch.events(), batch.bytes(), batch.segments()), (0, 0, 0, 0));
    assert_eq!(batch.work(), 0);
    assert_eq!((batch.last_id(), batch.to_json()), (None, "[]".to_owned()));
}

#[test]
fn reports_of_one_substep_merge() {
    let items = items(&[
        json!({"type": "progress", "stage": "A", "substep": "a", "progress": 10, "message": "one",
            "checkpoint": {"n": 1}}),
        json!({"type": "progress", "stage": "A", "substep": "a", "done": 6, "total": 8,
            "unit": "page", "at": "x"}),
        json!({"type": "progress", "stage": "A", "substep": "b", "progress": 1}),
        json!({"type": "progress", "stage": "A", "substep": "a", "progress": 20,
            "message": "late"}),
    ]);
    assert_eq!(
        items,
        [
            json!({"type": "progress", "id": "4-0", "first_id": "1-0", "count": 3, "segment": 0,
                "book_id": BOOK, "stage": "A", "substep": "a", "progress": 75.0, "done": 6.0,
                "total": 8.0, "unit": "page",
                "message": "late", "checkpoint": {"n": 1}}),
            json!({"type": "progress", "id": "3-0", "first_id": "3-0", "count": 1, "segment": 0,
                "book_id": BOOK, "stage": "A", "substep": "b", "progress": 1.0}),
        ]
    );
}

#[test]
fn of_equal_reports_the_later_counts() {
    let items = items(&[
        json!({"type": "progress", "done": 1, "total": 2, "unit": "page"}),
        json!({"type": "progress", "substep": "all", "done": 50, "total": 100}),
    ]);
    assert_eq!(
        items,
        [json!({"type": "progress", "id": "2-0", "first_id": "1-0", "count": 2, "segment": 0,
                "book_id": BOOK, "progress": 50.0, "done": 50.0, "total": 100.0})]
    );
}

#[test]
fn a_heartbeat_of_another_stage_is_judged_alone() {
    let beats = [
        json!({"type": "heartbeat"}),
        json!({"type": "heartbeat", "stage": "NOPE"}),
        json!({"type": "heartbeat"}),
    ];
    let counts: Vec<_> =
        items(&beats).iter().map(|item| (item["stage"].clone(), item["count"].clone())).collect();
    assert_eq!(counts, [(Value::Null, json!(2)), (json!("NOPE"), json!(1))]);
}

#[test]
fn lifecycle_events_stand_alone_in_order() {
    let events = [
        json!({"type": "register", "pipeline": "comic", "title": "T", "owner_id": OTHER,
            "metadata": {"a": 1}}),
        json!({"type": "transition", "to_status": "ANALYZING", "at": "17"}),
        json!({"type": "plan", "stage": "ANALYZING",
            "substeps": [{"substep": "a", "weight": 2}, {"substep": "b"}]}),
        progress("a", 5.0),
        json!({"type": "heartbeat", "message": "one", "stage": "ANALYZING"}),
        progress("a", 6.0),
        json!({"type": "heartbeat", "stage": "ANALYZING"}),
        json!({"type": "fail", "error": {"code": "oom"}, "message": "no", "attempt": 1,
            "stage": "ANALYZING"}),
        progress("a", 7.0),
    ];
    let items = items(&events);
    assert_eq!(
        items,
        [
            json!({"type": "register", "id": "1-0", "count": 1, "segment": 0, "book_id": BOOK,
                "pipeline": "comic", "title": "T", "owner_id": OTHER, "metadata": {"a": 1}}),
            json!({"type": "transition", "id": "2-0", "count": 1, "segment": 1, "book_id": BOOK,
                "to_status": "ANALYZING", "at": "17"}),
            json!({"type": "plan", "id": "3-0", "count": 1, "segment": 2, "book_id": BOOK,
                "stage": "ANALYZING",
                "substeps": [{"substep": "a", "weight": 2.0}, {"substep": "b"}]}),
            json!({"type": "progress", "id": "6-0", "first_id": "4-0", "count": 2, "segment": 3,
                "book_id": BOOK, "substep": "a", "progress": 6.0}),
            json!({"type": "heartbeat", "id": "7-0", "count": 2, "segment": 3, "book_id": BOOK,
                "stage": "ANALYZING", "message": "one"}),
            json!({"type": "fail", "id": "8-0", "count": 1, "segment": 4, "book_id": BOOK,
                "error": {"code": "oom"}, "message": "no", "attempt": 1, "stage": "ANALYZING"}),
            json!({"type": "progress", "id": "9-0", "first_id": "9-0", "count": 1, "segment": 5,
                "book_id": BOOK, "substep": "a", "progress": 7.0}),
        ]
    );
    let batch = batch(&events);
    assert_eq!((batch.items(), batch.events(), batch.segments()), (7, 9, 6));
    assert_eq!(batch.last_id(), Some(StreamId::new(9, 0)));
}

#[test]
fn books_share_segments() {
    let other = |mut event: Value| {
        event["book_id"] = json!(OTHER);
        event
    };
    let go = json!({"type": "transition", "to_status": "B"});
    let items = items(&[
        go.clone(),
        other(progress("a", 1.0)),
        progress("a", 2.0),
        other(go),
        other(progress("a", 3.0)),
    ]);
    let segments: Vec<(&Value, &Value)> =
        items.iter().map(|item| (&item["id"], &item["segment"])).collect();
    let expected = [("1-0", 0), ("2-0", 0), ("3-0", 1), ("4-0", 1), ("5-0", 2)];
    assert!(
        segments
            .into_iter()
            .zip(expected)
            .all(|(found, (id, segment))| *found.0 == id && *found.1 == segment)
    );
}

#[test]
fn a_report_that_may_mean_another_stage_opens_a_segment() {
    let of = |stage: Option<&str>, attempt: Option<i32>| {
        json!({"type": "progress", "substep": "a", "progress": 1, "stage": stage,
            "attempt": attempt})
    };
    let segments = |events: &[Value]| -> Vec<u64> {
        items(events).iter().filter_map(|item| item["segment"].as_u64()).collect()
    };
    assert_eq!(
        segments(&[of(Some("A"), None), of(Some("B"), None), of(Some("A"), None)]),
        [0, 1, 2]
    );
    assert_eq!(segments(&[of(Some("A"), None), of(None, None)]), [0, 1]);
    assert_eq!(segments(&[of(None, None), of(None, Some(1))]), [0, 1]);
    // A report of a future attempt waits, and the events after it wait behind it.
    assert_eq!(segments(&[of(None, Some(1)), of(None, Some(2)), of(None, Some(1))]), [0, 1, 2]);
    // Heartbeats join any segment.
    let beat = json!({"type": "heartbeat", "attempt": 1});
    assert_eq!(
        segments(&[beat.clone(), of(Some("A"), None), beat.clone(), of(Some("B"), None), beat]),
        [0, 0, 1, 1]
    );
}

#[test]
fn an_invalid_event_is_a_rejected_item() {
    let mut batch = batch(&[
        json!({"type": "transition", "to_status": "A"}),
        json!({"type": "progress", "progress": 101}),
    ]);
    let large = vec![(b"type".to_vec(), b"nonsense".to_vec()), (b"x".to_vec(), vec![b'x'; 20_000])];
    batch.push(StreamId::new(3, 7), Event::parse(large));
    let items: Vec<Value> = serde_json::from_str(&batch.to_json()).unwrap();
    assert_eq!(
        items[1],
        json!({"type": "rejected", "id": "2-0", "count": 1, "segment": 0, "reason": "out_of_range",
            "message": "progress is out of range; expected a number from 0 to 100",
            "payload": {"type": "progress", "progress": "101", "book_id": BOOK}})
    );
    assert_eq!(
        (&items[2]["truncated"], &items[2]["reason"], &items[2]["id"]),
        (&json!(true), &json!("unknown_type"), &json!("3-7"))
    );
    assert!(items[2].to_string().len() < 16_700);
}

#[test]
fn progress_is_handed_over_in_columns_and_the_rest_as_json() {
    let batch = batch(&[
        json!({"type": "progress", "stage": "A", "substep": "a", "progress": 10, "message": "m",
            "checkpoint": {"n": 1}}),
        json!({"type": "transition", "to_status": "B"}),
        json!({"type": "progress", "stage": "B", "done": 1, "total": 4}),
        json!({"type": "progress", "book_id": OTHER, "progress": 7}),
        json!({"type": "progress", "stage": "A", "substep": "a", "progress": "x"}),
        json!({"type": "progress", "stage": "B", "done": 2, "total": 4}),
    ]);
    let [book, other] = [BOOK, OTHER].map(|id| Uuid::parse_str(id).unwrap());
    let ids = |ms: [u64; 3]| ms.map(|ms| StreamId::new(ms, 0)).to_vec();
    let text = |text: &str| Some(text.to_owned());
    let (columns, others) = batch.into_parts();
    assert!(OTHER < BOOK, "in a segment they are sorted by book");
    assert_eq!(
        columns,
        ProgressColumns {
            segments: vec![0, 0, 2],
            book_ids: vec![other, book, book],
            stages: Some(vec![None, text("A"), text("B")]),
            substeps: Some(vec![None, text("a"), None]),
            attempts: None,
            progress: vec![7.0, 10.0, 50.0],
            done: Some(vec![None, None, Some(2.0)]),
            totals: Some(vec![None, None, Some(4.0)]),
            units: None,
            messages: Some(vec![None, text("m"), None]),
            checkpoints: Some(vec![None, text(r#"{"n":1}"#), None]),
            counts: vec![1, 1, 2],
            first_ids: ids([4, 1, 3]),
            ids: ids([4, 1, 6]),
        }
    );
    let others: Vec<Value> = serde_json::from_value(serde_json::to_value(others).unwrap()).unwrap();
    let types: Vec<&Value> = others.iter().map(|item| &item["type"]).collect();
    assert_eq!(types, ["transition", "rejected"]);
    let (columns, others) = Batch::new().into_parts();
    assert!(columns.is_empty() && others.is_empty());
}

#[test]
fn an_item_that_is_not_progress_counts_as_more_work() {
    let merged = batch(&vec![progress("a", 1.0); 3]);
    assert_eq!((merged.events(), merged.work()), (3, 1));
    let wrong = json!({"type": "progress", "progress": 101});
    let others =
        batch(&[json!({"type": "transition", "to_status": "A"}), progress("a", 1.0), wrong]);
    assert_eq!(others.work(), 2 * OTHER_WORK + 1);
}

#[test]
fn a_begin_stands_alone() {
    let begin = json!({"type": "begin", "to_status": "A", "worker": "w", "metadata": {"a": 1.50}});
    let items = items(&[progress("a", 1.0), begin.clone(), begin, progress("a", 2.0)]);
    let segments: Vec<u64> = items.iter().filter_map(|item| item["segment"].as_u64()).collect();
    assert_eq!(segments, [0, 1, 2, 3]);
    assert_eq!(
        items[1],
        json!({"type": "begin", "id": "2-0", "count": 1, "segment": 1, "book_id": BOOK,
            "to_status": "A", "worker": "w", "metadata": {"a": 1.5}})
    );
}

#[test]
fn the_bytes_of_a_batch_follow_the_latest_texts() {
    let few = batch(&[progress("a", 1.0)]).bytes();
    let merged = batch(&vec![progress("a", 1.0); 1000]).bytes();
    assert_eq!(merged, few);
    let text = |length: usize| {
        json!({"type": "progress", "progress": 1, "message": "x".repeat(length),
            "checkpoint": ["y".repeat(length)]})
    };
    // Only the latest text is kept.
    for lengths in [[1, 5000], [5000, 1]] {
        let bytes = batch(&lengths.map(text)).bytes();
        let expected = batch(&[text(lengths[1])]).bytes();
        assert!(bytes.abs_diff(expected) < 100, "{lengths:?}: {bytes}, {expected}");
    }
    let apart = ["a", "b"].map(|key| {
        json!({"type": "progress", "substep": key, "progress": 1, "message": "x".repeat(500)})
    });
    assert!(batch(&apart).bytes() >= 1000);
}

/// Lives of a few books, with their events interleaved.
fn lives() -> impl Strategy<Value = Vec<(usize, Step)>> {
    prop::collection::vec((0..3_usize, step()), 0..60)
}

/// The events of these lives, and the books after they were applied one by one.
fn live(machine: &Machine, lives: &[(usize, Step)]) -> (Vec<Event>, Vec<Book>) {
    let mut books = vec![Book::register(machine); 3];
    let mut all = Vec::new();
    for (index, step) in lives {
        let events = step.events(machine, &books[*index], Uuid::from_u128(*index as u128 + 1));
        for event in &events {
            books[*index].apply(machine, event);
        }
        all.extend(events);
    }
    (all, books)
}

fn coalesced(events: &[Event]) -> Batch {
    let mut batch = Batch::new();
    for (index, event) in events.iter().enumerate() {
        batch.push(StreamId::new(index as u64, 0), Ok(event.clone()));
    }
    batch
}

/// Reports that mostly mean the same few substeps, named in every possible way, and occasional
/// failures.
fn dense() -> impl Strategy<Value = Vec<Event>> {
    let stage = prop_oneof![Just(None), Just(Some("A")), Just(Some("B")), Just(Some("C"))];
    let report = (
        stage,
        prop_oneof![Just(None), Just(Some(1)), Just(Some(2))],
        0..4_u8,
        0..3_u8,
        any::<bool>(),
    );
    let report = report.prop_map(|(stage, attempt, progress, total, has_message)| {
        let mut report = json!({"type": "progress", "stage": stage, "attempt": attempt});
        if total == 0 {
            report["progress"] = json!(progress * 25);
        } else {
            (report["done"], report["total"]) = (json!(progress * total), json!(total * 4));
        }
        if has_message {
            (report["message"], report["checkpoint"]) =
                (json!(format!("{progress} {total}")), json!(progress));
        }
        report
    });
    let event = prop_oneof![
        12 => report,
        1 => Just(json!({"type": "fail"})),
        2 => prop_oneof![Just("A"), Just("B"), Just("C")]
            .prop_map(|to| json!({"type": "transition", "to_status": to})),
        1 => Just(json!({"type": "heartbeat"})),
    ];
    let event = event.prop_map(|mut event| {
        event["book_id"] = json!(Uuid::from_u128(1));
        Event::from_json(event).unwrap()
    });
    prop::collection::vec(event, 0..14)
}

/// Three stages in a row, through which reports alone can take a book.
fn chain() -> Machine {
    compile(&json!({"auto_advance": true, "states": [
        {"name": "A", "weight": 1},
        {"name": "B", "weight": 1, "rework": ["A"]},
        {"name": "C", "weight": 1, "rework": ["A", "B"]}, {"name": "D"}]}))
    .unwrap()
}

/// Three new books after the items are applied by segment.
fn applied(machine: &Machine, batch: &Batch) -> Vec<Book> {
    let mut books = vec![Book::register(machine); 3];
    let mut items: Vec<_> = batch.iter().collect();
    items.sort_by_key(|item| item.segment());
    for item in items {
        let event = item.content().unwrap();
        books[event.book_id.as_u128() as usize - 1].apply(machine, event);
    }
    books
}

/// The parts that the events alone decide. The percentages of an open stage also depend on what was
/// shown between them.
fn decided(book: &Book) -> (&str, &str, i32, &BTreeMap<String, BTreeMap<String, BookSubstep>>) {
    (book.status(), book.stage(), book.attempt(), book.rows())
}

proptest! {
    #![proptest_config(common::twice_as_many())]

    #[test]
    fn coalesced_or_one_by_one_is_the_same_to_a_book(
        machine in prop_oneof![4 => machine(), 1 => Just(branching())], lives in lives()
    ) {
        let (events, one_by_one) = live(&machine, &lives);
        let batch = coalesced(&events);
        let merged = applied(&machine, &batch);
        prop_assert!(
            merged.iter().map(decided).eq(one_by_one.iter().map(decided)),
            "{:?} is not {:?}",
            merged,
            one_by_one,
        );
    }

    #[test]
    fn however_a_report_is_addressed_it_counts_where_it_should(events in dense()) {
        let machine = chain();
        let mut book = Book::register(&machine);
        for event in &events {
            book.apply(&machine, event);
        }
        let merged = applied(&machine, &coalesced(&events));
        prop_assert_eq!(decided(&merged[0]), decided(&book));
    }

    #[test]
    fn a_batch_keeps_count_and_order(machine in machine(), lives in lives()) {
        let (events, _) = live(&machine, &lives);
        let batch = coalesced(&events);
        let items: Vec<_> = batch.iter().collect();
        prop_assert_eq!(batch.events(), events.len() as u64);
        prop_assert_eq!(items.iter().map(|item| item.count()).sum::<u64>(), batch.events());
        prop_assert_eq!(items.len(), batch.items());
        prop_assert_eq!(
            items.iter().map(|item| item.segment() + 1).max().unwrap_or(0),
            batch.segments(),
        );
        prop_assert!(items.windows(2).all(|pair| pair[0].first_id() < pair[1].first_id()));
        let mut seen = HashSet::new();
        for item in &items {
            let event = item.content().unwrap();
            let lone = !matches!(event.kind, EventKind::Progress(_) | EventKind::Heartbeat(_));
            let key = match &event.kind {
                EventKind::Progress(progress) => {
                    let substep = progress.substep.clone().unwrap_or_else(|| "all".to_owned());
                    format!("{:?} {substep}", progress.attempt)
                }
                EventKind::Heartbeat(heartbeat) => {
                    format!("beat {:?} {:?}", heartbeat.attempt, heartbeat.stage)
                }
                _ => String::new(),
            };
            prop_assert!(
                seen.insert((event.book_id, item.segment(), key)),
                "two items mean the same",
            );
            if lone {
                let company = |other: &&&bindery_core::batch::Item| {
                    other.segment() == item.segment()
                        && other.content().is_ok_and(|other| other.book_id == event.book_id)
                };
                prop_assert_eq!(items.iter().filter(company).count(), 1);
            }
        }
        prop_assert!(
            serde_json::from_str::<Vec<Value>>(&batch.to_json())
                .is_ok_and(|json| json.len() == items.len()),
        );
    }
}
