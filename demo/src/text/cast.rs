//! From a census to a cast: which names are characters, what they are like, and who is seen with whom.

use serde::{Deserialize, Serialize};

use super::census::{Census, Counts};
use super::lexicon::{ANIMALS, CALENDAR, CHILD, ELDER};
use super::words::{sentences, words};

/// What a character is spoken of as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pronoun {
    /// He.
    He,
    /// She.
    She,
    /// The text does not say.
    They,
}

/// How old a character looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Age {
    /// Drawn small.
    Child,
    /// Anything between.
    Adult,
    /// Drawn with white hair.
    Elder,
}

/// Somebody in the book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Character {
    /// What the text calls them most: `Nettie`, `Captain Oduya`.
    pub name: String,
    /// Every single word that means them.
    pub aliases: Vec<String>,
    /// The title, where they are hardly ever named without it.
    pub title: Option<String>,
    /// How often they are named.
    pub mentions: usize,
    /// The animal they are, if they are one.
    pub animal: Option<String>,
    /// He, she or they.
    pub pronoun: Pronoun,
    /// Child, adult or elder.
    pub age: Age,
    /// They tell the story.
    pub narrator: bool,
}

/// Two characters that stand in one paragraph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// One of them.
    pub a: String,
    /// The other one.
    pub b: String,
    /// In how many paragraphs.
    pub paragraphs: usize,
}

/// A name needs this many mentions before anyone is drawn for it.
const LEAST_MENTIONS: usize = 3;

impl Character {
    /// How often a text names them.
    pub fn named_in(&self, text: &str) -> usize {
        words(text).iter().filter(|word| self.is_called(word.text)).count()
    }

    /// Whether this one word means them.
    pub fn is_called(&self, word: &str) -> bool {
        self.aliases.iter().any(|alias| alias == word)
    }
}

/// Finds the characters, the most named first.
pub fn cast(census: &Census, paragraphs: &[&str]) -> Vec<Character> {
    let surnames = surnames(census);
    let mut cast: Vec<Character> = census
        .words
        .iter()
        .filter(|(word, counts)| is_character(census, word, counts))
        .filter(|(word, _)| !surnames.iter().any(|(_, less)| less == *word))
        .map(|(word, counts)| {
            let mut aliases = vec![word.clone()];
            aliases.extend(
                surnames.iter().filter(|(more, _)| more == word).map(|(_, less)| less.clone()),
            );
            describe(census, counts, aliases, paragraphs)
        })
        .filter(|character| character.mentions >= LEAST_MENTIONS || character.narrator)
        .collect();
    cast.sort_by(|a, b| b.mentions.cmp(&a.mentions).then_with(|| a.name.cmp(&b.name)));
    cast
}

/// Pairs of words that are one person's two names: the commoner one first.
fn surnames(census: &Census) -> Vec<(String, String)> {
    let count = |word: &str| census.words.get(word).map_or(0, |c| c.mid + c.opening);
    let mut pairs = Vec::new();
    for (first, counts) in &census.words {
        for second in counts.followed_by.keys() {
            let person =
                [first, second].iter().any(|w| census.words.get(*w).is_some_and(|c| c.speaks > 0));
            if person && !is_common(census, first) && !is_common(census, second) {
                let (more, less) =
                    if count(first) >= count(second) { (first, second) } else { (second, first) };
                pairs.push((more.clone(), less.clone()));
            }
        }
    }
    pairs
}

/// A word that is written small as well is no name, and neither is a day of the week.
fn is_common(census: &Census, word: &str) -> bool {
    let lower = census.lower.get(&word.to_lowercase()).copied().unwrap_or(0);
    let mid = census.words.get(word).map_or(0, |counts| counts.mid);
    CALENDAR.contains(&word) || mid == 0 || lower * 4 > mid
}

fn is_character(census: &Census, word: &str, counts: &Counts) -> bool {
    let narrates = census.narrators.contains_key(word);
    if is_common(census, word) && !narrates {
        return false;
    }
    let total = counts.mid + counts.opening;
    let placed = counts.placed as f64 / total as f64;
    narrates || counts.speaks > 0 || (total >= 4 && placed < 0.34)
}

