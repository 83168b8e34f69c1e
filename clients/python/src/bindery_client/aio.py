"""The same verbs for asyncio: `async with`, `async for`; no call blocks the event loop.

    from bindery_client import aio

    async with aio.book("moby-dick", pipeline="comic") as book:
        async with book.stage("ANALYZING") as stage:
            async for page in stage.track(pages, "extract_text", unit="page"):
                await read(page)

Reports (`progress`, `message`, `checkpoint`, `plan`, `transition`) return at once and are not
awaited. What waits for a server runs in a thread: the beginning of a stage, and delivery.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

from .book import Book as _Book
from .client import Client, default_client
from .resume import ResumePoint
from .stage import Stage as _Stage
from .track import Track
from .watch import watch as _watch

T = TypeVar("T")


def book(
    book_id: str | uuid.UUID,
    *,
    title: str | None = None,
    pipeline: str | None = None,
    owner_id: str | uuid.UUID | None = None,
    metadata: dict[str, Any] | None = None,
    register: bool = True,
    client: Client | None = None,
) -> Book:
    """Return a book to report about, for `async with`; see `bindery_client.book`."""
    made = (client or default_client()).book(
        book_id,
        title=title,
        pipeline=pipeline,
        owner_id=owner_id,
        metadata=metadata,
        register=register,
    )
    return Book(made)


class Book:
    """See `bindery_client.Book`; its reports are those of `book`.

    Attributes:
        book: the book that this one stands for.
    """

    def __init__(self, made: _Book) -> None:
        self.book = made
        self.book_id = made.book_id
        self.transition = made.transition
        self.plan = made.plan

    async def __aenter__(self) -> Book:
        self.book.__enter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.book.__exit__, kind, error, trace)

    def stage(
        self, name: str, *, attempt: int | None = None, resume_point: ResumePoint | None = None
    ) -> Stage:
        """Return a stage to work on, for `async with`; see `bindery_client.Book.stage`."""
        return Stage(self.book.stage(name, attempt=attempt, resume_point=resume_point))

    async def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything reported so far about this book is delivered."""
        return await asyncio.to_thread(self.book.flush, timeout)


class Stage:
    """See `bindery_client.Stage`; its reports are those of `stage`.

    A cancelled task fails its book with the code `cancelled_error`.

    Attributes:
        stage: the stage that this one stands for.
    """

    def __init__(self, made: _Stage) -> None:
        self.stage = made
        self.name = made.name
        self.progress = made.progress
        self.message = made.message
        self.checkpoint = made.checkpoint
        self.plan = made.plan
        self.is_done = made.is_done

    @property
    def attempt(self) -> int | None:
        """See `bindery_client.Stage.attempt`."""
        return self.stage.attempt

    @property
    def resume_point(self) -> ResumePoint | None:
        """See `bindery_client.Stage.resume_point`."""
        return self.stage.resume_point

    @property
    def superseded(self) -> bool:
        """See `bindery_client.Stage.superseded`."""
        return self.stage.superseded

    async def __aenter__(self) -> Stage:
        try:
            await asyncio.to_thread(self.stage.__enter__)
        except asyncio.CancelledError as cancelled:
            self.stage.__exit__(type(cancelled), cancelled, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # It reports, and waits for nothing.
        self.stage.__exit__(kind, error, trace)

    def track(
        self,
        items: Iterable[T] | AsyncIterable[T],
        substep: str = "all",
        *,
        total: int | None = None,
        unit: str | None = None,
        bar: bool | None = None,
    ) -> Track[T]:
        """Iterate by `async for` over items of either kind; see `bindery_client.Stage.track`."""
        return self.stage.track(items, substep, total=total, unit=unit, bar=bar)


async def watch(
    book_id: str | uuid.UUID,
    *,
    url: str | None = None,
    key: str | None = None,
    timeout: float | None = None,
    poll: float = 2.0,
) -> AsyncIterator[dict[str, Any]]:
    """Iterate over a book's status; see `bindery_client.watch`.

    Raises:
        ValueError: at the first step: the URL is missing, or is neither of the two.
    """
    stop = threading.Event()
    changes = _watch(book_id, url=url, key=key, timeout=timeout, poll=poll, stop=stop)
    # An own thread: a watch may run all day, and the loop has few default ones.
    executor = ThreadPoolExecutor(1, thread_name_prefix="bindery-watch")
    loop = asyncio.get_running_loop()
    try:
        while (status := await loop.run_in_executor(executor, next, changes, None)) is not None:
            yield status
    finally:
        stop.set()
        executor.shutdown(wait=False)
