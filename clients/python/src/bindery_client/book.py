"""A book: one unit of long work."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import values
from .buffer import Item
from .stage import Stage, planned

if TYPE_CHECKING:
    from .client import Client
    from .resume import ResumePoint
    from .session import Session


class Book:
    """Reports about one book. Get one from `bindery_client.book`; any thread may use it.

    Attributes:
        book_id: the book's uuid, as text.
    """

    def __init__(
        self,
        client: Client,
        book_id: str,
        title: str | None,
        pipeline: str | None,
        owner_id: str | None,
        metadata: dict[str, Any] | None,
        register: bool,
    ) -> None:
        self.book_id = book_id
        self._client = client
        self._lock = threading.Lock()
        self._session: Session | None = None
        fields = {
            "title": None if title is None else values.text(title, values.TITLE),
            "pipeline": None if pipeline is None else values.text(pipeline, values.NAME),
            "owner_id": owner_id,
            "metadata": None if metadata is None else values.encoded(metadata),
        }
        self._registration = {k: v for k, v in fields.items() if v} if register else None

    def __enter__(self) -> Book:
        self._register()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        timeout = self._client.flush_timeout
        self._client.sender.flush(timeout, self.book_id, patiently=False)

    def stage(
        self, name: str, *, attempt: int | None = None, resume_point: ResumePoint | None = None
    ) -> Stage:
        """Return a stage to work on; use it in a `with` statement.

        One that the book has passed is skipped, see `Stage`. With `attempt` it raises `Superseded`
        instead, as one does whose attempt is over or whose book is CANCELLED.

        Args:
            name: a state of the book's pipeline, such as ANALYZING.
            attempt: the attempt that a message of `bindery:changes` is about; work on it, and on
                no later one. By default the beginning of the stage learns it.
            resume_point: that of the message, if it has one.
        """
        return Stage(self, name, attempt, resume_point)

    def transition(self, to_status: str, message: str | None = None) -> None:
        """Let the book go to another state, such as COMPLETED after the last stage.

        After a stage that was skipped nothing is sent: the book has left it.

        Args:
            to_status: a state that the pipeline allows from the book's.
            message: for people, up to 8,192 characters.
        """
        fields = {"to_status": values.text(to_status, values.NAME)}
        if message is not None:
            fields["message"] = values.text(message, values.MESSAGE)
        session = self._session
        if session is not None:
            # The book leaves the stage by this worker's own will.
            session.is_open = False
        self._send(Item("transition", self.book_id, fields, session))

    def plan(self, stage: str, substeps: Mapping[str, float] | Iterable[str]) -> None:
        """Declare this book's own substeps of a stage that it is in or will come to.

        Args:
            stage: a stage of the book's pipeline.
            substeps: keys in lower snake case, up to 10,000; a mapping gives each its weight
                (1e-9 to 1e9), otherwise each has weight 1. Planning again changes weights, and
                never progress.

        Raises:
            ValueError: a key or a weight is not valid, or there are too many.
        """
        stage = values.text(stage, values.NAME)
        for part in planned(substeps):
            self._send(Item("plan", self.book_id, {"stage": stage, "substeps": part}))

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything reported so far about this book is delivered.

        Args:
            timeout: seconds to wait, at most.

        Returns:
            Whether it was delivered (or refused) in time.
        """
        return self._client.sender.flush(timeout, self.book_id)

    def _register(self) -> None:
        with self._lock:
            fields, self._registration = self._registration, None
        if fields is not None:
            self._client.sender.add(Item("register", self.book_id, fields))

    def _send(self, item: Item) -> None:
        self._register()
        # An event overtakes no report: both wait in the book's order.
        self._client.sender.add(item)
