//! The extension's control file and SQL are files of the repository. They must match the sources.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use bindery_tests::pg_config;
use object::{Object, ObjectSection};
use pgrx_sql_entity_graph::section::{decode_entities, is_schema_section_name};
use pgrx_sql_entity_graph::{ControlFile, PgrxSql, SqlGraphEntity};

const CONTROL: &str = include_str!("../../extension/bindery.control");

fn control() -> Result<ControlFile> {
    Ok(ControlFile::from_str(CONTROL)?)
}

/// The output of `cargo pgrx schema` for a library, without the line numbers of the sources: pgrx's
/// macros describe each function in a section of the library.
fn generated(library: &Path) -> Result<String> {
    let bytes = fs::read(library).with_context(|| format!("no {}", library.display()))?;
    let object = object::File::parse(&*bytes)?;
    let section = object
        .sections()
        .find(|section| section.name().is_ok_and(is_schema_section_name))
        .with_context(|| format!("{} has no section of pgrx", library.display()))?;
    let entities = decode_entities(section.data()?).map_err(|error| anyhow!("{error:#}"))?;
    let entities = [SqlGraphEntity::ExtensionRoot(control()?)].into_iter().chain(entities);
    let sql = PgrxSql::build(entities, "bindery".to_owned(), false)
        .and_then(|sql| sql.to_sql())
        .map_err(|error| anyhow!("{error:#}"))?;
    Ok(sql.lines().map(|line| without_line_number(line).to_owned() + "\n").collect())
}

/// `-- extension/src/functions.rs:66` without the number.
fn without_line_number(line: &str) -> &str {
    match line.rsplit_once(".rs:") {
        Some((path, _number)) if line.starts_with("-- ") => &line[..path.len() + ".rs".len()],
        _ => line,
    }
}

#[test]
fn the_control_file_names_the_version_of_the_workspace() -> Result<()> {
    let control = control()?;
    assert_eq!(control.default_version, env!("CARGO_PKG_VERSION"));
    assert_eq!(control.module_pathname.as_deref(), Some("$libdir/bindery"));
    Ok(())
}

#[tokio::test]
async fn the_sql_of_the_extension_is_what_pgrx_generates() -> Result<()> {
    let name = format!("bindery--{}.sql", control()?.default_version);
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../extension/sql").join(&name);
    let library = PathBuf::from(pg_config("--pkglibdir").await?).join("bindery.so");
    let generated = generated(&library)?;
    if fs::read_to_string(&kept).unwrap_or_default() != generated {
        let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
        fs::write(&new, &generated)?;
        bail!(
            "{} is not what pgrx generates for {}. After make build: cp {} extension/sql/",
            kept.display(),
            library.display(),
            new.display()
        );
    }
    Ok(())
}
