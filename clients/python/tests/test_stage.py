from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator

import pytest
from fakes import Recorder, steps
from servers import wait_for

from bindery_client import Client, Failed, Left, ResumePoint, Superseded
from bindery_client.sender import Sender


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def client(recorder: Recorder) -> Iterator[Client]:
    made = Client(transport=recorder, interval=0.05, heartbeat=10)
    yield made
    made.close(0.2)


def test_the_events_of_a_book_are_sent_in_their_order(client: Client, recorder: Recorder) -> None:
    with client.book("moby-dick", title="Moby Dick", pipeline="comic") as book:
        with book.stage("ANALYZING") as stage:
            stage.plan({"page_1": 2.5})
            for _ in stage.track(range(7), "page_1", unit="page"):
                pass
        book.transition("COMPLETED", "Done.")
    events = steps(recorder.events)
    assert [event["type"] for event in events] == [
        *("register", "begin", "plan", "progress", "transition")
    ]
    register, begin, plan, progress, transition = events
    assert register["title"] == "Moby Dick"
    assert register["pipeline"] == "comic"
    assert begin["to_status"] == "ANALYZING"
    assert begin["worker"] == client.worker
    assert json.loads(plan["substeps"]) == [{"substep": "page_1", "weight": 2.5}]
    assert (progress["done"], progress["total"], progress["unit"]) == ("7", "7", "page")
    assert json.loads(progress["checkpoint"]) == {"tracked": 7}
    assert (transition["to_status"], transition["message"]) == ("COMPLETED", "Done.")
    assert {event["book_id"] for event in recorder.events} == {book.book_id}


def test_a_thousand_reports_a_second_are_sent_at_most_once_an_interval(recorder: Recorder) -> None:
    client = Client(transport=recorder, interval=0.2)
    with client.book("b") as book, book.stage("S") as stage:
        began = time.monotonic()
        count = 0
        while time.monotonic() < began + 1:
            count += 1
            stage.progress(done=count, total=1e9)
            time.sleep(0.0005)
        elapsed = time.monotonic() - began
    reports = recorder.of("progress")
    assert count > 300
    assert 2 <= len(reports) <= elapsed / 0.2 + 2
    assert reports[-1]["done"] == str(count)
    client.close()


def test_a_slow_loop_is_reported_while_an_item_takes_long(
    client: Client, recorder: Recorder
) -> None:
    with client.book("b") as book, book.stage("S") as stage:
        loop = iter(stage.track(range(3), "a"))
        next(loop)
        next(loop)
        # The second item is being worked on; the third one is not requested.
        wait_for(lambda: [e for e in recorder.of("progress") if e["done"] == "1"], "1 of 3")
        loop.close()  # type: ignore[attr-defined]
    assert recorder.of("progress")[-1]["done"] == "1"


def test_a_large_plan_is_sent_in_parts(client: Client, recorder: Recorder) -> None:
    with client.book("b") as book, book.stage("S") as stage:
        stage.plan(f"page_{number}" for number in range(1200))
        with pytest.raises(ValueError, match="10,000"):
            stage.plan(f"page_{number}" for number in range(10_001))
    parts = [json.loads(event["substeps"]) for event in recorder.of("plan")]
    assert [len(part) for part in parts] == [500, 500, 200]
    assert parts[2][-1] == {"substep": "page_1199"}


def test_a_stage_is_entered_once(client: Client) -> None:
    with client.book("b") as book:
        stage = book.stage("S")
        with stage:
            pass
        with pytest.raises(RuntimeError, match="once"), stage:
            pass


def test_a_handler_of_the_log_may_report(client: Client, recorder: Recorder) -> None:
    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            stage.message(record.getMessage(), "a")

    log, handler = logging.getLogger("bindery_client"), Handler()
    with client.book("b") as book, book.stage("S") as stage:
        log.addHandler(handler)
        try:
            recorder.is_away = True
            for number in range(2000):
                stage.progress(number / 20, "b")
                log.warning("warning %s", number)
            recorder.is_away = False
            assert book.flush(10)
        finally:
            log.removeHandler(handler)
    assert recorder.of("progress")


def test_a_loop_that_is_left_early_does_not_count_the_item_in_hand(
    client: Client, recorder: Recorder
) -> None:
    with client.book("b") as book, book.stage("S") as stage:
        for number in stage.track(range(10)):
            if number == 4:
                break
    assert recorder.of("progress")[-1]["done"] == "4"
    assert recorder.of("progress")[-1]["substep"] == "all"


