"""A `tqdm` that reports its progress, for loops that use tqdm already (extra `tqdm`).

from bindery_client.tqdm import tqdm

for page in tqdm(pages, stage=stage, substep="extract_text", unit="page"):
    read(page)
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm as _tqdm

from . import values
from .errors import Superseded

if TYPE_CHECKING:
    from .stage import Stage


class tqdm(_tqdm):  # type: ignore[type-arg]  # noqa: N801 (the name that it stands in for)
    """The bar of `tqdm.auto`, whose count is reported as a substep's progress.

    It skips nothing, and saves no checkpoint: use `Stage.track` for that.

    Args:
        stage: the stage to report to; without one it is a plain bar.
        substep: the substep that the bar is about; `all` in a stage that declares none.

    All other arguments are those of tqdm. Nothing is reported while the total is not known. The
    count is reported when the bar is drawn, and at its end; with `disable` ten times a second.

    Raises:
        Superseded: in the loop or by `update`, once the book has left the attempt.
    """

    def __init__(
        self, *args: Any, stage: Stage | None = None, substep: str = "all", **kwargs: Any
    ) -> None:
        self._bindery_stage = stage
        self._bindery_substep = values.name(substep)
        super().__init__(*args, **kwargs)

    def __iter__(self) -> Iterator[Any]:
        if not self.disable or self._bindery_stage is None:
            yield from super().__iter__()
            return
        reported = 0.0
        try:
            for item in self.iterable:
                yield item
                self.n += 1
                now = time.monotonic()
                if now >= reported + 0.1:
                    reported = now
                    self._report()
        finally:
            self.close()

    def update(self, n: float | None = 1) -> bool | None:
        """Count, and report the count."""
        if self.disable and n:
            # The plain bar does not count then.
            self.n += n
        shown = super().update(n)
        self._report()
        return shown

    def close(self) -> None:
        """End the bar, and report its last count."""
        # Also called by a finalizer; the end of the stage raises it.
        with contextlib.suppress(Superseded):
            self._report()
        super().close()

    def _report(self) -> None:
        stage = self._bindery_stage
        if stage is not None and self.total:
            unit = getattr(self, "unit", None)
            stage.progress(
                done=self.n,
                total=self.total,
                substep=self._bindery_substep,
                unit=None if unit == "it" else unit,
            )
