"""A transport that records what it is given, and can be away."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from itertools import groupby

from bindery_client.buffer import Item
from bindery_client.errors import Unavailable
from bindery_client.transports import Outcome


def steps(events: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Of reports of a substep that follow each other, the last: how many there are is chance."""
    groups = groupby(events, key=lambda event: (event["type"], event.get("substep")))
    return [list(group)[-1] for _, group in groups]


class Recorder:
    answers_begin = False

    def __init__(self) -> None:
        self.events: list[dict[str, str]] = []
        self.times: list[float] = []
        self.is_away = False
        self.threads: set[str] = set()
        self.calls = 0

    def send(self, items: Iterable[Item]) -> Iterator[tuple[Item, Outcome]]:
        self.calls += 1
        self.threads.add(threading.current_thread().name)
        if self.is_away:
            raise Unavailable("the recorder is away")
        for item in items:
            self.events.append(item.event())
            self.times.append(time.monotonic())
            yield item, None

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        pass

    def of(self, *types: str) -> list[dict[str, str]]:
        return [event for event in self.events if event["type"] in types]
