//! Writes the files that other languages read the contract of events from: the JSON Schema of
//! events, and their limits.

use std::path::Path;

use bindery_core::event::{limits, schema};
use serde_json::Value;

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let write = |file: &str, json: &Value| std::fs::write(root.join(file), format!("{json:#}\n"));
    write("docs/schema/event.schema.json", &schema())?;
    write("tests/vectors/limits.json", &limits())
}
