"""The exceptions of this package. Transport problems are none of them: they are logged."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from typing import Any

# SQLSTATEs (and PostgREST's codes) after which a call is sent again: connection and resource
# problems, conflicts between transactions, shutdown, a read-only standby. Missing rights or a
# missing schema, too: nothing is lost once they are granted or installed.
TRANSIENT = re.compile("08|25006|28|3D|3F|40|42501|42883|42P01|53|55P03|57|58|PGRST")


class BinderyError(Exception):
    """The base of this package's exceptions."""


class Superseded(BinderyError):  # noqa: N818 (an outcome rather than an error)
    """The book has left the attempt that this worker works on: stop, the work no longer counts.

    Raised by the next report (`track`, `progress`, `message`, `checkpoint`) or at the end of the
    stage, once the answer of the server is known. The usual causes: the book was without a
    heartbeat for longer than `stall_after` and FAILED, an operator cancelled or rewound it, or
    another worker has begun the next stage.

    Attributes:
        book_id: the book's uuid, as text.
        stage: the stage that this worker works on.
        attempt: the attempt that this worker works on; None if it is not known.
        status: the book's status now, such as FAILED; None if it is not known.
        current_attempt: the book's attempt now; None if it is not known.
    """

    def __init__(
        self,
        book_id: str,
        stage: str,
        attempt: int | None,
        status: str | None = None,
        current_attempt: int | None = None,
    ) -> None:
        self.book_id = book_id
        self.stage = stage
        self.attempt = attempt
        self.status = status
        self.current_attempt = current_attempt
        super().__init__(
            f"attempt {attempt or 'unknown'} of {stage} of book {book_id} is superseded: the book "
            f"is in {status or 'another state'}, attempt {current_attempt or 'unknown'}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = (self.book_id, self.stage, self.attempt, self.status, self.current_attempt)
        return (Superseded, arguments)


class Failed(BinderyError):  # noqa: N818
    """Raise this in a stage to fail the book with an error of your own.

    `raise Failed("torn_page", "Page 31 is torn.", retry=False, page=31)`

    Attributes:
        code: a short name of the problem, in lower snake case.
        message: a sentence for people.
        retry: False: the book waits for an operator. True: the stage's `retry_after` applies.
        details: further members of the error object; they must be JSON.
    """

    def __init__(self, code: str, message: str = "", *, retry: bool = True, **details: Any) -> None:
        self.code = code
        self.message = message
        self.retry = retry
        self.details = details
        super().__init__(message or code)

    def __reduce__(self) -> tuple[Any, ...]:
        state = {"retry": self.retry, "details": self.details}
        return (Failed, (self.code, self.message), state)


class Unavailable(Exception):  # noqa: N818
    """A transport could not deliver; the sender tries again. It never reaches the work."""


class Refused(Exception):  # noqa: N818
    """A server has refused a call. It never reaches the work.

    Attributes:
        code: the code of Bindery's error, such as illegal_transition, or the SQLSTATE.
        detail: the JSON detail of Bindery's error.
    """

    def __init__(self, code: str, message: str, detail: Mapping[str, Any] | None = None) -> None:
        self.code = code
        self.detail = detail or {}
        super().__init__(message)


def refused(state: str, message: str, detail: str | None) -> Refused:
    """Return the exception for an error of Postgres with its detail, which is JSON if it is ours.

    Args:
        state: the SQLSTATE.
        message: the text of the exception after the code.
        detail: the error's detail.
    """
    found: Any = None
    with contextlib.suppress(ValueError, TypeError):
        found = json.loads(detail or "")
    if not isinstance(found, dict):
        found = {}
    code = str(found.get("code", state))
    return Refused(code, f"{code}: {message}", found)
