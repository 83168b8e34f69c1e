//! The shipped stories, read by the analyzer: what a reader would find, it finds.

mod common;

use bindery_demo::text::story::{Block, Story, chapters, paginate, scenes};
use common::{STORIES, read, script};

#[test]
fn the_stories_are_of_a_length_to_read_over_tea() {
    for name in STORIES {
        let story = read(name);
        let words: usize = chapters(&story.blocks).iter().map(|chapter| chapter.words()).sum();
        assert!((1600..=2200).contains(&words), "{name} has {words} words");
        assert_eq!(story.author, "the Bindery authors");
    }
}

#[test]
fn every_chapter_is_found() {
    let expected = [
        ("mr-plum-and-the-goose", 5, "A Notice Is Served"),
        ("post-over-the-stone-pass", 4, "The Letter With No Name"),
        ("the-salt-clock", 5, "A Sound Like Someone Thinking"),
    ];
    for (name, count, first) in expected {
        let chapters = chapters(&read(name).blocks);
        assert_eq!(chapters.len(), count, "{name}");
        assert_eq!(chapters[0].title, first);
    }
}

#[test]
fn the_cast_is_found_and_nobody_else() {
    let expected: [(&str, &[&str]); 3] = [
        ("mr-plum-and-the-goose", &["Bishop", "Dolores", "Inspector Hask", "Plum"]),
        (
            "post-over-the-stone-pass",
            &["Anton", "Dimo", "Doctor Ilieva", "Pasko", "Ruzha", "Stoyan"],
        ),
        ("the-salt-clock", &["Captain Oduya", "Jory", "Nettie", "Wenna"]),
    ];
    for (name, names) in expected {
        let mut found: Vec<String> =
            script(name).cast.into_iter().map(|character| character.name).collect();
        found.sort();
        assert_eq!(found, names, "{name}");
    }
}

#[test]
fn characters_are_known_for_what_they_are() {
    let plum = script("mr-plum-and-the-goose").cast;
    let bishop = plum.iter().find(|c| c.name == "Bishop").unwrap();
    assert_eq!(bishop.animal.as_deref(), Some("goose"));
    let post = script("post-over-the-stone-pass").cast;
    let by_name = |name: &str| post.iter().find(|c| c.name == name).unwrap();
    assert_eq!(by_name("Pasko").animal.as_deref(), Some("mule"));
    assert!(by_name("Ruzha").narrator);
    assert_eq!(by_name("Doctor Ilieva").title.as_deref(), Some("Doctor"));
}

#[test]
fn no_text_is_lost_between_the_file_and_the_scenes() {
    for name in STORIES {
        let story: Story = read(name);
        let pages: Vec<Block> =
            paginate(&story.blocks).into_iter().flat_map(|page| page.blocks).collect();
        assert_eq!(pages, story.blocks, "{name}");

        let mut first = 1;
        let mut cut = Vec::new();
        for chapter in chapters(&pages) {
            cut.push(chapter.heading.clone());
            let scenes = scenes(&chapter, first);
            first += scenes.len();
            cut.extend(scenes.into_iter().flat_map(|scene| scene.paragraphs));
        }
        let whole = story.blocks.into_iter().filter_map(|block| match block {
            Block::Heading(text) | Block::Paragraph(text) => Some(text),
            Block::Break => None,
        });
        assert_eq!(cut, whole.collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn every_scene_can_be_drawn() {
    for name in STORIES {
        let script = script(name);
        assert!(
            (12..=20).contains(&script.scenes.len()),
            "{name} has {} scenes",
            script.scenes.len()
        );
        for prompt in &script.scenes {
            assert!(
                !prompt.caption.is_empty() && !prompt.dialogue.is_empty(),
                "{name}, scene {}",
                prompt.scene
            );
            assert!(!prompt.present.is_empty(), "{name}, scene {}: nobody is there", prompt.scene);
            let text = prompt.paragraphs.join(" ");
            for line in &prompt.dialogue {
                // Quoted, not made up: each word stands in the scene.
                assert!(
                    line.text
                        .split(' ')
                        .all(|word| text.contains(word.trim_matches(['.', ','].as_slice())))
                );
            }
        }
    }
}
