//! A scene, summed up for the artist: where, when, who, in what mood, and what is said.

use serde::{Deserialize, Serialize};

use super::cast::Character;
use super::lexicon::{CLEARED, Lexicon, Mood, Prop, Setting, Time, Weather};
use super::quotes::{Line, lines, narration};
use super::story::Scene;
use super::words::{sentences, words};

/// What the artist is told about one scene.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// The scene's number in the book.
    pub scene: usize,
    /// Its chapter.
    pub chapter: usize,
    /// Its place within the chapter, counted from 1.
    pub index: usize,
    /// Where it plays.
    pub setting: Setting,
    /// The light.
    pub time: Time,
    /// Rain, snow or fog, if any.
    pub weather: Option<Weather>,
    /// How it feels.
    pub mood: Mood,
    /// Who is there, the most named first.
    pub present: Vec<String>,
    /// Who holds what.
    pub props: Vec<(String, Prop)>,
    /// One or two lines of dialogue that belong together.
    pub dialogue: Vec<Line>,
    /// A sentence that sets the scene.
    pub caption: String,
    /// The scene's text, for those who want to read on.
    pub paragraphs: Vec<String>,
}

/// The longest caption, in characters.
const LONGEST_CAPTION: usize = 104;
/// Words of a scene's first sentences count more: that is where a writer says where we are.
const OPENING_WEIGHT: f64 = 3.0;

/// Where and when the previous scene played: a scene that does not say goes on where the last one was.
pub type Before<'a> = Option<&'a Prompt>;

/// Sums up a scene.
pub fn prompt(scene: &Scene, cast: &[Character], before: Before<'_>) -> Prompt {
    let weighted = weighted(scene, false);
    let sky = self::weighted(scene, true);
    let words = || weighted.iter().map(|(word, weight)| (word.as_str(), *weight));
    let setting = Setting::rank(words()).first().map(|(kind, _)| *kind);
    let time = Time::rank(words()).first().map(|(kind, _)| *kind);
    let weather = Weather::rank(sky.iter().map(|(word, weight)| (word.as_str(), *weight)))
        .first()
        .filter(|(_, score)| *score >= 2.0)
        .map(|(kind, _)| *kind);
    let mood = Mood::rank(words()).first().map(|(kind, _)| *kind);
    let said = lines(&scene.paragraphs, cast);
    Prompt {
        scene: scene.number,
        chapter: scene.chapter,
        index: scene.index,
        setting: setting.or(before.map(|b| b.setting)).unwrap_or(Setting::Village),
        time: time.or(before.map(|b| b.time)).unwrap_or(Time::Day),
        weather,
        mood: mood.unwrap_or(Mood::Wonder),
        present: present(scene, cast, &said),
        props: props(scene, cast),
        dialogue: choose(&said),
        caption: caption(scene),
        paragraphs: scene.paragraphs.clone(),
    }
}

/// The scene's words with their weights; with `holds`, without the sentences that say that something is over.
fn weighted(scene: &Scene, holds: bool) -> Vec<(String, f64)> {
    let mut out = Vec::new();
    for (at, paragraph) in scene.paragraphs.iter().enumerate() {
        for (nth, sentence) in sentences(paragraph).iter().enumerate() {
            let opening = at < 2 && nth < 2;
            let words = words(sentence);
            if holds && words.iter().any(|word| CLEARED.contains(&word.text)) {
                continue;
            }
            for word in words {
                // What people talk about is often elsewhere.
                let weight = if word.quoted { 0.3 } else { 1.0 };
                out.push((
                    word.text.to_owned(),
                    if opening { weight * OPENING_WEIGHT } else { weight },
                ));
            }
        }
    }
    out
}

/// Who is on stage: who speaks, who tells the story, who is named otherwise than in a thought.
fn present(scene: &Scene, cast: &[Character], said: &[Line]) -> Vec<String> {
    let narration: Vec<String> = scene.paragraphs.iter().map(|p| narration(p)).collect();
    let first_person = narration
        .iter()
        .any(|text| words(text).iter().any(|w| matches!(w.text, "I" | "we" | "We")));
    let mut ranked: Vec<(usize, &Character)> = Vec::new();
    for character in cast {
        let named: usize = narration.iter().map(|text| named_on_stage(character, text)).sum();
        let speaks =
            said.iter().filter(|line| line.speaker.as_ref() == Some(&character.name)).count();
        let called_by_kind = character.animal.as_ref().is_some_and(|animal| {
            narration.iter().any(|text| words(text).iter().any(|w| w.text == animal))
        });
        let narrates = character.narrator && first_person;
        if speaks > 0 || named > 0 || narrates || called_by_kind {
            ranked.push((named + 2 * speaks + usize::from(narrates) * 3, character));
        }
    }
    ranked.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    ranked.into_iter().map(|(_, character)| character.name.clone()).collect()
}

