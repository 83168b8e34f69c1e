"""Makes values fit what Bindery takes, so that no report is refused for its form.

The limits and what is removed are those of docs/events.md ("How fields are read").
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

MESSAGE = 8192
TITLE = 1024
WORKER = 255
UNIT = 63
NAME = 63
# 64 KiB less what a tracked checkpoint adds.
JSON_BYTES = 64 * 1024 - 64

# CSI and OSC sequences of terminals, other escapes; control characters but tab and line ends;
# direction overrides.
_REMOVED = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|\x1b[ -/]*[0-~]?"
    "|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def text(value: object, limit: int) -> str:
    """Return `value` as clean text of at most `limit` characters, cut with `…`."""
    # Cut first: a text may be very long, and at most a quarter of it counts.
    cleaned = _SURROGATE.sub("\ufffd", _REMOVED.sub("", str(value)[: 4 * limit]))
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"


def name(value: str) -> str:
    """Return a substep's key.

    Raises:
        ValueError: it is not lower snake case of at most 63 characters.
    """
    if not _NAME.fullmatch(value):
        raise ValueError(f"the substep {value!r} is not lower snake case of up to 63 characters")
    return value


def encoded(value: Any) -> str:
    """Return `value` as JSON; NaN and infinities become null, NUL in strings is removed.

    Raises:
        TypeError: the value cannot be written as JSON.
        ValueError: it refers to itself, is deeper than 64 levels, or is larger than 64 KiB.
    """
    try:
        written = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    cleaned = _cleaned(json.loads(written, parse_constant=lambda _: None), 64)
    written = json.dumps(cleaned, ensure_ascii=False)
    if len(written.encode()) > JSON_BYTES:
        raise ValueError("it is larger than 64 KiB")
    return written


def _cleaned(value: Any, levels: int) -> Any:
    if levels < 0:
        raise ValueError("it is nested deeper than 64 levels")
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value.replace("\0", ""))
    if isinstance(value, list):
        return [_cleaned(item, levels - 1) for item in value]
    if isinstance(value, dict):
        return {_cleaned(key, 0): _cleaned(item, levels - 1) for key, item in value.items()}
    return value


def finite(value: float) -> float | None:
    """Return a finite number as it is, and None for any other."""
    number = float(value)
    return number if math.isfinite(number) else None


def number(value: float) -> str:
    """Return a number as text: without a fraction where it has none."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
