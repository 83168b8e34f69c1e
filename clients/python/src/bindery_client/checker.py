"""Asks a second server (the status URL) what a stream cannot answer.

Events in a stream have no reply. This thread learns the attempt and the resume point of a `begin`
once the relay has applied it, and notices that a book has left the attempt of a worker.
"""

from __future__ import annotations

import logging
import threading
import time

from . import process
from .buffer import Buffer
from .errors import Unavailable
from .session import Session
from .transports import StatusReader

log = logging.getLogger("bindery_client")

# Seconds between two checks: for the outcome of a begin, and otherwise.
BEGIN_EVERY = 0.05
CHECK_EVERY = 2.0
# Seconds that the connection is kept for the next stage.
LINGER = 10.0


class Checker:
    """A thread that runs while stages are open."""

    def __init__(self, reader: StatusReader, stream: str) -> None:
        self._reader = reader
        self._stream = stream
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._buffer: Buffer | None = None
        self._sessions: list[Session] = []
        self._wake = threading.Event()
        self._pid = 0
        self._is_away = False

    def follow(self, session: Session, buffer: Buffer) -> None:
        """Check a session until it is closed."""
        if self._pid != process.pid():
            # In a child of the process that opened the connection.
            self._reader.abandon()
            self._lock = threading.Lock()
            self._sessions, self._thread, self._wake = [], None, threading.Event()
            self._pid = process.pid()
        with self._lock:
            self._buffer = buffer
            self._sessions.append(session)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="bindery-checker", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    # The interpreter ends and starts no more threads: no answer will come.
                    session.begun = True
                    return
                self._thread = thread
        self._wake.set()

    def _run(self) -> None:
        checked = 0.0
        needed = time.monotonic()
        while True:
            with self._lock:
                self._sessions = [s for s in self._sessions if s.is_open and not s.superseded]
                sessions = list(self._sessions)
                if sessions:
                    needed = time.monotonic()
                elif time.monotonic() > needed + LINGER:
                    self._thread = None
                    self._reader.close()
                    return
            begins = [s for s in sessions if not s.begun or s.attempt is None]
            try:
                for session in begins:
                    if session.begin_id is not None:
                        self._learn(session)
                if time.monotonic() >= checked + CHECK_EVERY:
                    checked = time.monotonic()
                    for session in sessions:
                        if session.attempt is not None:
                            self._check(session)
                self._is_away = False
            except Unavailable as problem:
                if not self._is_away:
                    self._is_away = True
                    log.warning("the status of books cannot be read: %s", problem)
            del sessions
            recent = begins and not self._is_away
            self._wake.wait(BEGIN_EVERY if recent else CHECK_EVERY)
            self._wake.clear()

    def _learn(self, session: Session) -> None:
        position = self._reader.position(self._stream)
        if position is None or _entry(position) < _entry(session.begin_id or ""):
            return
        # An early begin waits in Bindery. It is checked first: once it no longer waits, the book's
        # state is its outcome.
        waits = self._reader.has_early_events(session.book_id)
        point = self._reader.resume_point(session.book_id)
        if point is None or self._buffer is None or (waits and point.status != session.stage):
            return
        passed = (
            session.attempt is None
            and point.status != session.stage
            and self._reader.has_passed(session.book_id, session.stage)
        )
        with self._buffer.lock:
            if passed:
                session.skip(point.status, point.attempt)
            else:
                session.learn(point)
            self._buffer.changed.notify_all()

    def _check(self, session: Session) -> None:
        state = self._reader.state(session.book_id)
        if state is not None and self._buffer is not None:
            with self._buffer.lock:
                session.check(*state)


def _entry(entry_id: str) -> tuple[int, int]:
    """Return the id of a stream's entry as numbers that can be compared."""
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence or 0)
