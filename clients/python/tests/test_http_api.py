"""Reporting over Bindery's HTTP API, which binderyd serves."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from servers import Servers, wait_for

import bindery_client as bindery
from bindery_client import Client, Superseded

SECRET = "the secret of these tests: 32 bytes or more"


def token(**claims: object) -> str:
    """A token signed with HS256."""

    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    head = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    message = f"{head}.{part(json.dumps(claims).encode())}"
    return f"{message}.{part(hmac.digest(SECRET.encode(), message.encode(), hashlib.sha256))}"


@pytest.fixture
def guarded(servers: Servers) -> Iterator[str]:
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


def test_a_book_goes_through_all_of_its_stages(
    servers: Servers, book_id: str, open_client: Callable[..., Client]
) -> None:
    url = servers.http
    client = open_client(url, heartbeat=0.05)
    with client.book(book_id, title="Moby Dick", metadata={"pages": 3}) as book:
        with book.stage("ANALYZING") as stage:
            assert stage.attempt == 1
            for _ in stage.track(range(30), "extract_text", unit="page"):
                pass
            stage.checkpoint("a text", "detect_chapters")
        with book.stage("GENERATING_SCENES"):
            pass
        with book.stage("CREATING_ARTWORK") as stage:
            stage.plan(["page_1"])
            stage.progress(100, "page_1")
        book.transition("COMPLETED")
    row = servers.wait_for_book(book_id, status="COMPLETED")
    assert (row["title"], row["metadata"]) == ("Moby Dick", {"pages": 3})
    assert servers.substep(book_id, "extract_text")["done"] == 30
    assert servers.substep(book_id, "detect_chapters")["checkpoint"] == "a text"
    statuses = list(bindery.watch(book_id, url=url, timeout=5))
    assert [status["status"] for status in statuses] == ["COMPLETED"]


def test_a_failed_stage_is_resumed_from_its_checkpoint(
    servers: Servers, book_id: str, open_client: Callable[..., Client]
) -> None:
    client = open_client(servers.http)

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
    servers: Servers, book_id: str, open_client: Callable[..., Client]
) -> None:
    client = open_client(servers.http)
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
    guarded: str, servers: Servers, book_id: str, open_client: Callable[..., Client]
) -> None:
    servers.sql("select from bindery.register_book(%s)", book_id)
    key = token(role="bindery_worker", book_id=book_id, stage="ANALYZING")
    client = open_client(guarded, key=key, heartbeat=0.05)
    with client.book(book_id, register=False) as book:
        with book.stage("ANALYZING") as stage:
            assert stage.attempt == 1
            stage.progress(40, "extract_text", message="on")
            assert book.flush()
            servers.wait_for_substep(book_id, "extract_text", progress=40)
        with pytest.raises(Superseded), book.stage("ANALYZING") as stage:
            servers.sql("select from bindery.transition_book(%s, 'GENERATING_SCENES')", book_id)
            wait_for(lambda: stage.superseded, "a heartbeat that has no effect")
            stage.progress(50, "extract_text")
    assert servers.substep(book_id, "extract_text")["progress"] == 40


def test_what_a_token_does_not_admit_is_logged_and_holds_up_nothing(
    guarded: str,
    servers: Servers,
    book_id: str,
    open_client: Callable[..., Client],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    servers.sql("select from bindery.register_book(%s)", book_id)
    client = open_client(guarded, key=token(role="bindery_worker", stage="ANALYZING"))
    with client.book(book_id, register=False) as book:
        book.plan("CREATING_ARTWORK", ["page_1"])
        book.plan("ANALYZING", ["more"])
        assert book.flush()
    assert "not_allowed" in caplog.text
    servers.wait_for_substep(book_id, "more", progress=0)
