//! A panel: a place, its people, what they say, in one SVG.

use std::fmt::Write;

use super::animal::{animal, breadth, height};
use super::balloon::{Balloon, Caption};
use super::colour::rgb;
use super::figure::{Pose, figure};
use super::look::Look;
use super::paint::{Painted, Point, num};
use super::rng::{Rng, hash};
use super::stage::Stage;
use super::stipple::{relax, svg};
use super::{room, sea, sky, town, wild};
use crate::text::cast::{Age, Character};
use crate::text::lexicon::{Mood, Setting, Weather};
use crate::text::prompt::Prompt;
use crate::text::quotes::Line;

/// Every panel is this high.
pub const HEIGHT: f64 = 520.0;

/// How wide a panel is on its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Across the whole page.
    Splash,
    /// The wider of two.
    Wide,
    /// The narrower of two.
    Narrow,
}

impl Format {
    /// The format of scene `index` (from 1) of the `of` scenes of its chapter: rows of two, the wide one changing
    /// sides, and a splash first where their number is odd.
    pub fn of(index: usize, of: usize) -> Self {
        let odd = of % 2;
        if odd == 1 && index == 1 {
            return Self::Splash;
        }
        let at = index - 1 - odd;
        if (at / 2 + at).is_multiple_of(2) { Self::Wide } else { Self::Narrow }
    }

    /// The width in drawing units; a row of two with its gap is as wide as a splash.
    pub fn width(self) -> f64 {
        match self {
            Self::Splash => 1212.0,
            Self::Wide => 700.0,
            Self::Narrow => 500.0,
        }
    }
}

/// Draws a scene, down to the last dot. `scenes` is how many its chapter has; `book` is the book's title.
pub fn panel(prompt: &Prompt, scenes: usize, cast: &[Character], book: &str) -> String {
    let (painted, seed) = paint(prompt, scenes, cast, book);
    let dots = relax(&painted.tone, &mut Rng::new(seed ^ hash("dots")));
    assemble(&painted, &svg(&painted.tone, &dots), prompt)
}

/// The same without the dots: what a panel looks like before the patient part of the work.
pub fn sketch(prompt: &Prompt, scenes: usize, cast: &[Character], book: &str) -> String {
    assemble(&paint(prompt, scenes, cast, book).0, "", prompt)
}

fn paint(prompt: &Prompt, scenes: usize, cast: &[Character], book: &str) -> (Painted, u64) {
    let format = Format::of(prompt.index, scenes);
    let seed = hash(&format!("{book}\n{}\n{}", prompt.scene, prompt.paragraphs.join("\n")));
    let id = format!("p{}", prompt.scene);
    // Rain and snow stay outside, but fog is seen nowhere indoors.
    let indoors = matches!(
        prompt.setting,
        Setting::Workshop | Setting::Bakery | Setting::Office | Setting::Hut
    );
    let weather = prompt.weather.filter(|_| !indoors);
    let mut stage = Stage::new((format.width(), HEIGHT), prompt.time, weather, seed, &id);
    if indoors {
        stage.p.palette.come_in();
    }
    let ground = place(&mut stage, prompt.setting);
    sky::haze(&mut stage);
    people(&mut stage, prompt, cast, book, format, ground);
    let falling = sky::falling(&mut stage);
    stage.p.raw_over(&falling);
    words(&mut stage, prompt, cast, format, ground);
    (stage.p.finish(), seed)
}

fn place(stage: &mut Stage, setting: Setting) -> f64 {
    match setting {
        Setting::Sea => sea::open_sea(stage),
        Setting::Harbour => sea::harbour(stage),
        Setting::Lighthouse => sea::lighthouse(stage),
        Setting::Street => town::street(stage),
        Setting::Rooftop => town::rooftop(stage),
        Setting::Forest => wild::forest(stage),
        Setting::Mountain => wild::mountain(stage),
        Setting::Village => wild::village(stage),
        Setting::Workshop | Setting::Bakery | Setting::Office | Setting::Hut => {
            room::room(stage, setting)
        }
    }
}

/// Somebody's place in the panel.
struct Spot<'a> {
    character: &'a Character,
    rank: usize,
    x: f64,
    /// The height of an adult beside them.
    size: f64,
    feet: f64,
    facing: f64,
}

impl Spot<'_> {
    /// How tall they stand.
    fn tall(&self) -> f64 {
        let share = match (&self.character.animal, self.character.age) {
            (Some(species), _) => height(species) / 100.0,
            (None, Age::Child) => 0.76,
            (None, _) => 1.04,
        };
        self.size * share
    }

    /// Where a balloon's tail should end: beside the mouth.
    fn mouth(&self) -> Point {
        (self.x + self.facing * self.size * 0.1, self.feet - self.tall() - 2.0)
    }
}

