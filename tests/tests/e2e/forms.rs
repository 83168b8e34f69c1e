//! The meaning of an event does not depend on its form: texts, numbers, JSON and ids in unusual
//! forms, and repeated events, through a real stream.

use anyhow::{Context, Result, anyhow, ensure};
use bindery_tests::{Listener, Servers};
use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use crate::support::{Counts, Entry, SOON, add, applied_up_to, book_in, json, pid, until_blocked};

/// An event about a book in ANALYZING, and the value it must leave in the book's row `b` or in the
/// row `g` of its substep `extract_text`.
struct Case {
    /// What is unusual about the event.
    form: String,
    book: Uuid,
    entry: Entry,
    expression: &'static str,
    value: String,
}

/// Prints a uuid in one of its forms.
type Print = fn(&Uuid) -> String;

/// The cases of one test.
struct Cases(Vec<Case>);

impl Cases {
    /// Adds a case; `$book` in a field's value is the book.
    fn add(
        &mut self,
        form: &str,
        fields: &[(&str, &[u8])],
        expression: &'static str,
        value: impl Into<String>,
    ) {
        let book = Uuid::new_v4();
        let value_of = |given: &[u8]| match std::str::from_utf8(given) {
            Ok(text) => text.replace("$book", &book.to_string()).into_bytes(),
            Err(_) => given.to_vec(),
        };
        let mut entry: Entry = fields
            .iter()
            .map(|(name, given)| (name.as_bytes().to_vec(), value_of(given)))
            .collect();
        if !fields.iter().any(|(name, _)| ["book_id", "data"].contains(name)) {
            entry.push(("book_id".into(), book.to_string().into()));
        }
        let value = value.into().replace("$book", &book.to_string());
        self.0.push(Case { form: form.to_owned(), book, entry, expression, value });
    }

    /// A `fail` with this message, and the book's message.
    fn message(&mut self, form: &str, sent: &[u8], stored: impl Into<String>) {
        let fields = [("type", &b"fail"[..]), ("message", sent), ("error", b"{\"code\": \"ink\"}")];
        let stored = format!("FAILED ink {}", stored.into());
        self.add(form, &fields, "concat_ws(' ', b.status, b.error ->> 'code', b.message)", stored);
    }

    /// A `fail` with this error, and the book's error.
    fn error(&mut self, form: &str, sent: &str, stored: &str) {
        let fields = [("type", &b"fail"[..]), ("error", sent.as_bytes())];
        self.add(form, &fields, "concat_ws(' ', b.status, b.error)", format!("FAILED {stored}"));
    }

    /// A `progress` with these fields, and its substep's row.
    fn progress(&mut self, form: &str, fields: &[(&str, &[u8])], stored: impl Into<String>) {
        let fields = [&[("type", &b"progress"[..]), ("substep", b"extract_text")], fields].concat();
        let expression = "concat_ws('|', g.progress, g.done, g.unit, g.message, g.checkpoint)";
        self.add(form, &fields, expression, stored);
    }
}

/// Numbers beyond the integers and doubles of 64 bits, in the order in which Postgres prints them.
const DIGITS: &str =
    r#"{"at": 12345678901234567.89, "cursor": 147696713205860203665304570961189620315}"#;

fn cases() -> Cases {
    let mut cases = Cases(Vec::new());
    numbers_in_json(&mut cases);
    texts(&mut cases);
    errors(&mut cases);
    numbers(&mut cases);
    ids_and_names(&mut cases);
    cases
}

