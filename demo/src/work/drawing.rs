//! The third stage: a panel for each scene, and the comic.

use std::fs;

use anyhow::{Context, Result, bail};

use super::files::{BookDir, read_json};
use super::unit::{Substep, Unit};
use crate::art::comic::bind;
use crate::art::panel::{panel, weather_word};
use crate::text::prompt::Prompt;
use crate::text::script::Script;

/// Reads what the stage before made.
pub fn script(dir: &BookDir) -> Result<Script> {
    read_json(&dir.scenes()).context("the stage before has to be finished first")
}

/// The stage's units: a substep for each chapter, its panels; then the binding.
pub fn substeps<'a>(script: &'a Script, dir: &'a BookDir) -> Result<Vec<Substep<'a>>> {
    if script.scenes.is_empty() {
        bail!("there is nothing to draw");
    }
    let mut substeps: Vec<Substep<'a>> = script
        .chapters
        .iter()
        .filter(|chapter| chapter.scenes > 0)
        .map(|chapter| {
            let prompts = script.scenes.iter().filter(|prompt| prompt.chapter == chapter.number);
            let units = prompts.map(|prompt| {
                let message = format!(
                    "chapter {}, panel {} of {}: {}",
                    chapter.number,
                    prompt.index,
                    chapter.scenes,
                    what(prompt)
                );
                Unit::new(dir.panel(prompt.scene), message, move || {
                    Ok(panel(prompt, chapter.scenes, &script.cast, &script.title).into_bytes())
                })
            });
            Substep::new(format!("chapter_{}", chapter.number), "panel", units.collect())
        })
        .collect();
    let work = move || {
        let read = |prompt: &Prompt| {
            let path = dir.panel(prompt.scene);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let panels = script.scenes.iter().map(read).collect::<Result<Vec<_>>>()?;
        Ok(bind(script, &panels).into_bytes())
    };
    let bind = Unit::new(dir.comic(), format!("{} is bound", script.title), work);
    substeps.push(Substep::new("bind", "book", vec![bind]));
    Ok(substeps)
}

/// What a panel shows, in a few words: `Nettie and Jory, workshop, night`.
fn what(prompt: &Prompt) -> String {
    let people: Vec<&str> = prompt.present.iter().take(3).map(String::as_str).collect();
    let people = match people.as_slice() {
        [] => "nobody".to_owned(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    };
    let place = format!("{:?}, {:?}", prompt.setting, prompt.time).to_lowercase();
    format!("{people}, {place}{}", weather_word(prompt.weather))
}
