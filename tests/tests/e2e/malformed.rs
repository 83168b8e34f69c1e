//! Bad events among good ones: each bad one is rejected with its reason and affects no other.
//! Events with only a malformed form are repaired.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use bindery_tests::Servers;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Counts, Entry, add, applied_up_to, book_in, book_row, entry, json};

/// A bad event with its rejection reason.
struct Bad {
    name: &'static str,
    entry: Entry,
    reason: &'static str,
}

/// The reasons that the database gives. For these, the payload is the parsed event; for the
/// parser's reasons it is the entry itself.
const BY_DATABASE: [&str; 4] =
    ["unknown_pipeline", "unknown_stage", "illegal_transition", "conflicting_registration"];

/// Every kind of bad event, about a book in CREATING_ARTWORK, in its first attempt there.
fn kinds(book: &str) -> Vec<Bad> {
    let unknown = Uuid::new_v4().to_string();
    let padding = "x".repeat(300_000);
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let too_deep = format!("{}1{}", "[".repeat(65), "]".repeat(65));
    let name = "a".repeat(64);
    let big = json!({"pixels": "x".repeat(70_000)}).to_string();
    let crowd: Vec<Value> =
        (0..=10_000).map(|number| json!({"substep": format!("p{number}")})).collect();
    let crowd = Value::Array(crowd).to_string();
    let bad = |name, reason, fields: &[(&str, &str)]| Bad {
        name,
        entry: entry(fields.iter().copied()),
        reason,
    };
    // An event about the book, correct except for the fields given.
    let of = |name, reason, kind, fields: &[(&str, &str)]| {
        let all = [("type", kind), ("book_id", book)].into_iter().chain(fields.iter().copied());
        Bad { name, entry: entry(all), reason }
    };
    let progress = |name, reason, fields| of(name, reason, "progress", fields);
    let data = |name, reason, data: Value| Bad {
        name,
        entry: entry([("data", data.to_string().as_str())]),
        reason,
    };
    let stage = ("stage", "CREATING_ARTWORK");
    let mut kinds = vec![
        bad("no type", "missing_field", &[("book_id", book), ("progress", "1")]),
        bad("empty type", "missing_field", &[("type", ""), ("book_id", book)]),
        bad("unknown type", "unknown_type", &[("type", "sneeze"), ("book_id", book)]),
        bad("no known field at all", "missing_field", &[("colour", "blue")]),
        bad("one empty field", "missing_field", &[("", "")]),
        bad("no book", "missing_field", &[("type", "progress"), ("progress", "1")]),
        bad("bad uuid", "bad_uuid", &[("type", "heartbeat"), ("book_id", "book-7")]),
        bad(
            "injection for a uuid",
            "bad_uuid",
            &[("type", "heartbeat"), ("book_id", "'; drop schema bindery cascade; --")],
        ),
        bad(
            "bad owner",
            "bad_uuid",
            &[("type", "register"), ("book_id", &unknown), ("owner_id", "me")],
        ),
        bad(
            "unknown pipeline",
            "unknown_pipeline",
            &[("type", "register"), ("book_id", &unknown), ("pipeline", "opera")],
        ),
        of("another owner", "conflicting_registration", "register", &[("owner_id", &unknown)]),
        of("no target", "missing_field", "transition", &[]),
        of(
            "two targets",
            "conflicting_fields",
            "transition",
            &[("to", "COMPLETED"), ("to_status", "CANCELLED")],
        ),
        of("unknown target", "illegal_transition", "transition", &[("to_status", "PRINTED")]),
        of("nothing begun", "missing_field", "begin", &[]),
        of("the end begun", "illegal_transition", "begin", &[("to_status", "COMPLETED")]),
        of("no substeps", "missing_field", "plan", &[stage]),
        of("too many substeps", "too_many_substeps", "plan", &[stage, ("substeps", &crowd)]),
        of(
            "plan of an unknown stage",
            "unknown_stage",
            "plan",
            &[("stage", "PRINTING"), ("substeps", "[]")],
        ),
        progress("no number at all", "missing_field", &[]),
        progress("progress is empty", "missing_field", &[("progress", "")]),
        progress("NaN", "bad_number", &[("progress", "NaN")]),
        progress("infinite", "bad_number", &[("progress", "inf")]),
        progress("infinite by its exponent", "bad_number", &[("progress", "1e999")]),
        progress("in words", "bad_number", &[("progress", "half")]),
        progress("with a comma", "bad_number", &[("progress", "12,5")]),
        progress("above 100", "out_of_range", &[("progress", "101")]),
        progress("below 0", "out_of_range", &[("progress", "-0.5")]),
        progress(
            "both ways",
            "conflicting_fields",
            &[("progress", "5"), ("done", "1"), ("total", "2")],
        ),
        progress("done alone", "missing_field", &[("done", "1")]),
        progress("total alone", "missing_field", &[("total", "9")]),
        progress("more than all", "out_of_range", &[("done", "10"), ("total", "9")]),
        progress("of nothing", "out_of_range", &[("done", "0"), ("total", "0")]),
        progress("negative total", "out_of_range", &[("done", "-2"), ("total", "-4")]),
        progress("total beyond counting", "out_of_range", &[("done", "1"), ("total", "1e300")]),
        progress("attempt 0", "out_of_range", &[("progress", "1"), ("attempt", "0")]),
        progress("attempt one and a half", "bad_number", &[("progress", "1"), ("attempt", "1.5")]),
        progress(
            "attempt beyond 32 bits",
            "out_of_range",
            &[("progress", "1"), ("attempt", "2147483648")],
        ),
        progress("unknown stage", "unknown_stage", &[("progress", "1"), ("stage", "PRINTING")]),
        progress(
            "substep with a bad name",
            "bad_name",
            &[("progress", "1"), ("substep", "Panel 1")],
        ),
        progress("substep with a long name", "too_long", &[("progress", "1"), ("substep", &name)]),
        progress(
            "checkpoint is no JSON",
            "bad_json",
            &[("progress", "1"), ("checkpoint", "{\"next\": ")],
        ),
        progress(
            "checkpoint too deep for any parser",
            "too_deep",
            &[("progress", "1"), ("checkpoint", &deep)],
        ),
        progress(
            "checkpoint too deep",
            "too_deep",
            &[("progress", "1"), ("checkpoint", &too_deep)],
        ),
        progress("checkpoint too large", "too_large", &[("progress", "1"), ("checkpoint", &big)]),
        progress("entry too large", "too_large", &[("progress", "1"), ("padding", &padding)]),
        progress(
            "the same field twice",
            "conflicting_fields",
            &[("progress", "1"), ("progress", "2")],
        ),
        progress("data beside fields", "conflicting_fields", &[("data", "{}")]),
        bad("data is no JSON", "bad_json", &[("data", "type=progress")]),
        bad("data cut short", "bad_json", &[("data", "{\"type\": \"heartbeat\", \"book_id\"")]),
        bad("data too deep", "wrong_type", &[("data", &deep)]),
        data("data is no object", "wrong_type", json!(["progress", book, 40])),
        data("type is a number", "wrong_type", json!({"type": 1, "book_id": book})),
        data("book is a number", "bad_uuid", json!({"type": "heartbeat", "book_id": 7})),
        data(
            "progress is an object",
            "bad_number",
            json!({"type": "progress", "book_id": book, "progress": {}}),
        ),
        data(
            "metadata is a list",
            "wrong_type",
            json!({"type": "register", "book_id": unknown, "metadata": []}),
        ),
        data(
            "plan of numbers",
            "wrong_type",
            json!({"type": "plan", "book_id": book, "stage": "ANALYZING", "substeps": [1]}),
        ),
        data(
            "plan with weight 0",
            "out_of_range",
            json!({"type": "plan", "book_id": book, "stage": "CREATING_ARTWORK",
                "substeps": [{"substep": "chapter_1", "weight": 0}]}),
        ),
        data(
            "plan twice the same",
            "conflicting_fields",
            json!({"type": "plan", "book_id": book, "stage": "CREATING_ARTWORK",
                "substeps": [{"substep": "chapter_1"}, {"name": "chapter_1"}]}),
        ),
    ];
    let mut bytes = entry([("type", "progress"), ("book_id", book), ("progress", "1")]);
    bytes.push((b"substep".to_vec(), vec![b'a', 0xff, 0xfe, b'b']));
    kinds.push(Bad { name: "substep of bytes that are no text", entry: bytes, reason: "bad_name" });
    kinds
}