fn numbers_in_json(cases: &mut Cases) {
    let digits = DIGITS.as_bytes();
    let half = [("progress", &b"50"[..]), ("checkpoint", digits)];
    cases.progress("digits in a checkpoint", &half, format!("50|{DIGITS}"));
    let data = format!(
        r#"{{"type": "progress", "book_id": "$book", "substep": "extract_text",
            "progress": 50, "checkpoint": {DIGITS}}}"#
    );
    let of_substep = "concat_ws('|', g.progress, g.checkpoint)";
    cases.add("digits in data", &[("data", data.as_bytes())], of_substep, format!("50|{DIGITS}"));
    cases.add(
        "digits in an error",
        &[("type", b"fail"), ("error", digits)],
        "concat_ws(' ', b.status, b.error - 'code')",
        format!("FAILED {DIGITS}"),
    );
    cases.add(
        "digits in the metadata of register",
        &[("type", b"register"), ("metadata", digits)],
        "b.metadata::text",
        DIGITS,
    );
    cases.add(
        "digits in the metadata of begin",
        &[
            ("type", b"begin"),
            ("to_status", b"ANALYZING"),
            ("pipeline", b"comic"),
            ("metadata", digits),
        ],
        "concat_ws(' ', b.status, b.metadata)",
        format!("ANALYZING {DIGITS}"),
    );
    let values =
        [("progress", &b"50"[..]), ("checkpoint", b"[NaN, Infinity, -Infinity, 1e400000]")];
    cases.progress("numbers that JSON has not", &values, "50|[null, null, null, null]");
}

fn texts(cases: &mut Cases) {
    cases.message("terminal colors", b"\x1b[31mno \x1b[1mmemory\x1b[0m", "no memory");
    cases.message(
        "isolates",
        "\u{2068}page.png\u{2069} is missing".as_bytes(),
        "page.png is missing",
    );
    cases.message("an embedding", "\u{202a}C:\\books\\page.png".as_bytes(), "C:\\books\\page.png");
    cases.message("control characters", b"no\0 mem\x07ory\tin\nmain", "no memory\tin\nmain");
    cases.message("Latin-1", b"caf\xe9 is closed", "caf\u{fffd} is closed");
    cases.message(
        "9,000 characters",
        "ä".repeat(9000).as_bytes(),
        format!("{}…", "ä".repeat(8191)),
    );
    cases.message("300 KiB", &b"x".repeat(300 * 1024), format!("{}…", "x".repeat(8191)));

    let page = r#"{"page": 7}"#;
    let report = |message: &[u8]| {
        [("progress", b"40".to_vec()), ("checkpoint", page.into()), ("message", message.to_vec())]
    };
    let stored = |message: &str| format!("40|{message}|{page}");
    let long = format!("{}…", "x".repeat(8191));
    for (form, sent, message) in [
        ("colors in a report", b"\x1b[32mdone\x1b[0m".to_vec(), "done"),
        ("isolates in a report", "\u{2068}page\u{2069} 7".into(), "page 7"),
        ("9,000 characters in a report", b"x".repeat(9000), long.as_str()),
    ] {
        let fields = report(&sent);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_slice())).collect();
        cases.progress(form, &fields, stored(message));
    }
    let units = "ä".repeat(70);
    let unit = [("done", &b"1"[..]), ("total", b"4"), ("unit", units.as_bytes())];
    cases.progress("a long unit", &unit, format!("25|1|{}…", "ä".repeat(62)));
    let half = [
        ("progress", &b"40"[..]),
        ("checkpoint", br#"{"title": "The Fox \ud83e", "a": "b\u0000c"}"#),
    ];
    let cut = "40|{\"a\": \"bc\", \"title\": \"The Fox \u{fffd}\"}";
    cases.progress("half an emoji in a checkpoint", &half, cut);
    cases.add(
        "a title with colors, too long",
        &[("type", b"register"), ("title", &[&b"\x1b[1m"[..], &b"t".repeat(1100)].concat())],
        "b.title",
        format!("{}…", "t".repeat(1023)),
    );
    cases.add(
        "a transition with colors",
        &[
            ("type", b"transition"),
            ("to_status", b"GENERATING_SCENES"),
            ("message", b"\x1b[1mnext"),
        ],
        "concat_ws(' ', b.status, b.message)",
        "GENERATING_SCENES next",
    );
}