def test_a_loop_over_nothing_and_one_of_unknown_length_end_at_100(
    client: Client, recorder: Recorder
) -> None:
    with client.book("b") as book, book.stage("S") as stage:
        assert list(stage.track([], "nothing")) == []
        assert list(stage.track(iter("abc"), "unknown")) == ["a", "b", "c"]
    by_name = {event["substep"]: event for event in recorder.of("progress")}
    assert by_name["nothing"]["progress"] == "100"
    assert (by_name["unknown"]["done"], by_name["unknown"]["total"]) == ("3", "3")


def test_a_tracked_loop_skips_what_the_resume_point_has_as_done(
    client: Client, recorder: Recorder
) -> None:
    point = ResumePoint("b", "S", "S", 2, 9, frozenset({"a"}), {"b": Left(40, None, 4)})
    with client.book("b") as book, book.stage("S", attempt=2, resume_point=point) as stage:
        assert stage.is_done("a")
        assert list(stage.track(range(10), "a")) == []
        assert list(stage.track(range(10), "b")) == [4, 5, 6, 7, 8, 9]
        assert list(stage.track(range(2), "c")) == [0, 1]
    assert {e["substep"] for e in recorder.of("progress")} == {"b", "c"}
    assert {e["attempt"] for e in recorder.of("begin", "progress")} == {"2"}


def last_checkpoint(recorder: Recorder) -> object:
    """Of all reports: one is sent again only if it has changed."""
    return json.loads([e["checkpoint"] for e in recorder.of("progress") if "checkpoint" in e][-1])


def test_a_checkpoint_in_a_loop_means_that_the_item_is_finished(
    client: Client, recorder: Recorder
) -> None:
    total = 0
    with client.book("b") as book, book.stage("S") as stage:
        for number in stage.track(range(10), "a"):
            total += number
            if number == 5:
                stage.checkpoint({"sum": total})
            if number == 8:
                break
    saved = last_checkpoint(recorder)
    # Later items are not in the sum, so they are done again.
    assert saved == {"tracked": 6, "data": {"sum": 15}}

    point = ResumePoint("b", "S", "S", 2, 9, frozenset(), {"a": Left(60, {"sum": 15}, 6)})
    with client.book("b") as book, book.stage("S", attempt=2, resume_point=point) as stage:
        assert stage.resume_point is not None
        total = stage.resume_point.checkpoint("a")["sum"]
        for number in stage.track(range(10), "a"):
            total += number
            if number == 8:
                break
    assert total == sum(range(9))
    saved = last_checkpoint(recorder)
    assert saved == {"tracked": 6, "data": {"sum": 15}}


def test_a_message_and_a_checkpoint_are_about_the_last_substep(
    client: Client, recorder: Recorder
) -> None:
    with client.book("b") as book, book.stage("S") as stage:
        stage.message("first")
        stage.progress(12.5, "a")
        stage.message("\x1b[1mPage 3\x1b[0m")
        stage.checkpoint([1, 2])
    by_name: dict[str, dict[str, str]] = {"all": {}, "a": {}}
    for event in recorder.of("progress"):
        by_name[event["substep"]] |= event
    assert by_name["all"]["message"] == "first"
    assert by_name["a"]["message"] == "Page 3"
    assert by_name["a"]["progress"] == "12.5"
    assert json.loads(by_name["a"]["checkpoint"]) == [1, 2]


def test_a_message_is_sent_once_while_the_progress_continues(
    client: Client, recorder: Recorder
) -> None:
    with client.book("b") as book, book.stage("S") as stage:
        stage.progress(1, "a", message="once")
        assert book.flush()
        stage.progress(2, "a")
        assert book.flush()
        stage.progress(2, "a")
        assert book.flush()
    assert [event.get("message") for event in recorder.of("progress")] == ["once", None]


def test_numbers_outside_their_range_become_the_nearest_end(
    client: Client, recorder: Recorder
) -> None:
    with client.book("b") as book, book.stage("S") as stage:
        stage.progress(120, "a")
        stage.progress(-3, "b")
        stage.progress(done=7, total=5, substep="c")
        stage.progress(done=0, total=0, substep="d")
        stage.progress(float("nan"), "e")
        stage.progress(done=2, total=4, substep="f")
        stage.progress(60, "f")
    numbers = {e["substep"]: e.get("progress") or e["done"] for e in recorder.of("progress")}
    assert numbers == {"a": "100", "b": "0", "c": "5", "d": "100", "f": "60"}


