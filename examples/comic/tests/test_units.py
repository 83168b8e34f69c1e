from pathlib import Path
from xml.etree import ElementTree

import stages
import story
from units import Ledger

STORY = "T\n\nby A\n\nChapter One: X\n\n“Go & see!” said Ann Lee.\n\n* * *\n\nThen Ann went.\n"


def make(folder: Path, attempt: int) -> int:
    """Make the comic; return how many units were due."""
    ledger, text = Ledger(folder), story.parse(STORY)
    due = 0
    for stage in stages.STAGES.values():
        for substep in stage(folder, text):
            for unit in filter(ledger.is_due, substep.units()):
                ledger.do(unit, attempt)
                due += 1
    return due


def test_a_unit_is_done_once_and_a_comic_is_the_same_each_time(tmp_path: Path) -> None:
    assert make(tmp_path / "a", 1) == make(tmp_path / "b", 1) == 9
    comic = (tmp_path / "a/comic.html").read_text("utf-8")
    assert comic == (tmp_path / "b/comic.html").read_text("utf-8")
    title = ElementTree.parse(tmp_path / "a/panels/01.svg").getroot()[0].text or ""
    assert "Go & see!" in title
    assert make(tmp_path / "a", 2) == 0


def test_the_ledger_shows_what_was_done_twice_or_never(tmp_path: Path) -> None:
    make(tmp_path, 1)
    expected = stages.expected(tmp_path, story.parse(STORY))
    assert Ledger(tmp_path).faults(expected) == []
    (tmp_path / "ledger/7.txt").write_text("panels/01.svg 2\n")
    (tmp_path / "panels/02.svg").unlink()
    faults = ["panels/01.svg was done 2 times", "panels/02.svg was not done"]
    assert Ledger(tmp_path).faults(expected) == faults
