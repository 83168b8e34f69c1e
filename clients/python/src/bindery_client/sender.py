"""The background thread that delivers a client's events, and sends heartbeats."""

from __future__ import annotations

import logging
import random
import threading
import time
import weakref
from collections.abc import Callable

from . import process
from .buffer import Buffer, Item
from .errors import Unavailable
from .session import Session
from .transports import Early, Transport

log = logging.getLogger("bindery_client")

BATCH = 500
LONGEST_PAUSE = 5.0


class Sender:
    """Owns the buffer and the transport of a client."""

    def __init__(
        self,
        transport: Callable[[], Transport],
        max_events: int,
        max_bytes: int,
        interval: float,
        heartbeat: float,
    ) -> None:
        self._make_transport = transport
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._interval = interval
        self._heartbeat = heartbeat
        self.sessions: weakref.WeakSet[Session] = weakref.WeakSet()
        self.transport = transport()
        self._reset()
        process.follow(self)

    def _reset(self) -> None:
        self.buffer = Buffer(self._max_events, self._max_bytes)
        # Only one thread uses the transport: the sender's, or at exit the main one.
        self._sending = threading.RLock()
        self._thread: threading.Thread | None = None
        self._urgent = False
        self._is_closed = False
        self._next_report = 0.0
        self._next_try = 0.0
        self._pause = 0.0
        self._refusals_logged: set[tuple[str, str, str]] = set()
        self._dropped_logged = 0
        # The server counts as available until it does not answer.
        self.is_away = False

    def after_fork(self) -> None:
        """Start empty in a child process: the parent sends what waits."""
        self.transport.abandon()
        self.transport = self._make_transport()
        self._reset()
        # The former set may have been in use by a thread that does not exist here.
        self.sessions = weakref.WeakSet(self._sessions())
        for session in self._sessions():
            session.tracks.clear()
            for substep in session.substeps.values():
                substep.item = None

    # The methods that the work calls; none waits for a server.

    def add(self, item: Item) -> None:
        """Send an event as soon as possible."""
        self.buffer.add(item)
        if not self._is_at_exit():
            self.wake()

    def enter(self, session: Session) -> None:
        """Send heartbeats for a session while it is open, and read its loops' counts."""
        with self.buffer.lock:
            self.sessions.add(session)

    def report(self, session: Session, name: str, changes: dict[str, object]) -> None:
        """Take over changes to a substep's state, and send it within the interval."""
        with self.buffer.lock:
            if session.is_over:
                return
            substep = session.substep(name)
            for key, value in changes.items():
                if getattr(substep, key) != value:
                    setattr(substep, key, value)
                    substep.changed.add(key)
            if substep.changed or (changes and not substep.is_known):
                substep.is_known = True
                self.buffer.report(session, substep)
        # Starts the thread, or delivers here.
        self._is_at_exit()

    def wake(self) -> None:
        """Let the thread send at once."""
        self._ensure_thread()
        with self.buffer.lock:
            self._urgent = True
            self.buffer.work.notify_all()

    def flush(self, timeout: float, book_id: str | None = None, *, patiently: bool = True) -> bool:
        """Wait until everything reported so far is settled; False if it is not in time.

        patiently: False: do not wait for a server that does not answer, nor for what has come too
            early.
        """
        deadline = time.monotonic() + timeout
        self.sample(book_id)
        with self.buffer.lock:
            if patiently:
                # The caller waits: try at once, not at the end of the pause.
                self._pause, self._next_try = 0.0, time.monotonic()
            number = self.buffer.last_number
            is_to_wake = True
            while not self.buffer.is_delivered(number, book_id, with_early=patiently):
                left = deadline - time.monotonic()
                if left <= 0 or (self.is_away and not patiently):
                    return False
                if is_to_wake:
                    self.wake()
                is_to_wake = not self.buffer.changed.wait(min(left, 0.5))
        return True

    def close(self, timeout: float) -> bool:
        """Deliver what waits, stop the thread, close the connection."""
        delivered = True
        if self.buffer.events:
            has_thread = self._ensure_thread()
            delivered = self.flush(timeout) if has_thread else self._drain(timeout)
        with self.buffer.lock:
            self._is_closed = True
            self.buffer.work.notify_all()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(1.0)
        # What the thread was sending may have arrived meanwhile.
        delivered = delivered or not self.buffer.events
        if not delivered:
            log.warning("%d events for Bindery were not delivered", self.buffer.events)
        if self._sending.acquire(timeout=1.0):
            self.transport.close()
            self._sending.release()
        self._is_closed = False
        return delivered

    def _sessions(self) -> list[Session]:
        with self.buffer.lock:
            return list(self.sessions)

    def sample(self, book_id: str | None = None) -> None:
        """Report the counts of the loops that run."""
        for session in self._sessions():
            if book_id in (None, session.book_id):
                for reference in list(session.tracks):
                    track = reference()
                    if track is not None:
                        track.report()

    # The thread.

    def _ensure_thread(self) -> bool:
        thread = self._thread
        if thread is not None and thread.is_alive():
            return True
        try:
            with self.buffer.lock:
                if self._thread is None or not self._thread.is_alive():
                    process.deliver_at_exit()
                    thread = threading.Thread(target=self._run, name="bindery-sender", daemon=True)
                    thread.start()
                    self._thread = thread
        except RuntimeError:
            # The interpreter ends, and starts no thread any more.
            return False
        return True

    def _run(self) -> None:
        buffer = self.buffer
        while True:
            with buffer.lock:
                if self._is_closed:
                    return
                pause = self._due_in(time.monotonic())
                if pause > 0:
                    buffer.work.wait(pause)
                    continue
                self._urgent = False
            try:
                self._step()
            except Exception:
                log.exception("the reports to Bindery have met an error; they continue")
                time.sleep(1.0)

    def _due_in(self, now: float) -> float:
        """Return after how many seconds the thread has something to do."""
        ready = self.buffer.next_due()
        if ready is not None and self.is_away:
            return max(ready, self._next_try) - now
        if self._urgent:
            return 0.0 if ready is None else ready - now
        due = now + self._heartbeat
        if ready is not None:
            due = max(self._next_report, ready)
        for session in self.sessions:
            if process.is_own(session) and session.is_open:
                due = min(due, session.last_sent + self._heartbeat)
                if session.tracks:
                    due = min(due, self._next_report)
        return due - now

    def _step(self) -> None:
        now = time.monotonic()
        self._next_report = now + self._interval
        self.sample()
        self._beat(now)
        if self.is_away and now < self._next_try:
            return
        while self._send_batch():
            pass

    def _beat(self, now: float) -> None:
        for session in self._sessions():
            is_due = session.last_sent + self._heartbeat <= now
            if is_due and session.is_open and process.is_own(session):
                session.last_sent = now
                # Whatever waits for its book will be a heartbeat, too.
                if session.superseded is None and not self.buffer.waits(session.book_id):
                    beat = Item("heartbeat", session.book_id, session=session)
                    self.buffer.add(beat)

    def _send_batch(self) -> bool:
        """Send one batch; False when nothing is left to send now."""
        with self._sending:
            batch = self.buffer.take(BATCH)
            if not batch:
                return False
            unsettled = dict.fromkeys(batch)
            try:
                live = []
                for item in batch:
                    session = item.session
                    if session is not None and session.is_over:
                        del unsettled[item]
                        self.buffer.settle(item)
                    else:
                        live.append(item)
                if not live:
                    return True
                for item, outcome in self.transport.send(live):
                    if isinstance(outcome, Early):
                        if item.early_since is None:
                            item.early_since = time.monotonic()
                        continue
                    del unsettled[item]
                    self._settle(item, outcome)
            except Exception as problem:
                if not isinstance(problem, Unavailable) and not self.is_away:
                    log.error("the transport to Bindery has met an error", exc_info=problem)
                self.buffer.put_back(list(unsettled))
                self._went_away(problem)
                return False
            self._came_back()
            self.buffer.put_back(list(unsettled), early=True)
            return True

    def _settle(self, item: Item, refusal: Exception | None) -> None:
        session = item.session
        if session is not None:
            session.last_sent = time.monotonic()
            if session.is_over:
                self.buffer.drop_session(session)
            answered = self.transport.answers_begin or session.begin_id is None
            if item.type == "begin" and (refusal is not None or answered):
                session.begun = True
        if refusal is not None:
            self._log_refusal(item, refusal)
        self.buffer.settle(item)

    def _log_refusal(self, item: Item, refusal: Exception) -> None:
        # Logged once per kind, because a substep may be reported a thousand times.
        known = (item.book_id, item.type, getattr(refusal, "code", ""))
        if known not in self._refusals_logged and len(self._refusals_logged) < 10_000:
            self._refusals_logged.add(known)
            log.warning("Bindery has refused a %s of book %s: %s", item.type, item.book_id, refusal)

    def _went_away(self, problem: Exception) -> None:
        self._pause = min(max(0.1, 2 * self._pause), LONGEST_PAUSE)
        self._next_try = time.monotonic() + self._pause * random.uniform(0.5, 1.0)
        with self.buffer.lock:
            was_away, self.is_away = self.is_away, True
            self.buffer.changed.notify_all()
        # Not under the lock: a handler of the log may report, too.
        if not was_away:
            log.warning("Bindery cannot be reached, reports wait: %s", problem)

    def _came_back(self) -> None:
        if not self.is_away:
            return
        with self.buffer.lock:
            self.is_away = False
            self._pause = 0.0
            dropped = self.buffer.dropped - self._dropped_logged
            self._dropped_logged = self.buffer.dropped
            self.buffer.changed.notify_all()
        if dropped:
            log.warning("Bindery is reached again; %d events were dropped meanwhile", dropped)
        else:
            log.info("Bindery is reached again")

    def _is_at_exit(self) -> bool:
        """Return whether the process is ending; if so, deliver what was reported since."""
        if not process.is_ending() and (
            # Python 3.12 starts no thread any more once the main one has ended.
            self._ensure_thread() or threading.main_thread().is_alive()
        ):
            return False
        if not self.is_away:
            self._drain(1.0)
        return True

    def _drain(self, timeout: float) -> bool:
        """Deliver from this thread."""
        deadline = time.monotonic() + timeout
        self.sample()
        while self.buffer.events and time.monotonic() < deadline:
            if not self._send_batch():
                time.sleep(0.05)
        return not self.buffer.events


class NoSender:
    """Takes the reports of a client without a URL, and does nothing."""

    is_away = True

    def __init__(self) -> None:
        self.buffer = Buffer(0, 0)

    def add(self, item: Item) -> None:
        """Do nothing."""

    def report(self, session: Session, name: str, changes: dict[str, object]) -> None:
        """Do nothing."""

    def enter(self, session: Session) -> None:
        """Do nothing."""

    def wake(self) -> None:
        """Do nothing."""

    def flush(self, timeout: float, book_id: str | None = None, *, patiently: bool = True) -> bool:
        """Return True: there is nothing to deliver."""
        return True

    def close(self, timeout: float) -> bool:
        """Return True: there is nothing to deliver."""
        return True
