from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from servers import SCRIPT, Servers, wait_for

import bindery_client as bindery
from bindery_client import Client


def test_a_watched_book_is_seen_from_before_its_registration_to_its_end(
    servers: Servers, book_id: str, open_client: Callable[..., Client]
) -> None:
    seen: list[dict[str, Any]] = []

    def look() -> None:
        seen.extend(bindery.watch(book_id, url=servers.postgres_url, timeout=30))

    watcher = threading.Thread(target=look)
    watcher.start()
    client = open_client(servers.redis_url)
    with client.book(book_id) as book:
        for stage in ("ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK"):
            with book.stage(stage) as work:
                if stage == "ANALYZING":
                    work.progress(50, "extract_text")
            book.flush()
            servers.wait_for_book(book_id, status=stage)
        book.transition("COMPLETED")
    watcher.join(20)
    assert not watcher.is_alive()
    revisions = [status["revision"] for status in seen]
    assert revisions == sorted(revisions)
    assert seen[-1]["status"] == "COMPLETED"
    assert seen[-1]["overall_progress"] == 100
    assert len(seen) >= 3


def test_a_change_is_seen_at_once_and_after_a_restart_of_postgres(
    servers: Servers, book_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    servers.sql("select 1 from bindery.register_book(%s)", book_id)
    seen: list[tuple[float, dict[str, Any]]] = []
    stop = threading.Event()

    def look() -> None:
        for status in bindery.watch(book_id, url=servers.postgres_url, poll=30, stop=stop):
            seen.append((time.monotonic(), status))

    watcher = threading.Thread(target=look)
    watcher.start()
    wait_for(lambda: seen, "the first status")
    servers.sql("select 1 from bindery.begin_stage(%s, 'ANALYZING')", book_id)
    changed = time.monotonic()
    wait_for(lambda: len(seen) > 1, "the second status", timeout=5)
    assert seen[1][0] - changed < 1
    command = [str(SCRIPT), "restart-postgres", str(servers.folder), "immediate"]
    subprocess.run(command, check=True, capture_output=True)
    servers.sql("select 1 from bindery.fail_book(%s)", book_id)
    wait_for(lambda: seen[-1][1]["status"] == "FAILED", "the failure")
    stop.set()
    watcher.join(5)
    assert not watcher.is_alive()


def test_watching_over_redis_is_refused_with_what_to_set() -> None:
    with pytest.raises(ValueError, match="BINDERY_STATUS_URL"):
        bindery.watch("moby-dick", url="redis://127.0.0.1:1/")