#[tokio::test]
async fn each_bad_event_is_rejected_and_the_good_ones_around_it_are_applied() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let mut redis = servers.redis().await?;
    let book = book_in(&client, &["ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK"]).await?;
    let id = book.to_string();
    let kinds = kinds(&id);
    let (mut ids, mut last) = (Vec::new(), String::new());
    for (index, bad) in kinds.iter().enumerate() {
        let panels = [format!("before_{index}"), format!("after_{index}")];
        let good = |panel| {
            entry([("type", "progress"), ("book_id", &id), ("substep", panel), ("progress", "100")])
        };
        add(&mut redis, database.stream(), &good(&panels[0])).await?;
        ids.push(add(&mut redis, database.stream(), &bad.entry).await?);
        last = add(&mut redis, database.stream(), &good(&panels[1])).await?;
    }

    let _daemon = database.daemon(&["--outbox", ""]).await?;
    let counts = applied_up_to(&client, database.stream(), &last).await?.counts;

    for (bad, id) in kinds.iter().zip(&ids) {
        let query = "select jsonb_agg(to_jsonb(d)) from bindery.dead_letters d
            where d.event_id = $1 and d.stream = $2";
        let letters =
            json(&client, query, &[id, &database.stream()]).await.with_context(|| bad.name)?;
        ensure!(
            letters.as_array().is_some_and(|letters| letters.len() == 1),
            "{}: {letters}",
            bad.name
        );
        check(bad, &letters[0]).with_context(|| bad.name)?;
    }
    let bad = i64::try_from(kinds.len())?;
    assert_eq!(counts, Counts { applied: 2 * bad, rejected: bad, ..Counts::default() });
    let finished = "select count(*) from bindery.book_progress
        where progress = 100 and substep ~ '^(before|after)_'";
    assert_eq!(client.query_one(finished, &[]).await?.get::<_, i64>(0), 2 * bad);
    let row = book_row(&client, book).await?;
    assert_eq!(
        (&row["status"], &row["stage_progress"], &row["overall_progress"]),
        (&json!("CREATING_ARTWORK"), &json!(100), &json!(99.99))
    );
    let books: i64 =
        client.query_one("select count(*) from bindery.book_status", &[]).await?.get(0);
    assert_eq!(books, 1, "no bad event made a book");
    Ok(())
}

