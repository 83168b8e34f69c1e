//! The work continues as it would without the client, whether there is a server or not.

#![allow(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

use std::time::Duration;

use bindery_client::{Client, Error};

/// No program listens at this port.
const NOWHERE: &str = "redis://127.0.0.1:1/";

#[test]
fn without_a_server_the_work_continues_and_nothing_is_delivered() {
    for url in [NOWHERE, "postgresql://nobody@127.0.0.1:1/none", "http://127.0.0.1:1/"] {
        let quick = Duration::from_millis(10);
        let client = Client::builder().url(url).flush_timeout(quick).build().unwrap();
        let book = client.book("moby-dick").register().unwrap();
        let worked: Result<u64, Error> = book.stage("ANALYZING").run_blocking(|stage| {
            let mut sum = 0;
            for item in stage.track("extract_text", 0..1_000_u64) {
                sum += item?;
            }
            stage.checkpoint("detect_chapters", &sum)?;
            Ok(sum)
        });
        assert_eq!(worked, Ok(499_500), "{url}");
        book.transition("COMPLETED").unwrap();
        assert!(!book.flush_blocking(quick), "{url}");
    }
}

#[test]
fn when_the_buffer_is_full_reports_go_before_what_changes_a_books_state() {
    let client = Client::builder()
        .url(NOWHERE)
        .max_events(20)
        .flush_timeout(Duration::ZERO)
        .build()
        .unwrap();
    let book = client.book("moby-dick").register().unwrap();
    let stage = book.stage("ANALYZING").begin_blocking().unwrap();
    for substep in 0..18 {
        stage.progress(&format!("part_{substep}"), 50.0).unwrap();
    }
    // At most the first two are in flight; of the rest there is room for 20.
    let before = client.dropped();
    for _ in 0..30 {
        book.transition("COMPLETED").unwrap();
    }
    let dropped = client.dropped() - before;
    assert!((26..=48).contains(&dropped), "{dropped} of 18 reports and 30 transitions");
}

#[test]
fn values_that_no_event_may_hold_are_refused_at_once() {
    let client = Client::builder().url(NOWHERE).flush_timeout(Duration::ZERO).build().unwrap();
    assert!(matches!(client.book("").register(), Err(Error::Invalid { .. })));
    let list = client.book("b").metadata(&["a"]).unwrap().register();
    assert!(matches!(list, Err(Error::Invalid { code: "wrong_type", .. })), "{list:?}");
    let book = client.book("b").register().unwrap();
    let stage = book.stage("ANALYZING").begin_blocking().unwrap();
    let code = |refused: Result<(), Error>| match refused {
        Err(Error::Invalid { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(stage.progress("Extract text", 1.0)), "bad_name");
    assert_eq!(code(stage.checkpoint("s", &"x".repeat(70_000))), "too_large");
    assert_eq!(code(stage.plan([("a", 1.0), ("a", 2.0)])), "conflicting_fields");
    assert_eq!(code(stage.plan([("a", -1.0)])), "out_of_range");
    assert_eq!(code(book.transition("")), "missing_field");
    let many: Vec<String> = (0..10_001).map(|place| format!("s{place}")).collect();
    let planned = stage.plan(many.iter().map(|name| (name.as_str(), 1.0)));
    assert_eq!(code(planned), "too_many_substeps");
    let mut items = stage.track("Extract text", 0..3);
    assert!(matches!(items.next(), Some(Err(Error::Invalid { code: "bad_name", .. }))));
    assert!(items.next().is_none());
    // Odd numbers are made fit, or ignored.
    stage.progress("s", f64::NAN).unwrap();
    stage.progress("s", f64::INFINITY).unwrap();
    stage.count("s", 5.0, 0.0, "page").unwrap();
    stage.count("s", 7.0, 5.0, "page").unwrap();
}

#[test]
fn a_url_that_cannot_be_read_is_reported_without_its_secret() {
    for url in [
        "ftp://u:hush@h/",
        "redis+proxy://u:hush@h/",
        "postgresql://u:hush@h:port/d",
        "https://u:hush@",
    ] {
        let Err(Error::Setup(message)) = Client::new(url) else { panic!("{url} was taken") };
        assert!(!message.contains("hush"), "{message}");
    }
}
