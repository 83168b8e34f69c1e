//! The stages of the pipeline `comic`.

use std::fmt;

use clap::ValueEnum;

/// A stage that workers work in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Stage {
    /// Reads the book: pages, chapters, characters. The conductor makes the transition to it.
    Analyzing,
    /// Cuts scenes and writes a prompt for each. The worker before makes the transition.
    GeneratingScenes,
    /// Draws the panels and binds the comic. The worker before makes the transition.
    CreatingArtwork,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Analyzing, Self::GeneratingScenes, Self::CreatingArtwork];

    /// The state's name in the pipeline.
    pub fn name(self) -> &'static str {
        match self {
            Self::Analyzing => "ANALYZING",
            Self::GeneratingScenes => "GENERATING_SCENES",
            Self::CreatingArtwork => "CREATING_ARTWORK",
        }
    }

    /// The state that follows; who works in the last stage completes the book.
    pub fn next(self) -> &'static str {
        match self {
            Self::Analyzing => "GENERATING_SCENES",
            Self::GeneratingScenes => "CREATING_ARTWORK",
            Self::CreatingArtwork => "COMPLETED",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
