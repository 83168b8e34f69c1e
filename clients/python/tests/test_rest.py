"""Reporting over PostgREST's protocol; see rest_server.py for what answers."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from rest_server import KEY, RestServer
from servers import Servers

import bindery_client as bindery
from bindery_client import Client, Superseded


def test_a_book_goes_through_all_of_its_stages(
    rest: RestServer, servers: Servers, book_id: str, open_client: Callable[..., Client]
) -> None:
    client = open_client(rest.url, key=KEY, heartbeat=0.05)
    with client.book(book_id, title="Moby Dick", metadata={"pages": 3}) as book:
        with book.stage("ANALYZING") as stage:
            assert stage.attempt == 1
            for _ in stage.track(range(30), "extract_text", unit="page"):
                pass
            stage.checkpoint({"at": [1, 2]}, "detect_chapters")
        with book.stage("GENERATING_SCENES"):
            pass
        with book.stage("CREATING_ARTWORK") as stage:
            stage.plan(["page_1"])
            stage.progress(100, "page_1")
        book.transition("COMPLETED")
    row = servers.wait_for_book(book_id, status="COMPLETED")
    assert (row["title"], row["metadata"]) == ("Moby Dick", {"pages": 3})
    assert servers.substep(book_id, "extract_text")["done"] == 30
    assert servers.substep(book_id, "detect_chapters")["checkpoint"] == {"at": [1, 2]}
    statuses = list(bindery.watch(book_id, url=rest.url, key=KEY, timeout=5))
    assert [status["status"] for status in statuses] == ["COMPLETED"]


def test_a_failed_stage_is_resumed_from_its_checkpoint(
    rest: RestServer, servers: Servers, book_id: str, open_client: Callable[..., Client]
) -> None:
    client = open_client(rest.url, key=KEY)

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


def test_a_worker_is_superseded(
    rest: RestServer, servers: Servers, book_id: str, open_client: Callable[..., Client]
) -> None:
    client = open_client(rest.url, key=KEY)
    with client.book(book_id) as book, pytest.raises(Superseded):
        with book.stage("ANALYZING") as stage:
            servers.sql("select 1 from bindery.cancel_book(%s)", book_id)
            stage.progress(5, "extract_text")
            assert book.flush()
            stage.progress(6, "extract_text")


def test_with_a_wrong_key_events_wait_and_with_the_right_one_refusals_are_logged(
    rest: RestServer,
    servers: Servers,
    book_id: str,
    open_client: Callable[..., Client],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    wrong = open_client(rest.url, key="wrong")
    with wrong.book(book_id) as book:
        assert not book.flush(0.3)
    assert "HTTP 401" in caplog.text
    assert servers.book(book_id) is None
    right = open_client(rest.url, key=KEY)
    with right.book(book_id, pipeline="no_such_pipeline") as book:
        assert book.flush()
    assert "unknown_pipeline" in caplog.text