/// The dead letter has the reason, for programs and for people, and keeps the sent event.
fn check(bad: &Bad, letter: &Value) -> Result<()> {
    ensure!(letter["reason"] == bad.reason, "the reason is not {}: {letter}", bad.reason);
    ensure!(
        letter["message"].as_str().is_some_and(|message| message.len() > 10),
        "no message: {letter}"
    );
    ensure!(letter["count"] == 1 && letter["first_event_id"] == letter["event_id"], "{letter}");
    // NUL and invalid UTF-8 cannot be stored.
    let stored = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\0', "\u{FFFD}");
    let sent: BTreeMap<String, String> =
        bad.entry.iter().map(|(name, value)| (stored(name), stored(value))).collect();
    let payload = &letter["payload"];
    if BY_DATABASE.contains(&bad.reason) {
        for (name, value) in sent {
            let kept =
                payload[&name].as_str().map_or_else(|| payload[&name].to_string(), str::to_owned);
            let same = kept == value || kept.parse::<f64>().ok() == value.parse::<f64>().ok();
            ensure!(same, "{name} was {value}, kept is {payload}");
        }
        return Ok(());
    }
    let size = payload.to_string().len();
    let large =
        bad.entry.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > 16 * 1024;
    ensure!(
        letter["truncated"] == large && size < 16 * 1024,
        "truncated: {}, {size} bytes",
        letter["truncated"]
    );
    for (name, value) in sent {
        let kept =
            payload[&name].as_str().with_context(|| format!("{name} is not kept: {payload}"))?;
        let is_kept = if large { value.starts_with(kept) } else { kept == value };
        ensure!(
            is_kept || bad.name == "the same field twice",
            "{name} was {value:?}, kept is {kept:?}"
        );
    }
    Ok(())
}

