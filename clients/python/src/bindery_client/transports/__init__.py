"""How events reach a server: one module a kind of URL."""

from __future__ import annotations

# Resolving a host's name imports this module. It is imported here rather than in the sender's
# thread: a process that is forked during an import would inherit half of a module.
import encodings.idna  # noqa: F401
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from ..buffer import Item
from ..errors import Refused

if TYPE_CHECKING:
    from ..resume import ResumePoint


class Early:
    """An outcome: a later change of the book can make the event applicable; send it again."""

    def __init__(self, problem: Refused) -> None:
        self.problem = problem


# None: delivered.
Outcome = Early | Refused | None


class Transport(Protocol):
    """Delivers events. Used by one thread at a time."""

    answers_begin: bool
    """Whether the outcome of `begin`, with the attempt and the resume point, comes back."""

    def send(self, items: Iterable[Item]) -> Iterator[tuple[Item, Outcome]]:
        """Send events in their order, and yield the outcome of each.

        Raises:
            Unavailable: the rest was not delivered, or it is not known.
        """

    def close(self) -> None:
        """Close the connection; the next call opens it again."""

    def abandon(self) -> None:
        """Forget the connection, which belongs to the process that this one was forked from."""


class StatusReader(Protocol):
    """Reads where a book is. Used by one thread at a time."""

    def resume_point(self, book_id: str) -> ResumePoint | None:
        """Return `bindery.get_resume_point`; None for an unknown book.

        Raises:
            Unavailable: the server cannot be reached.
        """

    def state(self, book_id: str) -> tuple[str, str | None, int | None] | None:
        """Return the book's status, current stage and attempt; None for an unknown book.

        Raises:
            Unavailable: the server cannot be reached.
        """

    def has_passed(self, book_id: str, stage: str) -> bool:
        """Return whether the book is complete or in a later stage, and is not CANCELLED.

        Raises:
            Unavailable: the server cannot be reached.
        """

    def has_early_events(self, book_id: str) -> bool:
        """Return whether events of a book wait that have come too early.

        Raises:
            Unavailable: the server cannot be reached.
        """

    def position(self, stream: str) -> str | None:
        """Return the id of the last entry of a stream that has been applied.

        Raises:
            Unavailable: the server cannot be reached.
        """

    def close(self) -> None:
        """Close the connection; the next call opens it again."""

    def abandon(self) -> None:
        """Forget the connection, which belongs to the process that this one was forked from."""


def scheme_of(url: str) -> str:
    """Return the URL's scheme, with one name for its aliases."""
    scheme = urlsplit(url).scheme
    return {"postgres": "postgresql", "http": "https"}.get(scheme, scheme)


def transport_for(url: str, stream: str, key: str | None) -> Transport:
    """Return the transport for a URL.

    Raises:
        ValueError: the URL's scheme is not known.
        ImportError: the extra that the scheme needs is not installed.
    """
    scheme = scheme_of(url)
    if scheme.startswith("redis"):
        from .redis_stream import RedisStream

        return RedisStream(url, stream)
    if scheme in ("postgresql", "https"):
        from .functions import Functions

        return Functions(caller_for(url, key))
    raise ValueError(
        f"the URL's scheme is {scheme!r}; give redis://, rediss://, postgresql:// or https://"
    )


def reader_for(url: str, key: str | None) -> StatusReader:
    """Return the status reader for a URL.

    Raises:
        ValueError: the URL's scheme is not known.
        ImportError: the extra that the scheme needs is not installed.
    """
    scheme = scheme_of(url)
    if scheme not in ("postgresql", "https"):
        raise ValueError(f"the status URL's scheme is {scheme!r}; give postgresql:// or https://")
    from .functions import Reader

    return Reader(caller_for(url, key))


def caller_for(url: str, key: str | None) -> Caller:
    """Return what calls Bindery's functions at a postgresql:// or https:// URL.

    An https:// URL that ends in /rest/v1 is PostgREST's, as in Supabase. At any other the server is
    asked at the first call whether it is binderyd or PostgREST.

    Raises:
        ImportError: the extra that the scheme needs is not installed.
    """
    if scheme_of(url) == "postgresql":
        from .postgres import Postgres

        return Postgres(url)
    if urlsplit(url).path.rstrip("/").endswith("/rest/v1"):
        from .rest import Rest

        return Rest(url, key)
    from .http_api import Asked

    return Asked(url, key)


class Json(str):
    """A text that is JSON already."""

    __slots__ = ()


class Caller(Protocol):
    """Calls the functions of the schema `bindery`, over some connection."""

    def call(self, function: str, arguments: dict[str, object]) -> object:
        """Call a function with named arguments; return its one row or value as JSON has it.

        Raises:
            Refused: the server has refused the call.
            Unavailable: the server cannot be reached, or cannot serve now.
        """

    def read(self, table: str, column: str, value: str, fields: str) -> dict[str, object] | None:
        """Return the fields of the row of a table that has this value in a column.

        Raises:
            Refused: the server has refused the call.
            Unavailable: the server cannot be reached, or cannot serve now.
        """

    def listen(self) -> None:
        """Receive notifications of changes from now on, if the connection can.

        Raises:
            Unavailable: the server cannot be reached.
        """

    def wait_for_change(self, book_id: str, seconds: float) -> bool:
        """Wait for a notification about a book; True if there was one.

        Raises:
            Unavailable: the connection is lost.
        """

    def close(self) -> None:
        """Close the connection; the next call opens it again."""

    def abandon(self) -> None:
        """Forget the connection, which belongs to the process that this one was forked from."""
