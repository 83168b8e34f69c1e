//! What every file of `sql/` must satisfy.

mod lexer;

use super::*;
use lexer::{Statement, statements, without_where};

/// How a file in `sql/tables/` may begin a statement, besides with a comment.
const TABLE: [&str; 8] = [
    "create table",
    "create unlogged table",
    "create index",
    "create unique index",
    "create sequence",
    "alter table",
    "alter sequence",
    "insert into",
];

/// How any other file may begin a statement: it must be possible to run the file again.
const CODE: [&str; 11] = [
    "create or replace",
    "create schema if not exists",
    "drop policy if exists",
    "create policy",
    "drop trigger if exists",
    "create constraint trigger",
    "grant",
    "revoke",
    "do",
    "select bindery.define_pipeline",
    "notify pgrst",
];

/// refinery's checksum of each released version. A database that has the version refuses to
/// continue with another text.
const RELEASED: [u64; 0] = [];

fn schema() -> Schema {
    Schema::compiled_in().unwrap()
}

/// The paths of the schema's files: not the kernel's, not the versions'.
fn listable(schema: &Schema) -> Vec<&str> {
    let others = ["kernel/", "upgrades/", "released/"];
    let paths = schema.files.keys().map(String::as_str);
    paths
        .filter(|path| *path != INSTALL && !others.iter().any(|other| path.starts_with(other)))
        .collect()
}

/// Every statement of some files, with the path.
fn all<'a>(schema: &'a Schema, paths: &[&'a str]) -> Vec<(&'a str, Statement<'a>)> {
    let of = |path: &&'a str| {
        let path = *path;
        statements(schema.file(path).unwrap()).into_iter().map(move |statement| (path, statement))
    };
    paths.iter().flat_map(of).collect()
}

fn assert_none(what: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{what}:\n  {}", offenders.join("\n  "));
}

