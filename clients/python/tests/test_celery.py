"""Tasks in real workers of Celery, over a real Redis, against a real binderyd."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import Ignore
from servers import Servers, wait_for

from bindery_client import Client, testing
from bindery_client.celery import stage

TESTS = Path(__file__).parent
EXAMPLES = TESTS.parent / "examples"

Start = Callable[..., "subprocess.Popen[bytes]"]


def start_worker(app: str, folder: Path, log: Path, setting: dict[str, str]) -> Any:
    """Start a worker of one process, in a process group of its own."""
    command = [sys.executable, "-m", "celery", "--app", app, "worker", "--concurrency", "1"]
    command += ["--without-gossip", "--without-mingle", "--loglevel", "WARNING"]
    environment = {**os.environ, **setting, "C_FORCE_ROOT": "1"}
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=log.open("ab"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def kill(worker: subprocess.Popen[bytes]) -> None:
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def lines(file: Path) -> list[str]:
    return file.read_text().split("\n")[:-1] if file.exists() else []


def failures(servers: Servers, book_id: str) -> int:
    query = "select count(*) from bindery.book_events where book_id = %s and to_status = 'FAILED'"
    return int(servers.sql(query, book_id))


def test_a_chain_continues_at_its_checkpoint_after_its_worker_was_killed(
    servers: Servers, tmp_path: Path
) -> None:
    record, log = tmp_path / "record", tmp_path / "log"
    setting = {
        "BINDERY_URL": servers.redis_url,
        "BINDERY_STATUS_URL": servers.postgres_url,
        "BROKER_URL": f"{servers.redis_url}1",
        "VISIBILITY_TIMEOUT": "1",
        "RECORD": str(record),
    }
    program = [sys.executable, "celery_app.py", "moby-dick.txt"]
    environment = {**os.environ, **setting}
    book_id = subprocess.check_output(program, cwd=EXAMPLES, env=environment, text=True).strip()
    workers = [start_worker("celery_app", EXAMPLES, log, setting)]
    try:
        look = lambda: (servers.substep(book_id, "extract_text").get("done") or 0) > 5  # noqa: E731
        wait_for(look, f"six pages; see {log}", 40)
        began = record.stat().st_ctime
        kill(workers[0])
        finished = len(lines(record))
        assert finished < 40
        # Redis gives the message to a worker that starts after the visibility timeout.
        while time.time() < began + 1.5:
            time.sleep(0.1)
        workers.append(start_worker("celery_app", EXAMPLES, log, setting))
        row = servers.wait_for_book(book_id, status="COMPLETED")
    finally:
        for worker in workers:
            if worker.poll() is None:
                kill(worker)
    assert row["overall_progress"] == 100
    assert (row["title"], row["pipeline"]) == ("moby-dick.txt", "comic")
    pages = [int(page) for page in lines(record)]
    assert sorted(set(pages)) == list(range(40))
    # What was finished after the last report, in a quarter of a second, is done again.
    assert pages[finished] > 5
    assert len(pages) - 40 <= 10
    assert servers.substep(book_id, "scenes")["done"] == 3
    assert failures(servers, book_id) == 0
    assert servers.dead_letters(book_id) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("celery")


@pytest.fixture(scope="module")
def tasks(servers: Servers, folder: Path) -> Iterator[Any]:
    """The tasks of celery_tasks.py, for which a worker runs."""
    setting = {
        "BINDERY_URL": servers.postgres_url,
        "BROKER_URL": f"{servers.redis_url}2",
        "RECORD": str(folder / "record"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in setting.items():
            patch.setenv(name, value)
        module = importlib.import_module("celery_tasks")
    worker = start_worker("celery_tasks", TESTS, folder / "log", setting)
    yield module
    worker.send_signal(signal.SIGTERM)
    try:
        worker.wait(20)
    except subprocess.TimeoutExpired:
        kill(worker)
        raise


@pytest.fixture
def record(folder: Path) -> Callable[[], list[str]]:
    (folder / "record").unlink(missing_ok=True)
    return lambda: lines(folder / "record")


Record = Callable[[], "list[str]"]


def test_a_task_whose_process_was_killed_runs_again_from_its_checkpoint(
    tasks: Any, record: Record, folder: Path, servers: Servers, book_id: str
) -> None:
    tasks.die_once.delay(book_id, str(folder / "died")).get(timeout=40)
    assert record() == [f"die_once {item}" for item in [*range(11), *range(10, 20)]]
    servers.wait_for_substep(book_id, "extract_text", progress=100)
    servers.wait_for_book(book_id, status="ANALYZING", attempt=1)
    assert failures(servers, book_id) == 0


def test_a_task_that_is_retried_automatically_keeps_its_book_in_the_stage(
    tasks: Any, record: Record, servers: Servers, book_id: str
) -> None:
    tasks.fail.delay(book_id, 2, "fail").get(timeout=40)
    runs = [(0, range(6)), (1, range(5, 11)), (2, range(10, 20))]
    assert record() == [f"fail {run} {item}" for run, items in runs for item in items]
    servers.wait_for_book(book_id, status="GENERATING_SCENES", error=None)
    assert failures(servers, book_id) == 0


def test_a_workflow_that_is_started_again_skips_what_its_book_has_passed(
    tasks: Any, record: Record, servers: Servers, book_id: str
) -> None:
    tasks.fail.delay(book_id, 0, "once").get(timeout=40)
    servers.wait_for_book(book_id, status="GENERATING_SCENES")
    servers.sql("select 1 from bindery.fail_book(%s)", book_id)
    before = servers.book(book_id)
    tasks.fail.delay(book_id, 0, "again").get(timeout=40)
    assert record() == [f"once 0 {item}" for item in range(20)]
    assert servers.book(book_id) == before


def test_a_message_that_comes_once_more_is_ignored_once_its_book_has_passed_the_stage(
    tasks: Any, servers: Servers, book_id: str, open_client: Callable[..., Client]
) -> None:
    servers.sql("select 1 from bindery.register_book(%s)", book_id)
    for status in ("ANALYZING", "GENERATING_SCENES"):
        servers.sql("select 1 from bindery.transition_book(%s, %s)", book_id, status)
    client = open_client(servers.postgres_url)
    tasks.fail.push_request(id=book_id, root_id=book_id)
    try:
        with pytest.raises(Ignore, match="passed"):
            with stage(tasks.fail, "ANALYZING", client=client):
                raise AssertionError("the stage was entered")
    finally:
        tasks.fail.pop_request()


def test_the_last_retry_that_fails_makes_the_book_failed(
    tasks: Any, record: Record, servers: Servers, book_id: str
) -> None:
    with pytest.raises(ConnectionError, match="the shelf is away"):
        tasks.fail.delay(book_id, 9, "never").get(timeout=40)
    row = servers.wait_for_book(book_id, status="FAILED")
    assert row["error"]["code"] == "connection_error"
    assert failures(servers, book_id) == 1
    assert record()[-1] == "never 2 15"


def test_a_task_that_asks_for_a_retry_keeps_its_book_in_the_stage(
    tasks: Any, servers: Servers, book_id: str
) -> None:
    tasks.retry.delay(book_id).get(timeout=40)
    servers.wait_for_substep(book_id, "extract_text", progress=40)
    servers.wait_for_substep(book_id, "detect_chapters", progress=60)
    servers.wait_for_book(book_id, status="ANALYZING", attempt=1)
    assert failures(servers, book_id) == 0


def test_a_rejected_message_leaves_the_book_as_it_is(
    tasks: Any, servers: Servers, book_id: str
) -> None:
    tasks.reject.delay(book_id)
    servers.wait_for_substep(book_id, "extract_text", progress=30)
    # The worker does one task after the other.
    tasks.follow.delay(None).get(timeout=40)
    assert failures(servers, book_id) == 0


def test_a_superseded_task_is_neither_failed_nor_retried_nor_followed(
    tasks: Any, record: Record, servers: Servers, book_id: str
) -> None:
    (tasks.lose.s(book_id) | tasks.follow.s()).delay()
    wait_for(lambda: "superseded" in record(), "a superseded task", 40)
    tasks.follow.delay(None).get(timeout=40)
    assert record() == ["lose", "superseded", "follow"]
    servers.wait_for_book(book_id, status="CANCELLED")


def test_a_task_that_is_called_as_a_function_reports_and_raises_its_own_error(tasks: Any) -> None:
    with testing.record() as events, pytest.raises(ConnectionError):
        tasks.fail("moby-dick", 1, "called")
    assert (events[-1]["type"], events[-1]["message"]) == (
        "fail",
        "ConnectionError: the shelf is away",
    )
    with testing.record() as events, stage(tasks.fail, "ANALYZING"):
        pass
    assert uuid.UUID(events[0]["book_id"])


def test_without_a_server_a_task_works_as_if_there_were_no_report(
    tasks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    with stage(tasks.retry, "ANALYZING", client=Client()) as work:
        assert list(work.track(range(3))) == [0, 1, 2]
    assert time.monotonic() - began < 0.5
