"""The examples of README.md: each is Python, and those that report do what the page describes."""

from __future__ import annotations

import ast
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fakes import steps

import bindery_client as bindery
from bindery_client import testing

README = Path(__file__).parents[1] / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def example(beginning: str) -> str:
    (found,) = [text for text in EXAMPLES if text.startswith(beginning)]
    return str(found)


@pytest.mark.parametrize("text", EXAMPLES)
def test_each_example_is_python(text: str) -> None:
    compile(text.replace("…)", ")"), "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_first_example_reports_a_book_from_registration_to_completion() -> None:
    read: list[str] = []
    with testing.record() as events:
        exec(example("import bindery_client"), {"pages": ["a", "b"], "read": read.append})
    assert read == ["a", "b"]
    sent = [(e["type"], e.get("to_status") or e.get("substep")) for e in steps(events)]
    assert sent == [
        ("register", None),
        ("begin", "ANALYZING"),
        ("progress", "extract_text"),
        ("begin", "GENERATING_SCENES"),
        ("progress", "split_scenes"),
        ("transition", "COMPLETED"),
    ]
    assert events[0]["book_id"] == str(bindery.book_uuid("moby-dick"))


def test_the_example_with_a_checkpoint_continues_with_its_state() -> None:
    text = example('with book.stage("ANALYZING") as stage:\n    words').replace(
        'book.stage("ANALYZING")', 'book.stage("ANALYZING", attempt=2, resume_point=point)'
    )
    left = {"extract_text": bindery.Left(50, 7, 2)}
    point = bindery.ResumePoint("b", "ANALYZING", "ANALYZING", 2, 9, frozenset(), left)
    with testing.record(), bindery.book("b") as book:
        known: dict[str, Any] = {"book": book, "point": point, "pages": "abcd", "count": len}
        exec(text, known)
    assert known["words"] == 9


def test_the_example_that_is_run_again_works_outside_of_a_loop() -> None:
    text = example('with book.stage("ANALYZING") as stage:\n    if')
    with testing.record() as events, bindery.book("b") as book:
        known: dict[str, Any] = {"book": book, "pages": "abcd", "build_index": len}
        exec(text, known)
    assert known["index"] == 4
    assert (events[-1]["substep"], events[-1]["progress"]) == ("extract_text", "100")


def test_the_example_with_a_pool_reports_the_results_and_skips_what_is_done() -> None:
    left = {"draw": bindery.Left(50, 2)}
    point = bindery.ResumePoint("b", "S", "S", 2, 9, frozenset(), left)
    drawn: list[str] = []
    with testing.record() as events, ThreadPoolExecutor(2) as executor:
        with bindery.book("b") as book:
            with book.stage("S", attempt=2, resume_point=point) as stage:
                known = {"stage": stage, "executor": executor, "draw": drawn.append}
                exec(example("point = stage"), {**known, "pages": "abcd"})
    assert sorted(drawn) == ["c", "d"]
    last = events[-1]
    assert (last["done"], last["total"], last["checkpoint"]) == ("4", "4", "4")


def test_the_example_of_a_failure_has_its_code_and_members() -> None:
    with testing.record() as events, pytest.raises(bindery.Failed):
        with bindery.book("b") as book, book.stage("S"):
            exec(example("raise bindery.Failed"), {"bindery": bindery})
    assert events[-1]["error"] == '{"page": 31, "code": "torn_page", "retry": false}'
