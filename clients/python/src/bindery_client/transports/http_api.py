"""Calls Bindery's HTTP API, which binderyd serves (extra `http`)."""

from __future__ import annotations

import httpx

from ..errors import Unavailable
from .rest import Rest

_ACTS = {
    "begin_stage": "begin",
    "report_progress": "progress",
    "heartbeat": "heartbeat",
    "fail_book": "fail",
    "transition_book": "transition",
    "plan_substeps": "plan",
}
_READS = {"get_resume_point": "resume-point", "get_book_status": "status"}


class HttpApi(Rest):
    """A client of the API. The URL is binderyd's, such as http://127.0.0.1:7890.

    The key is a token of the role service_role, or a worker's (docs/http.md).
    """

    def __init__(self, url: str, key: str | None) -> None:
        super().__init__(f"{url.rstrip('/')}/api", key)

    def is_served(self) -> bool:
        """Ask whether binderyd answers at the URL.

        Raises:
            Unavailable: the server cannot be reached, or cannot serve now.
        """
        try:
            answer = self._connected().get(self._url)
        except httpx.HTTPError as error:
            self.close()
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        if answer.status_code in (404, 406):
            # PostgREST has no table api, or does not serve the schema, which its next answer shows.
            return False
        if not answer.is_success:
            # Such as a wrong key: asked again with the next report.
            raise Unavailable(f"HTTP {answer.status_code} from {self._url}")
        try:
            return "access" in answer.json()
        except (ValueError, TypeError):
            return False

    def call(self, function: str, arguments: dict[str, object]) -> object:
        """POST or GET the route that stands for a function."""
        if function == "register_book":
            return self._request("POST", "/books", json=arguments)
        fields = dict(arguments)
        book = f"/books/{fields.pop('book_id')}"
        if function in _ACTS:
            # What is JSON stays text, which keeps each digit and is read as JSON.
            return self._request("POST", f"{book}/{_ACTS[function]}", json=fields)
        if function in _READS:
            return self._request("GET", f"{book}/{_READS[function]}", params=fields)
        raise Unavailable(f"the HTTP API has no route for {function}")

    def read(self, table: str, column: str, value: str, fields: str) -> dict[str, object] | None:
        """Refuse: binderyd shows no tables, so it cannot serve as the status URL."""
        raise Unavailable(
            f"the HTTP API does not show the table {table}; give BINDERY_STATUS_URL a "
            "postgresql:// URL or PostgREST's"
        )


class Asked:
    """A server that is either binderyd or PostgREST; at the first call it is asked which.

    The URL is the root of either.
    """

    def __init__(self, url: str, key: str | None) -> None:
        self._api = HttpApi(url, key)
        self._rest = Rest(url, key)
        self._answered: Rest | None = None

    def call(self, function: str, arguments: dict[str, object]) -> object:
        """Call a function as the server takes it."""
        return self._found().call(function, arguments)

    def read(self, table: str, column: str, value: str, fields: str) -> dict[str, object] | None:
        """Read the fields of one row."""
        return self._found().read(table, column, value, fields)

    def listen(self) -> None:
        """Do nothing: neither notifies."""

    def wait_for_change(self, book_id: str, seconds: float) -> bool:
        """Wait; there are no notifications."""
        return self._rest.wait_for_change(book_id, seconds)

    def close(self) -> None:
        """Close the connections."""
        self._api.close()
        self._rest.close()

    def abandon(self) -> None:
        """Forget the connections."""
        self._api.abandon()
        self._rest.abandon()

    def _found(self) -> Rest:
        if self._answered is None:
            self._answered = self._api if self._api.is_served() else self._rest
        return self._answered
