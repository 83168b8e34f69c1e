"""The conductor: registers the stories, starts workers, kills one, and checks the end.

Ends with 0 if every book is COMPLETED at 100 %, every unit of work was done exactly once, and the
book of the killed worker FAILED and was resumed where it was. SPEED=2 is twice as fast.
"""

import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import bindery_client as bindery

import story
import worker
from stages import expected
from units import Ledger

BOOKS, OUT = (Path(__file__).with_name(name) for name in ("books", "out"))
DRAWING = "CREATING_ARTWORK"
# Seconds: what a panel takes, how long a book stands as FAILED (at speed 1), when to give up.
PANEL_TAKES, FAILED_STANDS, DEADLINE = 0.4, 4.0, 120.0


class Production:
    """A book that is made."""

    def __init__(self, file: Path) -> None:
        self.text = story.parse(file.read_text("utf-8"), file)
        self.folder = OUT / file.stem
        self.ledger = Ledger(self.folder)
        self.book = bindery.book(file.stem, title=self.text.title)
        self.status: dict[str, Any] = {}

    def begin(self) -> None:
        """Register the book, let it go to its first stage, and follow it from now on."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with self.book:
            self.book.transition("ANALYZING")
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        for status in bindery.watch(self.book.book_id):
            self.status = status

    def is_in(self, status: str) -> bool:
        """Return whether the book has a status."""
        return bool(self.status.get("status") == status)

    def panels(self, attempt: int) -> tuple[int, int]:
        """Return how many panels an attempt has drawn, and how many the comic will have."""
        drawn = [entry for entry in self.ledger.entries("panels/") if entry.attempt == attempt]
        return len(drawn), len(list(self.folder.glob("briefs/[0-9]*.json")))


def wait_for(state: Callable[[], bool], what: str, workers: list[BaseProcess]) -> None:
    """Wait for a state that the workers bring about."""
    deadline = time.monotonic() + DEADLINE
    while not state():
        if any(process.exitcode is not None for process in workers):
            raise SystemExit("error: a worker has ended; its messages are above")
        if time.monotonic() > deadline:
            raise SystemExit(f"error: after {DEADLINE:.0f} s this is not so: {what}")
        time.sleep(0.01)


def interrupt(victim: Production, workers: list[BaseProcess], speed: float) -> str:
    """Kill the worker that draws a book, let it stand as FAILED, and resume it."""
    wait_for(partial(victim.is_in, DRAWING), "a book is drawn", workers)
    total = victim.panels(1)[1]
    wait_for(lambda: victim.panels(1)[0] >= total // 2, "half of the panels are drawn", workers)
    pid = victim.ledger.entries("panels/")[0].pid
    process = next(process for process in workers if process.pid == pid)
    workers.remove(process)
    process.kill()
    process.join()
    drawn = victim.panels(1)[0]
    message = f"worker killed at panel {drawn} of {total}, resuming at panel {drawn + 1}"
    print(f"{victim.text.title}: {message}", flush=True)
    # A supervisor reports the death of its workers.
    with suppress(bindery.Failed), victim.book.stage(DRAWING, attempt=1):
        raise bindery.Failed("worker_killed", message, signal=9, panel=drawn)
    wait_for(lambda: victim.is_in("FAILED"), "the book is FAILED", workers)
    time.sleep(FAILED_STANDS / speed)
    if not victim.is_in("FAILED") or victim.status["message"] != message:
        raise SystemExit(f"error: the book is {victim.status['status']}, not FAILED: {message}")
    # A stage that begins resumes its book; a worker receives the message, and does what is left.
    with victim.book.stage(DRAWING):
        return message


def main(speed: float) -> int:
    """Run the demo; return the exit code."""
    files = sorted(BOOKS.glob("*.txt"))
    if not files:
        raise ValueError(f"{BOOKS} has no story (*.txt)")
    # Forked, they need not import the packages again; one more than there are books takes over.
    target = partial(worker.main, BOOKS, OUT, PANEL_TAKES / speed)
    context = multiprocessing.get_context("fork")
    workers: list[BaseProcess] = [context.Process(target=target) for _ in ["spare", *files]]
    for process in workers:
        process.start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        books = [Production(file) for file in files]
        victim = books[len(books) // 2]
        for book in books:
            book.begin()
        message = interrupt(victim, workers, speed)
        for book in books:
            wait_for(partial(book.is_in, "COMPLETED"), "all books are COMPLETED", workers)
    finally:
        for process in workers:
            process.kill()
    faults = []
    for book in books:
        progress, units = book.status["overall_progress"], len(book.ledger.entries())
        print(f"{book.text.title}: COMPLETED, {progress:.2f} %, {units} units of work")
        print(f"    {book.folder}/comic.html")
        faults += [] if progress == 100 else [f"{book.text.title} is not at 100 %"]
        faults += book.ledger.faults(expected(book.folder, book.text))
    print(f"{victim.text.title}: {message}; {victim.panels(2)[0]} were drawn after that")
    print("\n".join(f"error: {fault}" for fault in faults) or "Every unit was done exactly once.")
    return 1 if faults else 0


if __name__ == "__main__":
    try:
        sys.exit(main(float(os.environ.get("SPEED") or 1)))
    except ValueError as problem:
        sys.exit(f"error: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
