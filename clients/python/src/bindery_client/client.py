"""A client: the settings, and the connection that its books share."""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .book import Book
from .checker import Checker
from .ids import book_uuid
from .sender import NoSender, Sender
from .transports import Transport, reader_for, transport_for

log = logging.getLogger("bindery_client")


class Client:
    """Reports to one server. Most programs need only the default client, see `configure`.

    Args:
        url: where to report: `redis://`, `rediss://` (also with `+sentinel` or `+cluster`, as
            binderyd's `--redis-url`), `postgresql://` or `https://` (binderyd or PostgREST; the
            server is asked which, unless the URL ends in /rest/v1). By default the environment's
            BINDERY_URL; without one, nothing is reported.
        status_url: with a Redis URL, where to read attempts and resume points: `postgresql://` or
            `https://` (PostgREST). By default BINDERY_STATUS_URL.
        stream: the stream in Redis. By default BINDERY_STREAM, or `bindery:events`.
        key: the service key of PostgREST, or a token for the HTTP API. By default BINDERY_KEY.
        worker: this worker's name in the books' history, up to 255 characters. By default the
            host's name and the process's id.
        interval: seconds between two reports of the same substep, at least.
        heartbeat: seconds without a report after which an open stage sends a heartbeat. Keep it
            well below the pipeline's `stall_after`.
        max_events: how many events wait, at most, while the server cannot be reached.
        max_bytes: how many bytes they may take, about.
        begin_timeout: seconds that the beginning of a stage waits for the attempt and the resume
            point. None: up to 5 seconds, and not at all while the server does not answer.
        flush_timeout: seconds that the end of a book waits for delivery, at most. It does not wait
            while the server does not answer: what is left is delivered later, and at the
            interpreter's exit within 5 seconds.
        transport: a transport of your own, instead of a URL.

    Raises:
        ValueError: the URL's scheme is not known, or the URL cannot be read.
        ImportError: the extra that the URL needs is not installed.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        status_url: str | None = None,
        stream: str | None = None,
        key: str | None = None,
        worker: str | None = None,
        interval: float = 0.25,
        heartbeat: float = 10.0,
        max_events: int = 100_000,
        max_bytes: int = 64 * 1024 * 1024,
        begin_timeout: float | None = None,
        flush_timeout: float = 5.0,
        transport: Transport | None = None,
    ) -> None:
        environment = os.environ
        url = url or environment.get("BINDERY_URL")
        status_url = status_url or environment.get("BINDERY_STATUS_URL")
        stream = stream or environment.get("BINDERY_STREAM") or "bindery:events"
        key = key or environment.get("BINDERY_KEY")
        self.begin_timeout = begin_timeout
        self.flush_timeout = flush_timeout
        self._worker = worker
        self.sender: Sender | NoSender
        self.checker: Checker | None = None
        self.is_on = bool(url) or transport is not None
        if not self.is_on:
            log.info("BINDERY_URL is not set: nothing is reported to Bindery")
            self.sender = NoSender()
            return

        def make() -> Transport:
            return transport or transport_for(str(url), str(stream), key)

        self.sender = Sender(make, max_events, max_bytes, interval, heartbeat)
        if status_url and not self.sender.transport.answers_begin:
            self.checker = Checker(reader_for(status_url, key), stream)

    @property
    def answers(self) -> bool:
        """Whether the attempt and the resume point of a stage can be known."""
        if isinstance(self.sender, Sender):
            return self.sender.transport.answers_begin or self.checker is not None
        return False

    @property
    def worker(self) -> str:
        """This worker's name in the books' history."""
        return self._worker or f"{socket.gethostname()}-{os.getpid()}"

    @property
    def dropped(self) -> int:
        """How many events were dropped because the buffer was full."""
        return self.sender.buffer.dropped

    def book(
        self,
        book_id: str | uuid.UUID,
        *,
        title: str | None = None,
        pipeline: str | None = None,
        owner_id: str | uuid.UUID | None = None,
        metadata: dict[str, Any] | None = None,
        register: bool = True,
    ) -> Book:
        """Return a book to report about; see `bindery_client.book`."""
        owner = None if owner_id is None else str(uuid.UUID(str(owner_id)))
        return Book(self, str(book_uuid(book_id)), title, pipeline, owner, metadata, register)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything reported so far is delivered.

        Args:
            timeout: seconds to wait, at most.

        Returns:
            Whether it was delivered (or refused) in time.
        """
        return self.sender.flush(timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Deliver what waits, and close the connection; a later report opens it again.

        Args:
            timeout: seconds to wait, at most.

        Returns:
            Whether everything was delivered (or refused) in time.
        """
        return self.sender.close(timeout)


_default: Client | None = None
_lock = threading.Lock()


def configure(url: str | None = None, **options: Any) -> Client:
    """Make the default client from a URL and the options of `Client`, and return it.

    Call it once, before the first book. Without a call the environment is used.
    """
    global _default
    client = Client(url, **options)
    with _lock:
        former, _default = _default, client
    if former is not None:
        former.close()
    return client


@contextmanager
def replaced_by(client: Client) -> Iterator[None]:
    """Let another client be the default one for a while; for tests."""
    global _default
    with _lock:
        former, _default = _default, client
    try:
        yield
    finally:
        with _lock:
            _default = former


def default_client() -> Client:
    """Return the default client, which is made from the environment at the first call."""
    global _default
    with _lock:
        if _default is None:
            _default = Client()
        return _default


def book(
    book_id: str | uuid.UUID,
    *,
    title: str | None = None,
    pipeline: str | None = None,
    owner_id: str | uuid.UUID | None = None,
    metadata: dict[str, Any] | None = None,
    register: bool = True,
) -> Book:
    """Return a book to report about. Use it in a `with` statement.

    Args:
        book_id: a uuid, or any text of your own, which becomes a stable uuid (`book_uuid`).
        title: for people, up to 1,024 characters.
        pipeline: the pipeline of a new book; `comic` by default.
        owner_id: the uuid of the user who may read the book; by default the service alone may.
        metadata: a JSON object of your own, up to 64 KiB.
        register: False: the book is registered elsewhere.

    Raises:
        ValueError: the id is empty, the owner is not a uuid, or the metadata are too large.
        TypeError: the metadata cannot be written as JSON.
    """
    return default_client().book(
        book_id,
        title=title,
        pipeline=pipeline,
        owner_id=owner_id,
        metadata=metadata,
        register=register,
    )
