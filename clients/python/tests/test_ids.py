from __future__ import annotations

import uuid

import pytest

from bindery_client import NAMESPACE, book_uuid

ONE = uuid.UUID("6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b")


@pytest.mark.parametrize(
    "written",
    [str(ONE), str(ONE).upper(), ONE.hex, "{" + str(ONE) + "}"],
)
def test_a_uuid_stays_itself_however_it_is_written(written: str) -> None:
    assert book_uuid(written) == book_uuid(ONE) == ONE


def test_another_text_becomes_the_same_uuid_in_every_process() -> None:
    assert str(book_uuid("moby-dick")) == "dc03f7b3-eeb7-5503-ac65-01820c8449c3"
    assert book_uuid("moby-dick") == uuid.uuid5(NAMESPACE, "moby-dick")


def test_an_empty_id_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        book_uuid("")