/// Where everybody stands: who speaks first on the left, who answers on the right, animals at the outer end.
fn spots<'a>(
    prompt: &Prompt,
    cast: &'a [Character],
    format: Format,
    ground: f64,
    seed: u64,
) -> Vec<Spot<'a>> {
    let mut rng = Rng::new(seed ^ hash("spots"));
    let most = if format == Format::Narrow { 3 } else { 4 };
    let known = |name: &String| cast.iter().position(|c| c.name == *name);
    let mut order: Vec<usize> =
        prompt.dialogue.iter().filter_map(|line| line.speaker.as_ref().and_then(known)).collect();
    order.extend(prompt.present.iter().filter_map(known));
    let mut seen = Vec::new();
    order.retain(|at| {
        !seen.contains(at) && {
            seen.push(*at);
            true
        }
    });
    order.truncate(most);
    // The mule would otherwise hide those behind it.
    let (people, animals): (Vec<usize>, Vec<usize>) =
        order.into_iter().partition(|at| cast[*at].animal.is_none());
    let mut order = people;
    if order.len() > 2 && prompt.dialogue.len() == 2 {
        let second = order.remove(1);
        order.push(second);
    }
    order.extend(animals);
    if prompt.dialogue.len() < 2 && rng.chance(0.5) {
        order.reverse();
    }
    let close = order.len() <= 2
        && format != Format::Splash
        && order.iter().all(|at| cast[*at].animal.is_none())
        && (format == Format::Wide || !order.iter().any(|at| cast[*at].age == Age::Child))
        && (matches!(prompt.mood, Mood::Sad | Mood::Tense) && rng.chance(0.75) || rng.chance(0.25));
    let room = balloons_bottom(prompt, format) + 30.0;
    let (size, feet) = if close {
        let size = HEIGHT * if format == Format::Wide { 0.84 } else { 0.74 };
        (size, (room + size * 1.04).max(HEIGHT * 1.3))
    } else {
        let size = (HEIGHT * if format == Format::Splash { 0.56 } else { 0.54 })
            .min((ground - room) / 1.06);
        (size, ground)
    };
    let width = format.width();
    let margin = match format {
        Format::Splash => 0.2,
        Format::Wide => 0.07,
        Format::Narrow => 0.02,
    };
    let breadth = |at: &usize| cast[*at].animal.as_deref().map_or(1.0, breadth);
    let total: f64 = order.iter().map(breadth).sum();
    let mut before = 0.0;
    order
        .iter()
        .map(|rank| {
            let share = margin + (1.0 - 2.0 * margin) * (before + breadth(rank) / 2.0) / total;
            before += breadth(rank);
            let x = width * share + rng.between(-0.015, 0.015) * width;
            let facing = if x < width / 2.0 { 1.0 } else { -1.0 };
            // Animals stand a little further back.
            let back = if cast[*rank].animal.is_some() { -10.0 } else { rng.between(-4.0, 6.0) };
            // Close up, a child stands on something, or would be out of the picture.
            let lift = if close && cast[*rank].age == Age::Child { -0.17 * size } else { 0.0 };
            Spot { character: &cast[*rank], rank: *rank, x, size, feet: feet + back + lift, facing }
        })
        .collect()
}

fn people(
    stage: &mut Stage,
    prompt: &Prompt,
    cast: &[Character],
    book: &str,
    format: Format,
    ground: f64,
) {
    let pal = stage.pal();
    let mut spots = spots(prompt, cast, format, ground, stage.seed);
    spots.sort_by_key(|spot| spot.character.animal.is_none());
    for spot in spots {
        let name = &spot.character.name;
        let body = match &spot.character.animal {
            Some(species) => animal(species, prompt.mood, &pal),
            None => {
                let look = Look::of(spot.character, spot.rank, hash(book));
                let says = |line: &&Line| line.speaker.as_ref() == Some(name);
                let line = prompt.dialogue.iter().find(says);
                let pose = Pose {
                    speaking: line.is_some(),
                    shouting: line.is_some_and(|line| line.text.contains('!')),
                    prop: prompt.props.iter().find(|(who, _)| who == name).map(|(_, what)| *what),
                    mood: prompt.mood,
                    variant: stage.rng.bits(),
                };
                figure(&look, pose, &pal)
            }
        };
        let tall = match (&spot.character.animal, spot.character.age) {
            (None, Age::Child) => 0.74,
            _ => 1.0,
        };
        let scale = spot.size / 100.0 * tall;
        let svg = format!(
            r#"<g transform="translate({} {}) scale({:.3} {:.3})" stroke="{}" stroke-width="1.2" stroke-linejoin="round" stroke-linecap="round">{body}</g>"#,
            num(spot.x),
            num(spot.feet),
            scale * spot.facing,
            scale,
            pal.ink
        );
        stage.p.raw_over(&svg);
    }
}

