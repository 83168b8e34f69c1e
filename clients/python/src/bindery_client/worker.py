"""A worker: calls a function for each book that comes to a stage."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TypeVar

import redis

from .changes import Change, Changes
from .client import Client, default_client
from .errors import Superseded
from .stage import Stage
from .transports import scheme_of
from .transports.redis_url import Connection

log = logging.getLogger("bindery_client")

F = TypeVar("F", bound=Callable[[Stage], Any])
LONGEST_PAUSE = 5.0


class _Run:
    """A function that runs."""

    def __init__(self, seen: str) -> None:
        self.stage: Stage | None = None
        # The entry up to which the stream was searched for later changes of the book.
        self.seen = seen
        self.is_lost = False

    def lose(self) -> None:
        """Stop: another worker has claimed the message."""
        self.is_lost = True
        if self.stage is not None:
            self.stage._session.supersede(None, None)

    def check(self, latest: Change) -> None:
        """Stop if the book has left the stage."""
        if self.stage is not None:
            self.stage._session.check(latest.to_status, latest.stage, latest.attempt)


class Worker:
    """Follows the stream of changes, and works on the stages that it has functions for.

        worker = bindery.Worker(concurrency=4)

        @worker.stage("ANALYZING", to_status="GENERATING_SCENES")
        def analyze(stage):
            for page in stage.track(pages(stage.book.book_id), "extract_text", unit="page"):
                read(page)

        worker.run()

    Start as many processes as you like: each message goes to one of them. The message of a worker
    that died goes to another one after its lease. A function that raises an exception makes its
    book FAILED, and the worker continues; where the stage has `retry_after`, the resume is a
    message of its own. A function whose book has left the attempt gets `Superseded`.

    Args:
        client: what to report with; by default the default client.
        changes_url: the Redis with the stream of changes. By default BINDERY_CHANGES_URL, or
            BINDERY_URL if that is a Redis URL.
        stream: the stream of changes.
        group: the consumer group; workers of one kind share it.
        concurrency: how many functions run at once, each in a thread of its own.
        lease: seconds after which a message of a worker that died is claimed. A living one
            renews it, however long its work takes.
        grace: seconds that `run` waits for running functions once it is to stop.

    Raises:
        ValueError: there is no Redis URL.
    """

    def __init__(
        self,
        client: Client | None = None,
        *,
        changes_url: str | None = None,
        stream: str = "bindery:changes",
        group: str = "workers",
        concurrency: int = 1,
        lease: float = 30.0,
        grace: float = 30.0,
    ) -> None:
        environment = os.environ
        url = changes_url or environment.get("BINDERY_CHANGES_URL")
        url = url or environment.get("BINDERY_URL") or ""
        if not scheme_of(url).startswith("redis"):
            raise ValueError(
                "a worker follows a stream in Redis; set BINDERY_CHANGES_URL to its redis:// URL"
            )
        self._client = client or default_client()
        self._functions: dict[str, tuple[Callable[[Stage], Any], str | None]] = {}
        self._lease = lease
        self._grace = grace
        self._free = threading.BoundedSemaphore(concurrency)
        self._concurrency = concurrency
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._running: dict[Change, _Run] = {}
        connection = Connection(url, socket_timeout=10)
        consumer = f"{self._client.worker}-{os.urandom(4).hex()}"
        self._changes = Changes(connection, stream, group, consumer, lease)

    @property
    def stopping(self) -> bool:
        """Whether the worker is stopping; a long function may check it, and return early."""
        return self._stopping.is_set()

    def stage(self, name: str, *, to_status: str | None = None) -> Callable[[F], F]:
        """Register a function, plain or `async`, for a stage.

        Args:
            name: the stage.
            to_status: where the book goes once the function has returned; by default nowhere.
        """

        def register(function: F) -> F:
            self._functions[name] = (function, to_status)
            return function

        return register

    def stop(self) -> None:
        """Take no more messages, and let `run` return; any thread or signal handler may call it."""
        self._stopping.set()

    def run(self) -> bool:
        """Work until `stop`, SIGTERM or SIGINT (a second one interrupts).

        Returns:
            Whether all running functions have returned within `grace`. The messages of those that
            have not go to other workers after their lease.
        """
        keeper = threading.Thread(target=self._keep, name="bindery-leases", daemon=True)
        with self._signals():
            keeper.start()
            self._follow()
            deadline = time.monotonic() + self._grace
            for _ in range(self._concurrency):
                if not self._free.acquire(timeout=max(deadline - time.monotonic(), 0.001)):
                    break
        self._client.flush(max(deadline - time.monotonic(), 1.0))
        with suppress(redis.RedisError, OSError):
            self._changes.leave()
        return not self._running

    def _follow(self) -> None:
        pause = 0.0
        next_claim = 0.0
        while not self._stopping.is_set():
            if not self._free.acquire(timeout=0.25):
                continue
            self._free.release()
            try:
                if pause or not next_claim:
                    self._changes.join()
                if time.monotonic() >= next_claim:
                    next_claim = time.monotonic() + self._lease / 3
                    for change in self._changes.abandoned(1):
                        self._begin(change, is_claimed=True)
                        # Another one may wait.
                        next_claim = 0.001
                        break
                    else:
                        self._read_one(min(0.25, self._lease / 3))
                else:
                    self._read_one(0.25)
                pause = 0.0
            except (redis.RedisError, OSError) as problem:
                if not pause:
                    log.warning("the stream of changes cannot be read: %s", problem)
                pause = min(max(2 * pause, 0.1), LONGEST_PAUSE)
                self._stopping.wait(pause)

    def _read_one(self, seconds: float) -> None:
        for change in self._changes.new(1, seconds):
            self._begin(change, is_claimed=False)

    def _begin(self, change: Change, *, is_claimed: bool) -> None:
        if change.to_status not in self._functions or change.to_status != change.stage:
            self._changes.finish(change)
            return
        if any(running.entry == change.entry for running in list(self._running)):
            # This process was paused for longer than its lease, and received its message again.
            return
        if not self._changes.take(change, is_claimed=is_claimed):
            return
        seen = change.entry
        if is_claimed:
            latest, seen = self._changes.latest(change, seen)
            if (latest.to_status, latest.attempt) != (change.to_status, change.attempt):
                # The later change has its own message.
                self._changes.finish(change)
                return
        with self._lock:
            self._running[change] = _Run(seen)
        self._free.acquire()
        threading.Thread(
            target=self._work, args=(change,), name=f"bindery-{change.to_status}", daemon=True
        ).start()

    def _work(self, change: Change) -> None:
        try:
            self._call(change)
        except Superseded as superseded:
            log.info("%s", superseded)
        except BaseException:
            log.exception("%s of book %s has failed", change.to_status, change.book_id)
        finally:
            self._end(change)

    def _call(self, change: Change) -> None:
        function, to_status = self._functions[change.to_status]
        with self._client.book(change.book_id, register=False) as book:
            stage = book.stage(
                change.to_status, attempt=change.attempt, resume_point=change.resume_point
            )
            with stage:
                with self._lock:
                    self._running[change].stage = stage
                result = function(stage)
                if inspect.iscoroutine(result):
                    asyncio.run(result)
            if to_status is not None:
                book.transition(to_status)

    def _end(self, change: Change) -> None:
        pause = 0.1
        # The worker that has claimed a message finishes it.
        while not self._running[change].is_lost:
            try:
                self._changes.finish(change)
                break
            except (redis.RedisError, OSError):
                # Without the acknowledgement, it would be processed again.
                if self._stopping.wait(pause):
                    break
                pause = min(2 * pause, LONGEST_PAUSE)
        with self._lock:
            del self._running[change]
        self._free.release()

    def _keep(self) -> None:
        """Renew the leases of the running functions."""
        while True:
            with self._lock:
                running = list(self._running.items())
            if self._stopping.is_set() and not running:
                return
            try:
                lost = self._changes.renew([change for change, _ in running])
                for change, run in running:
                    if change in lost:
                        run.lose()
                for change, run in running:
                    latest, run.seen = self._changes.latest(change, run.seen)
                    if latest is not change:
                        run.check(latest)
            except (redis.RedisError, OSError):
                # The reader logs it.
                pass
            time.sleep(min(self._lease / 3, 1.0) if running else 0.2)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former: dict[int, Any] = {}

        def handle(number: int, frame: FrameType | None) -> None:
            if self._stopping.is_set():
                raise KeyboardInterrupt
            # Event.set takes a lock that the interrupted code may hold.
            threading.Thread(target=self.stop, daemon=True).start()

        for number in (signal.SIGTERM, signal.SIGINT):
            former[number] = signal.signal(number, handle)
        try:
            yield
        finally:
            for restored, handler in former.items():
                signal.signal(restored, handler)
