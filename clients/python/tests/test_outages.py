"""Servers that are away for a while, or all the time."""

from __future__ import annotations

import logging
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from servers import SCRIPT, Servers, wait_for

from bindery_client import Client

SUBSTEPS = ("extract_text", "detect_chapters", "analyze_characters")


@pytest.fixture
def closed_port() -> int:
    """A port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield int(listener.getsockname()[1])


@pytest.mark.parametrize("scheme", ["redis://127.0.0.1:{}/", "postgresql://127.0.0.1:{}/none"])
@pytest.mark.parametrize("port", ["closed_port", "silent_port"])
def test_a_loop_without_a_server_takes_no_longer_and_raises_nothing(
    scheme: str, port: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    # An open port may still answer, so that a stage would wait; a closed one refuses at once.
    begin, flush = (None, 5) if port == "closed_port" else (0, 0)
    url = scheme.format(request.getfixturevalue(port))
    client = Client(url, begin_timeout=begin, flush_timeout=flush)
    book = client.book("moby-dick")
    slowest = 0.0
    began = time.monotonic()
    with book, book.stage("ANALYZING") as stage:
        before = time.monotonic()
        for item in stage.track(range(100), "extract_text"):
            now = time.monotonic()
            slowest = max(slowest, now - before)
            stage.message(f"item {item}")
            time.sleep(0.01)
            before = now
    elapsed = time.monotonic() - began
    assert elapsed < 100 * 0.01 + 0.8
    assert slowest < 0.3
    assert not book.flush(0.01)
    client.close(0.01)


def is_later(look: Callable[[], float], than: float) -> bool:
    return look() > than


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_10000_reports_of_50_books_arrive_exactly_although_the_server_is_away_meanwhile(
    kind: str,
    servers: Servers,
    open_client: Callable[..., Client],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    client = open_client(servers.redis_url if kind == "redis" else servers.postgres_url)
    ended: dict[str, dict[str, tuple[int, str]]] = {}
    is_half_done = threading.Barrier(51)
    slowest = [0.0]

    def work() -> None:
        name = str(uuid.uuid4())
        state: dict[str, tuple[int, str]] = {}
        with client.book(name, title=name) as book, book.stage("ANALYZING") as stage:
            for number in range(200):
                if number == 100:
                    is_half_done.wait()
                substep = SUBSTEPS[number % 3]
                before = time.monotonic()
                stage.progress(done=number, total=250, substep=substep, message=f"at {number}")
                slowest[0] = max(slowest[0], time.monotonic() - before)
                state[substep] = (number, f"at {number}")
                time.sleep(0.005)
            ended[book.book_id] = state

    threads = [threading.Thread(target=work) for _ in range(50)]
    for thread in threads:
        thread.start()
    is_half_done.wait()
    if kind == "redis":
        servers.stop_redis()
        time.sleep(1)
        servers.start_redis()
    else:
        command = [str(SCRIPT), "restart-postgres", str(servers.folder), "immediate"]
        subprocess.run(command, check=True, capture_output=True)
    for thread in threads:
        thread.join()
    assert client.flush(20)
    assert len(ended) == 50
    for book_id, state in ended.items():
        for substep, (done, message) in state.items():
            found = servers.wait_for_substep(book_id, substep, done=done)
            assert (found["total"], found["message"]) == (250, message)
        assert servers.dead_letters(book_id) == 0
    assert slowest[0] < 1
    warnings = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert [w.message.split(":")[0] for w in warnings].count(
        "Bindery cannot be reached, reports wait"
    ) == len(warnings)
    assert 1 <= len(warnings) <= 2, caplog.text


def test_a_stage_that_comes_too_early_begins_once_the_one_before_has_begun(
    servers: Servers, open_client: Callable[..., Client], book_id: str
) -> None:
    client = open_client(servers.postgres_url, begin_timeout=0.2)
    with client.book(book_id) as book, book.stage("GENERATING_SCENES") as stage:
        assert stage.attempt is None
        stage.progress(40, "split_scenes")
        other = open_client(servers.postgres_url)
        with other.book(book_id) as same, same.stage("ANALYZING"):
            pass
        assert book.flush(10)
        assert stage.attempt == 1
    servers.wait_for_book(book_id, status="GENERATING_SCENES")
    assert servers.substep(book_id, "split_scenes")["progress"] == 40


def test_what_comes_too_early_keeps_nothing_else_of_its_book(
    servers: Servers, open_client: Callable[..., Client], book_id: str
) -> None:
    client = open_client(servers.postgres_url, begin_timeout=0.2)
    with client.book(book_id) as book:
        early = book.stage("GENERATING_SCENES")
        with early:
            early.progress(40, "split_scenes")
            began = time.monotonic()
        with book.stage("ANALYZING") as stage:
            assert stage.attempt == 1
            stage.progress(30, "extract_text")
    assert time.monotonic() - began < 3
    # Now that the book is in the stage before it, the first stage has begun after all.
    assert book.flush(10)
    servers.wait_for_book(book_id, status="GENERATING_SCENES")
    assert servers.substep(book_id, "split_scenes")["progress"] == 40
    assert servers.dead_letters(book_id) == 0


def test_what_a_server_refuses_is_logged_once_and_harms_nothing(
    servers: Servers,
    open_client: Callable[..., Client],
    book_id: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = open_client(servers.postgres_url)
    with client.book(book_id) as book, book.stage("ANALYZING") as stage:
        for number in range(5):
            stage.progress(number, "no_such_substep")
            assert book.flush(5)
        stage.progress(10, "extract_text")
        book.transition("NO\0WHERE\ud800")
    refusals = [r.message for r in caplog.records]
    assert len(refusals) == 2, caplog.text
    assert "unknown_substep" in refusals[0]
    assert "illegal_transition" in refusals[1]
    assert servers.substep(book_id, "extract_text")["progress"] == 10


def test_an_open_stage_without_reports_keeps_its_book_alive(
    servers: Servers, open_client: Callable[..., Client], book_id: str
) -> None:
    def beaten() -> float:
        query = "select extract(epoch from heartbeat_at)::float8 from bindery.book_status"
        return float(servers.sql(f"{query} where book_id = %s", book_id))

    for url in (servers.postgres_url, servers.redis_url):
        client = open_client(url, heartbeat=0.1)
        with client.book(book_id) as book, book.stage("ANALYZING"):
            assert book.flush()
            servers.wait_for_book(book_id, status="ANALYZING")
            first = beaten()
            wait_for(partial(is_later, beaten, first + 0.3), "a later heartbeat")
