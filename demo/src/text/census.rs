//! Counting capitalised words. A census is taken chapter by chapter and the chapters' are added up.
//!
//! A word with a capital in the middle of a sentence is a name of some kind. Who speaks (`said Nettie`) is a person;
//! what mostly follows `the`, `in` or `at` (`the Comb`, `in Gorna`) is a place or a thing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lexicon::{PLACE_PREPOSITIONS, SPEECH_VERBS, TITLES};
use super::words::{Word, words};

/// What was counted of one word.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// With a capital in the middle of a sentence.
    pub mid: usize,
    /// With a capital at a sentence's beginning, where it proves nothing.
    pub opening: usize,
    /// Next to a verb of speech.
    pub speaks: usize,
    /// After an article or a preposition of place.
    pub placed: usize,
    /// Titles that stood before it, and how often.
    pub titles: BTreeMap<String, usize>,
    /// Capitalised words that came right after it, and how often (`Nettie` then `Crake`).
    pub followed_by: BTreeMap<String, usize>,
}

/// All capitalised words of a text, and how often each word stands there in small letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// By word.
    pub words: BTreeMap<String, Counts>,
    /// By word in small letters.
    pub lower: BTreeMap<String, usize>,
    /// Who says `My name is …`, how often.
    pub narrators: BTreeMap<String, usize>,
}

impl Census {
    /// Counts the words of some paragraphs.
    pub fn take<'a>(paragraphs: impl Iterator<Item = &'a str>) -> Self {
        let mut census = Self::default();
        for paragraph in paragraphs {
            census.paragraph(&words(paragraph));
        }
        census
    }

    fn paragraph(&mut self, words: &[Word<'_>]) {
        let word_at =
            |at: Option<usize>| at.and_then(|at| words.get(at)).map_or("", |word| word.text);
        for (at, word) in words.iter().enumerate() {
            if !word.is_capitalised() || TITLES.contains(&word.text) {
                *self.lower.entry(word.text.to_lowercase()).or_default() += 1;
                continue;
            }
            let previous = word_at(at.checked_sub(1));
            let titled = TITLES.contains(&previous);
            let before = if titled { word_at(at.checked_sub(2)) } else { previous };
            let next = words.get(at + 1);
            let counts = self.words.entry(word.text.to_owned()).or_default();
            if word.opens {
                counts.opening += 1
            } else {
                counts.mid += 1
            }
            if !word.quoted
                && (SPEECH_VERBS.contains(&before)
                    || next.is_some_and(|w| SPEECH_VERBS.contains(&w.text)))
            {
                counts.speaks += 1;
            }
            if PLACE_PREPOSITIONS.contains(&before.to_lowercase().as_str()) {
                counts.placed += 1;
            }
            if titled {
                *counts.titles.entry(previous.to_owned()).or_default() += 1;
            }
            if let Some(next) =
                next.filter(|w| w.is_capitalised() && !w.opens && w.quoted == word.quoted)
            {
                *counts.followed_by.entry(next.text.to_owned()).or_default() += 1;
            }
            let introduces = at >= 3
                && ["My", "name", "is"].iter().zip(&words[at - 3..at]).all(|(a, b)| *a == b.text);
            if introduces && !word.quoted {
                *self.narrators.entry(word.text.to_owned()).or_default() += 1;
            }
        }
    }

    /// Adds another text's census to this one.
    pub fn add(&mut self, other: Self) {
        for (word, counts) in other.words {
            let mine = self.words.entry(word).or_default();
            mine.mid += counts.mid;
            mine.opening += counts.opening;
            mine.speaks += counts.speaks;
            mine.placed += counts.placed;
            add_all(&mut mine.titles, counts.titles);
            add_all(&mut mine.followed_by, counts.followed_by);
        }
        add_all(&mut self.lower, other.lower);
        add_all(&mut self.narrators, other.narrators);
    }
}

fn add_all(into: &mut BTreeMap<String, usize>, from: BTreeMap<String, usize>) {
    for (key, count) in from {
        *into.entry(key).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "In Gorna the old man, Dimo, slept. “Wake up,” said Dimo Petrov.";
    const B: &str = "My name is Ruzha. Then Captain Oduya called to Dimo.";

    #[test]
    fn the_parts_add_up_to_the_whole() {
        let mut sum = Census::take([A].into_iter());
        sum.add(Census::take([B].into_iter()));
        assert_eq!(sum, Census::take([A, B].into_iter()));
    }

    #[test]
    fn speakers_places_and_titles_are_told_apart() {
        let census = Census::take([A, B].into_iter());
        assert_eq!((census.words["Dimo"].mid, census.words["Dimo"].speaks), (3, 1));
        assert_eq!(census.words["Gorna"].placed, 1);
        assert_eq!(census.words["Oduya"].titles["Captain"], 1);
        assert_eq!(census.words["Dimo"].followed_by["Petrov"], 1);
        assert_eq!(census.narrators["Ruzha"], 1);
    }
}
