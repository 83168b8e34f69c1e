//! Who says what: quotations, and the person each is attributed to.

use serde::{Deserialize, Serialize};

use super::cast::{Character, Pronoun};
use super::lexicon::SPEECH_VERBS;
use super::words::{sentences, words};

/// Something said, quoted from the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The paragraph it stands in, counted from 0 within the scene.
    pub paragraph: usize,
    /// Who says it; nobody, if the text does not tell.
    pub speaker: Option<String>,
    /// What is said, without quotation marks.
    pub text: String,
}

/// The longest line that still fits in a balloon, in characters.
pub const LONGEST: usize = 88;

/// All that is said in a scene, one line a paragraph, cut to what fits in a balloon at the end of a sentence.
pub fn lines(paragraphs: &[String], cast: &[Character]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut last_named: Vec<&Character> = Vec::new();
    for (at, paragraph) in paragraphs.iter().enumerate() {
        let narration = narration(paragraph);
        let speaker = speaker(&narration, cast, &last_named);
        let text = fit(&spoken(paragraph));
        if let Some(text) = text {
            // An exchange without attribution goes back and forth between the last two.
            let speaker = speaker.or_else(|| {
                let bare = narration.trim().is_empty();
                lines.len().checked_sub(2).and_then(|at| lines[at].speaker.clone()).filter(|_| bare)
            });
            lines.push(Line { paragraph: at, speaker, text });
        }
        for word in words(&narration) {
            if let Some(character) = cast.iter().find(|c| c.is_called(word.text)) {
                last_named.retain(|c| c.name != character.name);
                last_named.push(character);
            }
        }
    }
    lines
}

/// A paragraph's text outside its quotation marks.
pub fn narration(paragraph: &str) -> String {
    parts(paragraph).filter(|(quoted, _)| !quoted).map(|(_, text)| text).collect()
}

/// A paragraph's text inside its quotation marks; what a `said` cut in two is put together again.
pub fn spoken(paragraph: &str) -> String {
    let mut out = String::new();
    let mut between = "";
    for (quoted, part) in parts(paragraph) {
        if !quoted {
            between = part.trim_end();
            continue;
        }
        if !out.is_empty() {
            // `,” said Jory. “` ends a sentence, `,” said Jory, “` does not.
            if out.ends_with(',') && between.ends_with('.') {
                out.pop();
                out.push('.');
            }
            out.push(' ');
        }
        out.push_str(part.trim());
    }
    if out.ends_with(',') {
        out.pop();
        out.push('.');
    }
    out
}

fn parts(paragraph: &str) -> impl Iterator<Item = (bool, &str)> {
    paragraph.split('“').enumerate().flat_map(|(at, piece)| {
        let (quoted, rest) = match piece.split_once('”') {
            Some((quoted, rest)) => (Some(quoted), rest),
            None if at > 0 => (Some(piece), ""),
            None => (None, piece),
        };
        quoted.map(|text| (true, text)).into_iter().chain([(false, rest)])
    })
}

/// As many whole sentences from the beginning as fit.
fn fit(text: &str) -> Option<String> {
    let mut out = String::new();
    for sentence in sentences(text) {
        if out.chars().count() + sentence.chars().count() + 1 > LONGEST {
            break;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(sentence);
    }
    (!out.is_empty()).then_some(out)
}

fn speaker(narration: &str, cast: &[Character], last_named: &[&Character]) -> Option<String> {
    let words = words(narration);
    let named = |word: &str| cast.iter().find(|c| c.is_called(word));
    for (at, word) in words.iter().enumerate() {
        if !SPEECH_VERBS.contains(&word.text) {
            continue;
        }
        // Both orders, with a title in between: `said Captain Oduya`, `he told her`, `I said`.
        for near in [at + 1, at + 2, at.wrapping_sub(1)] {
            let Some(near) = words.get(near) else { continue };
            if let Some(character) = named(near.text) {
                return Some(character.name.clone());
            }
            let pronoun = match near.text.to_lowercase().as_str() {
                "i" => return cast.iter().find(|c| c.narrator).map(|c| c.name.clone()),
                "he" => Pronoun::He,
                "she" => Pronoun::She,
                _ => continue,
            };
            let meant =
                last_named.iter().rev().find(|c| c.pronoun == pronoun && c.animal.is_none());
            return meant.map(|c| c.name.clone());
        }
    }
    words
        .iter()
        .find_map(|word| named(word.text))
        .filter(|c| c.animal.is_none())
        .map(|c| c.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_said_cut_in_two_is_put_together() {
        assert_eq!(spoken("“Sixty,” he told her. “Steady as a cow.”"), "Sixty. Steady as a cow.");
        assert_eq!(spoken("“When it came,” said Jory, “we left.”"), "When it came, we left.");
        assert_eq!(narration("“A,” said B. “C.” D."), " said B.  D.");
    }

    #[test]
    fn a_long_speech_is_cut_at_a_sentence() {
        let long = "Short one. Then ".to_owned() + &"word ".repeat(30);
        assert_eq!(fit(&long).unwrap(), "Short one.");
        assert_eq!(fit(&"word ".repeat(30)), None);
    }
}
