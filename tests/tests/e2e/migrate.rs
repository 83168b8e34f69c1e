//! Installation of the schema, and the behaviour of the command line.

use anyhow::{Context, Result, ensure};
use bindery_tests::{Servers, connect, run_binderyd};
use tokio_postgres::Client;

use crate::support::{pid, text, until_a_session_is_blocked};

/// Everything in the three schemas that a user could notice, one item a line, except the table of
/// applied migrations.
async fn schema(client: &Client) -> Result<Vec<String>> {
    let queries = [
        "select format('schema %s %s', n.nspname, n.nspacl)
            from pg_namespace n where n.nspname ~ '^bindery'",
        "select format('%s %s %s %s', pg_get_functiondef(p.oid), p.proacl, p.proowner::regrole,
              obj_description(p.oid, 'pg_proc'))
            from pg_proc p
            where p.pronamespace::regnamespace::text ~ '^bindery' and p.prokind = 'f'",
        "select format('%s %s %s rls %s/%s %s %s %s', c.relkind, c.oid::regclass, c.relacl,
              c.relrowsecurity, c.relforcerowsecurity, c.reloptions, c.relowner::regrole,
              obj_description(c.oid, 'pg_class'))
            from pg_class c
            where c.relnamespace::regnamespace::text ~ '^bindery'
              and c.relname !~ '^schema_history'",
        "select format('%s.%s %s not null %s default %s %s %s %s', a.attrelid::regclass, a.attname,
              format_type(a.atttypid, a.atttypmod), a.attnotnull,
              pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attacl,
              col_description(a.attrelid, a.attnum))
            from pg_attribute a join pg_class c on c.oid = a.attrelid
            left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
            where c.relnamespace::regnamespace::text ~ '^bindery'
              and c.relname !~ '^schema_history' and a.attnum > 0",
        "select format('%s %s %s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid))
            from pg_constraint c
            where c.connamespace::regnamespace::text ~ '^bindery'
              and c.conrelid::regclass::text !~ 'schema_history'",
        "select pg_get_triggerdef(t.oid) from pg_trigger t join pg_class c on c.oid = t.tgrelid
            where c.relnamespace::regnamespace::text ~ '^bindery' and not t.tgisinternal",
        "select format('%s', p) from pg_policies p where p.schemaname ~ '^bindery'",
        "select format('%s %s %s', p.name, p.version, p.machine) from bindery.pipelines p",
    ];
    let mut all = Vec::new();
    for query in queries {
        let mut lines: Vec<String> =
            client.query(query, &[]).await?.iter().map(|row| row.get(0)).collect();
        ensure!(!lines.is_empty(), "nothing is found by {query}");
        lines.sort_unstable();
        all.extend(lines);
    }
    Ok(all)
}

fn same(one: &[String], other: &[String]) -> Result<()> {
    let only = |a: &[String], b: &[String]| {
        a.iter().filter(|line| !b.contains(line)).cloned().collect::<Vec<_>>()
    };
    ensure!(
        one == other,
        "only in the one:\n{:#?}\nonly in the other:\n{:#?}",
        only(one, other),
        only(other, one)
    );
    Ok(())
}

#[tokio::test]
async fn a_second_migration_changes_nothing() -> Result<()> {
    let url = Servers::shared().await?.blank_database().await?;
    let first = run_binderyd(&["migrate", "--database-url", &url]).await?;
    ensure!(
        first.status.code() == Some(0) && !text(&first).contains("up to date"),
        "{}",
        text(&first)
    );
    let client = connect(&url).await?;
    client
        .batch_execute("select from bindery.register_book('6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b')")
        .await?;
    let before = schema(&client).await?;

    let second = run_binderyd(&["migrate", "--database-url", &url]).await?;

    ensure!(
        second.status.code() == Some(0) && text(&second).contains("up to date"),
        "{}",
        text(&second)
    );
    same(&before, &schema(&client).await?)?;
    let books: i64 =
        client.query_one("select count(*) from bindery.book_status", &[]).await?.get(0);
    assert_eq!(books, 1);
    Ok(())
}

