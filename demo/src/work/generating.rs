//! The second stage: scenes, and a prompt for each.

use anyhow::{Context, Result, bail};

use super::analyzing::{Analysis, read_chapters};
use super::files::{BookDir, read_json, to_json};
use super::unit::{Substep, Unit};
use crate::text::prompt::{Prompt, prompt};
use crate::text::script::{Script, ScriptChapter};
use crate::text::story::{Chapter, Scene, scenes};

/// The stage's units.
pub fn substeps(dir: &BookDir) -> Result<Vec<Substep<'_>>> {
    let analysis: Analysis =
        read_json(&dir.analysis()).context("the stage before has to be finished first")?;
    let chapters = read_chapters(dir, analysis.chapters.len())?;
    let mut first = 1;
    let cut: Vec<(Chapter, Vec<Scene>)> = chapters
        .into_iter()
        .map(|chapter| {
            let scenes = scenes(&chapter, first);
            first += scenes.len();
            (chapter, scenes)
        })
        .collect();
    let counts: Vec<usize> = cut.iter().map(|(_, scenes)| scenes.len()).collect();

    let mut split = Vec::new();
    let mut write = Vec::new();
    for (chapter, scenes) in cut {
        let message = format!("{}: {} scenes", chapter.heading, scenes.len());
        for scene in &scenes {
            write.push(prompt_unit(dir, scene));
        }
        split
            .push(Unit::new(dir.chapter_scenes(chapter.number), message, move || to_json(&scenes)));
    }
    let total = write.len();
    if total == 0 {
        bail!("the book has no scenes");
    }
    let message = format!("{total} scenes are ready to be drawn");
    write.push(Unit::new(dir.scenes(), message, move || {
        to_json(&collect(dir, &analysis, &counts)?)
    }));
    Ok(vec![
        Substep::new("split_scenes", "chapter", split),
        Substep::new("write_prompts", "scene", write),
    ])
}

fn prompt_unit<'a>(dir: &'a BookDir, scene: &Scene) -> Unit<'a> {
    let (number, chapter, index) = (scene.number, scene.chapter, scene.index);
    let message = format!("a prompt for chapter {chapter}, scene {index}");
    Unit::new(dir.prompt(number), message, move || {
        let analysis: Analysis = read_json(&dir.analysis())?;
        let scenes: Vec<Scene> = read_json(&dir.chapter_scenes(chapter))?;
        let scene = scenes
            .get(index - 1)
            .with_context(|| format!("chapter {chapter} has no scene {index}"))?;
        // A scene that does not say where it plays goes on where the one before it was.
        let before: Option<Prompt> =
            (number > 1).then(|| read_json(&dir.prompt(number - 1))).transpose()?;
        to_json(&prompt(scene, &analysis.cast, before.as_ref()))
    })
}

fn collect(dir: &BookDir, analysis: &Analysis, counts: &[usize]) -> Result<Script> {
    let chapters = analysis.chapters.iter().zip(counts);
    let chapters = chapters.map(|(facts, scenes)| ScriptChapter {
        number: facts.number,
        heading: facts.heading.clone(),
        scenes: *scenes,
    });
    let scenes = (1..=counts.iter().sum()).map(|scene| read_json(&dir.prompt(scene)));
    Ok(Script {
        title: analysis.title.clone(),
        author: analysis.author.clone(),
        chapters: chapters.collect(),
        cast: analysis.cast.clone(),
        scenes: scenes.collect::<Result<_>>()?,
    })
}
