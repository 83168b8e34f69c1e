//! Any stream entry is an event, which is written and read again as the same one, or is rejected
//! with a reason.
#![no_main]

use std::collections::BTreeMap;

use bindery_core::batch::Batch;
use bindery_core::event::{Event, EventKind};
use bindery_core::stream_id::StreamId;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|entry: Vec<(Vec<u8>, Vec<u8>)>| {
    match Event::parse(entry) {
        Ok(event) => {
            // What the batch adds is ignored by a reader. `progress` follows from `done` and
            // `total`, and a report has either.
            let mut batch = Batch::new();
            batch.push(StreamId::new(1, 0), Ok(event.clone()));
            let mut written: Vec<BTreeMap<String, Box<RawValue>>> =
                serde_json::from_str(&batch.to_json()).unwrap();
            if written[0].contains_key("done") {
                written[0].remove("progress");
            }
            let data = serde_json::to_vec(&written[0]).unwrap();
            // The time of progress is not handed over.
            let at = event.at.clone().filter(|_| !matches!(event.kind, EventKind::Progress(_)));
            assert_eq!(Event::parse(vec![(b"data".to_vec(), data)]), Ok(Event { at, ..event }));
        }
        Err(rejection) => {
            assert!(!rejection.error.code().is_empty());
            assert!(rejection.payload.to_string().len() < 16 * 1024);
        }
    }
});
