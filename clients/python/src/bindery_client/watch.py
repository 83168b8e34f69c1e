"""Follow a book from elsewhere: its status, and each change of it."""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

from .errors import Refused, Unavailable
from .ids import book_uuid
from .transports import caller_for, scheme_of

log = logging.getLogger("bindery_client")

LONGEST_PAUSE = 5.0


def watch(
    book_id: str | uuid.UUID,
    *,
    url: str | None = None,
    key: str | None = None,
    timeout: float | None = None,
    poll: float = 2.0,
    stop: threading.Event | None = None,
) -> Iterator[dict[str, Any]]:
    """Iterate over a book's status: first as it is, then after each change.

    Changes that follow each other fast come as one, the latest. The iteration ends once the book
    is complete or CANCELLED; a FAILED book may still be resumed. It waits for a book that is not
    registered yet. While the server cannot be reached it waits, too; one warning is logged.

    Args:
        book_id: a uuid, or the text that was given to `book`.
        url: `postgresql://` (notified of changes) or `https://` (polled). By default
            BINDERY_STATUS_URL, or BINDERY_URL.
        key: the key of PostgREST, or a token for the HTTP API. By default BINDERY_KEY.
        timeout: seconds after which the iteration ends; by default never.
        poll: seconds between two reads if no notification arrives.
        stop: an event that ends the iteration, within a quarter of a second.

    Yields:
        What `bindery.get_book_status` returns: `status`, `overall_progress` (0 to 100),
        `current_stage`, `substeps`, `stages`, `attempt`, `revision`, `health` and more.

    Raises:
        ValueError: the URL is missing, or is neither of the two.
    """
    environment = os.environ
    url = url or environment.get("BINDERY_STATUS_URL") or environment.get("BINDERY_URL") or ""
    if scheme_of(url) not in ("postgresql", "https"):
        raise ValueError(
            "watching a book needs a postgresql:// or https:// URL; "
            "set BINDERY_STATUS_URL (a Redis stream holds no status)"
        )
    # Not a generator itself, so that a wrong URL is refused by the call.
    return _changes(
        str(book_uuid(book_id)), url, key or environment.get("BINDERY_KEY"), timeout, poll, stop
    )


def _changes(
    book_id: str,
    url: str,
    key: str | None,
    timeout: float | None,
    poll: float,
    stop: threading.Event | None,
) -> Iterator[dict[str, Any]]:
    caller = caller_for(url, key)
    deadline = None if timeout is None else time.monotonic() + timeout
    # The compared part: the health changes with time alone, without a revision.
    shown: tuple[object, object] | None = None
    pause = 0.0

    def is_over() -> bool:
        late = deadline is not None and time.monotonic() >= deadline
        return late or (stop is not None and stop.is_set())

    try:
        while not is_over():
            try:
                caller.listen()
                status = _status(caller.call("get_book_status", {"book_id": book_id}))
                pause = 0.0
            except Unavailable as problem:
                if not pause:
                    log.warning("the status of book %s cannot be read: %s", book_id, problem)
                pause = min(max(2 * pause, 0.2), LONGEST_PAUSE)
                _sleep(pause, is_over)
                continue
            except Refused as refused:
                if refused.code != "unknown_book":
                    raise ValueError(f"book {book_id} cannot be watched: {refused}") from refused
                status = {}
            state = (status.get("revision"), status.get("health"))
            if status and state != shown:
                shown = state
                yield status
                if status.get("completed_at") or status.get("status") == "CANCELLED":
                    return
            try:
                until = time.monotonic() + poll
                while time.monotonic() < until and not is_over():
                    if caller.wait_for_change(book_id, min(poll, 0.25)):
                        break
            except Unavailable:
                # The next call logs the problem.
                continue
    finally:
        caller.close()


def _status(answer: object) -> dict[str, Any]:
    return answer if isinstance(answer, dict) else {}


def _sleep(seconds: float, is_over: Any) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not is_over():
        time.sleep(min(0.1, seconds))
