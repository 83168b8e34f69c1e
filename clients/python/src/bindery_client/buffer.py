"""The bounded buffer between the work and the sender.

Each book has a lane. Within a lane the order of events is kept; a substep waits in it once, and a
newer report replaces its state. The bound counts events and bytes. When it is reached, the oldest
waiting reports and heartbeats are dropped first; an event of another type is dropped only when
nothing else is left to drop, and then it is the newest one. What is dropped is counted.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from .session import Session, Substep

BATCH_BYTES = 1024 * 1024

# Reports may be dropped: the next one of the substep replaces them.
_DROPPABLE = ("progress", "heartbeat")


@dataclass(eq=False)
class Item:
    """An event that waits to be sent; `fields` are texts, `None` fields are left out."""

    type: str
    book_id: str
    fields: dict[str, str] = field(default_factory=dict)
    session: Session | None = None
    substep: Substep | None = None
    number: int = 0
    size: int = 0
    # Since when an answer is awaited that a later change can make another one (early events).
    early_since: float | None = None
    # The parts of the substep that this sending carries.
    sent: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        # Its approximate size in memory.
        self.size = 512 + sum(map(len, self.fields.values()))

    def event(self) -> dict[str, str]:
        """Return the event as docs/events.md has it, all values as text."""
        event = {"type": self.type, "book_id": self.book_id}
        session = self.session
        if session is not None and self.type in ("progress", "heartbeat", "fail"):
            event["stage"] = session.stage
        # A begin has one only if it was given (by a message of bindery:changes).
        has_attempt = self.type in ("progress", "heartbeat", "fail", "transition")
        if session is not None and session.attempt is not None and has_attempt:
            event["attempt"] = str(session.attempt)
        if self.substep is not None:
            event["substep"] = self.substep.name
        event.update(self.fields)
        return event


@dataclass(eq=False)
class _Lane:
    waiting: deque[Item] = field(default_factory=deque)
    in_flight: deque[Item] = field(default_factory=deque)
    # Early events; each is sent again before all others when it is due.
    early: deque[Item] = field(default_factory=deque)
    early_at: float = 0.0
    pause: float = 0.0

    def oldest(self, *, with_early: bool = True) -> int | None:
        parts = (self.in_flight, self.waiting, self.early if with_early else None)
        return min((items[0].number for items in parts if items), default=None)

    def remove(self, item: Item) -> None:
        (self.waiting if item in self.waiting else self.early).remove(item)


class Buffer:
    """See the module's text. All methods may be called from any thread and signal handler."""

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self.max_events = max_events
        self.max_bytes = max_bytes
        # Reentrant: a signal handler or a finalizer may report while its thread holds the lock.
        self.lock = threading.RLock()
        # Two conditions: threads that wait for delivery must not wake each other. With one, ten of
        # them kept the processor busy and the sender from the lock.
        self.work = threading.Condition(self.lock)
        self.changed = threading.Condition(self.lock)
        self.dropped = 0
        self.events = 0
        self.bytes = 0
        self._lanes: dict[str, _Lane] = {}
        self._droppable: OrderedDict[int, Item] = OrderedDict()
        self._numbers = itertools.count(1)
        self.last_number = 0

    def add(self, item: Item) -> bool:
        """Append an event to its book's lane; False if it was dropped because of the bound."""
        with self.lock:
            item.number = self.last_number = next(self._numbers)
            if not self._make_room(item):
                self.dropped += 1
                return False
            self._lanes.setdefault(item.book_id, _Lane()).waiting.append(item)
            self._count(item, 1)
            return True

    def report(self, session: Session, substep: Substep) -> None:
        """Queue a report of a substep's newest state, unless one waits."""
        with self.lock:
            item = substep.item
            if item is None:
                item = Item("progress", session.book_id, session=session, substep=substep)
                item.size = substep.size()
                if self.add(item):
                    substep.item = item
                    # The sender may sleep until its next heartbeat.
                    self.work.notify_all()
            else:
                self.bytes += substep.size() - item.size
                item.size = substep.size()
                self._make_room(None)

    def take(self, at_most: int) -> list[Item]:
        """Take events that are due, each lane's in its order; they are in flight until settled.

        A lane's part ends after a `begin`, so that its outcome is known before what follows is
        sent. A lane with events in flight gives none.
        """
        now = time.monotonic()
        taken: list[Item] = []
        size = 0
        with self.lock:
            for book_id in list(self._lanes):
                lane = self._lanes[book_id]
                if lane.in_flight:
                    continue
                if lane.early and lane.early_at <= now:
                    lane.waiting.extendleft(reversed(lane.early))
                    lane.early.clear()
                while lane.waiting and len(taken) < at_most and size < BATCH_BYTES:
                    item = lane.waiting.popleft()
                    self._droppable.pop(item.number, None)
                    substep = item.substep
                    if substep is not None:
                        substep.item = None
                        item.fields = substep.fields()
                        item.sent = frozenset(substep.changed)
                        substep.changed.clear()
                    lane.in_flight.append(item)
                    taken.append(item)
                    size += item.size
                    if item.type == "begin":
                        break
                if lane.in_flight and len(self._lanes) > 1:
                    # The next call begins with another book.
                    self._lanes[book_id] = self._lanes.pop(book_id)
                if len(taken) >= at_most or size >= BATCH_BYTES:
                    break
        return taken

    def settle(self, item: Item) -> None:
        """Forget an event: it was delivered, or it never will be."""
        with self.lock:
            lane = self._lanes[item.book_id]
            lane.in_flight.remove(item)
            self._count(item, -1)
            if lane.oldest() is None:
                del self._lanes[item.book_id]
            self.changed.notify_all()

    def put_back(self, items: list[Item], *, early: bool = False) -> None:
        """Let events wait again, before all others of their lanes.

        early: they have come too early, and wait for a time that doubles from 0.1 to 2 seconds.
        """
        with self.lock:
            for item in items if early else reversed(items):
                lane = self._lanes[item.book_id]
                lane.in_flight.remove(item)
                substep = item.substep
                if substep is not None:
                    substep.changed |= item.sent
                    if substep.item is not None:
                        # A newer report waits, and now sends these parts, too.
                        newer = substep.item
                        lane.waiting.remove(newer)
                        self._droppable.pop(newer.number, None)
                        self._count(newer, -1)
                    substep.item = item
                if not early:
                    lane.waiting.appendleft(item)
                else:
                    if not lane.early:
                        lane.pause = min(max(2 * lane.pause, 0.1), 2.0)
                        lane.early_at = time.monotonic() + lane.pause
                    lane.early.append(item)
                if item.type in _DROPPABLE:
                    self._droppable[item.number] = item
                    self._droppable.move_to_end(item.number, last=False)

    def drop_session(self, session: Session) -> None:
        """Drop what waits of a session that is over."""
        with self.lock:
            lane = self._lanes.get(session.book_id)
            if lane is None:
                return
            waiting = (*lane.early, *lane.waiting)
            for item in [item for item in waiting if item.session is session]:
                self._drop(lane, item)
            if lane.oldest() is None:
                del self._lanes[session.book_id]
            self.changed.notify_all()

    def waits(self, book_id: str) -> bool:
        """Return whether an event of a book waits to be sent."""
        with self.lock:
            lane = self._lanes.get(book_id)
            return lane is not None and bool(lane.waiting)

    def next_due(self) -> float | None:
        """Return when something can be taken (monotonic time); None: nothing waits."""
        with self.lock:
            lanes = self._lanes.values()
            if any(lane.waiting for lane in lanes):
                return 0.0
            return min((lane.early_at for lane in lanes if lane.early), default=None)

    def is_delivered(
        self, number: int, book_id: str | None = None, *, with_early: bool = True
    ) -> bool:
        """Return whether everything up to this number (of one book) is settled.

        with_early: False: but for what has come too early.
        """
        with self.lock:
            lanes = self._lanes.values() if book_id is None else [self._lanes.get(book_id)]
            oldest = [lane.oldest(with_early=with_early) for lane in lanes if lane is not None]
            return all(found is None or found > number for found in oldest)

    def _count(self, item: Item, sign: int) -> None:
        self.events += sign
        self.bytes += sign * item.size
        if sign > 0 and item.type in _DROPPABLE:
            self._droppable[item.number] = item

    def _is_full(self, item: Item | None) -> bool:
        events, size = (1, item.size) if item else (0, 0)
        return self.events + events > self.max_events or self.bytes + size > self.max_bytes

    def _make_room(self, item: Item | None) -> bool:
        while self._is_full(item) and self._droppable:
            oldest = next(iter(self._droppable.values()))
            lane = self._lanes[oldest.book_id]
            self._drop(lane, oldest)
            self.dropped += 1
            if lane.oldest() is None:
                del self._lanes[oldest.book_id]
        return not self._is_full(item)

    def _drop(self, lane: _Lane, item: Item) -> None:
        lane.remove(item)
        self._droppable.pop(item.number, None)
        self._count(item, -1)
        if item.substep is not None:
            item.substep.item = None
