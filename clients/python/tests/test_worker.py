from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import Servers, wait_for

import bindery_client as bindery
from bindery_client import Client, Superseded

PROGRAM = Path(__file__).with_name("program.py")

PIPELINE = """{"states": [{"name": "UPLOADED"},
  {"name": "READING", "weight": 1, "stall_after": "3 seconds", "retry_after": "0.1 seconds",
    "max_attempts": 5, "substeps": [{"substep": "read"}]},
  {"name": "DRAWING", "weight": 1, "stall_after": "3 seconds", "retry_after": "0.1 seconds",
    "max_attempts": 5, "substeps": [{"substep": "draw"}]},
  {"name": "COMPLETED"}]}"""

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(params=["postgres", "redis_and_status", "redis"])
def way(request: pytest.FixtureRequest, servers: Servers) -> dict[str, str]:
    servers.sql("select bindery.define_pipeline('short', %s)", PIPELINE)
    if request.param == "postgres":
        return {"BINDERY_URL": servers.postgres_url, "BINDERY_CHANGES_URL": servers.redis_url}
    if request.param == "redis_and_status":
        return {"BINDERY_URL": servers.redis_url, "BINDERY_STATUS_URL": servers.postgres_url}
    return {"BINDERY_URL": servers.redis_url}


@pytest.fixture
def group(servers: Servers, way: dict[str, str]) -> str:
    """A consumer group that begins with what comes from now on."""
    name = f"group-{uuid.uuid4().hex}"
    servers.redis.xgroup_create("bindery:changes", name, id="$", mkstream=True)
    return name


@pytest.fixture
def start(tmp_path: Path, way: dict[str, str]) -> Iterator[Start]:
    children: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [sys.executable, PROGRAM, *arguments],
            env={**os.environ, "RECORD": str(tmp_path / "record"), **way},
            stderr=(tmp_path / "errors").open("ab"),
        )
        children.append(child)
        return child

    yield run
    for child in children:
        if child.poll() is None:
            child.kill()
            child.wait()


def lines(tmp_path: Path) -> list[list[str]]:
    file = tmp_path / "record"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def begin(servers: Servers, books: list[str]) -> None:
    for book in books:
        servers.sql("select 1 from bindery.register_book(%s, pipeline => 'short')", book)
        servers.sql("select 1 from bindery.transition_book(%s, 'READING')", book)


def readers(servers: Servers) -> int:
    """How many clients of Redis read in a consumer group."""
    clients = servers.redis.client_list()
    return sum(client["cmd"].startswith("xreadgroup") for client in clients)


def test_workers_share_the_books_and_stop_gracefully(
    start: Start, servers: Servers, tmp_path: Path, group: str
) -> None:
    # Longer than a busy machine lets a process wait: a lease that ends is work done twice.
    workers = [start("follow", "0.01", group, "30") for _ in range(2)]
    wait_for(lambda: readers(servers) == 2, "two workers that read")
    books = [str(uuid.uuid4()) for _ in range(6)]
    begin(servers, books)
    for book in books:
        row = servers.wait_for_book(book, status="COMPLETED")
        assert row["attempt"] == 1
        assert servers.dead_letters(book) == 0
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    for worker in workers:
        assert worker.wait(15) == 0
    record = lines(tmp_path)
    assert record.count(["ended", "True"]) == 2
    done = Counter(tuple(line[1:]) for line in record if line[0] != "ended")
    assert len(done) == 6 * 2 * 20
    assert set(done.values()) == {1}
    pending = servers.redis.xpending("bindery:changes", group)
    assert pending["pending"] == 0
    assert servers.redis.xinfo_consumers("bindery:changes", group) == []


def test_the_message_of_a_killed_worker_is_claimed_and_its_work_continues(
    start: Start, servers: Servers, tmp_path: Path, group: str, way: dict[str, str], book_id: str
) -> None:
    first = start("follow", "0.1", group, "1")
    begin(servers, [book_id])
    wait_for(lambda: len(lines(tmp_path)) > 8, "nine items")
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = start("follow", "0.01", group, "1")
    servers.wait_for_book(book_id, status="COMPLETED")
    second.send_signal(signal.SIGINT)
    assert second.wait(15) == 0
    read = [line for line in lines(tmp_path) if line[0] != "ended" and line[2] == "READING"]
    items = Counter(int(line[4]) for line in read)
    assert sorted(items) == list(range(20))
    if "BINDERY_STATUS_URL" in way or way["BINDERY_URL"].startswith("postgresql"):
        # Only what was finished after the last report is done again.
        assert sum(items.values()) <= 20 + 4
    assert servers.dead_letters(book_id) == 0


