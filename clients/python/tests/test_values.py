from __future__ import annotations

import json
from typing import Any

import pytest

from bindery_client import values


def test_a_text_loses_escape_sequences_and_control_characters() -> None:
    assert values.text("\x1b[31mred\x1b[0m\x00\x07 a\tb\nc \u202eabc", 100) == "red a\tb\nc abc"
    assert values.text("\x1b]0;title\x07rest", 100) == "rest"
    assert values.text("half \ud83d pair", 100) == "half \ufffd pair"


def test_a_long_text_is_cut_with_an_ellipsis() -> None:
    assert values.text("x" * 100, 100) == "x" * 100
    assert values.text("x" * 101, 100) == "x" * 99 + "…"


@pytest.mark.parametrize("name", ["", "1a", "Page", "a-b", "a" * 64, "ä"])
def test_a_substep_that_is_not_lower_snake_case_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="snake case"):
        values.name(name)


def test_json_keeps_what_can_be_kept() -> None:
    value = {"a": float("nan"), "b": [float("inf"), "\0x", r"\u0000"], "c": "é\ud800"}
    kept = {"a": None, "b": [None, "x", r"\u0000"], "c": "é\ufffd"}
    assert json.loads(values.encoded(value)) == kept


def test_json_that_is_too_large_or_too_deep_is_refused() -> None:
    with pytest.raises(ValueError, match="64 KiB"):
        values.encoded("é" * 33_000)
    deep: list[Any] = []
    for _ in range(70):
        deep = [deep]
    with pytest.raises(ValueError, match="64 levels"):
        values.encoded(deep)
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="deep"):
        values.encoded(deep)
    with pytest.raises(TypeError):
        values.encoded(object())


@pytest.mark.parametrize(
    ("number", "written"), [(30.0, "30"), (0.5, "0.5"), (99.99, "99.99"), (1e-9, "1e-09")]
)
def test_a_whole_number_is_written_without_a_fraction(number: float, written: str) -> None:
    assert values.number(number) == written