/// The database must accept what the parser accepts, to the last character.
#[tokio::test]
async fn the_largest_and_oddest_allowed_values_are_applied() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let mut redis = servers.redis().await?;
    let ids = [Uuid::new_v4(), Uuid::new_v4()];
    let [book, owned] = [ids[0].to_string(), ids[1].to_string()];
    let (message, title, name) = ("€".repeat(8192), "€".repeat(1024), "a".repeat(63));
    // As JSON it has 64 KiB; as jsonb, many times more.
    let ones = format!("[{}1]", "1,".repeat(21_800));
    let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
    let object = format!(r#"{{"a": {ones}}}"#);
    let plan = format!(r#"[{{"substep": "{name}", "weight": 1e9}}]"#);
    let at_work = |fields: &[(&'static str, &str)]| {
        let all = [("type", "progress"), ("book_id", book.as_str()), ("stage", "CREATING_ARTWORK")];
        entry(all.into_iter().chain(fields.iter().copied()))
    };
    let of = |kind, fields: &[(&'static str, &str)]| {
        let all = [("type", kind), ("book_id", book.as_str())];
        entry(all.into_iter().chain(fields.iter().copied()))
    };
    let events = [
        entry([
            ("type", "register"),
            ("book_id", owned.as_str()),
            ("title", &title),
            ("metadata", &object),
            ("owner_id", &book),
        ]),
        of("register", &[("at", "1700000000000")]),
        of("transition", &[("to", "ANALYZING"), ("message", &message)]),
        of("begin", &[("stage", "GENERATING_SCENES"), ("attempt", "1"), ("worker", &name)]),
        of("transition", &[("to_status", "CREATING_ARTWORK"), ("attempt", "1")]),
        of("plan", &[("stage", "CREATING_ARTWORK"), ("substeps", &plan)]),
        at_work(&[
            ("substep", &name),
            ("done", "0"),
            ("total", "1e15"),
            ("unit", &name),
            ("message", &message),
        ]),
        at_work(&[("substep", "ones"), ("progress", "1e-320"), ("checkpoint", &ones)]),
        at_work(&[("substep", "deep"), ("progress", "-0"), ("checkpoint", &deep)]),
        at_work(&[
            ("substep", "odd"),
            ("progress", "1E1"),
            ("message", "\t\r\n\u{200f}\u{feff}\u{fffd}\u{1F4D6}"),
            ("checkpoint", "1e308"),
        ]),
        at_work(&[("substep", "tiny"), ("done", "1e-300"), ("total", "1e-300")]),
        of("heartbeat", &[("colour", "an unknown field\0")]),
        of("fail", &[("error", &object), ("message", &message)]),
    ];
    let mut last = String::new();
    for event in &events {
        last = add(&mut redis, database.stream(), event).await?;
    }

    let _daemon = database.daemon(&["--outbox", ""]).await?;
    let counts = applied_up_to(&client, database.stream(), &last).await?.counts;

    let letters = "select coalesce(jsonb_agg(jsonb_build_array(reason, message)), '[]')
        from bindery.dead_letters";
    assert_eq!(json(&client, letters, &[]).await?, json!([]));
    assert_eq!(counts, Counts { applied: i64::try_from(events.len())?, ..Counts::default() });
    let row = book_row(&client, ids[0]).await?;
    assert_eq!((&row["status"], &row["message"]), (&json!("FAILED"), &json!(message)));
    assert_eq!(book_row(&client, ids[1]).await?["title"], json!(title));
    let kept =
        "select jsonb_array_length(checkpoint) from bindery.book_progress where substep = 'ones'";
    assert_eq!(client.query_one(kept, &[]).await?.get::<_, i32>(0), 21_801);
    Ok(())
}

#[tokio::test]
async fn an_event_that_is_bad_in_form_only_is_repaired_and_applied() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let mut redis = servers.redis().await?;
    let book = book_in(&client, &["ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK"]).await?;
    let id = book.to_string();
    let long = "x".repeat(1024 * 1024);
    let cut = format!("{}…", "x".repeat(8191));
    let messages = [
        ("a\0b", "ab"),
        ("\u{1b}[31mred", "red"),
        ("txt.\u{202e}exe", "txt.exe"),
        (&"x".repeat(8193), &cut),
        (&long, &cut),
    ];
    let checkpoints = [
        (r#""\ud800""#, json!("\u{fffd}")),
        (r#"{"a\u0000": "\u0000b"}"#, json!({"a": "b"})),
        ("NaN", Value::Null),
        (r#"{"n": NaN}"#, json!({"n": null})),
    ];
    let mut last = String::new();
    let mut report = async |fields: &[(&str, &str)]| -> Result<()> {
        let all = [("type", "progress"), ("book_id", id.as_str()), ("progress", " 50 ")];
        let event = entry(all.into_iter().chain(fields.iter().copied()));
        last = add(&mut redis, database.stream(), &event).await?;
        Ok(())
    };
    for (number, (sent, _)) in messages.iter().enumerate() {
        report(&[("substep", &format!("message_{number}")), ("message", sent)]).await?;
    }
    for (number, (sent, _)) in checkpoints.iter().enumerate() {
        report(&[("substep", &format!("checkpoint_{number}")), ("checkpoint", sent)]).await?;
    }
    // A list for a text, and an error that is text.
    let listed = json!({
        "type": "progress", "book_id": id, "progress": 50, "substep": "listed", "message": [1, 2],
    });
    add(&mut redis, database.stream(), &entry([("data", listed.to_string().as_str())])).await?;
    let failed = entry([("type", "fail"), ("book_id", id.as_str()), ("error", "out of memory")]);
    let last = add(&mut redis, database.stream(), &failed).await?;

    let _daemon = database.daemon(&["--outbox", ""]).await?;
    let counts = applied_up_to(&client, database.stream(), &last).await?.counts;

    let events = i64::try_from(messages.len() + checkpoints.len() + 2)?;
    assert_eq!(counts, Counts { applied: events, ..Counts::default() });
    let query = "select jsonb_object_agg(substep, coalesce(checkpoint, to_jsonb(message)))
        from bindery.book_progress where book_id = $1 and stage = 'CREATING_ARTWORK'";
    let kept = json(&client, query, &[&book]).await?;
    for (number, (_, expected)) in messages.iter().enumerate() {
        assert_eq!(kept[format!("message_{number}")], json!(expected), "message {number}");
    }
    for (number, (_, expected)) in checkpoints.iter().enumerate() {
        assert_eq!(kept[format!("checkpoint_{number}")], *expected, "checkpoint {number}");
    }
    assert_eq!(kept["listed"], "[1,2]");
    let row = book_row(&client, book).await?;
    assert_eq!(
        (&row["status"], &row["error"]["message"]),
        (&json!("FAILED"), &json!("out of memory"))
    );
    Ok(())
}