/// A tree of files for a test of the versions.
fn tree(files: &[(&str, &'static str)]) -> Schema {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), Cow::Borrowed(*text)));
    Schema { files: files.collect() }
}

#[test]
fn every_file_is_listed_once_and_every_listed_file_exists() {
    let schema = schema();
    for (install, mut there) in
        [(INSTALL, listable(&schema)), (INSTALL_KERNEL, schema.below("kernel/"))]
    {
        there.retain(|path| *path != install);
        let mut listed = schema.listed(install).unwrap();
        listed.sort();
        let not_listed: Vec<_> =
            there.iter().filter(|path| !listed.iter().any(|listed| listed == *path)).collect();
        let missing: Vec<_> =
            listed.iter().filter(|listed| !there.contains(&listed.as_str())).collect();
        let twice: Vec<_> =
            listed.windows(2).filter(|two| two[0] == two[1]).map(|two| &two[0]).collect();
        assert!(
            not_listed.is_empty() && missing.is_empty() && twice.is_empty(),
            "sql/{install}\n  does not list: {not_listed:?}\n  lists, but not there: \
             {missing:?}\n  lists twice: {twice:?}"
        );
    }
}

#[test]
fn a_file_is_included_from_the_folder_of_the_file_that_includes_it() {
    assert_eq!(resolve("install.sql", "tables/outbox.sql").unwrap(), "tables/outbox.sql");
    assert_eq!(resolve("kernel/install.sql", "numbers.sql").unwrap(), "kernel/numbers.sql");
    assert_eq!(resolve("upgrades/0002_x.sql", "../tables/x.sql").unwrap(), "tables/x.sql");
    assert!(resolve("install.sql", "../x.sql").is_err());
    let wrong = tree(&[("install.sql", "\\ir api/now.sql\nselect 1;\n"), ("api/now.sql", "")]);
    assert!(wrong.text().unwrap_err().to_string().contains("select 1;"));
}

#[test]
fn versions_count_from_one() {
    let versions = schema().versions().unwrap();
    let numbers: Vec<i32> = versions.iter().map(Migration::version).collect();
    assert_eq!(numbers, (1..=schema().newest().unwrap()).collect::<Vec<_>>());
}

#[test]
fn the_first_version_is_the_whole_schema_until_there_is_an_upgrade() {
    let mut files = vec![
        ("install.sql", "-- All.\n\\ir tables/a.sql\n\n\\ir api/b.sql\n"),
        ("tables/a.sql", "create table a ();\n\ncomment on table a is 'A';\n"),
        ("api/b.sql", "create or replace view b as select 1;\n"),
    ];
    let schema = tree(&files);
    let versions = schema.versions().unwrap();
    assert_eq!(versions.len(), 1);
    assert_eq!((versions[0].version(), versions[0].name()), (1, "bindery"));
    assert_eq!(versions[0].sql(), Some(schema.text().unwrap().as_str()));

    files.push(("upgrades/0002_b.sql", "drop view b;\n\\ir ../tables/a.sql\n"));
    let error = tree(&files).versions().unwrap_err().to_string();
    assert!(error.contains("sql/released/"), "{error}");

    files.push(("released/0001_bindery.sql", "create table old ();\n"));
    let versions = tree(&files).versions().unwrap();
    assert_eq!(versions.iter().map(Migration::version).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(versions[0].sql(), Some("create table old ();\n"));
    let upgrade = versions[1].sql().unwrap();
    let parts = [
        "drop view b;",
        "create table a ();",
        "comment on table a",
        "comment on table a",
        "create or replace view b",
    ];
    let mut rest = upgrade;
    for part in parts {
        rest = rest
            .split_once(part)
            .unwrap_or_else(|| panic!("{part} is not in its place:\n{upgrade}"))
            .1;
    }

    files.push(("upgrades/0003_c.sql", ""));
    assert!(tree(&files).versions().is_err(), "only the newest version is made of sql/");
}

#[test]
fn a_released_version_never_changes() {
    let schema = schema();
    let versions = schema.versions().unwrap();
    assert_eq!(
        schema.below("released/").len(),
        RELEASED.len(),
        "add the checksum of the released version"
    );
    for (version, checksum) in versions.iter().zip(RELEASED) {
        assert_eq!(
            version.checksum(),
            checksum,
            "{version} was changed; a change is a new version, in sql/upgrades/"
        );
    }
}

#[test]
fn a_file_of_a_table_makes_it_and_any_other_file_can_run_again() {
    let schema = schema();
    let mut offenders = Vec::new();
    for (path, statement) in all(&schema, &listable(&schema)) {
        let allowed = if is_table(path) { &TABLE[..] } else { &CODE[..] };
        if !statement.begins_with("comment on")
            && !allowed.iter().any(|begin| statement.begins_with(begin))
        {
            offenders.push(format!("{path}: {statement}"));
        }
    }
    assert_none(
        "statements that their file must not have (tables/ makes tables, the rest is code)",
        &offenders,
    );
}

#[test]
fn what_cannot_be_replaced_is_dropped_first() {
    let schema = schema();
    let mut offenders = Vec::new();
    for path in listable(&schema) {
        let statements = statements(schema.file(path).unwrap());
        for (place, statement) in statements.iter().enumerate() {
            for (create, drop) in [
                ("create policy", "drop policy if exists"),
                ("create constraint trigger", "drop trigger if exists"),
            ] {
                let Some(name) = statement.word_after(create) else { continue };
                let before =
                    place.checked_sub(1).and_then(|before| statements[before].word_after(drop));
                if before != Some(name) {
                    offenders.push(format!("{path}: {statement}"));
                }
            }
        }
    }
    assert_none("not dropped in the statement before", &offenders);
}

#[test]
fn a_tables_file_ends_with_its_comments() {
    let schema = schema();
    for path in schema.below("tables/") {
        let text = schema.file(path).unwrap();
        let of = |text| {
            statements(text).iter().filter(|statement| statement.begins_with("comment on")).count()
        };
        let last = statements(comments(text));
        assert!(!last.is_empty(), "{path} has no comments");
        assert_eq!(
            (last.len(), of(comments(text))),
            (of(text), of(text)),
            "{path}: its comments must stand last"
        );
    }
}

#[test]
fn every_function_pins_its_search_path() {
    let schema = schema();
    let paths: Vec<_> = schema.files.keys().map(String::as_str).collect();
    let mut offenders = Vec::new();
    for (path, statement) in all(&schema, &paths) {
        let of = [
            "create function",
            "create or replace function",
            "create procedure",
            "create or replace procedure",
        ];
        if of.iter().any(|begin| statement.begins_with(begin))
            && !statement.has(&["set", "search_path", "=", "pg_catalog", ",", "pg_temp"])
        {
            offenders.push(format!("{path}: {statement}"));
        }
    }
    assert_none("functions without `set search_path = pg_catalog, pg_temp`", &offenders);
}

/// Supabase's API loads the module safeupdate, which refuses such statements, also in functions.
#[test]
fn every_update_and_delete_has_a_where() {
    let schema = schema();
    let mut offenders = Vec::new();
    for (path, text) in &schema.files {
        offenders
            .extend(without_where(text).iter().map(|statement| format!("{path}: {statement}")));
    }
    assert_none("UPDATE or DELETE without WHERE", &offenders);
}

#[test]
fn a_missing_where_is_found_wherever_it_is() {
    let wrong = [
        "update bindery.a set b = 1;",
        "delete from a;",
        "create function f() returns void as $$ begin
            update only a as x set b = (select 1 where true); end $$;",
        "with gone as (delete from a returning id) select * from gone where id = 1;",
        "do $$ begin execute format('delete from %I', 'a'); end $$;",
        "do $$ begin for r in update a set b = 1 returning b loop
            delete from c where true; end loop; end $$;",
    ];
    for text in wrong {
        assert_eq!(without_where(text).len(), 1, "{text}");
    }
    let right = [
        "update a x set b = 1 where c; -- delete from a;",
        "delete from a using b where a.id = b.id;",
        "insert into a values (1) on conflict (b) do update set c = 1;",
        "select from a for update; grant update (b) on a to c;",
        "create or replace trigger t before update on a for each row execute function f();",
        "comment on table a is 'Delete nothing here. It''s an update; set b.';",
        "create policy p on a for update to b using (true);",
    ];
    for text in right {
        assert_eq!(without_where(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn no_line_is_longer_than_100_columns() {
    let schema = schema();
    let mut offenders = Vec::new();
    for (path, text) in &schema.files {
        // A released version stays as it is.
        let is_frozen = path.starts_with("released/");
        for (number, line) in text.lines().enumerate().filter(|_| !is_frozen) {
            let columns = line.chars().count();
            if columns > 100 {
                offenders.push(format!("{path}:{}: {columns} columns", number + 1));
            }
        }
    }
    assert_none("lines longer than 100 columns", &offenders);
}
