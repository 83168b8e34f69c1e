//! Any text is a stream id, which is written and read again as the same one, or is refused.
#![no_main]

use bindery_core::stream_id::StreamId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(id) = text.parse::<StreamId>() {
        assert!(text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'));
        assert_eq!(id.to_string().parse(), Ok(id));
    }
});
