"""Calls Bindery's functions over PostgREST, as in Supabase (extra `http`)."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx

from ..errors import TRANSIENT, Unavailable, refused
from . import Json


class Rest:
    """A client of PostgREST. The URL is its root: in Supabase https://PROJECT.supabase.co/rest/v1.

    The key is the service key, or another token whose role may call the functions.
    """

    def __init__(self, url: str, key: str | None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Accept-Profile": "bindery", "Content-Profile": "bindery"}
        if key:
            self._headers |= {"apikey": key, "Authorization": f"Bearer {key}"}
        # Made here, with what it imports, rather than in the sender's thread.
        self._client: httpx.Client | None = self._made()

    def call(self, function: str, arguments: dict[str, object]) -> object:
        """POST to /rpc/FUNCTION."""
        body = {k: json.loads(v) if isinstance(v, Json) else v for k, v in arguments.items()}
        answer = self._request("POST", f"/rpc/{function}", json=body)
        # Functions that return rows give a list, here of one.
        return (answer[0] if answer else None) if isinstance(answer, list) else answer

    def read(self, table: str, column: str, value: str, fields: str) -> dict[str, object] | None:
        """GET the fields of one row."""
        query = {column: f"eq.{value}", "select": fields, "limit": "1"}
        rows = self._request("GET", f"/{table}", params=query)
        return rows[0] if rows else None

    def listen(self) -> None:
        """Do nothing: PostgREST does not notify."""

    def wait_for_change(self, book_id: str, seconds: float) -> bool:
        """Wait; there are no notifications."""
        time.sleep(seconds)
        return False

    def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def abandon(self) -> None:
        """Forget the connections."""
        self._client = None

    def _made(self) -> httpx.Client:
        return httpx.Client(headers=self._headers, timeout=httpx.Timeout(5, connect=3))

    def _connected(self) -> httpx.Client:
        if self._client is None:
            self._client = self._made()
        return self._client

    def _request(self, method: str, path: str, **options: Any) -> Any:
        try:
            answer = self._connected().request(method, self._url + path, **options)
        except httpx.HTTPError as error:
            self.close()
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        if answer.is_success:
            return answer.json() if answer.content else None
        raise _explained(answer)


def _explained(answer: httpx.Response) -> Exception:
    try:
        problem = answer.json()
        state = str(problem["code"])
    except (ValueError, KeyError, TypeError):
        problem, state = {}, ""
    message = f"HTTP {answer.status_code}: {problem.get('message') or answer.text[:200]}"
    refusal = refused(state, message, problem.get("details"))
    # The claims of a worker's token exclude the call permanently.
    is_final = refusal.code == "not_allowed"
    passes = not state or answer.status_code in (401, 403, 429) or TRANSIENT.match(state)
    # A wrong key or URL is transient, too: nothing is lost once it is corrected.
    return Unavailable(message) if passes and not is_final else refusal
