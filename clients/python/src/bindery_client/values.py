"""Makes values fit what Bindery takes, so that no report is refused for its form.

The limits and what is removed are those of docs/events.md ("How fields are read"); the vectors in
tests/vectors hold this module to the reader of events.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any

MESSAGE = 8192
TITLE = 1024
WORKER = 255
UNIT = 63
NAME = 63
JSON_BYTES = 64 * 1024
JSON_LEVELS = 64
TOTAL = 1e15
SUBSTEPS = 10_000
MIN_WEIGHT = 1e-9
MAX_WEIGHT = 1e9

# Control sequences of terminals; strings such as a window's title, with what ends them on the same
# line (without an end, only the opening); other escapes; control characters but tab and line ends;
# direction overrides.
_REMOVED = re.compile(
    "(?:\x1b\\[|\x9b)[ -?]*[@-~]?"
    "|(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])(?:[^\x07\x9c\x1b\n\r]*(?:\x07|\x9c|\x1b\\\\))?"
    "|\x1b(?:[ -/]*[0-~])?"
    "|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class Invalid(ValueError):  # noqa: N818 (a value rather than an error)
    """A value that no event may hold.

    Attributes:
        code: the reason for which Bindery would reject the event, as in docs/events.md.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


def text(value: object, limit: int) -> str:
    """Return `value` as clean text of at most `limit` characters, cut with `…`."""
    # Cut first: a text may be very long, and at most a quarter of it counts.
    cleaned = _SURROGATE.sub("\ufffd", _REMOVED.sub("", str(value)[: 4 * limit]))
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"


def name(value: str) -> str:
    """Return a substep's key, without white space around it.

    Raises:
        Invalid: it is not lower snake case of at most 63 characters.
    """
    if _NAME.fullmatch(value):
        return value
    stripped = _REMOVED.sub("", value).strip()
    if not _NAME.fullmatch(stripped):
        code = "too_long" if len(stripped) > NAME else "bad_name"
        raise Invalid(
            code, f"the substep {value!r} is not lower snake case of up to {NAME} characters"
        )
    return stripped


def encoded(value: Any, reserved: int = 0) -> str:
    """Return `value` as JSON; NaN and infinities become null, NUL in strings is removed.

    Args:
        value: anything that `json.dumps` takes.
        reserved: how many of the 64 KiB are kept for what is added to it.

    Raises:
        TypeError: the value cannot be written as JSON.
        Invalid: it refers to itself, is deeper than 64 levels, or is larger than 64 KiB.
    """
    try:
        written = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        raise Invalid("too_deep", "it is nested too deep") from None
    except ValueError as problem:
        raise Invalid("too_deep", str(problem)) from None
    expanded = [0]
    cleaned = _cleaned(json.loads(written, parse_constant=lambda _: None), JSON_LEVELS, expanded)
    written = json.dumps(cleaned, ensure_ascii=False)
    if len(written.encode()) + expanded[0] > JSON_BYTES - reserved:
        raise Invalid("too_large", "it is larger than 64 KiB")
    return written


def _cleaned(value: Any, levels: int, expanded: list[int]) -> Any:
    if levels < 0:
        raise Invalid("too_deep", "it is nested deeper than 64 levels")
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value.replace("\0", ""))
    if isinstance(value, float):
        # Postgres prints, and counts, 1e300 with 301 digits.
        expanded[0] += len(f"{Decimal(repr(value)):f}") - len(repr(value))
    if isinstance(value, list):
        return [_cleaned(item, levels - 1, expanded) for item in value]
    if isinstance(value, dict):
        return {
            _cleaned(key, 0, expanded): _cleaned(item, levels - 1, expanded)
            for key, item in value.items()
        }
    return value


def finite(value: float) -> float | None:
    """Return a finite number as it is, and None for any other."""
    number = float(value)
    return number if math.isfinite(number) else None


def number(value: float) -> str:
    """Return a number as text: without a fraction where it has none."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
