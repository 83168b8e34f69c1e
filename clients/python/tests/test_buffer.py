from __future__ import annotations

import pytest

from bindery_client.buffer import Buffer, Item
from bindery_client.session import Session

MIB = 1024 * 1024


def report(buffer: Buffer, session: Session, name: str, progress: float, text: str = "") -> None:
    substep = session.substep(name)
    substep.progress = progress
    substep.changed.add("progress")
    if text:
        substep.message = text
        substep.changed.add("message")
    buffer.report(session, substep)


def types(items: list[Item]) -> list[str]:
    return [item.type for item in items]


def test_reports_of_a_substep_are_one_event_with_the_newest_state() -> None:
    buffer, session = Buffer(100, MIB), Session("b", "S", "w")
    for percent in range(50):
        report(buffer, session, "a", percent)
        report(buffer, session, "b", percent)
    taken = buffer.take(100)
    assert [item.event()["progress"] for item in taken] == ["49", "49"]
    assert buffer.events == 2
    for item in taken:
        buffer.settle(item)
    assert (buffer.events, buffer.bytes) == (0, 0)


def test_a_batch_ends_after_a_begin_and_its_book_waits_for_the_outcome() -> None:
    buffer, session = Buffer(100, MIB), Session("b", "S", "w")
    buffer.add(Item("register", "b"))
    buffer.add(Item("begin", "b", session=session))
    report(buffer, session, "a", 1)
    buffer.add(Item("register", "other"))
    first = buffer.take(100)
    assert types(first) == ["register", "begin", "register"]
    assert buffer.take(100) == []
    for item in first:
        buffer.settle(item)
    assert types(buffer.take(100)) == ["progress"]


def test_what_was_not_delivered_comes_first_again_with_the_newest_state() -> None:
    buffer, session = Buffer(100, MIB), Session("b", "S", "w")
    report(buffer, session, "a", 1, "text")
    buffer.add(Item("transition", "b"))
    taken = buffer.take(100)
    report(buffer, session, "a", 2)
    buffer.put_back(taken)
    again = buffer.take(100)
    assert types(again) == ["progress", "transition"]
    assert again[0].fields == {"progress": "2", "message": "text"}
    assert buffer.events == 2


def test_a_full_buffer_drops_the_oldest_report_and_keeps_lifecycle_events() -> None:
    buffer, session = Buffer(3, MIB), Session("b", "S", "w")
    buffer.add(Item("register", "b"))
    report(buffer, session, "a", 1)
    report(buffer, session, "b", 1)
    assert buffer.add(Item("transition", "b"))
    assert buffer.dropped == 1
    report(buffer, session, "a", 2)
    assert buffer.dropped == 2
    assert buffer.add(Item("fail", "b"))
    # Nothing but lifecycle events: the newest one is dropped.
    assert not buffer.add(Item("transition", "b"))
    assert types(buffer.take(10)) == ["register", "transition", "fail"]
    assert buffer.dropped == 4


def test_the_bound_counts_bytes_of_reports_that_grow() -> None:
    buffer, session = Buffer(1000, 64 * 1024), Session("b", "S", "w")
    for number in range(100):
        report(buffer, session, f"s{number}", 1, "x" * 1000)
    assert buffer.bytes <= 64 * 1024
    kept = buffer.events
    assert 20 <= kept < 100
    for number in range(100 - kept, 100):
        report(buffer, session, f"s{number}", 2, "x" * 4000)
    assert buffer.bytes <= 64 * 1024
    # A substep that was dropped is taken in again by its next report.
    report(buffer, session, "s0", 3)
    assert buffer.take(1000)[-1].event()["substep"] == "s0"


def test_a_batch_has_at_most_about_a_megabyte() -> None:
    buffer = Buffer(1000, 64 * MIB)
    for number in range(40):
        buffer.add(Item("plan", f"b{number % 3}", {"substeps": "x" * 60_000}))
    sizes = []
    while batch := buffer.take(500):
        sizes.append(sum(item.size for item in batch))
        for item in batch:
            buffer.settle(item)
    assert len(sizes) == 3
    assert max(sizes) < MIB + 61_000


def test_what_has_come_too_early_waits_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = Buffer(100, MIB)
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    buffer.add(Item("transition", "b"))
    buffer.put_back(buffer.take(10), early=True)
    buffer.add(Item("plan", "b"))
    number = buffer.last_number
    later = buffer.take(10)
    assert types(later) == ["plan"]
    buffer.settle(later[0])
    assert buffer.next_due() == pytest.approx(100.1)
    assert not buffer.is_delivered(number, "b")
    assert buffer.is_delivered(number, "b", with_early=False)
    now[0] = 100.2
    assert types(buffer.take(10)) == ["transition"]


def test_a_number_is_delivered_when_nothing_before_it_is_left() -> None:
    buffer = Buffer(100, MIB)
    buffer.add(Item("register", "a"))
    buffer.add(Item("register", "b"))
    number = buffer.last_number
    first, second = buffer.take(10)
    buffer.settle(second)
    assert buffer.is_delivered(number, "b")
    assert not buffer.is_delivered(number, "a")
    assert not buffer.is_delivered(number)
    buffer.settle(first)
    assert buffer.is_delivered(number)
