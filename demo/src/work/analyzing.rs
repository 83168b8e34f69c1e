//! The first stage: pages, chapters, characters.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::files::{BookDir, read_json, to_json};
use super::unit::{Substep, Unit};
use crate::text::cast::{Character, Pair, cast, pairs};
use crate::text::census::Census;
use crate::text::story::{Block, Chapter, Page, Story, chapters, paginate};

/// What is known of a book after this stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Analysis {
    /// Its title.
    pub title: String,
    /// Its author.
    pub author: String,
    /// How many words it has.
    pub words: usize,
    /// Its chapters.
    pub chapters: Vec<ChapterFacts>,
    /// Who is in it, the most named first.
    pub cast: Vec<Character>,
    /// Who is seen with whom.
    pub pairs: Vec<Pair>,
}

/// A chapter, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChapterFacts {
    /// Counted from 1.
    pub number: usize,
    /// Its heading.
    pub heading: String,
    /// Its words.
    pub words: usize,
    /// Its paragraphs.
    pub paragraphs: usize,
}

/// The stage's units.
pub fn substeps<'a>(story: &'a Story, dir: &'a BookDir) -> Result<Vec<Substep<'a>>> {
    let pages = paginate(&story.blocks);
    let found = chapters(&story.blocks);
    if found.is_empty() {
        bail!("the book has no text");
    }
    let (page_count, chapter_count) = (pages.len(), found.len());

    let extract = pages.into_iter().map(|page| {
        let message = format!("page {} of {page_count}: {} words", page.number, page.words);
        Unit::new(dir.page(page.number), message, move || to_json(&page))
    });
    let detect = found.iter().map(|chapter| {
        let number = chapter.number;
        let message = format!("{}: {} words", chapter.heading, chapter.words());
        Unit::new(dir.chapter(number), message, move || to_json(&detect(dir, page_count, number)?))
    });
    let mut analyze: Vec<Unit<'a>> = found
        .iter()
        .map(|chapter| {
            let number = chapter.number;
            let message = format!("names in chapter {number} of {chapter_count}");
            Unit::new(dir.census(number), message, move || {
                let chapter: Chapter = read_json(&dir.chapter(number))?;
                to_json(&Census::take(chapter.paragraphs()))
            })
        })
        .collect();
    analyze.push(Unit::new(dir.analysis(), "the cast is found", move || {
        to_json(&sum_up(story, dir, chapter_count)?)
    }));

    Ok(vec![
        Substep::new("extract_text", "page", extract.collect()),
        Substep::new("detect_chapters", "chapter", detect.collect()),
        Substep::new("analyze_characters", "chapter", analyze),
    ])
}

/// Reads the pages again and cuts one chapter out of them.
fn detect(dir: &BookDir, pages: usize, number: usize) -> Result<Chapter> {
    let mut blocks: Vec<Block> = Vec::new();
    for page in 1..=pages {
        blocks.extend(read_json::<Page>(&dir.page(page))?.blocks);
    }
    match chapters(&blocks).into_iter().nth(number - 1) {
        Some(chapter) => Ok(chapter),
        None => bail!("the pages hold no chapter {number}"),
    }
}

fn sum_up(story: &Story, dir: &BookDir, count: usize) -> Result<Analysis> {
    let chapters = read_chapters(dir, count)?;
    let mut census = Census::default();
    for number in 1..=count {
        census.add(read_json(&dir.census(number))?);
    }
    let paragraphs: Vec<&str> = chapters.iter().flat_map(Chapter::paragraphs).collect();
    let cast = cast(&census, &paragraphs);
    let facts = chapters.iter().map(|chapter| ChapterFacts {
        number: chapter.number,
        heading: chapter.heading.clone(),
        words: chapter.words(),
        paragraphs: chapter.paragraphs().count(),
    });
    Ok(Analysis {
        title: story.title.clone(),
        author: story.author.clone(),
        words: chapters.iter().map(Chapter::words).sum(),
        chapters: facts.collect(),
        pairs: pairs(&cast, &paragraphs),
        cast,
    })
}

/// The chapters as the stage left them.
pub fn read_chapters(dir: &BookDir, count: usize) -> Result<Vec<Chapter>> {
    (1..=count).map(|number| read_json(&dir.chapter(number))).collect()
}