/// How often a text names them, those times left out when they are only thought or told of.
fn named_on_stage(character: &Character, text: &str) -> usize {
    let words = words(text);
    let told_of = |at: usize| at > 0 && ["of", "about", "but", "for"].contains(&words[at - 1].text);
    (0..words.len()).filter(|at| character.is_called(words[*at].text) && !told_of(*at)).count()
}

/// A thing belongs to whom it shares most sentences with; one thing each.
fn props(scene: &Scene, cast: &[Character]) -> Vec<(String, Prop)> {
    let mut shared: Vec<(usize, String, Prop)> = Vec::new();
    for paragraph in &scene.paragraphs {
        let narration = narration(paragraph);
        for sentence in sentences(&narration) {
            let words = words(sentence);
            let named = cast
                .iter()
                .filter(|c| c.animal.is_none() && words.iter().any(|w| c.is_called(w.text)));
            let things = Prop::rank(words.iter().map(|w| (w.text, 1.0)));
            for character in named {
                for (thing, _) in &things {
                    match shared
                        .iter_mut()
                        .find(|(_, who, what)| *who == character.name && what == thing)
                    {
                        Some(entry) => entry.0 += 1,
                        None => shared.push((1, character.name.clone(), *thing)),
                    }
                }
            }
        }
    }
    shared.sort_by_key(|(count, _, _)| std::cmp::Reverse(*count));
    let mut props: Vec<(String, Prop)> = Vec::new();
    for (_, who, what) in shared {
        if !props.iter().any(|(name, thing)| *name == who || *thing == what) {
            props.push((who, what));
        }
    }
    props
}

/// The best line, and the answer to it where one follows at once and both are short.
fn choose(said: &[Line]) -> Vec<Line> {
    let score = |line: &Line| {
        let length = line.text.chars().count() as f64;
        let shape = 1.0 - ((length - 52.0) / 52.0).abs();
        let voice = f64::from(u8::from(line.text.contains(['!', '?']))) * 0.25;
        let known = f64::from(u8::from(line.speaker.is_some()));
        shape + voice + known
    };
    let Some(best) = (0..said.len()).max_by(|a, b| score(&said[*a]).total_cmp(&score(&said[*b])))
    else {
        return Vec::new();
    };
    let answers = |a: &Line, b: &Line| {
        let near = b.paragraph - a.paragraph <= 1 && a.speaker.is_some() && b.speaker.is_some();
        near && a.speaker != b.speaker && a.text.chars().count() + b.text.chars().count() <= 120
    };
    let next = said.get(best + 1).filter(|line| answers(&said[best], line));
    let previous =
        best.checked_sub(1).and_then(|at| said.get(at)).filter(|line| answers(line, &said[best]));
    match (previous, next) {
        (_, Some(next)) => vec![said[best].clone(), next.clone()],
        (Some(previous), None) => vec![previous.clone(), said[best].clone()],
        (None, None) => vec![said[best].clone()],
    }
}

/// The first narrated sentence, cut at a clause where it is too long.
fn caption(scene: &Scene) -> String {
    let narrated = scene.paragraphs.iter().filter(|p| !p.starts_with('“'));
    let paragraph =
        narrated.map(String::as_str).next().or(scene.paragraphs.first().map(String::as_str));
    let narration = narration(paragraph.unwrap_or_default());
    let sentence = sentences(&narration).first().copied().unwrap_or_default().to_owned();
    if sentence.chars().count() <= LONGEST_CAPTION {
        return sentence;
    }
    let mut clause = "";
    for (at, c) in sentence.char_indices() {
        let part = &sentence[..at];
        if part.chars().count() > LONGEST_CAPTION - 1 {
            break;
        }
        if matches!(c, ',' | ';' | ':') && part.chars().count() > 30 {
            clause = part;
        }
    }
    if clause.is_empty() {
        let cut: String = sentence.chars().take(LONGEST_CAPTION - 1).collect();
        return format!("{}…", cut.rsplit_once(' ').map_or(cut.as_str(), |(head, _)| head));
    }
    format!("{clause}…")
}
