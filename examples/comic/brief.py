"""A scene, summed up for the artist: where, when, who, and what is said."""

from dataclasses import dataclass

import lexicon
import story
from cast import Character

LONGEST_CAPTION, LONGEST_LINE = 104, 88
Line = tuple[str, str]  # A speaker, who may be unknown (empty), and what is said.


@dataclass(frozen=True)
class Brief:
    """What the artist needs to know; `scene` counts through the book."""

    scene: int
    chapter: int
    place: str
    time: str
    weather: str | None
    people: list[str]
    lines: list[Line]
    caption: str


def write(chapter: int, paragraphs: list[str], cast: list[Character], before: list[Brief]) -> Brief:
    """Sum up a scene; one that does not say where it is goes on where the one before was."""
    said = lines(paragraphs, cast)
    last = before[-1] if before else None
    weighted, lasting = _weighted(paragraphs), _weighted(paragraphs, lasting=True)
    place = lexicon.best(lexicon.PLACES, weighted, 1.0)
    time = lexicon.best(lexicon.TIMES, weighted, 1.0)
    return Brief(
        scene=len(before) + 1,
        chapter=chapter,
        place=place or (last.place if last else "street"),
        time=time or (last.time if last else "day"),
        weather=lexicon.best(lexicon.WEATHERS, lasting, 2.0),
        people=_people(paragraphs, cast, said),
        lines=_choose(said),
        caption=_caption(paragraphs),
    )


def lines(paragraphs: list[str], cast: list[Character]) -> list[Line]:
    """Find what is said in a scene: a line a paragraph, as many whole sentences as fit."""
    found: list[Line] = []
    named: list[Character] = []
    for paragraph in paragraphs:
        told = story.narration(paragraph)
        text = ""
        for sentence in story.sentences(story.spoken(paragraph)):
            if len(text) + len(sentence) >= LONGEST_LINE:
                break
            text = f"{text} {sentence}".strip()
        if text:
            # Without attribution the last two go on in turn.
            in_turn = found[-2][0] if not told and len(found) >= 2 else ""
            found.append((_speaker(told, cast, named) or in_turn, text))
        named += [c for word in story.words(told) for c in cast if c.word == word.text]
    return found


def _speaker(told: str, cast: list[Character], named: list[Character]) -> str:
    """Find who speaks: `said Captain Oduya`, `he told her`, `I said`."""
    row = [word.text for word in story.words(told)]
    people = [c for c in cast if c.kind == "person"]
    verbs = [at for at, text in enumerate(row) if text in lexicon.SPEECH_VERBS]
    for text in [t for at in verbs for t in row[at + 1 : at + 3] + row[max(0, at - 1) : at]]:
        by_name = [c for c in people if text == c.word or (text == "I" and c.narrates)]
        meant = [c for c in named if c in people and text.lower() == c.pronoun]
        if by_name or meant:
            return (by_name or meant)[-1].name
    return next((c.name for text in row for c in people if text == c.word), "")


def _choose(said: list[Line]) -> list[Line]:
    """Choose the best line, and the answer to it or what it answers."""
    scores = [
        bool(speaker) + 0.25 * bool({"!", "?"} & {*text}) - abs(len(text) - 50) / 50
        for speaker, text in said
    ]
    best = scores.index(max(scores)) if scores else 0
    for pair in (said[best : best + 2], said[max(0, best - 1) : best + 1]):
        if len({speaker for speaker, _ in pair if speaker}) == 2:
            return pair
    return said[best : best + 1]


def _people(paragraphs: list[str], cast: list[Character], said: list[Line]) -> list[str]:
    """Find who is on stage: the speakers, the narrator, and whoever is named outside a thought."""
    row = [word.text for p in paragraphs for word in story.words(story.narration(p))]
    scores = dict.fromkeys((c.name for c in cast), 0)
    for c in cast:
        scores[c.name] += 2 * sum(speaker == c.name for speaker, _ in said)
        scores[c.name] += 3 * (c.narrates and not {"I", "we", "We"}.isdisjoint(row))
        for before, text in zip(["", *row], row, strict=False):
            is_thought = before in ("of", "about", "but", "for")
            scores[c.name] += text == c.kind or (text == c.word and not is_thought)
    return sorted((name for name in scores if scores[name]), key=lambda name: -scores[name])


def _caption(paragraphs: list[str]) -> str:
    """Return the first narrated sentence, cut at a clause if it is long."""
    narrated = [p for p in paragraphs if not p.startswith("“")] or paragraphs
    first = story.sentences(story.narration(narrated[0]))[0]
    if len(first) <= LONGEST_CAPTION:
        return first
    cut = first[: LONGEST_CAPTION - 1]
    clause = max(cut.rfind(mark) for mark in ",;:")
    return (cut[:clause] if clause > 30 else cut.rpartition(" ")[0]) + "…"


def _weighted(paragraphs: list[str], lasting: bool = False) -> list[tuple[str, float]]:
    """Weigh the scene's words; if `lasting`, without sentences that say that something is over."""
    found = []
    for at, paragraph in enumerate(paragraphs):
        for nth, sentence in enumerate(story.sentences(paragraph)):
            row = list(story.words(sentence))
            if lasting and any(word.text in lexicon.CLEARED for word in row):
                continue
            # A scene's beginning says where it is; what people talk about is often elsewhere.
            weight = 3.0 if at < 2 and nth < 2 else 1.0
            found += [(word.text, weight * (0.3 if word.quoted else 1.0)) for word in row]
    return found
