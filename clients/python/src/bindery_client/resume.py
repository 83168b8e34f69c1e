"""Where a worker continues: what earlier attempts have finished, and their checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import values


@dataclass(frozen=True)
class Left:
    """An unfinished substep.

    Attributes:
        progress: percent, 0 to 100.
        checkpoint: the value that `Stage.checkpoint` saved, or None.
        items: how many items of `Stage.track` are finished.
    """

    progress: float = 0.0
    checkpoint: Any = None
    items: int = 0


@dataclass(frozen=True)
class ResumePoint:
    """What `bindery.begin_stage` and `bindery.get_resume_point` return.

    Attributes:
        book_id: the book's uuid, as text.
        status: the book's status.
        stage: its current stage; None before the first one.
        attempt: the attempt at that stage, from 1.
        revision: the book's change counter.
        done: the keys of the finished substeps.
        left: the unfinished substeps by their keys.
    """

    book_id: str
    status: str
    stage: str | None
    attempt: int
    revision: int
    done: frozenset[str] = frozenset()
    left: Mapping[str, Left] = field(default_factory=dict)

    def checkpoint(self, substep: str = "all", default: Any = None) -> Any:
        """Return the checkpoint of an unfinished substep, or `default` if it has none."""
        left = self.left.get(substep)
        return default if left is None or left.checkpoint is None else left.checkpoint


def wrap(items: int, saved: str | None) -> str:
    """Return the checkpoint of a tracked substep as JSON: its items, and the worker's own value."""
    return f'{{"tracked":{items}}}' if saved is None else f'{{"tracked":{items},"data":{saved}}}'


def _unwrap(checkpoint: Any) -> tuple[int, Any]:
    if isinstance(checkpoint, dict) and checkpoint.keys() <= {"tracked", "data"}:
        items = checkpoint.get("tracked")
        if isinstance(items, int) and items >= 0:
            return items, checkpoint.get("data")
    return 0, checkpoint


def read(answer: Mapping[str, Any]) -> ResumePoint:
    """Read the JSON of `get_resume_point` (or of a message of `bindery:changes`)."""
    left = {}
    for substep in answer.get("left") or []:
        items, saved = _unwrap(substep.get("checkpoint"))
        progress = values.finite(substep.get("progress") or 0) or 0.0
        left[str(substep["substep"])] = Left(progress, saved, items)
    return ResumePoint(
        book_id=str(answer["book_id"]),
        status=str(answer["status"]),
        stage=answer.get("stage"),
        attempt=int(answer.get("attempt") or 1),
        revision=int(answer.get("revision") or 0),
        done=frozenset(answer.get("done") or ()),
        left=left,
    )
