//! What the tests share: the shipped stories, and what the first two stages make of them.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fs;
use std::path::PathBuf;

use bindery_demo::text::script::Script;
use bindery_demo::text::story::Story;
use bindery_demo::work::engine::Run;
use bindery_demo::work::files::{BookDir, read_json};
use bindery_demo::work::resume::ResumePoint;
use bindery_demo::work::stage::Stage;
use bindery_demo::work::{analyzing, generating};
use uuid::Uuid;

/// The shipped stories, by file name.
pub const STORIES: [&str; 3] =
    ["mr-plum-and-the-goose", "post-over-the-stone-pass", "the-salt-clock"];

/// A story's file.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("books/{name}.txt"))
}

/// A story, parsed.
pub fn read(name: &str) -> Story {
    Story::parse(&fs::read_to_string(path(name)).unwrap()).unwrap()
}

/// What the workers of the first two stages make of a story.
pub fn script(name: &str) -> Script {
    let out = tempfile::tempdir().unwrap();
    let dir = BookDir::new(out.path(), &path(name), Uuid::nil());
    let _lock = dir.lock().unwrap();
    let story = read(name);
    let mut sent = Vec::new();
    for stage in [Stage::Analyzing, Stage::GeneratingScenes] {
        let substeps = match stage {
            Stage::Analyzing => analyzing::substeps(&story, &dir).unwrap(),
            _ => generating::substeps(&dir).unwrap(),
        };
        let resume = ResumePoint::fresh(Uuid::nil(), stage.name());
        Run { book: Uuid::nil(), stage, dir: &dir, resume: &resume, reporter: &mut sent }
            .run(&substeps)
            .unwrap();
    }
    read_json(&dir.scenes()).unwrap()
}
