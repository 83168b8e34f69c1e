"""The shape of a story: pages, chapters, scenes, sentences, words, quotations."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

PAGE_WORDS = 220  # A page ends with the block that fills it.
TITLES = ("Mr", "Mrs", "Miss", "Doctor", "Captain", "Inspector", "Grandfather")

_WORD = re.compile(r"(?<![’'])\b[^\W\d_]+(?:-[^\W\d_]+)*")
_SENTENCE_END = re.compile(r"(?<!\bMr\.)(?<!\bMrs\.)(?:(?<=[.!?…])|(?<=[.!?…]”))\s+(?=[“A-Z])")


class Story(NamedTuple):
    """A text: a title line, an author line (`by …`), and blocks between blank lines."""

    title: str
    author: str
    blocks: list[str]


@dataclass(frozen=True)
class Chapter:
    """The blocks after a heading such as `Chapter One: The Comb`."""

    number: int
    title: str
    blocks: list[str]


class Word(NamedTuple):
    """A word, whether it opens a sentence, and whether it is inside quotation marks."""

    text: str
    opens: bool
    quoted: bool


def parse(text: str, name: object = "the story") -> Story:
    """Read a story; raises ValueError if the title, the author or the text is missing."""
    blocks = [" ".join(block.split()) for block in re.split(r"\n\s*\n", text) if block.strip()]
    if len(blocks) < 3 or not blocks[1].startswith("by "):
        raise ValueError(f"{name} needs a title, a line `by …` and a text, between blank lines")
    return Story(blocks[0], blocks[1].removeprefix("by "), blocks[2:])


def pages(blocks: list[str]) -> list[list[str]]:
    """Group blocks into pages of about `PAGE_WORDS` words."""
    found: list[list[str]] = []
    words_left = 0
    for block in blocks:
        if words_left <= 0:
            found.append([])
            words_left = PAGE_WORDS
        found[-1].append(block)
        words_left -= len(block.split())
    return found


def chapters(blocks: list[str]) -> list[Chapter]:
    """Find the chapters; text before the first heading is a chapter without a title."""
    found: list[Chapter] = []
    for block in blocks:
        heading = re.fullmatch(r"Chapter [\w-]+: (.{1,100})", block)
        if heading or not found:
            found.append(Chapter(len(found) + 1, heading[1] if heading else "", []))
        if not heading:
            found[-1].blocks.append(block)
    return found


def scenes(chapter: Chapter) -> list[list[str]]:
    """Cut a chapter at its breaks (`* * *`); a scene is its paragraphs."""
    groups = groupby(chapter.blocks, key=lambda block: set(block) <= set("* "))
    return [list(scene) for is_break, scene in groups if not is_break]


def paragraphs(chapter: Chapter) -> list[str]:
    """Return all paragraphs of a chapter."""
    return [paragraph for scene in scenes(chapter) for paragraph in scene]


def sentences(text: str) -> list[str]:
    """Cut a text after each sentence."""
    return [part for part in _SENTENCE_END.split(text) if part]


def words(text: str) -> Iterator[Word]:
    """Iterate over the words of a paragraph; a genitive is the word without its `s`."""
    previous = ""
    for match in _WORD.finditer(text):
        before = text[: match.start()].rstrip()
        ended = not before or before[-1] in ".!?…:“" or before[-2:] in (".”", "!”", "?”", "…”")
        quoted = before.count("“") > before.count("”")
        yield Word(match[0], ended and previous not in TITLES, quoted)
        previous = match[0]


def narration(paragraph: str) -> str:
    """Return what is outside quotation marks."""
    return re.sub(r"“[^”]*(?:”|$)", " ", paragraph).strip()


def spoken(paragraph: str) -> str:
    """Return what is inside quotation marks, as one text."""
    parts = re.findall(r"“([^”]*)(?:”|$)([^“]*)", paragraph)
    said = ""
    for at, (part, after) in enumerate(parts, 1):
        # `,” said Jory. “` ends a sentence, `,” said Jory, “` does not.
        if part.endswith(",") and (after.rstrip().endswith((".", "!")) or at == len(parts)):
            part = part[:-1] + "."
        said += part.strip() + " "
    return said.strip()
