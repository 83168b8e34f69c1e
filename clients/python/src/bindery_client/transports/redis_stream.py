"""Events through Redis: entries of a stream that `binderyd` relays into Postgres.

A batch is one MULTI/EXEC: all of its entries or none. A batch whose reply was lost is sent again;
Bindery applies a repeated event without effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import redis

from ..buffer import Item
from ..errors import Unavailable
from . import Outcome
from .redis_url import Connection


class RedisStream:
    """XADD to one stream."""

    answers_begin = False

    def __init__(self, url: str, stream: str) -> None:
        self._stream = stream
        self._connection = Connection(url, socket_timeout=5)

    def send(self, items: Iterable[Item]) -> Iterator[tuple[Item, Outcome]]:
        """Append the events in one transaction."""
        batch = list(items)
        try:
            with self._connection.client().pipeline(transaction=True) as pipeline:
                for item in batch:
                    # Its type wants keys and values of every type that Redis takes.
                    pipeline.xadd(self._stream, cast("dict[Any, Any]", item.event()))
                ids = pipeline.execute()
        except (redis.RedisError, OSError) as error:
            # Reconnect: after a timeout a reply may still arrive.
            self.close()
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        for item, entry in zip(batch, ids, strict=True):
            if item.type == "begin" and item.session is not None:
                item.session.begin_id = entry
            yield item, None

    def close(self) -> None:
        """Close the connection; the next batch opens another one."""
        self._connection.close()

    def abandon(self) -> None:
        """Do nothing: redis-py does not use a connection that another process has opened."""