def test_a_worker_whose_book_is_taken_from_it_gets_superseded(
    servers: Servers,
    group: str,
    way: dict[str, str],
    book_id: str,
    open_client: Callable[..., Client],
) -> None:
    client = open_client(way["BINDERY_URL"], status_url=way.get("BINDERY_STATUS_URL"))
    worker = bindery.Worker(client, changes_url=servers.redis_url, group=group, lease=1)
    outcomes: list[object] = []

    @worker.stage("READING")
    def read(stage: bindery.Stage) -> None:
        try:
            for _ in stage.track(range(1000), "read"):
                time.sleep(0.02)
        except Superseded as superseded:
            outcomes.append((superseded.attempt, superseded.status))
            raise
        outcomes.append("ended")

    running = threading.Thread(target=worker.run)
    running.start()
    begin(servers, [book_id])
    wait_for(lambda: (servers.substep(book_id, "read").get("done") or 0) > 0, "an item")
    servers.sql("select 1 from bindery.cancel_book(%s)", book_id)
    wait_for(lambda: outcomes, "an outcome")
    worker.stop()
    running.join(10)
    assert not running.is_alive()
    assert outcomes == [(1, "CANCELLED")]
    assert servers.dead_letters(book_id) == 0


def test_a_function_that_fails_fails_its_book_and_is_called_for_the_resume(
    servers: Servers,
    group: str,
    way: dict[str, str],
    book_id: str,
    open_client: Callable[..., Client],
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = open_client(way["BINDERY_URL"], status_url=way.get("BINDERY_STATUS_URL"))
    worker = bindery.Worker(client, changes_url=servers.redis_url, group=group, lease=1)
    seen: list[tuple[int | None, int]] = []

    @worker.stage("READING", to_status="DRAWING")
    def read(stage: bindery.Stage) -> None:
        for item in stage.track(range(6), "read"):
            if item == 3 and stage.attempt == 1:
                raise ZeroDivisionError("Page 3 is torn.")
            seen.append((stage.attempt, item))

    running = threading.Thread(target=worker.run)
    running.start()
    begin(servers, [book_id])
    servers.wait_for_book(book_id, status="DRAWING")
    worker.stop()
    running.join(10)
    # The message of the resume has the resume point, over Redis alone, too.
    assert seen == [(1, 0), (1, 1), (1, 2), (2, 3), (2, 4), (2, 5)]
    assert "ZeroDivisionError: Page 3 is torn." in caplog.text


def test_a_message_that_is_published_twice_is_worked_on_once(
    servers: Servers, group: str, way: dict[str, str], open_client: Callable[..., Client]
) -> None:
    client = open_client(way["BINDERY_URL"], status_url=way.get("BINDERY_STATUS_URL"))
    worker = bindery.Worker(
        client, changes_url=servers.redis_url, group=group, lease=1, concurrency=2
    )
    calls: list[str] = []

    @worker.stage("READING")
    def read(stage: bindery.Stage) -> None:
        calls.append(stage.book.book_id)
        time.sleep(0.5)

    books = [str(uuid.uuid4()) for _ in range(2)]
    begin(servers, books)

    def messages() -> list[dict[str, str]]:
        entries: Any = servers.redis.xrange("bindery:changes")
        return [f for _, f in entries if f["book_id"] in books and "READING" in f["payload"]]

    found = wait_for(lambda: len(messages()) == 2 and messages(), "two messages")
    for fields in found:
        servers.redis.xadd("bindery:changes", {**fields})
    running = threading.Thread(target=worker.run)
    running.start()
    wait_for(lambda: len(calls) == 2, "two calls")
    wait_for(
        lambda: servers.redis.xpending("bindery:changes", group)["pending"] == 0, "all finished"
    )
    worker.stop()
    running.join(10)
    assert sorted(calls) == sorted(books)


def test_a_worker_without_a_redis_url_is_refused() -> None:
    with pytest.raises(ValueError, match="BINDERY_CHANGES_URL"):
        bindery.Worker(Client())
