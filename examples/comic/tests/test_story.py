from pathlib import Path

import pytest

import brief
import cast
import story

BOOKS = Path(__file__).parents[1] / "books"
CASTS = {
    "mr-plum-and-the-goose": ["Plum", "Dolores", "Bishop", "Inspector Hask"],
    "post-over-the-stone-pass": ["Doctor Ilieva", "Dimo", "Pasko", "Stoyan", "Anton", "Ruzha"],
    "the-salt-clock": ["Nettie", "Jory", "Captain Oduya", "Wenna"],
}


@pytest.mark.parametrize("name", CASTS)
def test_a_story_has_its_cast_and_fifteen_scenes_in_its_own_words(name: str) -> None:
    text = story.parse((BOOKS / f"{name}.txt").read_text("utf-8"))
    chapters = story.chapters(text.blocks)
    everything = [p for c in chapters for p in story.paragraphs(c)]
    people = cast.cast(cast.add([cast.census(c) for c in chapters]), everything)
    assert [c.name for c in people] == CASTS[name]
    briefs: list[brief.Brief] = []
    for chapter in chapters:
        for scene in story.scenes(chapter):
            briefs.append(brief.write(chapter.number, scene, people, briefs))
            for _, line in briefs[-1].lines:
                # A comma may have become the end of a sentence.
                assert all(word.strip(".,") in " ".join(scene) for word in line.split())
    assert [b.scene for b in briefs if b.people and b.lines and b.caption] == list(range(1, 16))


def test_a_speech_that_said_cuts_in_two_is_one_text() -> None:
    assert story.spoken("“Sixty,” he told her. “Steady.”") == "Sixty. Steady."
    assert story.spoken("“When it came,” said Jory, “we left.”") == "When it came, we left."
    assert story.narration("“A,” said B. “C.” D.") == "said B.   D."
