"""Workers, as processes, against a real Postgres, Redis and binderyd."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import Servers, wait_for

from bindery_client import Client, Superseded, book_uuid

PROGRAM = Path(__file__).with_name("program.py")

# stall_after is short, so that a book whose worker was killed is resumed soon.
PIPELINE = """{"states": [{"name": "UPLOADED"}, {"name": "ANALYZING", "weight": 1,
  "stall_after": "1 second", "retry_after": "0.1 seconds", "max_attempts": 5,
  "substeps": [{"substep": "extract_text"}, {"substep": "detect_chapters"},
    {"substep": "analyze_characters"}]}, {"name": "COMPLETED"}]}"""

Setting = dict[str, str]


@pytest.fixture(params=["postgres", "redis_and_status", "redis"])
def way(request: pytest.FixtureRequest, servers: Servers) -> Setting:
    """The environment of a worker, for each way to report."""
    if request.param == "postgres":
        return {"BINDERY_URL": servers.postgres_url}
    setting = {"BINDERY_URL": servers.redis_url}
    if request.param == "redis_and_status":
        setting["BINDERY_STATUS_URL"] = servers.postgres_url
    return setting


# Over Redis alone a worker cannot know that it was superseded.
ANSWERING = pytest.mark.parametrize("way", ["postgres", "redis_and_status"], indirect=True)


@pytest.fixture
def answers(way: Setting) -> bool:
    return len(way) == 2 or way["BINDERY_URL"].startswith("postgresql")


@pytest.fixture
def start(
    tmp_path: Path, book_id: str, way: Setting, servers: Servers
) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    servers.sql("select bindery.define_pipeline('brief', %s)", PIPELINE)
    children: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str, **more: str) -> subprocess.Popen[bytes]:
        setting = {"BOOK": book_id, "RECORD": str(tmp_path / "record"), **way, **more}
        # Python 3.12 and later warn of a fork beside a thread; that is what is tested.
        setting["PYTHONWARNINGS"] = "ignore:This process:DeprecationWarning"
        child = subprocess.Popen(
            [sys.executable, PROGRAM, *arguments],
            env={**os.environ, **setting},
            stderr=(tmp_path / "errors").open("ab"),
        )
        children.append(child)
        return child

    yield run
    for child in children:
        if child.poll() is None:
            child.kill()
            child.wait()


@pytest.fixture
def record(tmp_path: Path) -> Callable[[], list[str]]:
    file = tmp_path / "record"
    return lambda: file.read_text().split("\n")[:-1] if file.exists() else []


def errors(tmp_path: Path) -> str:
    return (tmp_path / "errors").read_text()


Start = Callable[..., "subprocess.Popen[bytes]"]
Record = Callable[[], "list[str]"]


def test_a_worker_that_was_killed_is_resumed_where_it_was(
    start: Start, record: Record, servers: Servers, book_id: str, answers: bool
) -> None:
    first = start("work", "60", "0.05", PIPELINE="brief")
    wait_for(lambda: (servers.substep(book_id, "extract_text").get("done") or 0) > 5, "six items")
    first.send_signal(signal.SIGKILL)
    first.wait()
    finished = len(record()) - 1
    # The sweeper fails the silent book, and resumes it after retry_after.
    servers.wait_for_book(book_id, status="ANALYZING", attempt=2)
    second = start("work", "60", "0.01", PIPELINE="brief")
    assert second.wait(30) == 0
    row = servers.wait_for_book(book_id, status="ANALYZING")
    servers.wait_for_substep(book_id, "extract_text", progress=100)
    items = record()
    repeated = len(items) - 2 - 60
    if answers:
        assert items[0] == "attempt 1"
        assert f"attempt {row['attempt']}" in items
        # What was finished after the last report, in a quarter of a second, is done again.
        assert finished > 5
        assert 0 <= repeated <= 10
    else:
        assert items[0] == "attempt None"
        assert repeated == finished
    assert servers.dead_letters(book_id) == 0


@ANSWERING
def test_50_books_end_as_their_programs_record_through_outages_and_a_killed_worker(
    start: Start, record: Record, servers: Servers, book_id: str, tmp_path: Path
) -> None:
    limits = tmp_path / "limits"
    names = [f"{book_id}-{number}" for number in range(50)]
    ids = [str(book_uuid(name)) for name in names]

    def let(limit: int) -> None:
        """Let all books continue up to an item; 200 are 10,000 reports of 50 books."""
        (tmp_path / "next").write_text(str(limit))
        (tmp_path / "next").rename(limits)

    def delivered() -> int:
        query = "select count(*) from bindery.book_progress where book_id = any(%s) and done = 50"
        return int(servers.sql(query, ids))

    def run(number: int) -> subprocess.Popen[bytes]:
        return start("many", str(10 * number), str(10 * number + 10), str(limits))

    let(50)
    workers = [run(number) for number in range(5)]
    wait_for(lambda: delivered() == 50, "50 finished items of each book", 60)
    # Both servers are away, while all books continue and one worker dies.
    servers.stop_redis()
    servers.stop_postgres()
    let(100)
    wait_for(lambda: len(record()) == 50 * 100, "100 items of each book", 60)
    workers[0].kill()
    workers[0].wait()
    servers.start_postgres()
    servers.start_redis()
    workers[0] = run(0)
    wait_for(lambda: len(record()) == 50 * 100 + 10 * 50, "the lost items, once more", 60)
    # Once more without Postgres alone.
    servers.stop_postgres()
    let(150)
    wait_for(lambda: len(record()) == 50 * 150 + 10 * 50, "150 items of each book", 60)
    servers.start_postgres()
    let(200)
    assert [worker.wait(60) for worker in workers] == [0] * 5

    recorded: dict[str, list[tuple[str, int, int]]] = {name: [] for name in names}
    for written in record():
        written_by, attempt, number, total = written.split()
        recorded[written_by].append((attempt, int(number), int(total)))
    for name, book in zip(names, ids, strict=True):
        # The worker that was killed had delivered 50 items of each of its books.
        items = [*range(100), *range(50, 200)] if name in names[:10] else [*range(200)]
        assert [item for _, item, _ in recorded[name]] == items
        assert {attempt for attempt, _, _ in recorded[name]} == {"1"}
        _, item, words = recorded[name][-1]
        found = servers.wait_for_substep(book, "extract_text", done=item + 1)
        assert (found["total"], found["progress"]) == (200, 100)
        assert found["message"] == f"at {item}"
        assert found["checkpoint"] == {"tracked": item + 1, "data": words}
        assert words == sum(range(200))
        servers.wait_for_book(book, status="ANALYZING", attempt=1)
        assert servers.dead_letters(book) == 0
    log = errors(tmp_path)
    assert "Bindery cannot be reached, reports wait" in log
    for problem in ("Traceback", "starts over", "not delivered", "has refused"):
        assert problem not in log


@ANSWERING
def test_a_worker_that_continues_after_it_was_given_up_is_superseded(
    servers: Servers, book_id: str, way: Setting, open_client: Callable[..., Client]
) -> None:
    client = open_client(way["BINDERY_URL"], status_url=way.get("BINDERY_STATUS_URL"))
    done = 0
    with client.book(book_id, pipeline="comic") as book:
        with pytest.raises(Superseded) as caught, book.stage("ANALYZING") as stage:
            assert stage.attempt == 1
            for done in stage.track(range(10_000), "extract_text"):
                if done == 10:
                    servers.sql("select 1 from bindery.fail_book(%s)", book_id)
                    servers.sql("select 1 from bindery.resume_book(%s)", book_id)
                time.sleep(0.005)
        assert (caught.value.status, caught.value.current_attempt) == ("ANALYZING", 2)
        assert 10 <= done < 9_999
    # Neither its progress nor a failure counts.
    row = servers.wait_for_book(book_id, status="ANALYZING", attempt=2)
    assert row["error"] is None
    with client.book(book_id) as book, book.stage("ANALYZING") as stage:
        assert stage.attempt == 2
        stage.progress(50, "detect_chapters")
    servers.wait_for_substep(book_id, "detect_chapters", progress=50)
    assert servers.dead_letters(book_id) == 0


def test_a_worker_that_comes_too_early_begins_when_its_turn_comes(
    servers: Servers, book_id: str, way: Setting, answers: bool, open_client: Callable[..., Client]
) -> None:
    status_url = way.get("BINDERY_STATUS_URL")
    client = open_client(way["BINDERY_URL"], status_url=status_url, begin_timeout=0.3)
    with client.book(book_id) as book, book.stage("GENERATING_SCENES") as stage:
        stage.progress(40, "split_scenes")
        servers.wait_for_book(book_id, status="UPLOADED")
        assert not stage.superseded
        servers.sql("select 1 from bindery.begin_stage(%s, 'ANALYZING')", book_id)
        servers.wait_for_book(book_id, status="GENERATING_SCENES")
        servers.wait_for_substep(book_id, "split_scenes", progress=40)
        if answers:
            wait_for(lambda: stage.attempt == 1, "the attempt")
    assert servers.dead_letters(book_id) == 0


def test_an_exception_fails_the_book_in_the_database(
    servers: Servers, book_id: str, way: Setting, open_client: Callable[..., Client]
) -> None:
    client = open_client(way["BINDERY_URL"], status_url=way.get("BINDERY_STATUS_URL"))

    def work() -> None:
        with client.book(book_id) as book, book.stage("ANALYZING") as stage:
            stage.progress(30, "extract_text")
            raise ZeroDivisionError("Page 31 is torn.")

    with pytest.raises(ZeroDivisionError):
        work()
    row = servers.wait_for_book(book_id, status="FAILED")
    assert row["error"]["code"] == "zero_division_error"
    assert row["message"] == "ZeroDivisionError: Page 31 is torn."
    assert servers.substep(book_id, "extract_text")["progress"] == 30


def test_a_book_goes_through_all_of_its_stages(
    servers: Servers, book_id: str, way: Setting, open_client: Callable[..., Client]
) -> None:
    client = open_client(way["BINDERY_URL"], status_url=way.get("BINDERY_STATUS_URL"))
    with client.book(book_id, title="Moby \x1b[1mDick", metadata={"pages": 3}) as book:
        with book.stage("ANALYZING") as stage:
            for substep in ("extract_text", "detect_chapters", "analyze_characters"):
                for _ in stage.track(range(50), substep, unit="page"):
                    stage.message("Reading \x07on", substep)
        with book.stage("GENERATING_SCENES") as stage:
            stage.progress(100, "split_scenes")
            stage.progress(done=2, total=2, substep="write_prompts")
        with book.stage("CREATING_ARTWORK") as stage:
            stage.plan({"page_1": 1, "page_2": 2})
            for page in ("page_1", "page_2"):
                for _ in stage.track(range(20), page):
                    pass
        book.transition("COMPLETED", "Done.")
    row = servers.wait_for_book(book_id, status="COMPLETED")
    assert row["overall_progress"] == 100
    assert row["title"] == "Moby Dick"
    assert row["metadata"] == {"pages": 3}
    assert servers.substep(book_id, "extract_text")["message"] == "Reading on"
    for substep in ("extract_text", "write_prompts", "page_2"):
        assert servers.substep(book_id, substep)["progress"] == 100
    assert servers.dead_letters(book_id) == 0


def test_a_worker_that_is_interrupted_fails_its_book_and_ends(
    start: Start, record: Record, servers: Servers, book_id: str, tmp_path: Path
) -> None:
    worker = start("work", "1000", "0.02")
    wait_for(lambda: len(record()) > 5, "some items")
    worker.send_signal(signal.SIGINT)
    worker.wait(10)
    assert "KeyboardInterrupt" in errors(tmp_path)
    row = servers.wait_for_book(book_id, status="FAILED")
    assert row["error"]["code"] == "keyboard_interrupt"
    assert servers.substep(book_id, "extract_text")["done"] in (len(record()) - 1, len(record()))


def test_what_was_reported_arrives_when_the_interpreter_ends(
    start: Start, servers: Servers, book_id: str, tmp_path: Path
) -> None:
    assert start("die_at_once", "1000").wait(20) == 0
    servers.wait_for_book(book_id, status="ANALYZING")
    servers.wait_for_substep(book_id, "extract_text", done=1000)
    assert errors(tmp_path) == ""


def test_a_daemon_thread_in_its_stage_does_not_keep_the_interpreter(
    start: Start, servers: Servers, book_id: str, tmp_path: Path
) -> None:
    assert start("exit_in_thread").wait(20) == 0
    servers.wait_for_book(book_id, status="ANALYZING")
    servers.wait_for_substep(book_id, "extract_text", progress=42)
    assert errors(tmp_path) == ""


@pytest.mark.parametrize("mode", ["outlive_the_main_thread", "in_exit_handler"])
def test_what_is_reported_while_the_interpreter_ends_arrives(
    start: Start, servers: Servers, book_id: str, tmp_path: Path, mode: str
) -> None:
    assert start(mode).wait(20) == 0
    servers.wait_for_book(book_id, status="ANALYZING")
    servers.wait_for_substep(book_id, "extract_text", progress=11)
    assert errors(tmp_path) == ""


def test_a_forked_child_reports_and_leaves_the_parents_stage_alone(
    start: Start, record: Record, servers: Servers, book_id: str, tmp_path: Path
) -> None:
    assert start("fork").wait(20) == 0
    assert "child 3" in record()
    servers.wait_for_book(book_id, status="ANALYZING", attempt=1)
    servers.wait_for_substep(book_id, "extract_text", progress=100)
    servers.wait_for_substep(book_id, "analyze_characters", progress=20)
    assert servers.substep(book_id, "detect_chapters")["progress"] == 70
    changes = servers.sql("select count(*) from bindery.book_events where book_id = %s", book_id)
    assert changes == 2
    assert errors(tmp_path) == ""


def test_children_of_multiprocessing_deliver_before_they_end(
    start: Start, record: Record, servers: Servers, book_id: str, tmp_path: Path
) -> None:
    assert start("pool").wait(20) == 0
    assert record() == ["child 0", "child 0"]
    servers.wait_for_substep(book_id, "detect_chapters", progress=100)
    servers.wait_for_substep(book_id, "analyze_characters", progress=100)
    assert errors(tmp_path) == ""


def test_a_signal_handler_may_report(
    start: Start, record: Record, servers: Servers, book_id: str, tmp_path: Path
) -> None:
    assert start("in_signal_handler").wait(30) == 0
    number, last = record()
    servers.wait_for_substep(book_id, "detect_chapters", message=last)
    assert servers.substep(book_id, "extract_text")["done"] == int(number)
    assert errors(tmp_path) == ""
