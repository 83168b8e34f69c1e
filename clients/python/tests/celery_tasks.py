"""Tasks that tests give to a worker; each records what it does in the file RECORD."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psycopg
from celery import Celery, Task
from celery.exceptions import Reject

import bindery_client as bindery
from bindery_client.celery import stage

RECORD = Path(os.environ["RECORD"])

app = Celery("celery_tasks", broker=os.environ["BROKER_URL"], backend=os.environ["BROKER_URL"])
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1)
AGAIN = {"max_retries": 2, "countdown": 0}


def note(line: object) -> None:
    with RECORD.open("a") as file:
        file.write(f"{line}\n")


@app.task(bind=True)
def die_once(self: Task[Any, Any], book: str, marker: str) -> None:
    """Kill this process in the middle of the stage, the first time."""
    with stage(self, "ANALYZING", book=book) as work:
        for item in work.track(range(20), "extract_text"):
            note(f"die_once {item}")
            if item == 10 and not Path(marker).exists():
                Path(marker).touch()
                assert work.book.flush(10)
                os.kill(os.getpid(), signal.SIGKILL)


@app.task(bind=True, autoretry_for=(ConnectionError,), retry_kwargs=AGAIN)
def fail(self: Task[Any, Any], book: str, times: int, marker: str) -> None:
    """Fail in the middle of the stage so many times."""
    with stage(self, "ANALYZING", book=book, to_status="GENERATING_SCENES") as work:
        for item in work.track(range(20), "extract_text"):
            note(f"{marker} {self.request.retries} {item}")
            if item == 5 * (self.request.retries + 1) and self.request.retries < times:
                raise ConnectionError("the shelf is away")


@app.task(bind=True, max_retries=1)
def retry(self: Task[Any, Any], book: str) -> None:
    """Ask for another run, once."""
    with stage(self, "ANALYZING", book=book) as work:
        if self.request.retries == 0:
            work.progress(40, "extract_text")
            raise self.retry(countdown=0)
        work.progress(60, "detect_chapters")


@app.task(bind=True)
def reject(self: Task[Any, Any], book: str) -> None:
    """Refuse the message."""
    with stage(self, "ANALYZING", book=book) as work:
        work.progress(30, "extract_text")
        raise Reject("not here", requeue=False)


@app.task(bind=True, autoretry_for=(Exception,), retry_kwargs=AGAIN)
def lose(self: Task[Any, Any], book: str) -> None:
    """Continue until the package reports that the book has left the attempt."""
    with stage(self, "ANALYZING", book=book) as work:
        note("lose")
        with psycopg.connect(os.environ["BINDERY_URL"], autocommit=True) as connection:
            connection.execute("select 1 from bindery.cancel_book(%s)", (book,))
        try:
            for _ in work.track(range(10**9), "extract_text"):
                assert work.book.flush(10)
        except bindery.Superseded:
            note("superseded")
            raise


@app.task
def follow(_: object) -> None:
    """Come after another task."""
    note("follow")
