"""Iteration whose progress is reported: the loop counts, the sender reads the count."""

from __future__ import annotations

import threading
import weakref
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sized
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import process
from .bar import Bar
from .resume import wrap

if TYPE_CHECKING:
    from .stage import Stage

T = TypeVar("T")


class Track(Generic[T]):
    """See `Stage.track`. Iterate over it once.

    Attributes:
        done: how many items are finished, skipped ones included.
        total: how many items there are; None if it is not known.
    """

    def __init__(
        self,
        stage: Stage,
        items: Iterable[T] | AsyncIterable[T],
        substep: str,
        total: int | None,
        unit: str | None,
        bar: bool | None,
    ) -> None:
        self._stage = stage
        self._session = stage._session
        self._reference = weakref.ref(self)
        self._shown: Bar | None = None
        self._pid = 0
        self._items = items
        self.substep = substep
        if total is None:
            total = len(items) if isinstance(items, Sized) else None
        self.total = total
        self.done = 0
        self.thread: int | None = None
        # The items that the worker's own checkpoint covers; None: it has saved none.
        self.saved: tuple[int, str] | None = None
        self._unit = unit
        self._bar = bar
        self._is_finished = False
        self._reported: tuple[int, object, bool] | None = None

    def __iter__(self) -> Iterator[T]:
        if isinstance(self._items, AsyncIterable):
            raise TypeError("these items are asynchronous; iterate over them by `async for`")
        done = self._open()
        if done is None:
            return
        session = self._session
        bar = self._shown
        try:
            # Two loops: this is what a step costs.
            if bar is None:
                for item in islice(self._items, done, None):
                    yield item
                    done += 1
                    self.done = done
                    if session.superseded is not None:
                        session.raise_if_superseded()
            else:
                for item in islice(self._items, done, None):
                    yield item
                    done += 1
                    self.done = done
                    bar.show(done)
                    if session.superseded is not None:
                        session.raise_if_superseded()
            self._is_finished = True
        finally:
            self._close()

    async def __aiter__(self) -> AsyncIterator[T]:
        skipped = self._open()
        if skipped is None:
            return
        try:
            async for item in _asynchronous(self._items):
                if skipped:
                    skipped -= 1
                    continue
                yield item
                self.done += 1
                if self._shown is not None:
                    self._shown.show(self.done)
                self._session.raise_if_superseded()
            self._is_finished = True
        finally:
            self._close()

    def _open(self) -> int | None:
        """Begin the loop; return how many items to skip, None for all."""
        stage = self._stage
        self._session.raise_if_superseded()
        self.thread = threading.get_ident()
        skipped, self.saved = stage._items_done(self.substep)
        if skipped is None or self._session.passed:
            self.done = self.total or 0
            return None
        self.done = skipped
        self._shown = Bar.for_terminal(self._bar, self.substep, self.total, self._unit)
        self._session.tracks.append(self._reference)
        self._pid = process.pid()
        stage._substep = self.substep
        stage._wake()
        return skipped

    def _close(self) -> None:
        # A process that was forked in the loop does not report for its parent.
        if process.pid() != self._pid:
            return
        if self._reference in self._session.tracks:
            self._session.tracks.remove(self._reference)
        if self._shown is not None:
            self._shown.close(self.done)
        self.report()

    def __len__(self) -> int:
        if self.total is None:
            raise TypeError("the number of items is not known")
        return self.total

    def save(self, encoded: str) -> None:
        """Save the worker's own checkpoint, with the current item finished."""
        self.saved = (self.done + 1, encoded)

    def report(self) -> None:
        """Report the count if it has changed."""
        # The loop's thread and the sender's: an older count must not come after a newer one.
        with self._stage._sender.buffer.lock:
            saved = self.saved
            state = (self.done, saved, self._is_finished)
            if state == self._reported:
                return
            self._reported = state
            items, data = saved or (self.done, None)
            changes = {**self._progress(), "checkpoint": wrap(items, data)}
            self._stage._sender.report(self._session, self.substep, changes)

    def _progress(self) -> dict[str, Any]:
        changes: dict[str, Any] = {"unit": self._unit} if self._unit else {}
        if self._is_finished:
            if self.done:
                return changes | {"done": float(self.done), "total": float(self.done)}
            return changes | {"progress": 100.0, "total": None}
        if self.total:
            done = float(min(self.done, self.total))
            return changes | {"done": done, "total": float(self.total)}
        return changes | {"progress": 0.0, "total": None}


async def _asynchronous(items: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
