"""Three Celery tasks, the stages of one book.

    pip install 'bindery-client[celery,postgres]'
    export BINDERY_URL=redis://localhost:6379/ BINDERY_STATUS_URL=postgresql://…
    export BROKER_URL=redis://localhost:6379/1
    celery --app celery_app worker &
    python celery_app.py moby-dick.txt

A worker that is killed while it reads leaves its message unacknowledged: the task runs again, and
`track` continues after the last page that was reported.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from typing import Any

from celery import Celery, Task, chain

from bindery_client.celery import stage

app = Celery("celery_app", broker=os.environ.get("BROKER_URL", "redis://localhost:6379/1"))
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    # Redis gives an unacknowledged message to another worker after that many seconds. Take more
    # than the longest task.
    broker_transport_options={
        "visibility_timeout": int(os.environ.get("VISIBILITY_TIMEOUT", "3600")),
    },
)

PAGES = 40


@app.task(bind=True)
def analyze(self: Task[Any, Any], path: str) -> None:
    """Read the pages of a book."""
    with stage(self, "ANALYZING", title=path, pipeline="comic") as work:
        for page in work.track(range(PAGES), "extract_text", unit="page"):
            read(path, page)


@app.task(bind=True)
def write_scenes(self: Task[Any, Any], path: str) -> None:
    """Split the book into scenes."""
    with stage(self, "GENERATING_SCENES") as work:
        work.progress(100, "split_scenes")


@app.task(bind=True)
def draw(self: Task[Any, Any], path: str) -> None:
    """Draw the scenes, and complete the book: this is the last task of the chain."""
    with stage(self, "CREATING_ARTWORK", to_status="COMPLETED") as work:
        for _ in work.track(range(3), "scenes", unit="scene"):
            time.sleep(0.05)


def read(path: str, page: int) -> None:
    """Stand in for the work."""
    time.sleep(0.05)
    if "RECORD" in os.environ:
        with open(os.environ["RECORD"], "a") as file:
            file.write(f"{page}\n")


if __name__ == "__main__":
    path = sys.argv[1]
    tasks = chain(analyze.si(path), write_scenes.si(path), draw.si(path))
    # The book's id is that of the first task.
    book_id = str(uuid.uuid4())
    tasks.tasks[0].set(task_id=book_id)
    tasks.apply_async()
    print(book_id)