/// The caption, and the balloons where they will float. Captions stand at the foot of a narrow panel, to leave its sky
/// to the balloons, and else in the upper left corner.
fn layout(prompt: &Prompt, format: Format) -> (Caption, Point, Vec<Balloon>) {
    let width = format.width();
    let most = if format == Format::Narrow { width - 24.0 } else { width * 0.62 };
    let caption = Caption::new(&prompt.caption, most);
    let at_foot = format == Format::Narrow;
    let corner = if at_foot { (12.0, HEIGHT - caption.height - 12.0) } else { (14.0, 14.0) };
    let lines: &[Line] = &prompt.dialogue;
    let room = match (format, lines.len()) {
        (Format::Narrow, 2) => 250.0,
        (Format::Narrow, _) => 350.0,
        _ => 300.0,
    };
    let shout = |line: &Line| prompt.mood == Mood::Tense && line.text.contains('!');
    let mut balloons: Vec<Balloon> =
        lines.iter().map(|line| Balloon::new(&line.text, room, shout(line))).collect();
    let top = if at_foot { 18.0 } else { corner.1 + caption.height + 14.0 };
    let mut below = top;
    for (at, balloon) in balloons.iter_mut().enumerate() {
        let side_by_side = format != Format::Narrow;
        let drop = if at == 0 {
            0.0
        } else if side_by_side {
            16.0
        } else {
            below - top - 22.0
        };
        balloon.centre = (width / 2.0, top + drop + balloon.height / 2.0);
        below = balloon.bottom();
    }
    (caption, corner, balloons)
}

fn balloons_bottom(prompt: &Prompt, format: Format) -> f64 {
    let (_, _, balloons) = layout(prompt, format);
    balloons.iter().map(Balloon::bottom).fold(60.0, f64::max)
}

fn words(stage: &mut Stage, prompt: &Prompt, cast: &[Character], format: Format, ground: f64) {
    let ink = rgb(0x1d_1a_2c);
    let width = format.width();
    let (caption, corner, mut balloons) = layout(prompt, format);
    let spots = spots(prompt, cast, format, ground, stage.seed);
    let mut rng = Rng::new(stage.seed ^ hash("letters"));
    let mut left = 16.0;
    let count = balloons.len();
    for (at, (balloon, line)) in balloons.iter_mut().zip(&prompt.dialogue).enumerate() {
        let speaker = spots.iter().find(|spot| Some(&spot.character.name) == line.speaker.as_ref());
        let head = speaker.map_or((width * 0.98, HEIGHT * 0.5), Spot::mouth);
        let half = balloon.width / 2.0;
        let lean = if count == 2 { if at == 0 { -half * 0.35 } else { half * 0.35 } } else { 0.0 };
        let lowest = if format == Format::Narrow { 14.0 } else { left };
        balloon.centre.0 =
            (head.0 + lean).clamp((lowest + half).min(width - half - 16.0), width - half - 16.0);
        if at == 0 && count == 2 {
            // The answer needs room to the right of what it answers.
            balloon.centre.0 = balloon.centre.0.min((width * 0.5 - half + 20.0).max(half + 14.0));
        }
        left = balloon.centre.0 + half + 12.0;
    }
    let toward: Vec<Point> = prompt
        .dialogue
        .iter()
        .map(|line| {
            let speaker =
                spots.iter().find(|spot| Some(&spot.character.name) == line.speaker.as_ref());
            speaker.map_or((width + 6.0, HEIGHT * 0.5), Spot::mouth)
        })
        .collect();
    let mut svg = String::new();
    for (balloon, toward) in balloons.iter().zip(toward).rev() {
        svg.push_str(&balloon.svg(toward, ink, &mut rng));
    }
    if !prompt.caption.is_empty() {
        svg.push_str(&caption.svg(corner, rgb(0xff_ea_b0), ink, &mut rng));
    }
    stage.p.raw_over(&svg);
}

fn assemble(painted: &Painted, dots: &str, prompt: &Prompt) -> String {
    let Painted { width: w, height: h, ink, .. } = painted;
    let id = format!("p{}", prompt.scene);
    let mut out = String::new();
    let _ = write!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" role="img" aria-labelledby="{id}t"><title id="{id}t">{}</title><defs>{}<clipPath id="{id}c"><rect x="2" y="2" width="{}" height="{}" rx="5"/></clipPath></defs><g clip-path="url(#{id}c)">"#,
        escape(&spoken_title(prompt)),
        painted.defs,
        w - 4.0,
        h - 4.0
    );
    out.push_str(&painted.under);
    out.push_str(dots);
    out.push_str(&painted.over);
    let _ = write!(
        out,
        r#"</g><rect x="2" y="2" width="{}" height="{}" rx="5" fill="none" stroke="{ink}" stroke-width="4"/></svg>"#,
        w - 4.0,
        h - 4.0
    );
    out.push('\n');
    out
}

/// What a screen reader says: the caption, and who says what.
fn spoken_title(prompt: &Prompt) -> String {
    let mut title = prompt.caption.clone();
    for line in &prompt.dialogue {
        let speaker = line.speaker.as_deref().unwrap_or("A voice");
        let _ = write!(title, " {speaker}: “{}”", line.text);
    }
    title
}

/// Text for XML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A word for the weather, for messages.
pub fn weather_word(weather: Option<Weather>) -> &'static str {
    match weather {
        Some(Weather::Rain) => " in the rain",
        Some(Weather::Snow) => " in the snow",
        Some(Weather::Fog) => " in the fog",
        None => "",
    }
}
