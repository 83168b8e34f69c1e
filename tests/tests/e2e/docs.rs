//! docs/api.md has every function with its arguments, and its examples run as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use bindery_tests::Servers;
use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

/// A section of docs/api.md that is about one function.
struct Section {
    name: String,
    /// The names in its first line: arguments, and what of them is optional.
    arguments: BTreeMap<String, bool>,
    sql: String,
    http: String,
}

fn sections() -> Result<Vec<Section>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api.md");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    text.split("\n### ").skip(1).map(section).collect()
}

fn section(text: &str) -> Result<Section> {
    let name = text.lines().next().unwrap_or_default().to_owned();
    let block = |language: &str| -> Result<String> {
        let (_, rest) = text
            .split_once(&format!("```{language}\n"))
            .with_context(|| format!("{name}: no {language}"))?;
        Ok(rest.split("\n```").next().unwrap_or_default().to_owned())
    };
    let signature = text.split('`').nth(1).with_context(|| format!("{name}: no signature"))?;
    let inside =
        signature.strip_prefix(&format!("{name}(")).and_then(|rest| rest.split(')').next());
    let arguments = inside
        .with_context(|| format!("{name}: {signature} is another function's"))?
        .split([',', '|', '+'])
        .map(str::trim)
        .filter(|argument| !argument.is_empty())
        .map(|argument| (argument.trim_end_matches('?').to_owned(), argument.ends_with('?')))
        .collect();
    Ok(Section { arguments, sql: block("sql")?, http: block("http")?, name })
}

/// The API in the catalog: each function's arguments with whether they are optional, and whether
/// the function is STABLE.
async fn functions(client: &Client) -> Result<BTreeMap<String, (BTreeMap<String, bool>, bool)>> {
    let rows = client
        .query(
            "select p.proname::text, coalesce(p.proargnames[1:p.pronargs], '{}')::text[],
               (p.pronargs - p.pronargdefaults)::integer, p.provolatile = 's'
             from pg_proc p where p.pronamespace = 'bindery'::regnamespace",
            &[],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let names: Vec<String> = row.get(1);
            let needed = usize::try_from(row.get::<_, i32>(2)).unwrap_or(0);
            let arguments = names
                .into_iter()
                .enumerate()
                .map(|(index, name)| (name, index >= needed))
                .collect();
            (row.get(0), (arguments, row.get(3)))
        })
        .collect())
}

#[tokio::test]
async fn every_function_is_documented_with_its_arguments() -> Result<()> {
    let servers = Servers::shared().await?;
    let client = servers.database().await?.connect().await?;
    let mut there = functions(&client).await?;
    for section in sections()? {
        let (arguments, _) = there
            .remove(&section.name)
            .with_context(|| format!("there is no function {}", section.name))?;
        // A report needs either `progress`, or `done` and `total`, which an SQL signature cannot
        // express.
        ensure!(
            section.arguments == arguments,
            "{}: documented {:?}, is {arguments:?}",
            section.name,
            section.arguments
        );
    }
    ensure!(there.is_empty(), "not documented: {:?}", there.keys());
    Ok(())
}

#[tokio::test]
async fn the_examples_in_sql_run_as_typed() -> Result<()> {
    let servers = Servers::shared().await?;
    let client = servers.database().await?.connect().await?;
    client.batch_execute("set role service_role").await?;
    for Section { name, sql, .. } in sections()? {
        let answer =
            client.simple_query(&sql).await.with_context(|| format!("the example of {name}"))?;
        let rows =
            answer.iter().filter(|message| matches!(message, SimpleQueryMessage::Row(_))).count();
        let may_be_empty = ["take_outbox", "list_relays"].contains(&name.as_str());
        ensure!(rows > 0 || may_be_empty, "the example of {name} shows nothing");
        ensure!(
            sql.contains(&format!("bindery.{name}(")),
            "the example of {name} calls something else"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_examples_over_rest_use_arguments_that_exist() -> Result<()> {
    let servers = Servers::shared().await?;
    let client = servers.database().await?.connect().await?;
    let there = functions(&client).await?;
    for Section { name, http, .. } in sections()? {
        let (arguments, stable) = &there[&name];
        let (line, body) = http.split_once('\n').unwrap_or((&http, ""));
        let (method, path) = line.split_once(' ').with_context(|| format!("{name}: no method"))?;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        ensure!(path == format!("/rpc/{name}"), "{name}: {path}");
        ensure!((method == "GET") == *stable, "{name}: what only reads is asked for with GET");
        let given: BTreeSet<String> = match method {
            "GET" => query
                .split('&')
                .filter_map(|pair| Some(pair.split_once('=')?.0.to_owned()))
                .collect(),
            _ => {
                let body: Value = serde_json::from_str(body)
                    .with_context(|| format!("{name}: the body is no JSON"))?;
                body.as_object()
                    .with_context(|| format!("{name}: the body is no object"))?
                    .keys()
                    .cloned()
                    .collect()
            }
        };
        ensure!(
            given.iter().all(|key| arguments.contains_key(key)),
            "{name}: {given:?} are not all in {arguments:?}"
        );
        let missing: Vec<_> = arguments
            .iter()
            .filter(|(key, optional)| !**optional && !given.contains(*key))
            .collect();
        ensure!(missing.is_empty(), "{name}: {missing:?} are needed");
    }
    Ok(())
}