def test_arguments_that_can_never_be_right_are_refused(client: Client) -> None:
    with client.book("b") as book, book.stage("S") as stage:
        with pytest.raises(ValueError, match="either"):
            stage.progress()
        with pytest.raises(ValueError, match="either"):
            stage.progress(5, done=1, total=2)
        with pytest.raises(ValueError, match="snake"):
            stage.track([], "Page 1")
        with pytest.raises(TypeError):
            stage.checkpoint(object())
        with pytest.raises(ValueError, match="weight"):
            stage.plan({"a": 0})


def test_a_checkpoint_that_is_too_large_is_logged_and_harms_nothing(
    client: Client, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    with client.book("b") as book, book.stage("S") as stage:
        stage.checkpoint("small")
        stage.checkpoint("x" * 70_000)
    assert "is not saved" in caplog.text
    assert [json.loads(e["checkpoint"]) for e in recorder.of("progress")] == ["small"]


def test_an_exception_fails_the_book_and_propagates(client: Client, recorder: Recorder) -> None:
    class TornPageError(Exception):
        pass

    def work() -> None:
        with client.book("b") as book, book.stage("S") as stage:
            for number in stage.track(range(5), "a"):
                if number == 3:
                    raise TornPageError("Page 31 is torn.")

    with pytest.raises(TornPageError):
        work()
    progress, fail = recorder.events[-2:]
    assert progress["done"] == "3"
    assert fail["type"] == "fail"
    assert fail["stage"] == "S"
    error = json.loads(fail["error"])
    assert error["code"] == "torn_page_error"
    assert error["type"].endswith("TornPageError")
    assert fail["message"].endswith("TornPageError: Page 31 is torn.")


def test_failed_gives_the_error_its_code_and_members(client: Client, recorder: Recorder) -> None:
    with pytest.raises(Failed), client.book("b") as book, book.stage("S"):
        raise Failed("torn_page", "Page 31 is torn.", retry=False, page=31)
    fail = recorder.events[-1]
    assert json.loads(fail["error"]) == {"code": "torn_page", "retry": False, "page": 31}
    assert fail["message"] == "Page 31 is torn."


def test_details_that_are_not_json_do_not_replace_the_exception(
    client: Client, recorder: Recorder
) -> None:
    with pytest.raises(Failed), client.book("b") as book, book.stage("S"):
        raise Failed("torn_page", page=object())
    assert json.loads(recorder.events[-1]["error"]) == {"code": "torn_page"}


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interruption_fails_the_book_too(
    client: Client, recorder: Recorder, kind: type[BaseException]
) -> None:
    with pytest.raises(kind), client.book("b") as book, book.stage("S"):
        raise kind
    codes = {"keyboard_interrupt", "system_exit", "generator_exit"}
    assert json.loads(recorder.events[-1]["error"])["code"] in codes


def test_a_superseded_worker_stops_at_its_next_report(client: Client, recorder: Recorder) -> None:
    done = []

    def work() -> None:
        with client.book("b") as book, book.stage("S", attempt=1) as stage:
            for number in stage.track(range(100), "a"):
                done.append(number)
                if number == 3:
                    stage._session.supersede("FAILED", 1)
                    assert stage.superseded

    with pytest.raises(Superseded) as caught:
        work()
    assert done == [0, 1, 2, 3]
    assert (caught.value.status, caught.value.attempt) == ("FAILED", 1)
    assert recorder.of("fail") == []


def test_the_end_of_a_stage_raises_superseded_and_a_transition_of_its_own_does_not(
    client: Client,
) -> None:
    with pytest.raises(Superseded), client.book("b") as book, book.stage("S", attempt=1) as stage:
        stage._session.supersede("CANCELLED", 1)
    with client.book("c") as book, book.stage("S", attempt=1) as stage:
        book.transition("T")
        stage._session.check("T", "T", 1)


def test_an_open_stage_sends_heartbeats_where_nothing_else_is_reported(recorder: Recorder) -> None:
    client = Client(transport=recorder, interval=0.02, heartbeat=0.1)
    with client.book("b") as book:
        with book.stage("S", attempt=3):
            beats = wait_for(lambda: recorder.of("heartbeat")[2:], "three heartbeats")
            count = len(recorder.of("heartbeat"))
        time.sleep(0.3)
        assert len(recorder.of("heartbeat")) <= count + 1
    assert beats[0] | {"book_id": ""} == {
        "type": "heartbeat",
        "book_id": "",
        "stage": "S",
        "attempt": "3",
    }
    client.close()


def test_while_the_server_is_away_the_newest_state_waits_and_one_warning_is_logged(
    client: Client, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    recorder.is_away = True
    began = time.monotonic()
    with client.book("b") as book, book.stage("S") as stage:
        for number in range(1000):
            stage.progress(number / 10, f"page_{number % 10}")
        assert not book.flush(0.5)
        assert recorder.calls > 1
    with client.book("c"):
        pass
    assert time.monotonic() - began < 2
    warnings = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(warnings) == 1, caplog.text
    assert "reports wait" in warnings[0].message
    recorder.is_away = False
    assert book.flush(10)
    assert client.flush(10)
    assert len(recorder.of("register")) == 2
    reports = recorder.of("progress")
    assert sorted(float(event["progress"]) for event in reports) == [
        *(99.0, 99.1, 99.2, 99.3, 99.4, 99.5, 99.6, 99.7, 99.8, 99.9)
    ]
    assert "reached again" in caplog.text


def test_who_waits_for_delivery_does_not_wait_for_the_pause(
    client: Client, recorder: Recorder
) -> None:
    recorder.is_away = True
    with client.book("b") as book, book.stage("S", attempt=1) as stage:
        stage.progress(5)
        wait_for(lambda: client.sender.is_away, "a failure")
        assert isinstance(client.sender, Sender)
        client.sender._next_try = time.monotonic() + 3600
        recorder.is_away = False
        assert book.flush(5)
    assert [event["progress"] for event in recorder.of("progress")] == ["5"]


def test_many_threads_that_wait_for_delivery_do_not_wake_each_other(
    client: Client, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.is_away = True
    asked = []
    buffer = client.sender.buffer
    monkeypatch.setattr(buffer, "is_delivered", lambda *_, **__: asked.append(1))
    threads = [threading.Thread(target=client.flush, args=(1,)) for _ in range(10)]
    client.book("b").transition("S")
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 20 <= len(asked) < 1000


def test_while_the_server_is_away_one_heartbeat_waits_and_nothing_spins(
    recorder: Recorder,
) -> None:
    client = Client(transport=recorder, interval=0.01, heartbeat=0.02)
    with client.book("b") as book, book.stage("S", attempt=1) as stage:
        assert book.flush()
        recorder.is_away = True
        calls = recorder.calls
        began = time.process_time()
        time.sleep(1)
        assert recorder.calls - calls <= 8
        assert client.sender.buffer.events == 1
        # What waits is of no use any more, so that nothing waits while the server is away.
        stage._session.supersede("FAILED", 1)
        wait_for(lambda: client.sender.buffer.events == 0, "an empty buffer")
        time.sleep(0.5)
        assert time.process_time() - began < 0.5
        stage._session.superseded = None
        recorder.is_away = False
        stage.progress(5)
        assert book.flush(10)
    client.close()


def test_many_threads_may_report_about_one_stage(client: Client, recorder: Recorder) -> None:
    with client.book("b") as book, book.stage("S") as stage:

        def work(number: int) -> None:
            for item in stage.track(range(500), f"page_{number}"):
                stage.message(f"item {item}", f"page_{number}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    last = {event["substep"]: event for event in recorder.of("progress")}
    assert len(last) == 8
    assert {event["done"] for event in last.values()} == {"500"}
    assert recorder.threads == {"bindery-sender"}


def test_without_a_url_nothing_is_reported_and_nothing_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    before = threading.active_count()
    client = Client()
    with client.book("b") as book, book.stage("S") as stage:
        assert list(stage.track(range(3), "a", unit="page")) == [0, 1, 2]
        stage.progress(5)
        stage.message("text")
        stage.checkpoint({"a": 1})
        stage.plan(["x", "y"])
        assert stage.attempt is None
        assert stage.resume_point is None
    assert book.flush(1)
    assert client.close()
    assert threading.active_count() == before
    assert "BINDERY_URL is not set" in caplog.text


@pytest.mark.parametrize("url", ["ftp://host/", "nonsense", "redis://host:port/"])
def test_a_url_that_cannot_be_used_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match=r"scheme|[Pp]ort"):
        Client(url)


def test_a_full_buffer_keeps_the_lifecycle_and_counts_what_it_drops(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(transport=recorder, max_events=20)
    recorder.is_away = True
    with client.book("b") as book:
        with book.stage("S") as stage:
            for number in range(100):
                stage.progress(50, f"page_{number}")
        book.transition("T")
    assert client.dropped >= 80
    recorder.is_away = False
    assert book.flush(10)
    assert recorder.events[0]["type"] == "register"
    assert recorder.events[1]["type"] == "begin"
    assert recorder.events[-1]["type"] == "transition"
    assert recorder.events[-2]["substep"] == "page_99"
    assert f"{client.dropped} events were dropped" in caplog.text
    client.close()
