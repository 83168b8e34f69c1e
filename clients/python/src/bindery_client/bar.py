"""A progress bar of one line, for a person who runs a worker in a terminal."""

from __future__ import annotations

import sys
import time

WIDTH = 30


class Bar:
    """Draws on standard error, at most ten times a second."""

    def __init__(self, name: str, total: int | None, unit: str | None) -> None:
        self._name = name
        self._total = total
        self._unit = f" {unit}" if unit else ""
        self._next = 0.0

    @classmethod
    def for_terminal(
        cls, wanted: bool | None, name: str, total: int | None, unit: str | None
    ) -> Bar | None:
        """Return a bar; None if it is disabled, or by default if there is no terminal."""
        if wanted is None:
            try:
                wanted = sys.stderr.isatty()
            except (AttributeError, ValueError):
                wanted = False
        return cls(name, total, unit) if wanted else None

    def show(self, done: int) -> None:
        """Draw the state if the last drawing is old enough."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 0.1
            self._draw(done, "")

    def close(self, done: int) -> None:
        """Draw the last state and end the line."""
        self._draw(done, "\n")

    def _draw(self, done: int, end: str) -> None:
        if self._total:
            part = min(done / self._total, 1.0)
            filled = "#" * int(part * WIDTH)
            shown = f"[{filled:<{WIDTH}}] {100 * part:5.1f} % {done}/{self._total}{self._unit}"
        else:
            shown = f"{done}{self._unit}"
        try:
            sys.stderr.write(f"\r{self._name} {shown}{end}")
            sys.stderr.flush()
        except (AttributeError, OSError, ValueError):
            # Standard error is closed: draw no more.
            self._next = float("inf")
