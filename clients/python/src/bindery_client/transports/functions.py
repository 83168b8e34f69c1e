"""Events through the SQL functions of the schema `bindery`; docs/api.md describes them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from .. import resume
from ..buffer import Item
from ..errors import Refused, Unavailable
from ..resume import ResumePoint
from ..session import Session
from . import Caller, Early, Json, Outcome

# A later change of the book can make these applicable, as with early events in a stream.
_EARLY = {"unknown_book", "stage_not_reached", "attempt_ahead"}
# As `bindery.settings.patience`.
PATIENCE = 15 * 60.0


class Reader:
    """Reads where a book is, through `get_resume_point`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def resume_point(self, book_id: str) -> ResumePoint | None:
        """Return the resume point, all of its pages; None for an unknown book."""
        try:
            return read_resume_point(self._caller, book_id)
        except Refused as refused:
            if refused.code == "unknown_book":
                return None
            raise Unavailable(f"get_resume_point: {refused}") from refused

    def state(self, book_id: str) -> tuple[str, str | None, int | None] | None:
        """Return the book's status, current stage and attempt."""
        row = self._read("book_status", "book_id", book_id, "status,current_stage,attempt")
        if row is None:
            return None
        return str(row["status"]), _text(row["current_stage"]), _integer(row["attempt"])

    def has_passed(self, book_id: str, stage: str) -> bool:
        """Return whether the book is complete or in a later stage."""
        try:
            status: Any = self._caller.call("get_book_status", {"book_id": book_id})
        except Refused as refused:
            raise Unavailable(f"get_book_status: {refused}") from refused
        return status["status"] != "CANCELLED" and any(
            (found["name"], found["state"]) == (stage, "done") for found in status["stages"]
        )

    def has_early_events(self, book_id: str) -> bool:
        """Return whether early events of the book wait."""
        return self._read("early_events", "book_id", book_id, "book_id") is not None

    def position(self, stream: str) -> str | None:
        """Return the relay's position in a stream."""
        row = self._read("relay_cursors", "stream", stream, "position")
        return None if row is None or row["position"] is None else str(row["position"])

    def _read(self, table: str, column: str, value: str, fields: str) -> dict[str, Any] | None:
        try:
            return self._caller.read(table, column, value, fields)
        except Refused as refused:
            raise Unavailable(f"{table}: {refused}") from refused

    def close(self) -> None:
        """Close the connection."""
        self._caller.close()

    def abandon(self) -> None:
        """Forget the connection."""
        self._caller.abandon()


class Functions:
    """Calls a function for each event."""

    answers_begin = True

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def send(self, items: Iterable[Item]) -> Iterator[tuple[Item, Outcome]]:
        """Call the functions, one after the other."""
        early: dict[tuple[str, Session | None], Early] = {}
        for item in items:
            # What follows in the same stage has to wait, too; other stages' events need not.
            place = (item.book_id, item.session)
            outcome: Outcome = early.get(place)
            if outcome is None:
                outcome = self._outcome(item)
                if isinstance(outcome, Early):
                    early[place] = outcome
            yield item, outcome

    def close(self) -> None:
        """Close the connection."""
        self._caller.close()

    def abandon(self) -> None:
        """Forget the connection."""
        self._caller.abandon()

    def _outcome(self, item: Item) -> Outcome:
        try:
            getattr(self, f"_{item.type}")(item, item.event())
        except Refused as refused:
            session, detail = item.session, refused.detail
            if refused.code == "stage_left" and session is not None:
                is_skipped = detail.get("passed") and session.attempt is None
                leave = session.skip if is_skipped else session.supersede
                leave(_text(detail.get("status")), _integer(detail.get("attempt")))
                return None
            now = time.monotonic()
            if refused.code in _EARLY and now - (item.early_since or now) < PATIENCE:
                return Early(refused)
            return refused
        return None

    def _register(self, item: Item, event: dict[str, str]) -> None:
        self._caller.call("register_book", _arguments(event, "metadata"))

    def _begin(self, item: Item, event: dict[str, str]) -> None:
        arguments = _arguments(event)
        expected = arguments.pop("attempt", None)
        session = item.session
        if expected is not None and session is not None:
            # A message of bindery:changes is about this attempt; do not resume a later one.
            point = read_resume_point(self._caller, item.book_id)
            if (point.status, point.attempt) != (session.stage, session.attempt):
                session.supersede(point.status, point.attempt)
                return
        answer = self._caller.call("begin_stage", arguments)
        if session is not None and isinstance(answer, dict):
            session.learn(_all_pages(self._caller, answer))

    def _transition(self, item: Item, event: dict[str, str]) -> None:
        self._caller.call("transition_book", _arguments(event))

    def _progress(self, item: Item, event: dict[str, str]) -> None:
        row = self._caller.call("report_progress", _arguments(event, "checkpoint"))
        if item.session is not None and isinstance(row, dict):
            item.session.check(row["status"], row["current_stage"], row["attempt"])

    def _plan(self, item: Item, event: dict[str, str]) -> None:
        self._caller.call("plan_substeps", _arguments(event, "substeps"))

    def _heartbeat(self, item: Item, event: dict[str, str]) -> None:
        row = self._caller.call("heartbeat", _arguments(event))
        if item.session is not None and isinstance(row, dict):
            item.session.check(row["status"], row["current_stage"], row["attempt"])

    def _fail(self, item: Item, event: dict[str, str]) -> None:
        row = self._caller.call("fail_book", _arguments(event, "error"))
        if item.session is not None and isinstance(row, dict) and row["status"] != "FAILED":
            # The book had left the stage or the attempt, so the call had no effect.
            item.session.supersede(_text(row["status"]), _integer(row["attempt"]))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _integer(value: Any) -> int | None:
    return None if value is None else int(value)


_NUMBERS = {"progress": float, "done": float, "total": float, "attempt": int}


def _arguments(event: dict[str, str], json: str = "") -> dict[str, object]:
    arguments: dict[str, object] = {}
    for key, value in event.items():
        if key in _NUMBERS:
            arguments[key] = _NUMBERS[key](value)
        elif key == json:
            arguments[key] = Json(value)
        elif key != "type":
            arguments[key] = value
    return arguments


def read_resume_point(caller: Caller, book_id: str) -> ResumePoint:
    """Read the whole resume point of a book.

    Raises:
        Refused: unknown_book.
        Unavailable: the server cannot be reached, or cannot serve now.
    """
    answer = caller.call("get_resume_point", {"book_id": book_id})
    if not isinstance(answer, dict):
        raise Unavailable(f"get_resume_point has returned {type(answer).__name__}")
    return _all_pages(caller, answer)


def _all_pages(caller: Caller, answer: dict[str, Any]) -> ResumePoint:
    page = answer
    left = list(page.get("left") or [])
    while page.get("cut") and page.get("left"):
        arguments = {"book_id": answer["book_id"], "after": page["left"][-1]["substep"]}
        following = caller.call("get_resume_point", arguments)
        if not isinstance(following, dict) or following["revision"] != answer["revision"]:
            # The book has changed meanwhile; what is missing starts over.
            break
        page = following
        left += page.get("left") or []
    return resume.read({**answer, "left": left})
