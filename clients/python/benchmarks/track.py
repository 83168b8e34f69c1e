"""What a step of `track` costs above the bare loop: 1,000,000 steps, the median of 7 rounds.

    python benchmarks/track.py [URL]

Without a URL a transport in memory takes the reports, so that the sender's thread does its work.
With a stopped server, its port has no listener; the beginning and the end of the stage, which must
not wait then, count as well. It fails if a step costs 1 us or more.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
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


def walk(items: Iterable[int]) -> None:
    for _ in items:
        pass


def work(client: Client) -> None:
    """Track in a stage of its own, which begins and ends with the loop."""
    with client.book("benchmark") as book, book.stage("ANALYZING") as stage:
        walk(stage.track(range(STEPS), "extract_text", bar=False))


def seconds(loop: Callable[[], None]) -> float:
    began = time.perf_counter()
    loop()
    return time.perf_counter() - began


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    logging.getLogger("bindery_client").setLevel(logging.CRITICAL)
    url = sys.argv[1] if len(sys.argv) > 1 else None
    client = Client(url) if url else Client(transport=Sink())
    off = Client()
    port = closed_port()
    redis = Client(f"redis://127.0.0.1:{port}/")
    postgres = Client(f"postgresql://127.0.0.1:{port}/postgres")
    with client.book("benchmark") as book, book.stage("ANALYZING") as stage:
        loops: dict[str, Callable[[], None]] = {
            "reported": lambda: walk(stage.track(range(STEPS), "extract_text", bar=False)),
            "with a bar": lambda: walk(stage.track(range(STEPS), "extract_text", bar=True)),
            "without a URL": lambda: work(off),
            "Redis is away": lambda: work(redis),
            "Postgres is away": lambda: work(postgres),
        }
        bare: list[float] = []
        costs: dict[str, list[float]] = {name: [] for name in loops}
        with open(os.devnull, "w") as screen, contextlib.redirect_stderr(screen):
            for _ in range(ROUNDS):
                bare.append(seconds(lambda: walk(range(STEPS))))
                for name, loop in loops.items():
                    costs[name].append(seconds(loop))
    base = statistics.median(bare)
    worst = 0.0
    for name, measured in costs.items():
        cost = (statistics.median(measured) - base) / STEPS * 1e9
        worst = max(worst, cost)
        print(f"{name}: {cost:.0f} ns a step above the bare loop ({base / STEPS * 1e9:.0f} ns)")
    for each in (client, off, redis, postgres):
        each.close(0.1)
    return 0 if worst < 1000 else 1


if __name__ == "__main__":
    sys.exit(main())
