"""A worker that tests start, kill and start again.

program.py MODE [ARGUMENT...], with the book's id in BOOK; each finished item is a line of the
file RECORD, written before the package can report it.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

import bindery_client as bindery

BOOK = os.environ.get("BOOK", "")
RECORD = Path(os.environ["RECORD"])
PIPELINE = os.environ.get("PIPELINE", "comic")


def note(line: object) -> None:
    with RECORD.open("a") as file:
        file.write(f"{line}\n")


def book() -> bindery.Book:
    return bindery.book(BOOK, title="Moby Dick", pipeline=PIPELINE)


def work(items: str, pause: str) -> None:
    """Finish items, each after a pause."""
    with book() as moby, moby.stage("ANALYZING") as stage:
        note(f"attempt {stage.attempt}")
        for item in stage.track(range(int(items)), "extract_text", unit="page"):
            time.sleep(float(pause))
            note(item)


def many(first: str, last: str, limits: str) -> None:
    """Work on several books at once, up to the item whose number is in a file."""
    limit = Path(limits)
    bindery.configure(begin_timeout=60, flush_timeout=60)

    def run(name: str) -> None:
        with bindery.book(name, pipeline=PIPELINE) as each, each.stage("ANALYZING") as stage:
            total = stage.resume_point.checkpoint("extract_text", 0) if stage.resume_point else 0
            for item in stage.track(range(200), "extract_text"):
                while item >= int(limit.read_text()):
                    time.sleep(0.1)
                total += item
                note(f"{name} {stage.attempt} {item} {total}")
                stage.message(f"at {item}")
                stage.checkpoint(total)
            # The end of a book does not wait for a server that is away.
            each.flush(60)

    names = [f"{BOOK}-{number}" for number in range(int(first), int(last))]
    threads = [threading.Thread(target=run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def die_at_once(items: str) -> None:
    """End without leaving the `with` statements."""
    moby = book().__enter__()
    stage = moby.stage("ANALYZING").__enter__()
    for item in stage.track(range(int(items)), "extract_text"):
        note(item)


def exit_in_thread() -> None:
    """End while a daemon thread is in the middle of its stage."""
    started = threading.Event()

    def run() -> None:
        with book() as moby, moby.stage("ANALYZING") as stage:
            stage.progress(42, "extract_text")
            started.set()
            time.sleep(60)

    threading.Thread(target=run, daemon=True).start()
    started.wait()


def fork() -> None:
    """Report from a child, which leaves the parent's stage without effect on it."""
    with book() as moby, moby.stage("ANALYZING") as stage:
        for item in stage.track(range(10), "extract_text"):
            if item != 5:
                continue
            stage.progress(10, "analyze_characters")
            child = os.fork()
            if child == 0:
                stage.progress(70, "detect_chapters")
                sys.exit(3)
            _, status = os.waitpid(child, 0)
            note(f"child {os.waitstatus_to_exitcode(status)}")
        stage.progress(20, "analyze_characters")


def _child(stage: bindery.Stage, number: int) -> None:
    stage.progress(100, ("detect_chapters", "analyze_characters")[number])


def pool() -> None:
    """Report from children of multiprocessing, which end without atexit."""
    fork = multiprocessing.get_context("fork")
    with book() as moby, moby.stage("ANALYZING") as stage:
        children = [fork.Process(target=_child, args=(stage, n)) for n in range(2)]
        for child in children:
            child.start()
        for child in children:
            child.join()
            note(f"child {child.exitcode}")


def in_signal_handler() -> None:
    """Report from a signal handler while the main thread reports, too."""
    with book() as moby, moby.stage("ANALYZING") as stage:
        count, last, is_busy = 0, "", False

        def tick(_: int, __: FrameType | None) -> None:
            nonlocal count, last, is_busy
            # A handler may interrupt itself: which of the two texts is the last one is chance.
            if is_busy:
                return
            is_busy = True
            count += 1
            last = f"tick {count}"
            stage.message(last, "detect_chapters")
            is_busy = False

        signal.signal(signal.SIGALRM, tick)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        number = 0
        while count < 1000:
            number += 1
            stage.progress(done=number, total=1e9, substep="extract_text")
        signal.setitimer(signal.ITIMER_REAL, 0)
        note(number)
        note(last)


def outlive_the_main_thread() -> None:
    """Report from a thread that outlives the main one."""
    moby = book()
    moby.__enter__()

    def run() -> None:
        threading.main_thread().join()
        with moby.stage("ANALYZING") as stage:
            stage.progress(11, "extract_text")

    threading.Thread(target=run).start()


def in_exit_handler() -> None:
    """Report in an exit handler that is called after the package's own."""

    def run() -> None:
        with moby.stage("ANALYZING") as stage:
            stage.progress(11, "extract_text")

    atexit.register(run)
    moby = book()
    moby.__enter__()


def follow(pause: str, group: str, lease: str) -> None:
    """Work on all stages of the pipeline `short`, in a consumer group."""
    worker = bindery.Worker(group=group, lease=float(lease), grace=10, concurrency=3)

    def do(stage: bindery.Stage, substep: str) -> None:
        for item in stage.track(range(20), substep):
            time.sleep(float(pause))
            note(f"{os.getpid()} {stage.book.book_id} {stage.name} {stage.attempt} {item}")

    @worker.stage("READING", to_status="DRAWING")
    def read(stage: bindery.Stage) -> None:
        do(stage, "read")

    @worker.stage("DRAWING", to_status="COMPLETED")
    async def draw(stage: bindery.Stage) -> None:
        do(stage, "draw")

    note(f"ended {worker.run()}")


if __name__ == "__main__":
    # A shell starts its background jobs with SIGINT ignored, and this program is interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    mode, *arguments = sys.argv[1:]
    globals()[mode](*arguments)
