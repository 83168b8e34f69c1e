"""Who is in a story: capitalised words are counted a chapter at a time, and then judged.

A capital inside a sentence is a name. Whoever speaks (`said Nettie`) is a person; what mostly
follows `the`, `in` or `at` is a place or a thing.
"""

from collections import Counter
from dataclasses import dataclass

import lexicon
import story

LEAST_MENTIONS = 3
Census = dict[str, Counter[str]]  # Counts of words, by what was seen of them.


@dataclass(frozen=True)
class Character:
    """A person or an animal that the story names."""

    name: str  # With a title where it is hardly ever missing.
    word: str
    kind: str  # `person`, or an animal of the lexicon.
    pronoun: str  # he, she or they.
    age: str  # child, adult or elder.
    narrates: bool  # Tells the story as `I`.


def census(chapter: story.Chapter) -> Census:
    """Count the words of a chapter."""
    kinds = ("inside", "opening", "lower", "speaks", "placed", "titled", "narrates")
    counts: Census = {kind: Counter() for kind in kinds}
    for paragraph in story.paragraphs(chapter):
        row = list(story.words(paragraph))
        texts = [word.text for word in row]
        for at, word in enumerate(row):
            if not word.text[0].isupper() or word.text in (*story.TITLES, "I"):
                counts["lower"][word.text.lower()] += 1
                continue
            titled = at > 0 and texts[at - 1] in story.TITLES
            before = texts[at - 2 if titled else at - 1] if at > titled else ""
            counts["opening" if word.opens else "inside"][word.text] += 1
            near = {before, *texts[at + 1 : at + 2]} if not word.quoted else set()
            counts["speaks"][word.text] += not near.isdisjoint(lexicon.SPEECH_VERBS)
            counts["placed"][word.text] += before.lower() in lexicon.PLACE_WORDS
            counts["titled"][f"{texts[at - 1]} {word.text}"] += titled
            counts["narrates"][word.text] += texts[max(0, at - 3) : at] == ["My", "name", "is"]
    return counts


def add(parts: list[Census]) -> Census:
    """Add up the counts of several chapters."""
    return {kind: sum((Counter(part[kind]) for part in parts), Counter()) for kind in parts[0]}


def cast(counts: Census, paragraphs: list[str]) -> list[Character]:
    """Judge the counts of a whole story: its characters, the most named first."""
    total = counts["inside"] + counts["opening"]
    names = [word for word in total if _is_character(counts, word, total[word])]
    names.sort(key=lambda word: (-total[word], word))
    return [_describe(counts, word, total[word], paragraphs) for word in names]


def _is_character(counts: Census, word: str, total: int) -> bool:
    # A word that is written small as well is no name.
    is_common = counts["lower"][word.lower()] * 4 > counts["inside"][word] or total < LEAST_MENTIONS
    is_person = counts["speaks"][word] > 0 or (total > 3 and counts["placed"][word] * 3 < total)
    is_name = is_person and not is_common and word not in lexicon.CALENDAR
    return counts["narrates"][word] > 0 or (is_name and counts["inside"][word] > 0)


def _describe(counts: Census, word: str, total: int, paragraphs: list[str]) -> Character:
    titles = [t for t in story.TITLES if counts["titled"][f"{t} {word}"] * 2 > total]
    narrates = counts["narrates"][word] > 0
    seen: Counter[str] = Counter()
    for paragraph in paragraphs:
        _observe(seen, story.sentences(story.narration(paragraph)), word)
        if narrates:  # The others say what the narrator is.
            said = [w.text for w in story.words(story.spoken(paragraph))]
            seen["she"] += 2 * sum(text in ("girl", "madam") for text in said)
            seen["he"] += 2 * sum(text in ("boy", "sir") for text in said)
    kind = max(lexicon.ANIMALS, key=lambda animal: seen[animal])
    age = max(("child", "elder"), key=lambda key: seen[key])
    return Character(
        name=" ".join([*titles, word]),
        word=word,
        kind=kind if seen[kind] >= 2 else "person",
        pronoun="they" if seen["he"] == seen["she"] else max(("he", "she"), key=lambda p: seen[p]),
        age=age if seen[age] * 20 > seen["named"] else "adult",
        narrates=narrates,
    )


def _observe(seen: Counter[str], sentences: list[str], word: str) -> None:
    """Read pronoun, age and species from the sentences that name a character."""
    rows = [[w.text for w in story.words(sentence)] for sentence in sentences]
    for row, following in zip(rows, [*rows[1:], []], strict=True):
        if word not in row:
            continue
        place = row.index(word)
        seen["named"] += 1
        # As a rule the next sentence is about the same person if a pronoun opens it.
        for text in [text.lower() for text in row[place:] + following[:1] * 3]:
            seen["he"] += text in ("he", "his", "himself")
            seen["she"] += text in ("she", "her", "herself")
        about = {text.lower() for text in row[max(0, place - 4) : place + 6]}
        seen["child"] += bool(about & lexicon.CHILD)
        seen["elder"] += bool(about & lexicon.ELDER)
        seen.update(set(row[max(0, place - 2) : place + 3]) & set(lexicon.ANIMALS))
