//! Panels and comics: the same every time, and well-formed.

mod common;

use bindery_demo::art::comic::bind;
use bindery_demo::art::panel::{Format, panel, sketch};
use common::{STORIES, script};

#[test]
fn every_sketch_is_well_formed_and_says_what_it_shows() {
    for name in STORIES {
        let script = script(name);
        for prompt in &script.scenes {
            let scenes = script.chapters[prompt.chapter - 1].scenes;
            let svg = sketch(prompt, scenes, &script.cast, &script.title);
            let xml = roxmltree::Document::parse(&svg)
                .unwrap_or_else(|e| panic!("{name} {}: {e}", prompt.scene));
            let title = xml.root_element().first_element_child().unwrap();
            assert_eq!(title.tag_name().name(), "title");
            assert!(title.text().unwrap().starts_with(&prompt.caption));
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name} {}", prompt.scene);
        }
    }
}

#[test]
fn the_same_scene_is_drawn_the_same_to_the_last_dot() {
    let script = script("mr-plum-and-the-goose");
    // A narrow panel: this is the slow part, and debug builds are slower.
    let prompt = script.scenes.iter().find(|p| Format::of(p.index, 3) == Format::Narrow).unwrap();
    let draw = || panel(prompt, 3, &script.cast, &script.title);
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(draw);
        (draw(), other.join().unwrap())
    });
    assert!(first == second, "two drawings of one scene differ");
    assert!(
        first.len() > sketch(prompt, 3, &script.cast, &script.title).len() + 10_000,
        "there are dots"
    );
    roxmltree::Document::parse(&first).unwrap();
}

#[test]
fn another_text_gives_another_drawing() {
    let script = script("the-salt-clock");
    let mut other = script.scenes[1].clone();
    other.paragraphs.push("And then the wind dropped.".into());
    let draw = |prompt| sketch(prompt, 3, &script.cast, &script.title);
    assert_ne!(draw(&script.scenes[1]), draw(&other));
}

#[test]
fn a_comic_holds_every_panel_and_needs_nothing_else() {
    let script = script("post-over-the-stone-pass");
    let panels: Vec<String> = script
        .scenes
        .iter()
        .map(|prompt| {
            sketch(prompt, script.chapters[prompt.chapter - 1].scenes, &script.cast, &script.title)
        })
        .collect();
    let html = bind(&script, &panels);
    assert_eq!(html.matches("<figure").count(), panels.len());
    assert!(panels.iter().all(|panel| html.contains(panel.trim_end())));
    for outside in ["src=", "<link", "<script", "@import"] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(
        !html.replace("http://www.w3.org/2000/svg", "").contains("http"),
        "no address but the namespace"
    );
    let mut ids: Vec<&str> =
        html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "ids are unique in the page");
}
