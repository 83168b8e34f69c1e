"""PostgREST's protocol, as far as the package uses it, over a real Postgres.

It stands in for PostgREST, which these tests cannot install: requests, answers and errors have
PostgREST's forms (functions that return rows give a list; a SQLSTATE PTnnn is the HTTP status).
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

KEY = "service-key"


class RestServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, postgres_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.postgres_url = postgres_url
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: RestServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        name = self.path.removeprefix("/rpc/")
        arguments = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        values = {k: Jsonb(v) if isinstance(v, dict | list) else v for k, v in arguments.items()}
        call = sql.SQL("bindery.{}({})").format(
            sql.Identifier(name),
            sql.SQL(", ").join(
                sql.SQL("{} => {}").format(sql.Identifier(k), sql.Placeholder(k)) for k in values
            ),
        )
        returns_rows = "select proretset from pg_proc where oid = to_regproc(%s)"
        with psycopg.connect(self.server.postgres_url, autocommit=True) as connection:
            found = connection.execute(returns_rows, (f"bindery.{name}",)).fetchone()
        answer = "json_agg(to_json(a))" if found and found[0] else "to_json(a)"
        self._answer(sql.SQL(f"select {answer} from {{}} as a").format(call), values)

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/api" and self.headers["Authorization"] != f"Bearer {KEY}":
            self._send(401, {"code": "PGRST301", "message": "no", "details": None, "hint": None})
            return
        if parts.path == "/api":
            # As PostgREST answers about a table that it does not have.
            self._send(404, {"code": "PGRST205", "message": "no", "details": None, "hint": None})
            return
        query = {key: found[0] for key, found in parse_qs(parts.query).items()}
        fields = query.pop("select").split(",")
        query.pop("limit")
        ((column, value),) = query.items()
        statement = sql.SQL(
            "select coalesce(json_agg(to_json(a)), '[]') from "
            "(select {} from bindery.{} where {} = %(value)s) a"
        ).format(
            sql.SQL(", ").join(map(sql.Identifier, fields)),
            sql.Identifier(parts.path.removeprefix("/")),
            sql.Identifier(column),
        )
        self._answer(statement, {"value": value.removeprefix("eq.")})

    def _answer(self, statement: sql.Composed, values: dict[str, Any]) -> None:
        if self.headers["Authorization"] != f"Bearer {KEY}":
            self._send(401, {"code": "PGRST301", "message": "no", "details": None, "hint": None})
        elif "bindery" not in (self.headers["Accept-Profile"], self.headers["Content-Profile"]):
            self._send(406, {"code": "PGRST106", "message": "no", "details": None, "hint": None})
        else:
            try:
                with psycopg.connect(self.server.postgres_url, autocommit=True) as connection:
                    connection.execute("set role service_role")
                    row = connection.execute(statement, values).fetchone()
                self._send(200, row[0] if row else None)
            except psycopg.Error as error:
                state = error.sqlstate or "08000"
                status = int(state[2:]) if state.startswith("PT") else 400
                problem: dict[str, str | None] = {
                    "code": state,
                    "message": error.diag.message_primary or str(error),
                }
                problem |= {"details": error.diag.message_detail, "hint": error.diag.message_hint}
                self._send(503 if state == "08000" else status, problem)

    def _send(self, status: int, body: object) -> None:
        # A function without a result has an empty answer.
        content = b"" if body is None or body == "" else json.dumps(body).encode()
        self.send_response(status if content else 204)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass
