"""Iteration whose progress is reported: the loop counts, the sender looks at the count."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator
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
        items: Iterable[T],
        substep: str,
        total: int | None,
        unit: str | None,
        bar: bool | None,
    ) -> None:
        self._stage = stage
        self._items = items
        self.substep = substep
        if total is None:
            try:
                total = len(items)  # type: ignore[arg-type]
            except TypeError:
                total = None
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
        stage = self._stage
        session = stage._session
        stage._raise_if_over()
        self.thread = threading.get_ident()
        iterator = iter(self._items)
        skipped, self.saved = stage._items_done(self.substep)
        if skipped is None:
            self.done = self.total or 0
            return
        if skipped:
            next(islice(iterator, skipped - 1, skipped), None)
        self.done = done = skipped
        bar = Bar.for_terminal(self._bar, self.substep, self.total, self._unit)
        reference = weakref.ref(self)
        own = process.pid()
        session.tracks.append(reference)
        stage._substep = self.substep
        stage._wake()
        try:
            if bar is None:
                for item in iterator:
                    yield item
                    done += 1
                    self.done = done
                    if session.superseded is not None:
                        session.raise_if_superseded()
            else:
                for item in iterator:
                    yield item
                    done += 1
                    self.done = done
                    bar.show(done)
                    if session.superseded is not None:
                        session.raise_if_superseded()
            self._is_finished = True
        finally:
            # A process that was forked in the loop does not report for its parent.
            if process.pid() == own:
                session.tracks.remove(reference)
                if bar is not None:
                    bar.close(done)
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
        saved = self.saved
        state = (self.done, saved, self._is_finished)
        if state == self._reported:
            return
        self._reported = state
        items, data = saved or (self.done, None)
        changes = {**self._progress(), "checkpoint": wrap(items, data)}
        self._stage._sender.report(self._stage._session, self.substep, changes)

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
