"""The ids of books: any text becomes a stable uuid, and a uuid stays itself."""

from __future__ import annotations

import re
import uuid

NAMESPACE = uuid.UUID("8266f4cc-0795-456a-83da-92a5b5d44cb4")
"""The namespace of `book_uuid`; it never changes."""

_UUID = re.compile(r"\{?[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\}?", re.IGNORECASE)


def book_uuid(book_id: str | uuid.UUID) -> uuid.UUID:
    """Return the uuid of a book.

    A `uuid.UUID`, or a text with the form of one (any case, with or without dashes or braces), is
    that uuid. Any other text `t` becomes `uuid.uuid5(NAMESPACE, t)`, in every process the same.

    Raises:
        ValueError: the text is empty.
    """
    if isinstance(book_id, uuid.UUID):
        return book_id
    if not book_id:
        raise ValueError("the book's id is empty; give a uuid or a text of your own")
    if _UUID.fullmatch(book_id):
        return uuid.UUID(book_id)
    return uuid.uuid5(NAMESPACE, book_id)