/// One migration waits in the middle for a lock of this test, until the other is seen to wait for
/// the first.
#[tokio::test]
async fn two_migrations_at_once_install_the_schema_once() -> Result<()> {
    let url = Servers::shared().await?.blank_database().await?;
    let (holder, watcher) = (connect(&url).await?, connect(&url).await?);
    let holding = pid(&holder).await?;
    // The first migration creates a schema of this name, and has to wait for this transaction to be
    // rolled back.
    holder.batch_execute("begin; create schema bindery_internal").await?;
    let args = ["migrate", "--database-url", url.as_str()];
    let releasing = async {
        let first = until_a_session_is_blocked(&watcher, holding).await?;
        until_a_session_is_blocked(&watcher, first).await?;
        Ok::<_, anyhow::Error>(holder.batch_execute("rollback").await?)
    };
    let (one, other, released) = tokio::join!(run_binderyd(&args), run_binderyd(&args), releasing);
    released?;
    let (one, other) = (one?, other?);
    let up_to_date =
        [&one, &other].iter().filter(|output| text(output).contains("up to date")).count();
    ensure!(one.status.success() && other.status.success(), "{}\n{}", text(&one), text(&other));
    assert_eq!(up_to_date, 1, "{}\n{}", text(&one), text(&other));
    let newest: i32 =
        watcher.query_one("select max(version) from bindery.pipelines", &[]).await?.get(0);
    assert_eq!(newest, 1, "each shipped pipeline is there once");
    Ok(())
}

/// Roles belong to the server, and another of its databases may be migrated at the same time.
#[tokio::test]
async fn a_role_that_another_session_creates_at_the_same_time_does_no_harm() -> Result<()> {
    // An own server, because a server lacks Bindery's roles only until the first migration.
    let servers = Servers::start().await?;
    let url = servers.blank_database().await?;
    let (holder, watcher) = (connect(&url).await?, connect(&url).await?);
    holder.batch_execute("begin; create role anon nologin").await?;
    let holding = pid(&holder).await?;
    let args = ["migrate", "--database-url", url.as_str()];
    let committing = async {
        until_a_session_is_blocked(&watcher, holding).await?;
        Ok::<_, anyhow::Error>(holder.batch_execute("commit").await?)
    };
    let (migrated, committed) = tokio::join!(run_binderyd(&args), committing);
    committed?;
    let migrated = migrated?;
    ensure!(migrated.status.success(), "{}", text(&migrated));
    Ok(())
}

#[tokio::test]
async fn a_database_that_is_not_utf8_is_refused_before_anything_is_made() -> Result<()> {
    let servers = Servers::shared().await?;
    let create = "create database latin encoding 'LATIN1' locale 'C' template template0";
    servers.connect().await?.batch_execute(create).await?;
    let (server, _) = servers.database_url().rsplit_once('/').context("no database in the URL")?;
    let url = format!("{server}/latin");

    let output = run_binderyd(&["migrate", "--database-url", &url]).await?;

    let printed = text(&output);
    ensure!(output.status.code() == Some(1), "{} {printed}", output.status);
    for part in ["\"latin\"", "LATIN1", "UTF8", "template template0"] {
        ensure!(printed.contains(part), "{part} is not in: {printed}");
    }
    let made = "select (select count(*) from pg_namespace where nspname ~ '^bindery')
        + (select count(*) from pg_extension where extname = 'bindery')";
    assert_eq!(connect(&url).await?.query_one(made, &[]).await?.get::<_, i64>(0), 0);
    Ok(())
}

