"""For the tests of your own workers: record what they report, without a server.

from bindery_client import testing

def test_a_torn_page_fails_the_book():
    with testing.record() as events:
        with pytest.raises(TornPage):
            analyze("moby-dick")
    assert events[-1]["type"] == "fail"
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from . import client as _client
from .buffer import Item
from .transports import Outcome


class Recorder:
    """A transport that keeps the events; give it to `Client(transport=...)`.

    Attributes:
        events: what was delivered: the events as docs/events.md has them, all values as text.
    """

    answers_begin = False

    def __init__(self) -> None:
        self.events: list[dict[str, str]] = []

    def send(self, items: Iterable[Item]) -> Iterator[tuple[Item, Outcome]]:
        """Keep the events."""
        for item in items:
            self.events.append(item.event())
            yield item, None

    def close(self) -> None:
        """Do nothing."""

    def abandon(self) -> None:
        """Do nothing."""


@contextmanager
def record() -> Iterator[list[dict[str, str]]]:
    """Let the default client record its events; afterwards it is the former one again.

    The reports of a substep are coalesced as usual: the last one is always there, those between
    may be. The events of a book are complete once its `with` statement has ended.
    """
    recorder = Recorder()
    recording = _client.Client(transport=recorder)
    with _client.replaced_by(recording):
        yield recorder.events
    recording.close()