fn errors(cases: &mut Cases) {
    let nan = r#"{"code": "nan", "loss": NaN, "best": -Infinity}"#;
    cases.error("NaN in an error", nan, r#"{"best": null, "code": "nan", "loss": null}"#);
    let nul = r#"{"code": "nul", "file": "a\u0000b"}"#;
    cases.error("NUL in an error", nul, r#"{"code": "nul", "file": "ab"}"#);
    let half = r#"{"code": "cut", "title": "The Fox \ud83e"}"#;
    cases.error(
        "half an emoji in an error",
        half,
        "{\"code\": \"cut\", \"title\": \"The Fox \u{fffd}\"}",
    );
    let text = r#"{"code": "failed", "message": "disk full"}"#;
    cases.error("an error of text", "disk full", text);
    cases.error("an error of a JSON text", r#""disk full""#, text);
    cases.error("an error of colored text", "\u{1b}[31mdisk full\u{1b}[0m", text);
    let list = r#"{"code": "failed", "errors": ["torn page", {"page": 31}]}"#;
    cases.error("an error of a list", r#"["torn page", {"page": 31}]"#, list);
    cases.error("an error of a number", "137", r#"{"code": "failed", "value": 137}"#);
    cases.error(
        "an error of broken JSON",
        "{broken",
        r#"{"code": "failed", "message": "{broken"}"#,
    );
    let stack = json!({"code": "out_of_memory", "stack": "at page\n".repeat(9000)}).to_string();
    cases.add(
        "70 KiB of stack",
        &[("type", b"fail"), ("error", stack.as_bytes()), ("message", b"no memory")],
        "concat_ws(' ', b.status, b.message, b.error -> 'cut', b.error ->> 'code',
           left(b.error ->> 'stack', 7), octet_length(b.error::text) between 60000 and 65536)",
        "FAILED no memory true out_of_memory at page t",
    );
    let deep = format!(r#"{{"code": "deep", "cause": {}1{}}}"#, "[".repeat(200), "]".repeat(200));
    cases.add(
        "an error of 200 levels",
        &[("type", b"fail"), ("error", deep.as_bytes())],
        "concat_ws(' ', b.status, b.error ->> 'code', b.error -> 'cut')",
        "FAILED deep true",
    );
}

fn numbers(cases: &mut Cases) {
    for (sent, stored) in [
        ("100.00000000000001", "100"),
        ("99.99999999999999", "100"),
        ("-1e-12", "0"),
        ("0.00000000000001", "0"),
        (" 40.5\n", "40.5"),
        ("4.05e1", "40.5"),
    ] {
        cases.progress(&format!("progress {sent:?}"), &[("progress", sent.as_bytes())], stored);
    }
    // As a producer adds it up in floating point.
    let (six, twelve) = ((0..6).map(|_| 100.0 / 6.0), (0..12).map(|_| 100.0 / 12.0));
    for sum in [six.sum::<f64>(), twelve.sum::<f64>()] {
        cases.progress(
            &format!("progress {sum}"),
            &[("progress", sum.to_string().as_bytes())],
            "100",
        );
    }
    for (done, total, stored) in [
        ("0.30000000000000004", "0.3", "100|0.3"),
        ("2.9999999999999996", "3", "100|3"),
        ("-0.0", "3", "0|0"),
        ("1e15", "1e15", "100|1e+15"),
    ] {
        let fields = [("done", done.as_bytes()), ("total", total.as_bytes())];
        cases.progress(&format!("done {done} of {total}"), &fields, stored);
    }
}

fn ids_and_names(cases: &mut Cases) {
    let begin =
        [("type", &b"begin"[..]), ("stage", b"GENERATING_SCENES"), ("worker", b"\x1b[1mw7")];
    let actor = "concat_ws(' ', b.status, (select e.actor from bindery.book_events e
        where e.book_id = b.book_id and e.revision = b.revision))";
    cases.add("a begin with stage", &begin, actor, "GENERATING_SCENES w7");
    let to = [("type", &b"transition"[..]), ("to", b" GENERATING_SCENES ")];
    cases.add("a transition with to", &to, "b.status", "GENERATING_SCENES");
    let plan = [
        ("type", &b"plan"[..]),
        ("stage", b"CREATING_ARTWORK"),
        ("substeps", br#"[{"name": "page_1", "weight": "2"}]"#),
    ];
    let planned = "(select concat_ws(' ', p.substep, p.weight) from bindery.book_progress p
        where p.book_id = b.book_id and p.stage = 'CREATING_ARTWORK')";
    cases.add("a plan with name", &plan, planned, "page_1 2");
    cases.add(
        "owner_id in braces",
        &[("type", b"register"), ("owner_id", b"{$book}")],
        "b.owner_id::text",
        "$book",
    );
}

#[tokio::test]
async fn every_unusual_form_of_an_event_leaves_its_value_in_the_book() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let mut redis = servers.redis().await?;
    let mut cases = cases();
    // The book's id in the forms in which libraries print it.
    let forms: [(&str, Print); 4] = [
        ("undashed", |book| book.simple().to_string()),
        ("braced", |book| book.braced().to_string()),
        ("in upper case", |book| book.to_string().to_uppercase()),
        ("as a URN", |book| book.urn().to_string()),
    ];
    for (form, print) in forms {
        let event = [("type", &b"transition"[..]), ("to_status", b"GENERATING_SCENES")];
        cases.add(&format!("book_id {form}"), &event, "b.status", "GENERATING_SCENES");
        let case = cases.0.last_mut().context("a case")?;
        let id = case.entry.iter_mut().find(|(name, _)| name == b"book_id").context("a field")?;
        id.1 = print(&case.book).into();
    }
    let registered = |case: &&Case| {
        let kind = case.entry.iter().find(|(name, _)| name == b"type").map(|(_, kind)| &**kind);
        let has_pipeline = case.entry.iter().any(|(name, _)| name == b"pipeline");
        kind != Some(b"register") && !has_pipeline
    };
    for case in cases.0.iter().filter(registered) {
        client.query("select from bindery.register_book($1)", &[&case.book]).await?;
        client.query("select bindery.begin_stage($1, 'ANALYZING')", &[&case.book]).await?;
    }
    let mut last = String::new();
    for case in &cases.0 {
        last = add(&mut redis, database.stream(), &case.entry).await?;
    }

    let _daemon = database.daemon(&["--outbox", ""]).await?;
    let counts = applied_up_to(&client, database.stream(), &last).await?.counts;

    let mut wrong = Vec::new();
    for Case { form, book, expression, value, .. } in &cases.0 {
        let query = format!(
            "select ({expression})::text from bindery.book_status b
             left join bindery.book_progress g on g.book_id = b.book_id
               and g.stage = 'ANALYZING' and g.substep = 'extract_text'
             where b.book_id = $1"
        );
        let row = client.query_opt(&query, &[book]).await.with_context(|| query.clone())?;
        let found: Option<String> = row.and_then(|row| row.get(0));
        if found.as_ref() != Some(value) {
            let letters = "select coalesce(jsonb_agg(jsonb_build_array(d.reason, d.message)), '[]')
                from bindery.dead_letters d where d.book_id = $1";
            let letters = json(&client, letters, &[book]).await?;
            wrong.push(format!("{form}: {found:?}, not {value:?}; dead letters: {letters}"));
        }
    }
    ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.0.len(), wrong.join("\n"));
    let applied = i64::try_from(cases.0.len())?;
    assert_eq!(counts, Counts { applied, ..Counts::default() }, "none is rejected");
    Ok(())
}

#[tokio::test]
async fn an_event_of_any_type_that_is_delivered_twice_has_its_effect_once() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let mut redis = servers.redis().await?;
    let book = Uuid::new_v4().to_string();
    let report = r#"{"at": 1}"#;
    let events: [&[(&str, &str)]; 9] = [
        &[("type", "register"), ("title", "The Tide")],
        &[("type", "transition"), ("to_status", "ANALYZING")],
        &[
            ("type", "plan"),
            ("stage", "ANALYZING"),
            ("substeps", r#"[{"substep": "extract_text"}]"#),
        ],
        &[
            ("type", "progress"),
            ("substep", "extract_text"),
            ("progress", "40"),
            ("checkpoint", report),
        ],
        &[("type", "heartbeat"), ("stage", "ANALYZING"), ("attempt", "1")],
        &[("type", "begin"), ("to_status", "GENERATING_SCENES"), ("attempt", "1")],
        &[("type", "transition"), ("to_status", "CREATING_ARTWORK")],
        &[("type", "fail"), ("stage", "CREATING_ARTWORK"), ("attempt", "1"), ("message", "no ink")],
        &[("type", "transition"), ("to_status", "CANCELLED")],
    ];
    let twice = events.iter().flat_map(|event| [event, event]);
    let mut last = String::new();
    // All of them once more, after the book is complete.
    for event in twice.chain(&events) {
        let event = [event, &[("book_id", book.as_str())][..]].concat();
        last = database.add(&mut redis, &event).await?;
    }
    let _daemon = database.daemon(&["--outbox", ""]).await?;
    let counts = applied_up_to(&client, database.stream(), &last).await?.counts;
    assert_eq!((counts.early, counts.rejected), (0, 0), "{counts:?}");
    let way = "select jsonb_agg(e.to_status order by e.revision) from bindery.book_events e
        where e.to_status is not null";
    assert_eq!(
        json(&client, way, &[]).await?,
        json!([
            "UPLOADED",
            "ANALYZING",
            "GENERATING_SCENES",
            "CREATING_ARTWORK",
            "FAILED",
            "CANCELLED"
        ])
    );
    Ok(())
}

/// `apply_events` is also called by relays other than the daemon, which may write ids in any form.
#[tokio::test]
async fn a_book_id_in_any_form_is_locked_first_and_notified() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let (client, holder) = (database.connect().await?, database.connect().await?);
    let watcher = database.connect().await?;
    let mut listener = Listener::start(database.url()).await?;
    client.batch_execute("select bindery.acquire_stream('forms', 'me', '1 hour')").await?;
    let forms: [Print; 3] = [
        |book| book.simple().to_string(),
        |book| book.braced().to_string(),
        |book| book.to_string().to_uppercase(),
    ];
    for (number, print) in forms.into_iter().enumerate() {
        let mut books = [book_in(&client, &[]).await?, book_in(&client, &[]).await?];
        books.sort_unstable();
        let [first, second] = books;
        for _ in 0..2 {
            timeout(SOON, listener.next()).await??;
        }
        // The items are in the reverse order of the locks.
        let item = |book: &Uuid| {
            json!({"type": "transition", "id": "1-0", "book_id": print(book),
                "to_status": "ANALYZING"})
        };
        let items = json!([item(&second), item(&first)]);
        let lock =
            format!("begin; select from bindery.book_status where book_id = '{first}' for update");
        holder.batch_execute(&lock).await?;
        let position = format!("{}-0", number + 1);
        let apply = "select applied from bindery.apply_events('forms', 1, $1, $2)";
        let waiting = pid(&client).await?;
        let applying = async {
            let row = client.query_one(apply, &[&position, &items]).await?;
            anyhow::Ok(row.get::<_, i64>(0))
        };
        let looking = async {
            until_blocked(&watcher, waiting, pid(&holder).await?).await?;
            // The batch waits for the first book, and has not locked the second.
            let free = "select from bindery.book_status where book_id = $1 for update nowait";
            watcher.query_one(free, &[&second]).await.context("the second book is locked")?;
            Ok::<_, anyhow::Error>(holder.batch_execute("rollback").await?)
        };
        let (applied, looked) = tokio::join!(applying, looking);
        looked?;
        assert_eq!(applied?, 2);
        let mut notified = Vec::new();
        for _ in 0..2 {
            let payload: serde_json::Value =
                serde_json::from_str(&timeout(SOON, listener.next()).await??)?;
            let book = payload["book_id"].as_str().ok_or_else(|| anyhow!("{payload}"))?;
            notified.push(book.parse::<Uuid>()?);
        }
        notified.sort_unstable();
        assert_eq!(notified, [first, second]);
    }
    Ok(())
}
