from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable

import pytest
from fakes import Recorder
from servers import Servers

from bindery_client import Client, Left, ResumePoint, Superseded, aio


async def letters(text: str) -> AsyncIterator[str]:
    for letter in text:
        await asyncio.sleep(0)
        yield letter


def test_asynchronous_and_plain_items_are_tracked() -> None:
    recorder = Recorder()
    client = Client(transport=recorder)
    point = ResumePoint("b", "S", "S", 2, 9, frozenset(), {"b": Left(40, None, 2)})

    async def work() -> list[str]:
        seen = []
        async with aio.book("b", client=client) as book:
            async with book.stage("S", attempt=2, resume_point=point) as stage:
                async for letter in stage.track(letters("abc"), "a", total=3):
                    seen.append(letter)
                async for letter in stage.track(letters("wxyz"), "b"):
                    seen.append(letter)
                async for letter in stage.track(["1", "2"], "c"):
                    seen.append(letter)
                stage.message("done")
            book.transition("COMPLETED")
            assert await book.flush()
        return seen

    assert asyncio.run(work()) == ["a", "b", "c", "y", "z", "1", "2"]
    reports = {event["substep"]: event.get("done") for event in recorder.of("progress")}
    assert reports == {"a": "3", "b": "4", "c": "2"}
    assert recorder.events[-1]["type"] == "transition"
    client.close()


def test_asynchronous_items_in_a_plain_loop_are_refused() -> None:
    with Client().book("b") as book, book.stage("S") as stage, pytest.raises(TypeError):
        list(stage.track(letters("abc")))


def test_an_exception_in_an_asynchronous_loop_fails_the_book_after_the_last_count() -> None:
    recorder = Recorder()
    client = Client(transport=recorder)

    async def work() -> None:
        async with aio.book("b", client=client) as book, book.stage("S") as stage:
            async for letter in stage.track(letters("abcdef"), "a"):
                if letter == "d":
                    raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(work())
    progress, fail = recorder.events[-2:]
    assert json.loads(progress["checkpoint"]) == {"tracked": 3}
    assert json.loads(fail["error"])["code"] == "zero_division_error"
    client.close()


def test_a_cancelled_task_fails_its_book() -> None:
    recorder = Recorder()
    client = Client(transport=recorder)

    async def work(is_in_stage: asyncio.Event) -> None:
        async with aio.book("b", client=client) as book, book.stage("S"):
            is_in_stage.set()
            await asyncio.Event().wait()

    async def cancel() -> None:
        is_in_stage = asyncio.Event()
        task = asyncio.create_task(work(is_in_stage))
        await is_in_stage.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert json.loads(recorder.events[-1]["error"])["code"] == "cancelled_error"
    client.close()


def test_the_event_loop_runs_while_a_stage_begins(
    servers: Servers, open_client: Callable[..., Client], book_id: str
) -> None:
    client = open_client(servers.postgres_url, begin_timeout=0.5)
    gaps = []

    async def tick() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            gaps.append(time.monotonic() - before)

    async def work() -> None:
        ticking = asyncio.create_task(tick())
        async with aio.book(book_id, client=client) as book:
            # It comes too early: its beginning waits for the whole timeout.
            async with book.stage("GENERATING_SCENES") as stage:
                assert stage.attempt is None
            # That does not keep other stages' events.
            async with book.stage("ANALYZING") as stage:
                assert stage.attempt == 1
        ticking.cancel()

    asyncio.run(work())
    assert len(gaps) > 20
    assert max(gaps) < 0.3


def test_a_book_is_watched_asynchronously_until_its_end(servers: Servers, book_id: str) -> None:
    servers.sql("select 1 from bindery.register_book(%s)", book_id)

    async def look() -> list[str]:
        seen = []
        async for status in aio.watch(book_id, url=servers.postgres_url, timeout=20):
            seen.append(status["status"])
            if len(seen) == 1:
                query = "select 1 from bindery.begin_stage(%s, 'ANALYZING')"
                await asyncio.to_thread(servers.sql, query, book_id)
            elif status["status"] == "ANALYZING":
                await asyncio.to_thread(
                    servers.sql, "select 1 from bindery.cancel_book(%s)", book_id
                )
        return seen

    assert asyncio.run(look()) == ["UPLOADED", "ANALYZING", "CANCELLED"]


def test_a_superseded_task_stops_at_its_next_item() -> None:
    client = Client(transport=Recorder())
    seen = []

    async def work() -> None:
        async with aio.book("b", client=client) as book, book.stage("S", attempt=1) as stage:
            async for letter in stage.track(letters("abcdef"), "a"):
                seen.append(letter)
                if letter == "b":
                    stage.stage._session.supersede("FAILED", 1)

    with pytest.raises(Superseded):
        asyncio.run(work())
    assert seen == ["a", "b"]
    client.close()
