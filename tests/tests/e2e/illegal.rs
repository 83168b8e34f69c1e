//! Every change of status, legal or not, by function, UPDATE and event. `bindery-core`, with the
//! definition that the database holds, determines which are legal; the database must agree.

use anyhow::{Context, Result, bail, ensure};
use bindery_core::machine::{CANCELLED, FAILED, Machine};
use bindery_core::transition::{
    Facts, TransitionVerdict, next_statuses, transition_error, transition_verdict,
};
use bindery_tests::Servers;
use serde_json::{Value, json};
use tokio_postgres::{Client, Error};
use uuid::Uuid;

use crate::support::{
    Counts, all_of, applied_up_to, book_in, book_row, comic, json, refusal, transition,
};

/// A status, and the stage from which it was reached.
struct Place {
    way: Vec<String>,
    status: String,
    stage: String,
}

/// Every place a book of the pipeline can be at: each state, and halted in each that is not final.
fn places(machine: &Machine) -> Vec<Place> {
    let names: Vec<&str> = machine.states().iter().map(|state| state.name.as_str()).collect();
    let mut places = Vec::new();
    for index in 0..names.len() {
        let way: Vec<String> = names[1..=index].iter().map(|name| (*name).to_owned()).collect();
        let stage = names[index.min(names.len() - 2)].to_owned();
        places.push(Place {
            way: way.clone(),
            status: names[index].to_owned(),
            stage: stage.clone(),
        });
        for halt in [FAILED, CANCELLED] {
            if index + 1 < names.len() {
                let way = way.iter().cloned().chain([halt.to_owned()]).collect();
                places.push(Place { way, status: halt.to_owned(), stage: stage.clone() });
            }
        }
    }
    places
}

/// Every status, and some that do not exist.
fn targets(machine: &Machine) -> Vec<String> {
    let none = ["PRINTED", "analyzing", "ANALYZING ", "*"];
    machine
        .states()
        .iter()
        .map(|state| state.name.as_str())
        .chain([FAILED, CANCELLED])
        .chain(none)
        .map(str::to_owned)
        .collect()
}

impl Place {
    async fn book(&self, client: &Client) -> Result<Uuid> {
        let way: Vec<&str> = self.way.iter().map(String::as_str).collect();
        let book = book_in(client, &way).await?;
        let row = book_row(client, book).await?;
        ensure!(
            (&row["status"], &row["current_stage"]) == (&json!(self.status), &json!(self.stage)),
            "{row}"
        );
        Ok(book)
    }

    fn allows(&self, machine: &Machine, target: &str) -> bool {
        transition_error(machine, &self.status, Some(&self.stage), target, &Facts::default())
            .is_none()
    }

    fn verdict(&self, machine: &Machine, target: &str) -> TransitionVerdict {
        transition_verdict(machine, &self.status, Some(&self.stage), target, &Facts::default())
    }

    /// The error must list the allowed statuses.
    fn explained(&self, machine: &Machine, target: &str, error: &Error) -> Result<()> {
        let (state, detail) = refusal(error);
        let allowed = next_statuses(machine, &self.status, Some(&self.stage));
        let expected = json!({
            "code": "illegal_transition", "from_status": self.status, "to_status": target,
            "allowed": allowed,
        });
        ensure!(
            state == "PT409" && detail == expected,
            "{state} {detail}\nexpected PT409 {expected}"
        );
        let hint = error.as_db_error().and_then(|error| error.hint()).unwrap_or_default();
        ensure!(!hint.is_empty(), "no hint");
        Ok(())
    }
}

async fn update(client: &Client, book: Uuid, to: Option<&str>) -> Result<u64, Error> {
    client
        .execute("update bindery.book_status set status = $2 where book_id = $1", &[&book, &to])
        .await
}

