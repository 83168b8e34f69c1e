"""Report the progress of long work to Bindery.

    import bindery_client as bindery

    with bindery.book("moby-dick", title="Moby Dick", pipeline="comic") as book:
        with book.stage("ANALYZING") as stage:
            for page in stage.track(pages, "extract_text", unit="page"):
                read(page)

Reporting never breaks the work: calls return at once, a background thread delivers, and problems
of the server are logged (logger `bindery_client`). `Superseded` is the one exception that stops the
work.
"""

from .book import Book
from .client import Client, book, configure, default_client
from .errors import BinderyError, Failed, Superseded
from .ids import NAMESPACE, book_uuid
from .resume import Left, ResumePoint
from .stage import Stage
from .track import Track
from .watch import watch
from .worker import Worker

__all__ = [
    "NAMESPACE",
    "BinderyError",
    "Book",
    "Client",
    "Failed",
    "Left",
    "ResumePoint",
    "Stage",
    "Superseded",
    "Track",
    "Worker",
    "book",
    "book_uuid",
    "configure",
    "default_client",
    "watch",
]
