"""A script that is run again for the same book: what the book has passed is skipped."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fakes import Recorder
from rest_server import RestServer
from servers import Servers, wait_for
from tokens import token

from bindery_client import Client, Superseded, aio
from bindery_client.buffer import Item
from bindery_client.transports import Outcome

TRANSPORTS = ("postgres", "redis_and_status", "binderyd", "postgrest")


@pytest.fixture(params=TRANSPORTS)
def client(
    request: pytest.FixtureRequest,
    servers: Servers,
    rest: RestServer,
    open_client: Callable[..., Client],
) -> Client:
    """A client of each transport that answers."""
    if request.param == "redis_and_status":
        return open_client(servers.redis_url, status_url=servers.postgres_url)
    if request.param == "postgrest":
        return open_client(rest.url, key=token())
    return open_client(servers.postgres_url if request.param == "postgres" else servers.http)


def script(client: Client, book_id: str, *, is_torn: bool = False) -> list[tuple[str, int]]:
    """Make a book, unless its third scene is torn; return what was worked on."""
    worked = []
    with client.book(book_id) as book:
        with book.stage("ANALYZING") as stage:
            stage.plan({"more": 2})
            for page in stage.track(range(5), "extract_text"):
                worked.append(("page", page))
                stage.checkpoint(f"page {page}")
            stage.message("read once" if worked else "read twice", "detect_chapters")
            stage.progress(40 if worked else 60, "detect_chapters")
        with book.stage("GENERATING_SCENES") as stage:
            for scene in stage.track(range(4), "split_scenes"):
                if is_torn and scene == 2:
                    raise ZeroDivisionError("Scene 2 is torn.")
                worked.append(("scene", scene))
        with book.stage("CREATING_ARTWORK") as stage:
            for picture in stage.track(range(2), "pictures"):
                worked.append(("picture", picture))
        book.transition("COMPLETED", "Done.")
    return worked


def history(servers: Servers, book_id: str) -> list[str]:
    query = "select jsonb_agg(to_status order by revision) from bindery.book_events"
    return list(servers.sql(f"{query} where book_id = %s", book_id))


STAGES = ["ANALYZING", "GENERATING_SCENES"]
PAGES = [("page", page) for page in range(5)]
REST = [("scene", 2), ("scene", 3), ("picture", 0), ("picture", 1)]


def check_rerun(servers: Servers, book_id: str) -> None:
    """Look at a book that has failed in its second stage, and was completed by the next run."""
    row = servers.wait_for_book(book_id, status="COMPLETED")
    assert row["message"] == "Done."
    changes = [*STAGES, "FAILED", "GENERATING_SCENES", "CREATING_ARTWORK", "COMPLETED"]
    assert history(servers, book_id) == ["UPLOADED", *changes]
    first = servers.substep(book_id, "detect_chapters")
    assert (first["message"], first["progress"]) == ("read once", 40)
    assert servers.dead_letters(book_id) == 0


def test_a_script_that_failed_in_its_second_stage_is_simply_run_again(
    client: Client, servers: Servers, book_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ZeroDivisionError):
        script(client, book_id, is_torn=True)
    servers.wait_for_book(book_id, status="FAILED")
    assert script(client, book_id) == REST
    check_rerun(servers, book_id)
    # Once it is complete, a run changes nothing at all.
    before = servers.book(book_id)
    assert script(client, book_id) == []
    assert client.flush()
    assert servers.book(book_id) == before
    check_rerun(servers, book_id)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_over_redis_alone_a_script_starts_over_and_changes_no_passed_stage(
    servers: Servers, book_id: str, open_client: Callable[..., Client]
) -> None:
    client = open_client(servers.redis_url)
    with pytest.raises(ZeroDivisionError):
        script(client, book_id, is_torn=True)
    assert script(client, book_id) == [*PAGES, ("scene", 0), ("scene", 1), *REST]
    check_rerun(servers, book_id)


def test_a_coroutine_that_failed_in_its_second_stage_is_simply_run_again(
    client: Client, servers: Servers, book_id: str
) -> None:
    async def work(*, is_torn: bool) -> list[Any]:
        worked: list[Any] = []
        async with aio.book(book_id, client=client) as book:
            async with book.stage("ANALYZING") as stage:
                worked.append(stage.is_done())
                async for page in stage.track(range(5), "extract_text"):
                    worked.append(page)
            async with book.stage("GENERATING_SCENES") as stage:
                worked.append(stage.is_done())
                if is_torn:
                    raise ZeroDivisionError
        return worked

    with pytest.raises(ZeroDivisionError):
        asyncio.run(work(is_torn=True))
    servers.wait_for_book(book_id, status="FAILED")
    assert asyncio.run(work(is_torn=False)) == [True, False]
    servers.wait_for_book(book_id, status="GENERATING_SCENES", attempt=2)


def test_a_skipped_stage_differs_from_one_that_is_over_for_another_reason(
    client: Client, servers: Servers, book_id: str
) -> None:
    servers.sql("select 1 from bindery.register_book(%s)", book_id)
    for stage in STAGES:
        servers.sql("select 1 from bindery.transition_book(%s, %s)", book_id, stage)
    with client.book(book_id) as book:
        with book.stage("ANALYZING") as skipped:
            assert skipped.is_done()
            assert skipped.is_done("extract_text")
            assert not skipped.superseded
            assert (skipped.attempt, skipped.resume_point) == (None, None)
        with book.stage("GENERATING_SCENES") as current:
            assert not current.is_done()
            assert not current.is_done("split_scenes")
        # For example, a message of bindery:changes is about an attempt that is over.
        with pytest.raises(Superseded) as caught, book.stage("ANALYZING", attempt=1):
            raise AssertionError("the stage was entered")
        assert caught.value.status == "GENERATING_SCENES"
        servers.sql("select 1 from bindery.cancel_book(%s)", book_id)
        for stage in STAGES:
            with pytest.raises(Superseded) as caught, book.stage(stage):
                raise AssertionError("the stage was entered")
            assert caught.value.status == "CANCELLED"
    assert servers.dead_letters(book_id) == 0


def test_an_exception_in_a_skipped_stage_does_not_fail_the_book(
    client: Client, servers: Servers, book_id: str
) -> None:
    servers.sql("select 1 from bindery.register_book(%s)", book_id)
    for stage in STAGES:
        servers.sql("select 1 from bindery.transition_book(%s, %s)", book_id, stage)
    before = servers.book(book_id)
    with client.book(book_id) as book, pytest.raises(ZeroDivisionError), book.stage("ANALYZING"):
        raise ZeroDivisionError
    assert book.flush()
    assert servers.book(book_id) == before


class Late(Recorder):
    """Answers late that the book has passed the stage `A`."""

    answers_begin = True

    def send(self, items: Any) -> Iterator[tuple[Item, Outcome]]:
        for item, outcome in super().send(items):
            if item.type == "begin" and item.session is not None:
                item.session.begun = True
                if item.session.stage == "A":
                    item.session.skip("B", 1)
            yield item, outcome


def test_work_that_began_without_an_answer_is_superseded_once_its_stage_is_known_to_be_passed(
    open_client: Callable[..., Client],
) -> None:
    server = Late()
    client = open_client(transport=server, begin_timeout=0.01, interval=0.01)
    server.is_away = True
    seen = []
    with client.book(uuid.uuid4()) as book, pytest.raises(Superseded) as caught:
        with book.stage("A") as stage:
            for item in stage.track(range(1000), "pages"):
                seen.append(item)
                if item == 5:
                    server.is_away = False
                    wait_for(lambda: stage.superseded, "the answer")
    assert not stage.is_done()
    assert caught.value.status == "B"
    assert client.flush()
    assert seen == [0, 1, 2, 3, 4, 5]
    assert [event["type"] for event in server.events] == ["register", "begin"]


def test_the_transition_after_a_skipped_stage_is_not_sent(
    open_client: Callable[..., Client],
) -> None:
    server = Late()
    client = open_client(transport=server)
    with client.book(uuid.uuid4()) as book:
        with book.stage("A") as stage:
            assert list(stage.track(range(1000))) == []
            assert stage.is_done()
        # Where the pipeline lets a book go back, this would take it there.
        book.transition("B")
        with book.stage("B") as stage:
            stage.progress(10)
        book.transition("C")
    types = [event["type"] for event in server.events]
    assert types == ["register", "begin", "begin", "progress", "transition"]
