//! The shape of a book: blocks, pages, chapters, scenes. Nothing is ever dropped on the way down.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// How many words a page holds before the next whole block begins a new one.
pub const PAGE_WORDS: usize = 220;

/// One block of a book: what stands between two blank lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "text")]
pub enum Block {
    /// A chapter's heading, such as `Chapter One: A Sound Like Someone Thinking`.
    Heading(String),
    /// A scene break.
    Break,
    /// A paragraph, its lines joined.
    Paragraph(String),
}

/// A whole book, as read from its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    /// The first line.
    pub title: String,
    /// The second line, without its `by`.
    pub author: String,
    /// Everything after these two.
    pub blocks: Vec<Block>,
}

/// Some blocks that are read as one unit of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Counted from 1.
    pub number: usize,
    /// How many words its blocks hold.
    pub words: usize,
    /// The blocks, in order.
    pub blocks: Vec<Block>,
}

/// A chapter: its heading, and what stands under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chapter {
    /// Counted from 1.
    pub number: usize,
    /// The heading in full.
    pub heading: String,
    /// What follows the heading's colon (all of it, where there is none).
    pub title: String,
    /// Paragraphs and scene breaks.
    pub blocks: Vec<Block>,
}

/// A scene: the paragraphs between two breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scene {
    /// Counted from 1 through the whole book.
    pub number: usize,
    /// The chapter it belongs to.
    pub chapter: usize,
    /// Counted from 1 within the chapter.
    pub index: usize,
    /// Its paragraphs.
    pub paragraphs: Vec<String>,
}

impl Story {
    /// Reads a book's text: title, author, then blocks parted by blank lines.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parts = split_blocks(text);
        if parts.len() < 3 {
            bail!(
                "a book needs a title line, an author line and a text, each parted by a blank line"
            );
        }
        let mut rest = parts.split_off(2);
        let author = parts.pop().unwrap_or_default();
        let title = parts.pop().unwrap_or_default();
        let Some(author) = author.strip_prefix("by ").map(str::to_owned) else {
            bail!("the second line should name the author (`by …`), and is {author:?}");
        };
        let blocks = rest.drain(..).map(Block::classify).collect();
        Ok(Self { title, author, blocks })
    }
}

impl Block {
    fn classify(text: String) -> Self {
        if text.chars().all(|c| c == '*' || c == ' ') {
            Self::Break
        } else if text
            .strip_prefix("Chapter ")
            .is_some_and(|rest| rest.len() < 100 && rest.contains(':'))
        {
            Self::Heading(text)
        } else {
            Self::Paragraph(text)
        }
    }

    /// How many words the block holds; a break holds none.
    pub fn words(&self) -> usize {
        match self {
            Self::Heading(text) | Self::Paragraph(text) => text.split_whitespace().count(),
            Self::Break => 0,
        }
    }
}

fn split_blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim).chain([""]) {
        if !line.is_empty() {
            lines.push(line);
        } else if !lines.is_empty() {
            blocks.push(lines.join(" "));
            lines.clear();
        }
    }
    blocks
}

/// Groups blocks into pages of about [`PAGE_WORDS`] words; a block is never cut.
pub fn paginate(blocks: &[Block]) -> Vec<Page> {
    let mut pages: Vec<Page> = Vec::new();
    for block in blocks {
        let full = pages.last().is_none_or(|page| page.words >= PAGE_WORDS);
        if full {
            pages.push(Page { number: pages.len() + 1, words: 0, blocks: Vec::new() });
        }
        if let Some(page) = pages.last_mut() {
            page.words += block.words();
            page.blocks.push(block.clone());
        }
    }
    pages
}

/// Finds the chapters. What stands before the first heading becomes a chapter of its own, without a heading.
pub fn chapters(blocks: &[Block]) -> Vec<Chapter> {
    let mut chapters: Vec<Chapter> = Vec::new();
    for block in blocks {
        if let Block::Heading(heading) = block {
            let title = heading
                .split_once(':')
                .map_or(heading.as_str(), |(_, title)| title)
                .trim()
                .to_owned();
            chapters.push(Chapter {
                number: chapters.len() + 1,
                heading: heading.clone(),
                title,
                blocks: Vec::new(),
            });
            continue;
        }
        if chapters.is_empty() {
            chapters.push(Chapter {
                number: 1,
                heading: String::new(),
                title: String::new(),
                blocks: Vec::new(),
            });
        }
        if let Some(chapter) = chapters.last_mut() {
            chapter.blocks.push(block.clone());
        }
    }
    chapters
}

/// Cuts a chapter into scenes; `first` is the number of its first one within the book.
pub fn scenes(chapter: &Chapter, first: usize) -> Vec<Scene> {
    let groups = chapter.blocks.split(|block| *block == Block::Break);
    let groups = groups.map(|group| group.iter().filter_map(paragraph).collect::<Vec<_>>());
    groups
        .filter(|paragraphs| !paragraphs.is_empty())
        .enumerate()
        .map(|(at, paragraphs)| Scene {
            number: first + at,
            chapter: chapter.number,
            index: at + 1,
            paragraphs,
        })
        .collect()
}

fn paragraph(block: &Block) -> Option<String> {
    match block {
        Block::Paragraph(text) => Some(text.clone()),
        Block::Heading(_) | Block::Break => None,
    }
}

impl Chapter {
    /// The chapter's paragraphs, breaks left out.
    pub fn paragraphs(&self) -> impl Iterator<Item = &str> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Paragraph(text) => Some(text.as_str()),
            Block::Heading(_) | Block::Break => None,
        })
    }

    /// How many words the chapter holds, its heading left out.
    pub fn words(&self) -> usize {
        self.blocks.iter().map(Block::words).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "T\n\nby A\n\nChapter One: X\n\na b\nc\n\n* * *\n\nd\n\nChapter Two: Y\n\n* * *\n\ne\n";

    #[test]
    fn a_text_becomes_blocks_chapters_and_scenes() {
        let story = Story::parse(TEXT).unwrap();
        assert_eq!((story.title.as_str(), story.author.as_str()), ("T", "A"));
        let chapters = chapters(&story.blocks);
        assert_eq!(chapters.iter().map(|c| c.title.as_str()).collect::<Vec<_>>(), ["X", "Y"]);
        let first = scenes(&chapters[0], 1);
        assert_eq!(
            first.iter().map(|s| s.paragraphs.join("|")).collect::<Vec<_>>(),
            ["a b c", "d"]
        );
        let second = scenes(&chapters[1], 3);
        assert_eq!((second.len(), second[0].number, second[0].index), (1, 3, 1));
    }

    #[test]
    fn a_book_without_an_author_line_is_refused() {
        assert!(Story::parse("T\n\nChapter One: X\n\na\n").is_err());
        assert!(Story::parse("").is_err());
    }
}