#[tokio::test]
async fn every_illegal_change_is_refused_and_leaves_no_trace() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let machine = comic(&client).await?;
    let mut redis = servers.redis().await?;
    let (mut by_event, mut last) = (Vec::new(), String::new());
    for place in places(&machine) {
        let book = place.book(&client).await?;
        let before = all_of(&client, book).await?;
        for target in targets(&machine).iter().filter(|target| !place.allows(&machine, target)) {
            let case = || format!("{} (stage {}) -> {target}", place.status, place.stage);
            // A change to the current status is no change and no error.
            for changed in [
                transition(&client, book, target).await.map(|_| ()),
                update(&client, book, Some(target)).await.map(|_| ()),
            ] {
                match changed {
                    Ok(()) => ensure!(*target == place.status, "{} was taken", case()),
                    Err(error) => place.explained(&machine, target, &error).with_context(case)?,
                }
            }
            ensure!(all_of(&client, book).await? == before, "{} left a trace", case());
            // Spaces around a name in an event have no meaning.
            let verdict = place.verdict(&machine, target.trim());
            if verdict != TransitionVerdict::Accept {
                let id = book.to_string();
                let event = [("type", "transition"), ("book_id", &*id), ("to_status", target)];
                last = database.add(&mut redis, &event).await?;
                by_event.push((last.clone(), book, before.clone(), case(), verdict));
            }
        }
        assert!(update(&client, book, None).await.is_err(), "a book has a status");
        assert_eq!(all_of(&client, book).await?, before);
    }
    assert!(by_event.len() > 80, "{} illegal changes", by_event.len());

    let _daemon = database.daemon(&["--outbox", ""]).await?;
    let counts = applied_up_to(&client, database.stream(), &last).await?.counts;
    let mut expected = Counts::default();
    for (id, book, before, case, verdict) in by_event {
        let (table, reason) = match verdict {
            TransitionVerdict::None => {
                expected.applied += 1;
                ("", "")
            }
            TransitionVerdict::Stale => {
                expected.stale += 1;
                ("", "")
            }
            TransitionVerdict::Early => {
                expected.early += 1;
                ("early_events", "transition_ahead")
            }
            TransitionVerdict::Illegal => {
                expected.rejected += 1;
                ("dead_letters", "illegal_transition")
            }
            TransitionVerdict::Accept => bail!("{case} is allowed"),
        };
        let query = "select coalesce(jsonb_agg(w.row), '[]') from (
            select jsonb_build_array('early_events', reason, book_id) as row
            from bindery.early_events where event_id = $1
            union all
            select jsonb_build_array('dead_letters', reason, book_id)
            from bindery.dead_letters where event_id = $1) w";
        let kept: Value = json(&client, query, &[&id]).await.with_context(|| case.clone())?;
        let wanted = if table.is_empty() { json!([]) } else { json!([[table, reason, book]]) };
        ensure!(kept == wanted, "{case}: {kept}, not {wanted}");
        let after = all_of(&client, book).await?;
        ensure!(after == before, "{case} by an event left a trace: {before}\nand then\n{after}");
    }
    assert_eq!(counts, expected);
    Ok(())
}

#[tokio::test]
async fn every_legal_change_is_made_once_by_every_way_in() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let machine = comic(&client).await?;
    let mut redis = servers.redis().await?;
    let _daemon = database.daemon(&["--outbox", ""]).await?;
    for place in places(&machine) {
        for target in targets(&machine).iter().filter(|target| place.allows(&machine, target)) {
            let [by_function, by_update, by_event] = [
                place.book(&client).await?,
                place.book(&client).await?,
                place.book(&client).await?,
            ];
            let id = by_event.to_string();
            let event = database
                .add(&mut redis, &[("type", "transition"), ("book_id", &id), ("to_status", target)])
                .await?;
            transition(&client, by_function, target).await?;
            update(&client, by_update, Some(target)).await?;
            applied_up_to(&client, database.stream(), &event).await?;
            for (way, book) in
                [("function", by_function), ("update", by_update), ("event", by_event)]
            {
                let case = format!("{} (stage {}) -> {target} by {way}", place.status, place.stage);
                let row = book_row(&client, book).await?;
                let revision = place.way.len() + 2;
                ensure!(
                    (&row["status"], &row["revision"]) == (&json!(target), &json!(revision)),
                    "{case}: {row}"
                );
                let query =
                    "select jsonb_build_array(from_status, to_status, revision, count(*) over ())
                    from bindery.book_events where book_id = $1 order by revision desc limit 1";
                let last = json(&client, query, &[&book]).await?;
                ensure!(
                    last == json!([place.status, target, revision, revision]),
                    "{case}: {last}"
                );
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn one_illegal_row_undoes_the_whole_update() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let client = database.connect().await?;
    let books = [
        book_in(&client, &[]).await?,
        book_in(&client, &["ANALYZING", "GENERATING_SCENES"]).await?,
    ];
    let before = [all_of(&client, books[0]).await?, all_of(&client, books[1]).await?];
    assert!(
        client.execute("update bindery.book_status set status = 'ANALYZING'", &[]).await.is_err()
    );
    assert_eq!(before, [all_of(&client, books[0]).await?, all_of(&client, books[1]).await?]);
    Ok(())
}

#[tokio::test]
async fn a_book_is_not_put_into_a_later_state_by_insert() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let client = database.connect().await?;
    let machine = comic(&client).await?;
    for status in targets(&machine) {
        let insert =
            "insert into bindery.book_status (book_id, status) values (gen_random_uuid(), $1)";
        let inserted = client.execute(insert, &[&status]).await;
        ensure!(inserted.is_ok() == (status == machine.initial().name), "{status}: {inserted:?}");
    }
    let books: i64 =
        client.query_one("select count(*) from bindery.book_status", &[]).await?.get(0);
    assert_eq!(books, 1);
    Ok(())
}
