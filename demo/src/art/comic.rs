//! Binding: panels become one HTML page that needs nothing else, in the reader's light or dark.

use std::fmt::Write;

use super::animal::animal;
use super::colour::{Palette, rgb};
use super::figure::{Pose, figure};
use super::lettering::Lettering;
use super::look::Look;
use super::panel::{Format, escape};
use super::rng::{Rng, hash};
use crate::text::cast::Character;
use crate::text::lexicon::{Mood, Time};
use crate::text::prompt::Prompt;
use crate::text::script::{Script, ScriptChapter};

const STYLE: &str = include_str!("comic.css");

/// Characters with fewer mentions are not introduced.
const INTRODUCED: usize = 8;

/// Binds a book: `panels` are its SVGs, one a scene, in order.
pub fn bind(script: &Script, panels: &[String]) -> String {
    let mut out = String::new();
    let accent =
        Rng::new(hash(&script.title)).pick(["#c8443c", "#2c7d86", "#6e539e", "#b9781f", "#3c6cb2"]);
    let title = escape(&script.title);
    let _ = write!(
        out,
        concat!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
            "<meta name=\"color-scheme\" content=\"light dark\">\n",
            "<title>{title}</title>\n<style>\n:root {{ --accent: {accent} }}\n{style}</style>\n</head>\n<body>\n",
            "<header>\n<h1>{lettered}</h1>\n<p class=\"by\">by {author}</p>\n</header>\n"
        ),
        title = title,
        accent = accent,
        style = STYLE,
        lettered = lettered(&script.title, 3.4),
        author = escape(&script.author)
    );
    introduce(&mut out, script);
    out.push_str("<main>\n");
    for chapter in &script.chapters {
        bind_chapter(&mut out, script, chapter, panels);
    }
    let _ = writeln!(
        out,
        "</main>\n<footer>{} panels, drawn from the text by Bindery’s demo workers.</footer>\n</body>\n</html>",
        panels.len()
    );
    out
}

/// A heading in the comic's own hand, readable for screen readers.
fn lettered(text: &str, scale: f64) -> String {
    let lettering = Lettering::wrap(text, 420.0);
    let (width, height) =
        (lettering.width * scale + 12.0, (lettering.height() + 4.0) * scale + 8.0);
    let strokes = lettering.path((width / 2.0, 5.0), scale, true, &mut Rng::new(hash(text)));
    format!(
        concat!(
            r#"<svg viewBox="0 0 {width:.0} {height:.0}" style="width:{width:.0}px" role="img" aria-label="{label}">"#,
            r#"<path d="{strokes}" fill="none" stroke="currentColor" stroke-width="{pen:.1}" stroke-linecap="round" stroke-linejoin="round"/></svg>"#
        ),
        width = width,
        height = height,
        label = escape(text),
        strokes = strokes.trim_end(),
        pen = 1.7 * scale
    )
}

/// A row of portraits: who is who.
fn introduce(out: &mut String, script: &Script) {
    let drawn = |character: &Character| {
        script.scenes.iter().any(|prompt| prompt.present.contains(&character.name))
    };
    let cast: Vec<(usize, &Character)> =
        script.cast.iter().enumerate().filter(|(_, c)| drawn(c)).take(INTRODUCED).collect();
    if cast.is_empty() {
        return;
    }
    out.push_str("<ul class=\"cast\" aria-label=\"Who is who\">\n");
    for (place, character) in cast {
        let _ = writeln!(
            out,
            "<li>{}<span>{}</span></li>",
            portrait(character, place, &script.title),
            escape(&character.name)
        );
    }
    out.push_str("</ul>\n");
}

fn portrait(character: &Character, place: usize, book: &str) -> String {
    let pal = Palette::of(Time::Day, None);
    let (view, body) = match &character.animal {
        Some(species) if species == "mule" => ("-12 -122 96 96", animal(species, Mood::Wry, &pal)),
        Some(species) => ("-46 -84 92 92", animal(species, Mood::Wry, &pal)),
        None => {
            let pose = Pose {
                speaking: false,
                shouting: false,
                prop: None,
                mood: Mood::Joyful,
                variant: 1,
            };
            ("-30 -116 60 60", figure(&Look::of(character, place, hash(book)), pose, &pal))
        }
    };
    format!(
        r#"<svg viewBox="{view}" aria-hidden="true"><g stroke="{}" stroke-width="1.2" stroke-linejoin="round" stroke-linecap="round">{body}</g></svg>"#,
        rgb(0x1f_2b_44)
    )
}

fn bind_chapter(out: &mut String, script: &Script, chapter: &ScriptChapter, panels: &[String]) {
    let _ = writeln!(
        out,
        "<section aria-label=\"{}\">\n<h2>{}</h2>\n<div class=\"grid\">",
        escape(&chapter.heading),
        lettered(&chapter.heading, 1.5)
    );
    let scenes =
        script.scenes.iter().zip(panels).filter(|(prompt, _)| prompt.chapter == chapter.number);
    for (prompt, panel) in scenes {
        let class = match Format::of(prompt.index, chapter.scenes) {
            Format::Splash => "splash",
            Format::Wide => "wide",
            Format::Narrow => "narrow",
        };
        let _ = writeln!(
            out,
            "<figure class=\"{class}\" id=\"scene-{}\">\n<div class=\"panel\" tabindex=\"0\">{}</div>\n{}</figure>",
            prompt.scene,
            panel.trim_end(),
            words(prompt)
        );
    }
    out.push_str("</div>\n</section>\n");
}

/// The scene's text, folded away under its panel.
fn words(prompt: &Prompt) -> String {
    let mut out = String::from("<details><summary>the words</summary>");
    for paragraph in &prompt.paragraphs {
        let _ = write!(out, "<p>{}</p>", escape(paragraph));
    }
    out.push_str("</details>\n");
    out
}
