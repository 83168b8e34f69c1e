"""PostgREST's protocol, as far as the package uses it, over a real Postgres.

It stands in for PostgREST, which these tests cannot install: requests, answers and errors have
PostgREST's forms (functions that return rows give a list; a SQLSTATE PTnnn is the HTTP status;
the role and the claims are those of the token, whatever the package thinks that it may do).
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
from psycopg import sql
from tokens import claims_of


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
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        # As PostgREST: Postgres itself reads each argument as a value of the parameter's type.
        describe = (
            "select proretset, to_jsonb(proargnames), to_jsonb(proargtypes::regtype[]) "
            "from pg_proc where oid = to_regproc(%s)"
        )
        with psycopg.connect(self.server.postgres_url, autocommit=True) as connection:
            found = connection.execute(describe, (f"bindery.{name}",)).fetchone()
        assert found is not None, name
        returns_rows, names, kinds = found
        types = dict(zip(names, kinds, strict=False))
        given = list(json.loads(body))
        call = sql.SQL("bindery.{}({})").format(
            sql.Identifier(name),
            sql.SQL(", ").join(
                sql.SQL("{0} => args.{0}").format(sql.Identifier(key)) for key in given
            ),
        )
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(key), sql.SQL(types[key])) for key in given
        )
        answer = "json_agg(to_json(a))" if returns_rows else "to_json(a)"
        statement = sql.SQL("select {} from json_to_record(%(body)s) as args({}), {} as a").format(
            sql.SQL(answer), columns, call
        )
        self._answer(statement, {"body": body})

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/api" and self._claims() is not None:
            # As PostgREST answers about a table that it does not have.
            self._send(404, {"code": "PGRST205", "message": "no", "details": None, "hint": None})
            return
        if parts.path == "/api":
            self._refuse_token()
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
        claims = self._claims()
        if claims is None:
            self._refuse_token()
        elif "bindery" not in (self.headers["Accept-Profile"], self.headers["Content-Profile"]):
            self._send(406, {"code": "PGRST106", "message": "no", "details": None, "hint": None})
        else:
            try:
                with psycopg.connect(self.server.postgres_url, autocommit=True) as connection:
                    role = sql.SQL("set role {}").format(sql.Identifier(claims["role"]))
                    connection.execute(role)
                    settings = "select set_config('request.jwt.claims', %s, false)"
                    connection.execute(settings, (json.dumps(claims),))
                    row = connection.execute(statement, values).fetchone()
                self._send(200, row[0] if row else None)
            except psycopg.Error as error:
                state = error.sqlstate or "08000"
                status = int(state[2:]) if state.startswith("PT") else 400
                status = 403 if state == "42501" else status
                problem: dict[str, str | None] = {
                    "code": state,
                    "message": error.diag.message_primary or str(error),
                }
                problem |= {"details": error.diag.message_detail, "hint": error.diag.message_hint}
                self._send(503 if state == "08000" else status, problem)

    def _claims(self) -> dict[str, Any] | None:
        return claims_of((self.headers["Authorization"] or "").removeprefix("Bearer "))

    def _refuse_token(self) -> None:
        self._send(401, {"code": "PGRST301", "message": "no", "details": None, "hint": None})

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
