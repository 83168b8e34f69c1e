"""A stage of a book that this worker works on."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
import traceback
from collections.abc import AsyncIterable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from . import process, values
from .buffer import Item
from .errors import Failed, Superseded
from .session import Session
from .track import Track

if TYPE_CHECKING:
    from .book import Book
    from .resume import ResumePoint

log = logging.getLogger("bindery_client")
T = TypeVar("T")

BEGIN_TIMEOUT = 5.0
# What the checkpoint of a loop adds to the worker's own.
TRACKED_BYTES = 64


class Stage:
    """Work on one stage, in a `with` statement: `with book.stage("ANALYZING") as stage:`.

    The beginning enters the stage, or resumes it, or finds the book in it. While it is open, a
    heartbeat is sent in the background. An exception that leaves it makes the book FAILED, with
    the exception's name as the error's `code`, and is not suppressed.

    A stage that the book has passed, since it is complete or in a later stage, is skipped:
    `is_done` returns True, `track` yields nothing, and neither a report is sent nor the transition
    after the stage.

    Attributes:
        book: the book.
        name: the stage's name.
    """

    def __init__(
        self, book: Book, name: str, attempt: int | None, resume_point: ResumePoint | None
    ) -> None:
        self.book = book
        self.name = name = values.text(name, values.NAME)
        self._client = book._client
        self._sender = book._client.sender
        self._is_known = attempt is not None
        self._is_entered = False
        worker = values.text(self._client.worker, values.WORKER)
        self._session = Session(book.book_id, name, worker, attempt, resume_point)
        self._substep: str | None = None

    @property
    def attempt(self) -> int | None:
        """The attempt that this worker works on, from 1; None if it is not known (yet)."""
        return self._session.attempt

    @property
    def resume_point(self) -> ResumePoint | None:
        """What earlier attempts have finished; None if it is not known."""
        return self._session.resume_point

    @property
    def superseded(self) -> bool:
        """Whether the book has left this attempt; the next report raises `Superseded`."""
        return self._session.superseded is not None

    def __enter__(self) -> Stage:
        if self._is_entered:
            raise RuntimeError("a stage is entered once; ask the book for another one")
        self._is_entered = True
        session = self._session
        book = self.book
        book._register()
        session.last_sent = time.monotonic()
        self._sender.enter(session)
        fields = {"to_status": self.name, "worker": session.worker}
        if self._is_known:
            fields["attempt"] = str(session.attempt)
        with book._lock:
            former, book._session = book._session, session
        if former is not None and former.stage != self.name:
            former.is_open = False
        self._sender.add(Item("begin", book.book_id, fields, session))
        checker = self._client.checker
        if checker is not None:
            checker.follow(session, self._sender.buffer)
        try:
            self._await_begin()
            session.start()
            session.raise_if_superseded()
            if session.passed:
                log.info("book %s has passed %s, which is skipped", book.book_id, self.name)
        except BaseException as error:
            # Superseded, or interrupted while it waited: `with` does not leave what it has not
            # entered.
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        session = self._session
        for reference in list(session.tracks):
            track = reference()
            if track is not None:
                track.report()
        session.tracks.clear()
        if not process.is_own(session):
            # A child process leaves the parent's stage.
            return
        if error is None or isinstance(error, Superseded):
            session.is_open = False
            if error is None:
                session.raise_if_superseded()
            return
        if session.passed:
            return
        fields = {"error": _error(error), "message": _message(error)}
        session.is_open = False
        self._sender.add(Item("fail", self.book.book_id, fields, session))

    def track(
        self,
        items: Iterable[T] | AsyncIterable[T],
        substep: str = "all",
        *,
        total: int | None = None,
        unit: str | None = None,
        bar: bool | None = None,
    ) -> Track[T]:
        """Iterate over items, and report how many of them are finished.

        Items that a checkpoint of an earlier attempt covers are skipped, so they must come in the
        same order in each attempt. An item is finished when the next one is asked for.

        Args:
            items: what to iterate over, once; by `async for` if they are asynchronous.
            substep: the substep that these items are; `all` in a stage that declares none.
            total: how many items there are; by default `len(items)`. If it is not known, the
                substep stays at 0 percent until it is finished.
            unit: what is counted, such as page; up to 63 characters.
            bar: whether to draw a bar on standard error; by default if it is a terminal.

        Raises:
            ValueError: the substep is not lower snake case of up to 63 characters.
            Superseded: in the loop, once the book has left this attempt.
        """
        unit = None if unit is None else values.text(unit, values.UNIT)
        return Track(self, items, values.name(substep), total, unit, bar)

    def progress(
        self,
        progress: float | None = None,
        substep: str | None = None,
        *,
        done: float | None = None,
        total: float | None = None,
        unit: str | None = None,
        message: str | None = None,
    ) -> None:
        """Report the progress of a substep. The last report wins.

        Args:
            progress: percent, 0 to 100.
            substep: by default the one that was reported last, or `all`.
            done: instead of `progress`: how much of `total` is done.
            total: above 0, up to 1e15.
            unit: what `done` counts, such as page; up to 63 characters.
            message: for people, up to 8,192 characters.

        Numbers outside their range become the nearest end; NaN is ignored.

        Raises:
            ValueError: neither or both of `progress`, and `done` with `total`, are given; or the
                substep is not valid.
            Superseded: the book has left this attempt.
        """
        if (progress is None) == (done is None or total is None):
            raise ValueError("give either progress, or done and total")
        self._raise_if_over()
        changes = _changes(progress, done, total)
        if unit is not None:
            changes["unit"] = values.text(unit, values.UNIT)
        if message is not None:
            changes["message"] = values.text(message, values.MESSAGE)
        self._report(substep, changes)

    def message(self, text: str, substep: str | None = None) -> None:
        """Show a text for people beside a substep.

        Args:
            text: up to 8,192 characters.
            substep: by default the one that was reported last, or `all`.

        Raises:
            ValueError: the substep is not valid.
            Superseded: the book has left this attempt.
        """
        self._raise_if_over()
        self._report(substep, {"message": values.text(text, values.MESSAGE)})

    def checkpoint(self, value: Any, substep: str | None = None) -> None:
        """Save a value of your own, which the next attempt finds in `resume_point`.

        In a loop of `track` it marks the current item as finished, too: call it at the end of the
        loop's body. After the first call, the next attempt continues after the item of the
        last checkpoint, so that value and items belong together.

        Args:
            value: anything that `json.dumps` takes, up to 64 KiB. One that is larger is not saved,
                and logged; the last one that was saved stays.
            substep: by default the one of this thread's loop, or the one that was reported last,
                or `all`.

        Raises:
            TypeError: the value cannot be written as JSON.
            Superseded: the book has left this attempt.
        """
        self._raise_if_over()
        track = self._track(substep)
        try:
            encoded = values.encoded(value, 0 if track is None else TRACKED_BYTES)
        except ValueError as problem:
            log.error("a checkpoint of %s is not saved: %s", self.name, problem)
            return
        if track is None:
            self._report(substep, {"checkpoint": encoded})
        else:
            track.save(encoded)

    def plan(self, substeps: Mapping[str, float] | Iterable[str]) -> None:
        """Declare this book's own substeps of the stage; see `Book.plan`.

        Raises:
            ValueError: a key or a weight is not valid.
            Superseded: the book has left this attempt.
        """
        self._raise_if_over()
        if not self._session.passed:
            self.book.plan(self.name, substeps)

    def is_done(self, substep: str | None = None) -> bool:
        """Return whether an earlier attempt has finished a substep, or the whole stage.

        Args:
            substep: its key. None: return whether the book has passed the stage.
        """
        if substep is None or self._session.passed:
            return self._session.passed
        point = self._session.resume_point
        return point is not None and substep in point.done

    # For Track.

    def _raise_if_over(self) -> None:
        self._session.raise_if_superseded()

    def _wake(self) -> None:
        self._sender.wake()

    def _items_done(self, substep: str) -> tuple[int | None, tuple[int, str] | None]:
        """Return how many items to skip (None: all), and the checkpoint to continue from."""
        point = self._session.resume_point
        if point is None:
            return 0, None
        if substep in point.done:
            return None, None
        left = point.left.get(substep)
        if left is None:
            return 0, None
        if left.checkpoint is None:
            return left.items, None
        return left.items, (left.items, values.encoded(left.checkpoint))

    def _report(self, substep: str | None, changes: dict[str, Any]) -> None:
        name = substep or self._substep or "all"
        self._substep = name
        self._sender.report(self._session, values.name(name), changes)

    def _track(self, substep: str | None) -> Track[Any] | None:
        thread = threading.get_ident()
        for reference in reversed(self._session.tracks):
            track: Track[Any] | None = reference()
            if track is not None and (
                track.substep == substep if substep else track.thread == thread
            ):
                return track
        return None

    def _await_begin(self) -> None:
        client = self._client
        if not client.answers:
            return
        given = client.begin_timeout
        deadline = time.monotonic() + (BEGIN_TIMEOUT if given is None else given)
        buffer = self._sender.buffer
        with buffer.lock:
            while not self._session.begun:
                left = deadline - time.monotonic()
                if left <= 0 or (given is None and self._sender.is_away):
                    break
                buffer.changed.wait(left)
        # Not under the lock: a handler of the log may report, too.
        if not self._session.begun:
            log.warning("the attempt of %s is not known; the stage starts over", self.name)


def planned(substeps: Mapping[str, float] | Iterable[str]) -> list[str]:
    """Return substeps as JSON, in parts that fit an event; a plan adds to those before it."""
    weights = substeps if isinstance(substeps, Mapping) else dict.fromkeys(substeps)
    plan = []
    for key, weight in weights.items():
        entry: dict[str, Any] = {"substep": values.name(key)}
        if weight is not None:
            if not values.MIN_WEIGHT <= weight <= values.MAX_WEIGHT:
                raise values.Invalid(
                    "out_of_range", f"the weight of {key}, {weight}, is not from 1e-9 to 1e9"
                )
            entry["weight"] = weight
        plan.append(entry)
    if len(plan) > values.SUBSTEPS:
        raise values.Invalid(
            "too_many_substeps",
            f"{len(plan)} substeps are planned; a stage has at most {values.SUBSTEPS:,}",
        )
    return [json.dumps(plan[at : at + 500]) for at in range(0, len(plan), 500)]


def _changes(progress: float | None, done: float | None, total: float | None) -> dict[str, Any]:
    if progress is not None:
        percent = values.finite(progress)
        if percent is None:
            return {}
        return {"progress": min(max(percent, 0.0), 100.0), "done": None, "total": None}
    part, whole = values.finite(done or 0.0), values.finite(total or 0.0)
    if part is None or whole is None:
        return {}
    if whole <= 0:
        # Nothing to do is done.
        return {"progress": 100.0, "done": None, "total": None}
    whole = min(whole, values.TOTAL)
    return {"done": min(max(part, 0.0), whole), "total": whole}


def _error(error: BaseException) -> str:
    if isinstance(error, Failed):
        known = {"code": error.code} if error.retry else {"code": error.code, "retry": False}
        try:
            return values.encoded({**error.details, **known})
        except (TypeError, ValueError) as problem:
            # The work's own exception must come out, not this one.
            log.error("the details of %r are not sent: %s", error, problem)
            return values.encoded(known)
    kind = type(error)
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind.__name__).lower()
    return values.encoded({"code": snake, "type": f"{kind.__module__}.{kind.__qualname__}"})


def _message(error: BaseException) -> str:
    if isinstance(error, Failed):
        return values.text(error.message, values.MESSAGE)
    try:
        described = "".join(traceback.format_exception_only(type(error), error)).strip()
    except Exception:
        described = type(error).__name__
    return values.text(described, values.MESSAGE)
