"""Calls Bindery's HTTP API, which binderyd serves (extra `http`)."""

from __future__ import annotations

from ..errors import Refused, Unavailable
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
    """A client of the API. The URL ends in /api, such as http://127.0.0.1:7890/api.

    The key is a token of the role service_role, or a worker's (docs/http.md).
    """

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
        """Read where a book is; the resume point says it, which a worker may read, too."""
        if (table, column) != ("book_status", "book_id"):
            raise Unavailable(f"the HTTP API has no route for the table {table}")
        try:
            point = self._request("GET", f"/books/{value}/resume-point")
        except Refused as refused:
            if refused.code == "unknown_book":
                return None
            if refused.code == "not_allowed":
                # The book has left the stage that the worker's token is for.
                return dict.fromkeys(fields.split(","))
            raise
        return {**point, "current_stage": point["stage"]}
