"""A stage of a book for a Celery task (extra `celery`).

from bindery_client.celery import stage

@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def analyze(self, path):
    with stage(self, "ANALYZING", pipeline="comic") as work:
        for page in work.track(load(path), "extract_text", unit="page"):
            read(page)
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from celery.exceptions import Ignore, TaskPredicate

from .client import Client, default_client
from .errors import Superseded

if TYPE_CHECKING:
    from celery import Task

    from .stage import Stage

__all__ = ["stage"]


@contextmanager
def stage(
    task: Task[Any, Any],
    name: str,
    *,
    book: str | uuid.UUID | None = None,
    to_status: str | None = None,
    client: Client | None = None,
    **options: Any,
) -> Iterator[Stage]:
    """Open a book and one of its stages for a task; the value is a `bindery_client.Stage`.

    An exception makes the book FAILED, unless Celery runs the task again: after `self.retry()`,
    and by `autoretry_for`, the book stays in its stage, and the task continues at its checkpoint.
    `Ignore` and `Reject` leave the book as it is, too.

    If the book has passed the stage, its tracked loops are empty (`Stage.is_done`). That is a
    workflow that is started again for the same book; without `book` it is a message that is
    delivered once more, which is ignored.

    Args:
        task: the task that runs: `self` of a bound task.
        name: the stage, a state of the book's pipeline, such as ANALYZING.
        book: the book's id. By default the id of the task that began the workflow
            (`request.root_id`): the same one in all tasks of a chain, and when a task runs again.
            The tasks of a group or chord that begins a workflow have one each.
        to_status: the state that the book goes to after the task, such as COMPLETED after the last
            one of a chain. A task that begins the next stage needs none.
        client: what to report with; by default the default client.
        options: further arguments of `Client.book`, such as `title` and `pipeline`.

    Raises:
        celery.exceptions.Ignore: instead of `Superseded`: the book has left this attempt; or,
            without `book`, it has passed the stage. Celery neither fails the task nor runs it
            again.
    """
    request = task.request
    book_id = book or request.root_id or request.id or uuid.uuid4()
    with (client or default_client()).book(book_id, **options) as opened:
        again: Exception | None = None
        try:
            with opened.stage(name) as work:
                if work.is_done() and book is None:
                    raise Ignore(f"book {opened.book_id} has passed the stage {name}")
                try:
                    yield work
                except Superseded:
                    raise
                except Exception as error:
                    if not (isinstance(error, TaskPredicate) or _runs_again(task, error)):
                        raise
                    again = error
        except Superseded as superseded:
            if again is None:
                raise Ignore(str(superseded)) from superseded
        if again is not None:
            raise again
        if to_status is not None:
            opened.transition(to_status)


def _runs_again(task: Task[Any, Any], error: Exception) -> bool:
    """Return whether `autoretry_for` runs the task again after an exception."""
    if task.request.called_directly or not isinstance(error, _kinds(task, "autoretry_for")):
        return False
    if isinstance(error, _kinds(task, "dont_autoretry_for")):
        return False
    limit = (getattr(task, "retry_kwargs", None) or {}).get("max_retries", task.max_retries)
    limit = getattr(task, "override_max_retries", limit)
    return limit is None or task.request.retries < limit


def _kinds(task: Task[Any, Any], option: str) -> tuple[type[BaseException], ...]:
    return tuple(getattr(task, option, None) or ())
