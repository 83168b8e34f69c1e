"""A worker: follows the changes of books, and does whatever stage a book has come to.

worker.py BOOKS OUT PAUSE: folders of the stories and of the comics, seconds that a panel takes.
"""

import sys
import time
from pathlib import Path

import bindery_client as bindery

import story
from stages import STAGES
from units import Ledger


def main(books: Path, out: Path, pause: float) -> None:
    """Work until SIGTERM."""
    files = {str(bindery.book_uuid(file.stem)): file for file in books.glob("*.txt")}
    worker = bindery.Worker(group="comic")

    def work(stage: bindery.Stage) -> None:
        file = files[stage.book.book_id]
        do_stage(stage, story.parse(file.read_text("utf-8")), out / file.stem, pause)

    for name, following in zip(STAGES, [*list(STAGES)[1:], "COMPLETED"], strict=True):
        worker.stage(name, to_status=following)(work)
    worker.run()


def do_stage(stage: bindery.Stage, text: story.Story, folder: Path, pause: float) -> None:
    """Do what is left of a stage."""
    ledger = Ledger(folder)
    substeps = STAGES[stage.name](folder, text)
    if stage.name == "CREATING_ARTWORK":
        # The chapters are this book's own substeps; a chapter weighs as much as it has panels.
        stage.plan({substep.name: len(substep.units()) for substep in substeps})
    else:
        pause /= 3  # Reading is quicker than drawing.
    for substep in substeps:
        for unit in stage.track(substep.units(), substep.name, unit=substep.counted, bar=False):
            if ledger.is_due(unit):
                time.sleep(pause)
                ledger.do(unit, stage.attempt or 1)
            stage.message(unit.message, substep.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
