//! Any stream entry is an event, which is written and read again as the same one, or is refused with a reason.
#![no_main]

use bindery_core::batch::Batch;
use bindery_core::event::Event;
use bindery_core::stream_id::StreamId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|entry: Vec<(Vec<u8>, Vec<u8>)>| {
    match Event::parse(entry) {
        Ok(event) => {
            // The way the daemon hands it over; a reader ignores what the batch adds.
            let mut batch = Batch::new();
            batch.push(StreamId::new(1, 0), Ok(event.clone()));
            let written = serde_json::to_value(&batch).unwrap();
            assert_eq!(Event::from_json(written[0].clone()), Ok(event));
        }
        Err(rejection) => {
            assert!(!rejection.error.code().is_empty());
            assert!(rejection.payload.to_string().len() < 16 * 1024);
        }
    }
});
