//! Every error in docs/api.md is provoked: its SQLSTATE, the keys of its JSON detail, a message and
//! a hint. Every error that the SQL can raise is listed there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bindery_tests::Servers;
use serde_json::Value;

/// The setup of every provocation: a book in a stage, and a stream with a lease.
const BEFORE: &str = "
    select bindery.register_book('00000000-0000-4000-8000-000000000001', pipeline => 'comic');
    select bindery.transition_book('00000000-0000-4000-8000-000000000001', 'ANALYZING');
    select bindery.acquire_stream('held', 'me', '1 hour');
    select bindery.apply_events('held', 1, '5-0', '[]');";

const BOOK: &str = "'00000000-0000-4000-8000-000000000001'";

/// A statement for each code; `$book` is the book in a stage.
const PROVOCATIONS: [(&str, &str); 26] = [
    ("unknown_book", "select bindery.get_book_status('00000000-0000-4000-8000-00000000000f')"),
    (
        "unknown_pipeline",
        "select bindery.register_book('00000000-0000-4000-8000-000000000002', pipeline => 'opera')",
    ),
    (
        "unknown_stage",
        "select bindery.report_progress($book, 'extract_text', 5, stage => 'PRINTING')",
    ),
    ("unknown_stream", "select bindery.forget_stream('nowhere')"),
    ("illegal_transition", "select bindery.transition_book($book, 'COMPLETED')"),
    ("stale_revision", "select bindery.cancel_book($book, expected_revision => 77)"),
    (
        "conflicting_registration",
        "select bindery.register_book($book, owner_id => '00000000-0000-4000-8000-000000000900')",
    ),
    ("not_failed", "select bindery.resume_book($book)"),
    (
        "stage_not_reached",
        "select bindery.report_progress($book, 'split_scenes', 5, stage => 'GENERATING_SCENES')",
    ),
    ("stage_left", "select bindery.begin_stage($book, 'UPLOADED')"),
    ("attempt_ahead", "select bindery.report_progress($book, 'extract_text', 5, attempt => 9)"),
    ("fenced", "select bindery.renew_stream('held', 7)"),
    ("lease_held", "select bindery.acquire_stream('held', 'you')"),
    ("position_passed", "select bindery.apply_events('held', 1, '5-0', '[]')"),
    ("replay_running", "select bindery.replay_dead_letters()"),
    (
        "pipeline_is_immutable",
        "update bindery.pipelines set definition = '{}' where name = 'comic'",
    ),
    ("history_is_append_only", "update bindery.book_events set message = 'never happened'"),
    ("bad_input", "select bindery.report_progress($book, 'extract_text', 101)"),
    (
        "bad_definition",
        "select bindery.define_pipeline('faulty', '{\"states\": [{\"name\": \"A\"}]}')",
    ),
    ("unknown_substep", "select bindery.report_progress($book, 'sharpen_pencils', 5)"),
    (
        "too_many_substeps",
        "select bindery.plan_substeps($book, 'CREATING_ARTWORK', (
           select jsonb_agg(jsonb_build_object('substep', 'page_' || n))
           from generate_series(1, 10000) n));
         select bindery.plan_substeps($book, 'CREATING_ARTWORK', '[{\"substep\": \"last\"}]')",
    ),
    (
        "column_is_derived",
        "update bindery.book_status set overall_progress = 99 where book_id = $book",
    ),
    (
        "missing_pipeline",
        "begin;
         set local session_replication_role = replica;
         delete from bindery.pipelines where name = 'comic';
         set local session_replication_role = origin;
         select bindery.get_book_status($book)",
    ),
    (
        "key_reused",
        "select bindery.report_events('[]', 'one'); select bindery.report_events('[7]', 'one')",
    ),
    (
        "not_allowed",
        "set role bindery_worker; set request.jwt.claims = '{\"stage\": \"PRINTING\"}';
         select bindery.begin_stage($book, 'ANALYZING')",
    ),
    ("", "set role anon; select bindery.get_book_status($book)"),
];

/// A line of the table: its SQLSTATE and the keys of its detail besides `code`.
type Listed = BTreeMap<String, (String, BTreeSet<String>)>;

