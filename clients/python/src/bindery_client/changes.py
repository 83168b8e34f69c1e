"""The stream `bindery:changes`, read by a consumer group: each message is worked on once.

A message stays with its consumer until the work on it has ended. While it is worked on, its lease
is renewed; the message of a consumer that died is claimed by another one after its lease.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import redis

from .resume import ResumePoint, read
from .transports.redis_url import AnyRedis, Connection

_DONE = "done"
# How long the id of a finished message is kept, in case it is published again: a day.
_KNOWN_SECONDS = 86_400


@dataclass(frozen=True, eq=False)
class Change:
    """A message: a book has changed its status.

    Attributes:
        entry: the id of the stream's entry.
        id: the message's own id, the same each time that it is published.
    """

    entry: str
    id: str
    book_id: str
    revision: int
    to_status: str
    stage: str | None
    attempt: int
    resume_point: ResumePoint | None


def parse(entry: str, fields: dict[str, str]) -> Change | None:
    """Read a message; None if it is not one of Bindery's."""
    try:
        payload = json.loads(fields["payload"])
        point = payload.get("resume_point")
        # A cut one lacks the lists of finished and unfinished substeps.
        known = read(point) if point and not point.get("cut") else None
        return Change(
            entry=entry,
            id=fields["id"],
            book_id=str(payload["book_id"]),
            revision=int(payload["revision"]),
            to_status=str(payload["to_status"]),
            stage=payload.get("stage"),
            attempt=int(payload["attempt"]),
            resume_point=known,
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


class Changes:
    """One consumer of the group. Methods raise `redis.RedisError` while Redis is away."""

    def __init__(
        self, connection: Connection, stream: str, group: str, consumer: str, lease: float
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._group = group
        self._consumer = consumer
        self._lease = int(lease * 1000)

    @property
    def _client(self) -> AnyRedis:
        return self._connection.client()

    def join(self) -> None:
        """Create the group if it is missing; it begins with the oldest message."""
        try:
            self._client.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        except redis.ResponseError as problem:
            if "BUSYGROUP" not in str(problem):
                raise

    def new(self, count: int, seconds: float) -> list[Change]:
        """Wait for messages that no consumer has."""
        answer = self._client.xreadgroup(
            self._group,
            self._consumer,
            {self._stream: ">"},
            count=count,
            block=max(int(seconds * 1000), 1),
        )
        streams = cast("Any", answer) or []
        entries = streams.items() if isinstance(streams, dict) else streams
        return [change for _, found in entries for change in self._parsed(found)]

    def abandoned(self, count: int) -> list[Change]:
        """Claim messages whose consumers have let their leases end."""
        answer = self._client.xautoclaim(
            self._stream, self._group, self._consumer, self._lease, "0-0", count=count
        )
        return self._parsed(cast("Any", answer)[1])

    def take(self, change: Change, *, is_claimed: bool) -> bool:
        """Take the lease of a message; False if it was worked on, or is being worked on."""
        key = self._key(change)
        if self._client.set(key, self._consumer, nx=True, px=self._lease):
            return True
        # A new one was published twice: its first entry stays with its consumer until the work
        # has ended. One that was claimed too early comes again after another lease.
        if not is_claimed or self._client.get(key) == _DONE:
            self._acknowledge(change)
        return False

    def renew(self, changes: Iterable[Change]) -> list[Change]:
        """Renew leases; return the messages that another consumer has claimed meanwhile."""
        lost = []
        for change in changes:
            mine = self._client.xpending_range(
                self._stream, self._group, change.entry, change.entry, 1, self._consumer
            )
            if not mine:
                lost.append(change)
                continue
            self._client.set(self._key(change), self._consumer, px=self._lease)
            entries: Any = [change.entry]
            self._client.xclaim(self._stream, self._group, self._consumer, 0, entries, justid=True)
        return lost

    def finish(self, change: Change) -> None:
        """Acknowledge a message after the work on it has ended, successful or not."""
        self._client.set(self._key(change), _DONE, ex=_KNOWN_SECONDS)
        self._acknowledge(change)

    def leave(self) -> None:
        """Leave the group, unless it has messages that other consumers have to claim."""
        pending: Any = self._client.xpending_range(
            self._stream, self._group, "-", "+", 1, self._consumer
        )
        if not pending:
            self._client.xgroup_delconsumer(self._stream, self._group, self._consumer)

    def latest(self, change: Change, after: str) -> tuple[Change, str]:
        """Return the latest message about the same book, and the id of the last entry.

        after: the id of an entry; only later ones are read.
        """
        latest = change
        while True:
            entries = cast("Any", self._client.xrange(self._stream, f"({after}", "+", count=1000))
            for found in self._parsed(entries, acknowledge=False):
                if found.book_id == change.book_id and found.revision > latest.revision:
                    latest = found
            if entries:
                after = entries[-1][0]
            if len(entries) < 1000:
                return latest, after

    def _acknowledge(self, change: Change) -> None:
        self._client.xack(self._stream, self._group, change.entry)

    def _parsed(self, entries: Any, *, acknowledge: bool = True) -> list[Change]:
        found = []
        for entry, fields in entries:
            # A claimed entry that was trimmed has no fields.
            change = parse(entry, fields) if fields else None
            if change is not None:
                found.append(change)
            elif acknowledge:
                self._client.xack(self._stream, self._group, entry)
        return found

    def _key(self, change: Change) -> str:
        return f"{self._stream}:{self._group}:{change.id}"
