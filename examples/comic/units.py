"""Units of work: each one makes one file, once, whatever happens to the workers.

A file appears under its name only when it is complete. Then the worker appends a line to its own
file in the folder `ledger`, or another one that finds the file without a line after a kill.
"""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Unit(NamedTuple):
    """A piece of work: the file that it makes, a message for people, what returns the text."""

    file: Path
    message: str
    make: Callable[[], str]


class Substep(NamedTuple):
    """A substep: its key, what is counted, and its units, once the substeps before are done."""

    name: str
    counted: str
    units: Callable[[], list[Unit]]


class Entry(NamedTuple):
    """A line of the ledger: a unit was done in an attempt, by a process."""

    unit: str
    attempt: int
    pid: int


class Ledger:
    """The ledger of a book's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines = folder / "ledger"

    def is_due(self, unit: Unit) -> bool:
        """Return whether a unit is to be done, or to be entered."""
        return self._name(unit) not in {entry.unit for entry in self.entries()}

    def do(self, unit: Unit, attempt: int) -> None:
        """Do a unit unless its file is there, and enter it."""
        if not unit.file.exists():
            unit.file.parent.mkdir(parents=True, exist_ok=True)
            part = unit.file.with_name(f".{unit.file.name}.{os.getpid()}")
            part.write_text(unit.make(), encoding="utf-8")
            part.replace(unit.file)
        self._lines.mkdir(parents=True, exist_ok=True)
        with (self._lines / f"{os.getpid()}.txt").open("a") as lines:
            lines.write(f"{self._name(unit)} {attempt}\n")

    def entries(self, under: str = "") -> list[Entry]:
        """Read the lines of all workers, or those about the files in a folder."""
        return [
            Entry(unit, int(attempt), int(file.stem))
            for file in sorted(self._lines.glob("*.txt"))
            for unit, attempt in map(str.split, file.read_text().splitlines())
            if unit.startswith(under)
        ]

    def faults(self, expected: set[str]) -> list[str]:
        """Return what contradicts that each of the expected units was done exactly once."""
        times = Counter(entry.unit for entry in self.entries())
        made = {unit for unit in times if (self._folder / unit).exists()}
        faults = [f"{unit} was done {n} times" for unit, n in sorted(times.items()) if n > 1]
        faults += [f"{unit} was not done" for unit in sorted(expected - made)]
        return faults + [f"{unit} is unknown" for unit in sorted(times.keys() - expected)]

    def _name(self, unit: Unit) -> str:
        return unit.file.relative_to(self._folder).as_posix()