fn read(path: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

fn listed() -> Result<Listed> {
    let text = read("docs/api.md")?;
    let (_, rest) =
        text.split_once("\n## Errors\n").context("docs/api.md has no section Errors")?;
    let section = rest.split("\n## ").next().unwrap_or_default();
    let mut listed = Listed::new();
    let mut state = String::new();
    for line in section.lines().filter(|line| line.starts_with('|')).skip(2) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [first, code, _, keys] = cells[..] else { anyhow::bail!("not four cells: {line}") };
        let names =
            |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        if let Some(named) = names(first).into_iter().next() {
            state = named;
        }
        let code = names(code).into_iter().next().unwrap_or_default();
        let before =
            listed.insert(code.clone(), (state.clone(), names(keys).into_iter().collect()));
        ensure!(before.is_none(), "{code} is listed twice");
    }
    Ok(listed)
}

/// The codes of `bindery_internal.error(…)` in the SQL, and the verdicts that `refused_report`
/// turns into errors.
fn raised() -> Result<BTreeSet<String>> {
    let mut codes = BTreeSet::new();
    for path in sql_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql"))? {
        let text = fs::read_to_string(&path)?;
        for call in text.split("bindery_internal.error(").skip(1) {
            let call = call.trim_start();
            if !call.starts_with("'PT") && !call.starts_with("'42501'") {
                continue;
            }
            let mut quoted = call.split('\'').skip(3).step_by(2);
            if call.split(',').nth(1).is_some_and(|second| second.trim().starts_with('\'')) {
                codes.insert(quoted.next().unwrap_or_default().to_owned());
            }
        }
        let verdicts = text.split("\n    when '").skip(1);
        for verdict in verdicts.filter(|_| path.ends_with("api/errors.sql")) {
            codes.insert(verdict.split('\'').next().unwrap_or_default().to_owned());
        }
    }
    codes.remove("stale");
    Ok(codes)
}

/// Every SQL file in a folder and in the folders below it.
fn sql_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(sql_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "sql") {
            files.push(path);
        }
    }
    Ok(files)
}

#[tokio::test]
async fn every_documented_error_has_its_sqlstate_and_the_documented_keys() -> Result<()> {
    let listed = listed()?;
    let provoked: BTreeSet<&str> = PROVOCATIONS.iter().map(|(code, _)| *code).collect();
    let documented: BTreeSet<&str> = listed.keys().map(String::as_str).collect();
    assert_eq!(provoked, documented, "what is provoked here is what is documented");

    let database = Servers::shared().await?.database().await?;
    let other = database.connect().await?;
    other.batch_execute(BEFORE).await?;
    // Another session is replaying dead letters.
    other.batch_execute("begin; select bindery.replay_dead_letters()").await?;
    for (code, statement) in PROVOCATIONS {
        let client = database.connect().await?;
        let (state, keys) = &listed[code];
        let Err(error) = client.batch_execute(&statement.replace("$book", BOOK)).await else {
            anyhow::bail!("{code} was not refused: {statement}")
        };
        let error = error.as_db_error().with_context(|| format!("{statement}: {error}"))?;
        ensure!(
            error.code().code() == state,
            "{code} has SQLSTATE {}, not {state}: {error}",
            error.code().code()
        );
        if code.is_empty() {
            continue;
        }
        let detail: Value =
            serde_json::from_str(error.detail().with_context(|| format!("{code} has no detail"))?)?;
        ensure!(detail["code"] == code, "{statement} gives {detail}");
        let given: BTreeSet<String> =
            detail.as_object().into_iter().flat_map(|detail| detail.keys()).cloned().collect();
        let mut expected = keys.clone();
        expected.insert("code".to_owned());
        ensure!(
            given == expected,
            "the detail of {code} has {given:?}, documented is {expected:?}"
        );
        let (message, hint) = (error.message(), error.hint().unwrap_or_default());
        ensure!(message.ends_with('.') || message.contains(": "), "{code}: no sentence: {message}");
        ensure!(hint.len() > 10 && hint.ends_with('.'), "{code}: no hint: {hint}");
    }
    Ok(())
}

#[test]
fn every_error_that_the_sql_raises_is_documented() -> Result<()> {
    let documented: BTreeSet<String> =
        listed()?.into_keys().filter(|code| !code.is_empty()).collect();
    assert_eq!(raised()?, documented);
    Ok(())
}