/// Supabase Realtime may be installed after the schema.
#[tokio::test]
async fn migrate_makes_the_policy_on_realtime_messages_once_there_is_realtime() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let client = database.connect().await?;
    let realtime = "create schema realtime;
        create table realtime.messages (topic text not null, extension text not null);
        create function realtime.topic() returns text language sql stable
            as $$ select current_setting('realtime.topic', true) $$";
    client.batch_execute(realtime).await?;
    let policies = "select string_agg(policyname::text, ', ') from pg_policies
        where schemaname = 'realtime'";
    let before: Option<String> = client.query_one(policies, &[]).await?.get(0);
    assert_eq!(before, None);
    for _ in 0..2 {
        let output = run_binderyd(&["migrate", "--database-url", database.url()]).await?;
        let printed = text(&output);
        ensure!(output.status.success() && printed.contains("up to date"), "{printed}");
        let made: Option<String> = client.query_one(policies, &[]).await?.get(0);
        assert_eq!(made.as_deref(), Some("bindery_owner_joins"));
    }
    Ok(())
}

#[tokio::test]
async fn the_printed_migration_makes_the_same_schema() -> Result<()> {
    let servers = Servers::shared().await?;
    let (migrated, printed) = (servers.blank_database().await?, servers.blank_database().await?);
    servers.migrate(&migrated).await?;
    // The command prints the native kernel by default; `migrate` installs the kernel of this test
    // run.
    let kernel = std::env::var("BINDERY_KERNEL").unwrap_or_else(|_| "native".to_owned());
    let output = run_binderyd(&["migration", "--kernel", &kernel]).await?;
    ensure!(output.status.success() && output.stderr.is_empty(), "{}", text(&output));
    let client = connect(&printed).await?;
    client.batch_execute(&String::from_utf8(output.stdout)?).await?;
    same(&schema(&connect(&migrated).await?).await?, &schema(&client).await?)
}

#[tokio::test]
async fn an_unreachable_database_is_reported_without_its_password() -> Result<()> {
    let servers = Servers::shared().await?;
    let with_password = servers.database_url().replace("postgres@", "postgres:hush-9@");
    let urls = [
        // Port 1 has no listener.
        ("postgresql://postgres:hush-9@127.0.0.1:1/bindery".to_owned(), "refused"),
        (with_password.replace("/postgres", "/nowhere"), "nowhere"),
        (with_password.replace("postgres:", "nobody:"), "nobody"),
    ];
    for (url, message) in urls {
        for command in ["migrate", "watch"] {
            let output = run_binderyd(&[command, "--database-url", &url]).await?;
            let printed = text(&output);
            ensure!(output.status.code() == Some(1), "{command}: {} {printed}", output.status);
            ensure!(
                printed.contains(message)
                    && !printed.contains("hush-9")
                    && !printed.contains("panicked"),
                "{command}: {printed}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn wrong_usage_exits_with_2_and_shows_no_secret() -> Result<()> {
    let good = [
        "--database-url",
        "postgresql://postgres:hush-9@127.0.0.1:1/x",
        "--redis-url",
        "redis://:hush-9@127.0.0.1:1/",
    ];
    let wrong: [&[&str]; 13] = [
        &[],
        &["fly"],
        &["migrate"],
        &["migrate", "--database-url", "postgresql://postgres:hush-9@[nowhere"],
        &["migrate", "--database-url", "hush-9"],
        &["watch", "--database-url", good[1], "--max-books", "0"],
        &["run", "--redis-url", good[3]],
        &["run", "--database-url", good[1], "--stream", "without-redis"],
        &["run", "--database-url", good[1], "--redis-url", "http://:hush-9@127.0.0.1/"],
        &["run", good[0], good[1], good[2], good[3], "--lease", "1ms"],
        &["run", good[0], good[1], good[2], good[3], "--max-batch", "0"],
        &["run", good[0], good[1], good[2], good[3], "--linger", "soon"],
        &["run", good[0], good[1], good[2], good[3], "--http", "nowhere"],
    ];
    for args in wrong {
        let output = run_binderyd(args).await?;
        let printed = text(&output);
        ensure!(
            output.status.code() == Some(2) && !printed.is_empty(),
            "{args:?}: {} {printed}",
            output.status
        );
        ensure!(!printed.contains("hush-9"), "{args:?} shows the password: {printed}");
    }
    for args in [&["--help"][..], &["run", "--help"], &["--version"]] {
        assert_eq!(run_binderyd(args).await?.status.code(), Some(0), "{args:?}");
    }
    Ok(())
}
