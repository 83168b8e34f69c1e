"""The data shared by the work and the sender: a worker's session, and its substeps' states."""

from __future__ import annotations

import os
import threading
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import values
from .errors import Superseded

if TYPE_CHECKING:
    from .buffer import Item
    from .resume import ResumePoint
    from .track import Track


@dataclass(eq=False)
class Substep:
    """The newest state of a substep, and which parts of it are still to be sent.

    A report always sends the progress; the message and the checkpoint are sent when they changed.
    All members are read and written under the buffer's lock.
    """

    name: str
    progress: float = 0.0
    done: float | None = None
    total: float | None = None
    unit: str | None = None
    message: str | None = None
    checkpoint: str | None = None
    changed: set[str] = field(default_factory=set)
    # Whether it was reported before; the first report of 0 percent counts, too.
    is_known: bool = False
    # Its place in the buffer; None: nothing to send.
    item: Item | None = None

    def fields(self) -> dict[str, str]:
        """Return what a report of this state sends."""
        fields = {}
        if self.total is None:
            fields["progress"] = values.number(self.progress)
        else:
            fields["done"] = values.number(self.done or 0)
            fields["total"] = values.number(self.total)
        if self.unit is not None:
            fields["unit"] = self.unit
        if "message" in self.changed and self.message is not None:
            fields["message"] = self.message
        if "checkpoint" in self.changed and self.checkpoint is not None:
            fields["checkpoint"] = self.checkpoint
        return fields

    def size(self) -> int:
        """Return about how many bytes the report takes in memory."""
        return 512 + 2 * len(self.message or "") + len(self.checkpoint or "")


@dataclass(eq=False)
class Session:
    """One worker's stay in a stage of a book."""

    book_id: str
    stage: str
    worker: str
    attempt: int | None = None
    resume_point: ResumePoint | None = None
    superseded: Superseded | None = None
    # Whether the book is complete or in a later stage, so that nothing is left to do in this one.
    passed: bool = False
    # Whether the work has yet to start, so that it can still learn that nothing is left to do.
    is_awaited: bool = True
    substeps: dict[str, Substep] = field(default_factory=dict)
    # Running loops; the sender reads their counts.
    tracks: list[weakref.ref[Track[Any]]] = field(default_factory=list)
    # Set once the outcome of `begin` is known, or can no longer be known.
    begun: bool = False
    # The stream id of the `begin`, with which another server is asked for its outcome.
    begin_id: str | None = None
    # Between the begin and the end of the stage; heartbeats are sent then.
    is_open: bool = True
    # The process that sends heartbeats; one that was forked from it does not.
    pid: int = field(default_factory=os.getpid)
    last_sent: float = 0.0
    # Between the answer to `begin` and the work that waits for it.
    lock: threading.RLock = field(default_factory=threading.RLock)

    def substep(self, name: str) -> Substep:
        """Return a substep's state, which is made at its first report."""
        found = self.substeps.get(name)
        if found is None:
            found = Substep(values.name(name))
            point = self.resume_point
            if point is not None and name in point.left:
                found.progress = point.left[name].progress
            elif point is not None and name in point.done:
                found.progress = 100.0
            found = self.substeps.setdefault(name, found)
        return found

    def learn(self, point: ResumePoint) -> None:
        """Take over the answer to `begin`."""
        if point.status == self.stage:
            if self.attempt is None:
                self.attempt = point.attempt
            self.resume_point = point
        self.check(point.status, point.stage, point.attempt)
        self.begun = True

    def check(self, status: str | None, stage: str | None, attempt: int | None) -> None:
        """Compare where the book is with where this worker is."""
        if status != stage or stage != self.stage or self.attempt not in (None, attempt):
            self.supersede(status, attempt)

    def supersede(self, status: str | None, attempt: int | None) -> None:
        """Let the next report raise `Superseded`."""
        if self.superseded is None and self.is_open:
            self.superseded = Superseded(self.book_id, self.stage, self.attempt, status, attempt)
        self.begun = True

    def skip(self, status: str | None, attempt: int | None) -> None:
        """End the stay: the book has passed the stage. Work that has started is superseded."""
        with self.lock:
            if self.is_awaited:
                self.passed = self.begun = True
                self.is_open = False
            else:
                self.supersede(status, attempt)

    def start(self) -> None:
        """Let the work start, unless the stay is over."""
        with self.lock:
            self.is_awaited = False

    @property
    def is_over(self) -> bool:
        """Whether nothing is to be sent any more."""
        return self.passed or self.superseded is not None

    def raise_if_superseded(self) -> None:
        """Raise `Superseded` if the book has left this attempt."""
        known = self.superseded
        if known is not None:
            raise Superseded(
                known.book_id, known.stage, known.attempt, known.status, known.current_attempt
            )
