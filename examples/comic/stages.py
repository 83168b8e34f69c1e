"""What each stage of the pipeline `comic` does. Stages pass their results on as files."""

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import brief
import cast
import story
from binding import bind
from panel import panel
from units import Substep, Unit

Items = Callable[[], list[Any]]
Make = Callable[[Any], Any]


def analyze(folder: Path, book: story.Story) -> list[Substep]:
    """Read the pages, find the chapters, count the names of each chapter."""

    def chapters() -> list[story.Chapter]:
        return story.chapters([block for page in _read(folder / "pages") for block in page])

    return [
        _substep("extract_text", "page", folder / "pages", lambda: story.pages(book.blocks), list),
        _substep("detect_chapters", "chapter", folder / "chapters", chapters, asdict),
        _substep("analyze_characters", "chapter", folder / "names", chapters, cast.census),
    ]


def generate_scenes(folder: Path, book: story.Story) -> list[Substep]:
    """Cut the chapters into scenes, and sum up each scene for the artist."""

    def scenes() -> list[tuple[int, list[str]]]:
        chapters = enumerate(_read(folder / "scenes"), 1)
        return [(chapter, paragraphs) for chapter, scenes in chapters for paragraphs in scenes]

    def write(scene: tuple[int, list[str]]) -> dict[str, Any]:
        return asdict(brief.write(*scene, _cast(folder), _briefs(folder)))

    chapters = partial(_chapters, folder)
    return [
        _substep("split_scenes", "chapter", folder / "scenes", chapters, story.scenes),
        _substep("write_prompts", "scene", folder / "briefs", scenes, write),
    ]


def create_artwork(folder: Path, book: story.Story) -> list[Substep]:
    """Draw a panel for each scene, a substep for each chapter, and bind the comic."""
    briefs, chapters, cast = _briefs(folder), _chapters(folder), _cast(folder)
    panels = [
        Unit(
            folder / f"panels/{b.scene:02}.svg",
            f"panel {b.scene} of {len(briefs)}: {b.place}, {b.time}",
            partial(panel, b, cast, book.title),
        )
        for b in briefs
    ]

    def drawn(chapter: int) -> list[Unit]:
        return [panels[b.scene - 1] for b in briefs if b.chapter == chapter]

    def bound() -> str:
        titles = [chapters[b.chapter - 1].title for b in briefs]
        texts = [unit.file.read_text("utf-8") for unit in panels]
        return bind(book, cast, list(zip(titles, texts, strict=True)))

    comic = Unit(folder / "comic.html", "the comic is bound", bound)
    substeps = [Substep(f"chapter_{c.number}", "panel", partial(drawn, c.number)) for c in chapters]
    return [*substeps, Substep("bind", "comic", lambda: [comic])]


STAGES: dict[str, Callable[[Path, story.Story], list[Substep]]] = {
    "ANALYZING": analyze,
    "GENERATING_SCENES": generate_scenes,
    "CREATING_ARTWORK": create_artwork,
}


def expected(folder: Path, book: story.Story) -> set[str]:
    """Return the names of all units of a finished book."""
    substeps = [substep for stage in STAGES.values() for substep in stage(folder, book)]
    files = [unit.file for substep in substeps for unit in substep.units()]
    return {file.relative_to(folder).as_posix() for file in files}


def _substep(name: str, counted: str, folder: Path, items: Items, make: Make) -> Substep:
    """Return a substep that makes a JSON file from each item."""

    def units() -> list[Unit]:
        known = items()
        files = [folder / f"{n:02}.json" for n in range(1, len(known) + 1)]
        messages = [f"{counted} {n} of {len(known)}" for n in range(1, len(known) + 1)]
        makers = [partial(_json, make, item) for item in known]
        return list(map(Unit, files, messages, makers))

    return Substep(name, counted, units)


def _json(make: Make, item: Any) -> str:
    return json.dumps(make(item), ensure_ascii=False, indent=1)


def _read(folder: Path) -> list[Any]:
    return [json.loads(file.read_text("utf-8")) for file in sorted(folder.glob("[0-9]*.json"))]


def _chapters(folder: Path) -> list[story.Chapter]:
    return [story.Chapter(**fields) for fields in _read(folder / "chapters")]


def _briefs(folder: Path) -> list[brief.Brief]:
    return [brief.Brief(**fields) for fields in _read(folder / "briefs")]


def _cast(folder: Path) -> list[cast.Character]:
    paragraphs = [p for chapter in _chapters(folder) for p in story.paragraphs(chapter)]
    return cast.cast(cast.add(_read(folder / "names")), paragraphs)
