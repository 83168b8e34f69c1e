from __future__ import annotations

import io
from typing import Any

import pytest
from fakes import Recorder

from bindery_client import Client, Superseded
from bindery_client.tqdm import tqdm


@pytest.mark.parametrize("disable", [False, True])
def test_the_count_of_a_bar_is_reported(disable: bool) -> None:
    recorder, screen = Recorder(), io.StringIO()
    client = Client(transport=recorder)
    with client.book("b") as book, book.stage("S") as stage:
        options: dict[str, Any] = {"stage": stage, "disable": disable, "file": screen}
        for _ in tqdm(range(50), substep="a", unit="page", **options):
            pass
        with tqdm(total=10, substep="b", **options) as bar:
            bar.update(4)
            bar.update(3)
    last = {event["substep"]: event for event in recorder.of("progress")}
    assert (last["a"]["done"], last["a"]["total"]) == ("50", "50")
    assert (last["b"]["done"], last["b"]["total"]) == ("7", "10")
    assert last["a"].get("unit") == (None if disable else "page")
    assert ("50/50" in screen.getvalue()) is not disable
    client.close()


def test_without_a_stage_it_is_a_plain_bar() -> None:
    screen = io.StringIO()
    assert list(tqdm(range(3), file=screen)) == [0, 1, 2]
    assert "3/3" in screen.getvalue()


def test_a_superseded_bar_stops_its_loop() -> None:
    client = Client(transport=Recorder())
    seen = []
    with client.book("b") as book, pytest.raises(Superseded):
        with book.stage("S", attempt=1) as stage:
            for item in tqdm(range(50), stage=stage, mininterval=0, miniters=1, file=io.StringIO()):
                seen.append(item)
                if item == 3:
                    stage._session.supersede("FAILED", 1)
    assert seen == [0, 1, 2, 3]
    client.close()
