"""Reporting over HTTP: to binderyd, and to PostgREST, for which rest_server.py stands in."""

from __future__ import annotations

import logging
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from rest_server import RestServer
from servers import Servers, wait_for
from tokens import SECRET, token

import bindery_client as bindery
from bindery_client import Client, Superseded


@pytest.fixture(scope="module")
def binderyd(servers: Servers) -> Iterator[str]:
    """The API of a daemon that asks for tokens, and reads no stream."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    options = ["--database-url", servers.postgres_url, "--http", address, "--jwt-secret", SECRET]
    daemon = subprocess.Popen(
        [servers.program, "run", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def is_ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://{address}/readyz", timeout=1):
                return True
        except (urllib.error.URLError, OSError):
            return False

    try:
        wait_for(is_ready, "a ready daemon")
        yield f"http://{address}"
    finally:
        daemon.terminate()
        daemon.wait(30)


@pytest.fixture(params=["binderyd", "postgrest"])
def url(request: pytest.FixtureRequest, binderyd: str, rest: RestServer) -> str:
    """The address of each server. The package asks it which of the two it is."""
    return binderyd if request.param == "binderyd" else rest.url


def test_a_book_goes_through_all_of_its_stages(
    url: str, servers: Servers, book_id: str, open_client: Callable[..., Client]
) -> None:
    client = open_client(url, key=token(), heartbeat=0.05)
    saved = {"at": [1, 147696713205860203665304570961189620315], "text": "a text"}
    with client.book(book_id, title="Moby Dick", metadata={"pages": 3}) as book:
        with book.stage("ANALYZING") as stage:
            assert stage.attempt == 1
            for _ in stage.track(range(30), "extract_text", unit="page"):
                pass
            stage.checkpoint(saved, "detect_chapters")
        with book.stage("GENERATING_SCENES") as stage:
            stage.checkpoint("a text", "split_scenes")
        with book.stage("CREATING_ARTWORK") as stage:
            stage.plan(["page_1"])
            stage.progress(100, "page_1")
        book.transition("COMPLETED")
    row = servers.wait_for_book(book_id, status="COMPLETED")
    assert (row["title"], row["metadata"]) == ("Moby Dick", {"pages": 3})
    assert servers.substep(book_id, "extract_text")["done"] == 30
    assert servers.substep(book_id, "detect_chapters")["checkpoint"] == saved
    assert servers.substep(book_id, "split_scenes")["checkpoint"] == "a text"
    statuses = list(bindery.watch(book_id, url=url, key=token(), timeout=5))
    assert [status["status"] for status in statuses] == ["COMPLETED"]


def test_a_failed_stage_is_resumed_from_its_checkpoint(
    url: str, servers: Servers, book_id: str, open_client: Callable[..., Client]
) -> None:
    client = open_client(url, key=token())

    def work() -> list[int]:
        done = []
        with client.book(book_id) as book, book.stage("ANALYZING") as stage:
            for item in stage.track(range(10), "extract_text"):
                if item == 4 and stage.attempt == 1:
                    raise ZeroDivisionError
                done.append(item)
        return done

    with pytest.raises(ZeroDivisionError):
        work()
    row = servers.wait_for_book(book_id, status="FAILED")
    assert row["error"]["code"] == "zero_division_error"
    assert work() == [4, 5, 6, 7, 8, 9]
    servers.wait_for_book(book_id, status="ANALYZING", attempt=2)


def test_a_worker_that_was_given_up_neither_reports_nor_fails_the_book(
    url: str, servers: Servers, book_id: str, open_client: Callable[..., Client]
) -> None:
    client = open_client(url, key=token())
    with client.book(book_id) as book, pytest.raises(Superseded):
        with book.stage("ANALYZING") as stage:
            assert book.flush()
            servers.sql("select from bindery.transition_book(%s, 'GENERATING_SCENES')", book_id)
            stage.progress(5, "extract_text")
            assert book.flush()
            stage.progress(6, "extract_text")
    with client.book(book_id) as book, pytest.raises(ZeroDivisionError):
        with book.stage("GENERATING_SCENES"):
            assert book.flush()
            servers.sql("select from bindery.transition_book(%s, 'CREATING_ARTWORK')", book_id)
            raise ZeroDivisionError
    servers.wait_for_book(book_id, status="CREATING_ARTWORK", error=None)


def test_a_workers_token_is_enough_to_work_on_its_stage(
    url: str, servers: Servers, book_id: str, open_client: Callable[..., Client]
) -> None:
    servers.sql("select from bindery.register_book(%s)", book_id)
    key = token("bindery_worker", book_id=book_id, stage="ANALYZING")
    client = open_client(url, key=key, heartbeat=0.05)
    with client.book(book_id, register=False) as book:
        with pytest.raises(ZeroDivisionError), book.stage("ANALYZING") as stage:
            stage.plan(["more"])
            for item in stage.track(range(5), "extract_text"):
                if item == 2:
                    raise ZeroDivisionError
        assert book.flush()
        servers.wait_for_book(book_id, status="FAILED")
        with book.stage("ANALYZING") as stage:
            assert stage.attempt == 2
            assert list(stage.track(range(5), "extract_text")) == [2, 3, 4]
            stage.progress(40, "more", message="on")
            assert book.flush()
            servers.wait_for_substep(book_id, "more", progress=40, message="on")
        with pytest.raises(Superseded), book.stage("ANALYZING") as stage:
            servers.sql("select from bindery.transition_book(%s, 'GENERATING_SCENES')", book_id)
            wait_for(lambda: stage.superseded, "a heartbeat that has no effect")
            stage.progress(50, "more")
        with book.stage("ANALYZING") as stage:
            assert stage.is_done()
    assert servers.substep(book_id, "more")["progress"] == 40


def test_what_a_workers_token_does_not_admit_is_logged_and_holds_up_nothing(
    url: str,
    servers: Servers,
    book_id: str,
    open_client: Callable[..., Client],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    servers.sql("select from bindery.register_book(%s)", book_id)
    client = open_client(url, key=token("bindery_worker", stage="ANALYZING"))
    with client.book(book_id, register=False) as book:
        book.plan("CREATING_ARTWORK", ["page_1"])
        book.plan("ANALYZING", ["more"])
        assert book.flush()
    refusals = [record.message for record in caplog.records]
    assert len(refusals) == 1, refusals
    assert "not_allowed" in refusals[0]
    servers.wait_for_substep(book_id, "more", progress=0)


def test_with_a_wrong_key_events_wait_and_with_the_right_one_refusals_are_logged(
    url: str,
    servers: Servers,
    book_id: str,
    open_client: Callable[..., Client],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    wrong = open_client(url, key="wrong")
    with wrong.book(book_id) as book:
        assert not book.flush(0.3)
    assert "HTTP 401" in caplog.text
    assert servers.book(book_id) is None
    right = open_client(url, key=token())
    with right.book(book_id, pipeline="no_such_pipeline") as book:
        assert book.flush()
    assert "unknown_pipeline" in caplog.text
