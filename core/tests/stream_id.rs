//! Positions in a stream.

#![allow(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

use bindery_core::stream_id::StreamId;
use proptest::prelude::*;

proptest! {
    #[test]
    fn an_id_survives_its_text(ms in any::<u64>(), seq in any::<u64>()) {
        let id = StreamId::new(ms, seq);
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        let json = serde_json::to_string(&id).unwrap();
        prop_assert_eq!(&json, &format!("\"{ms}-{seq}\""));
        prop_assert_eq!(serde_json::from_str::<StreamId>(&json).unwrap(), id);
        prop_assert_eq!(ms.to_string().parse(), Ok(StreamId::new(ms, 0)));
    }

    #[test]
    fn ids_order_as_the_stream_does(
        a in any::<(u64, u64)>(),
        b in any::<(u64, u64)>(),
        near in 0..3_u64,
    ) {
        prop_assert_eq!(StreamId::new(a.0, a.1).cmp(&StreamId::new(b.0, b.1)), a.cmp(&b));
        prop_assert_eq!(StreamId::new(a.0, near).cmp(&StreamId::new(a.0, b.1)), near.cmp(&b.1));
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,30}", close in "[0-9+ -]{0,45}") {
        for text in [text, close] {
            if let Ok(id) = text.parse::<StreamId>() {
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'));
                prop_assert_eq!(id.to_string().parse(), Ok(id));
            }
        }
    }
}