fn describe(
    census: &Census,
    counts: &Counts,
    aliases: Vec<String>,
    paragraphs: &[&str],
) -> Character {
    let word = aliases.first().cloned().unwrap_or_default();
    let total = counts.mid + counts.opening;
    let title = counts.titles.iter().max_by_key(|(_, n)| **n).filter(|(_, n)| **n * 2 > total);
    let title = title.map(|(title, _)| title.clone());
    let narrator = census.narrators.contains_key(&word);
    let mut character = Character {
        name: title.iter().cloned().chain([word]).collect::<Vec<_>>().join(" "),
        aliases,
        title,
        mentions: 0,
        animal: None,
        pronoun: Pronoun::They,
        age: Age::Adult,
        narrator,
    };
    character.mentions = paragraphs.iter().map(|text| character.named_in(text)).sum();
    observe(&mut character, paragraphs);
    character
}

/// Reads pronoun, age and species from the sentences that name the character and nobody else could be meant in.
fn observe(character: &mut Character, paragraphs: &[&str]) {
    let (mut he, mut she, mut child, mut elder) = (0, 0, 0, 0);
    let mut animals = vec![0; ANIMALS.len()];
    for paragraph in paragraphs {
        let sentences = sentences(paragraph);
        for (at, sentence) in sentences.iter().enumerate() {
            let words: Vec<_> = words(sentence).into_iter().filter(|word| !word.quoted).collect();
            let Some(place) = words.iter().position(|word| character.is_called(word.text)) else {
                continue;
            };
            // The sentence after goes on about the same person, as a rule, if a pronoun opens it.
            let after = super::words::words(sentences.get(at + 1).copied().unwrap_or_default());
            for word in words[place..].iter().chain(after.first().filter(|word| !word.quoted)) {
                match word.text {
                    "He" | "himself" => he += 3,
                    "She" | "herself" => she += 3,
                    "he" => he += 2,
                    "she" => she += 2,
                    "his" | "His" => he += 1,
                    "her" | "Her" => she += 1,
                    _ => {}
                }
            }
            // Further off, it is somebody else's age.
            let about = &words[place.saturating_sub(4)..words.len().min(place + 6)];
            let has = |list: &[&str]| {
                usize::from(about.iter().any(|w| list.contains(&w.text.to_lowercase().as_str())))
            };
            child += has(&CHILD);
            elder += has(&ELDER);
            let around = &words[place.saturating_sub(2)..words.len().min(place + 3)];
            for (count, animal) in animals.iter_mut().zip(ANIMALS) {
                *count += usize::from(around.iter().any(|w| w.text == animal));
            }
        }
    }
    let best = animals.iter().zip(ANIMALS).max_by_key(|(count, _)| **count);
    character.animal = best.filter(|(count, _)| **count >= 2).map(|(_, animal)| animal.to_owned());
    if character.narrator {
        // Who says `I` is seen through what the others call them.
        let called = |list: &[&str]| {
            let words = paragraphs.iter().flat_map(|text| words(text));
            words.filter(|word| word.quoted && list.contains(&word.text)).count()
        };
        he += called(&["boy", "sir"]);
        she += called(&["girl", "madam"]);
    }
    character.pronoun = match he.cmp(&she) {
        std::cmp::Ordering::Greater => Pronoun::He,
        std::cmp::Ordering::Less => Pronoun::She,
        std::cmp::Ordering::Equal => Pronoun::They,
    };
    character.age = match (child, elder) {
        (c, e) if c > e && c * 24 >= character.mentions => Age::Child,
        (c, e) if e > c && e * 24 >= character.mentions => Age::Elder,
        _ => Age::Adult,
    };
}

/// Who stands in one paragraph with whom, the closest pair first.
pub fn pairs(cast: &[Character], paragraphs: &[&str]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (at, a) in cast.iter().enumerate() {
        for b in &cast[at + 1..] {
            let together = paragraphs
                .iter()
                .filter(|text| a.named_in(text) > 0 && b.named_in(text) > 0)
                .count();
            if together > 0 {
                pairs.push(Pair { a: a.name.clone(), b: b.name.clone(), paragraphs: together });
            }
        }
    }
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.paragraphs));
    pairs
}
