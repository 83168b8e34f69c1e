"""The events of docs/events.md as typed dictionaries, for those who write or read them as JSON.

    event: ProgressEvent = {
        "type": "progress", "book_id": str(book_uuid("moby-dick")), "done": 3, "total": 8,
    }

docs/schema/event.schema.json has the limits of the values; a test holds these types to it. Where a
field is not given, its default is that of docs/events.md.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict, Union


class _Optional(TypedDict, total=False):
    at: str


class _Registration(_Optional, total=False):
    owner_id: str
    pipeline: str
    title: str
    metadata: dict[str, Any]


class _Register(TypedDict):
    type: Literal["register"]
    book_id: str


class RegisterEvent(_Register, _Registration):
    """A new book."""


class _Begin(TypedDict):
    type: Literal["begin"]
    book_id: str
    to_status: str


class BeginEvent(_Begin, _Registration, total=False):
    """A worker begins a stage: the book enters it, resumes in it, or is in it already."""

    worker: str
    attempt: int
    resume: bool


class _Transition(TypedDict):
    type: Literal["transition"]
    book_id: str
    to_status: str


class TransitionEvent(_Transition, _Optional, total=False):
    """A transition of the book to another state."""

    message: str
    attempt: int


class _Progress(TypedDict):
    type: Literal["progress"]
    book_id: str


class ProgressEvent(_Progress, _Optional, total=False):
    """The progress of a substep: either `progress`, in percent, or `done` and `total`."""

    progress: float
    done: float
    total: float
    stage: str
    substep: str
    unit: str
    message: str
    checkpoint: Any
    attempt: int


class PlannedSubstep(TypedDict):
    """A substep of a plan."""

    substep: str


class WeightedSubstep(PlannedSubstep, total=False):
    """A substep of a plan with its share of the stage's work."""

    weight: float


class _Plan(TypedDict):
    type: Literal["plan"]
    book_id: str
    stage: str
    substeps: list[WeightedSubstep]


class PlanEvent(_Plan, _Optional):
    """The book has substeps of its own in a stage."""


class _Heartbeat(TypedDict):
    type: Literal["heartbeat"]
    book_id: str


class HeartbeatEvent(_Heartbeat, _Optional, total=False):
    """The book is being worked on."""

    stage: str
    attempt: int
    message: str


class _Fail(TypedDict):
    type: Literal["fail"]
    book_id: str


class FailEvent(_Fail, _Optional, total=False):
    """The book is FAILED."""

    error: dict[str, Any]
    message: str
    stage: str
    attempt: int


# Evaluated at run time, by Python 3.10 as well.
Event = Union[  # noqa: UP007
    RegisterEvent,
    BeginEvent,
    TransitionEvent,
    ProgressEvent,
    PlanEvent,
    HeartbeatEvent,
    FailEvent,
]
"""Any of the seven events."""
