"""What a step of `track` costs above the bare loop: 1,000,000 steps, the median of 7 rounds.

    python benchmarks/track.py [URL]

Without a URL a transport in memory takes the reports, so that the sender's thread does its work.
It fails if a step costs 1 us or more.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator

from bindery_client import Client
from bindery_client.buffer import Item
from bindery_client.transports import Outcome

STEPS = 1_000_000
ROUNDS = 7


class Sink:
    """Takes everything."""

    answers_begin = False
    events = 0

    def send(self, items: Iterable[Item]) -> Iterator[tuple[Item, Outcome]]:
        """Encode and forget the events."""
        for item in items:
            item.event()
            self.events += 1
            yield item, None

    def close(self) -> None:
        """Do nothing."""

    def abandon(self) -> None:
        """Do nothing."""


def seconds(loop: Callable[[], Iterable[int]]) -> float:
    items = loop()
    began = time.perf_counter()
    for _ in items:
        pass
    return time.perf_counter() - began


def main() -> int:
    sink = Sink()
    url = sys.argv[1] if len(sys.argv) > 1 else None
    client = Client(url) if url else Client(transport=sink)
    off = Client()
    bare: list[float] = []
    costs: dict[str, list[float]] = {"without a server": [], "reported": [], "with a bar": []}
    with client.book("benchmark") as book, book.stage("ANALYZING") as stage:
        idle = off.book("benchmark").stage("ANALYZING")
        loops: dict[str, Callable[[], Iterable[int]]] = {
            "without a server": lambda: idle.track(range(STEPS), bar=False),
            "reported": lambda: stage.track(range(STEPS), "extract_text", bar=False),
            "with a bar": lambda: stage.track(range(STEPS), "extract_text", bar=True),
        }
        for _ in range(ROUNDS):
            bare.append(seconds(lambda: range(STEPS)))
            for name, loop in loops.items():
                costs[name].append(seconds(loop))
    base = statistics.median(bare)
    worst = 0.0
    for name, measured in costs.items():
        cost = (statistics.median(measured) - base) / STEPS * 1e9
        worst = max(worst, cost)
        print(f"{name}: {cost:.0f} ns a step above the bare loop ({base / STEPS * 1e9:.0f} ns)")
    client.close()
    return 0 if worst < 1000 else 1


if __name__ == "__main__":
    sys.exit(main())
