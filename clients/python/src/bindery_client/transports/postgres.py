"""Calls Bindery's functions over a connection to Postgres (extra `postgres`)."""

from __future__ import annotations

from typing import Any, cast

import psycopg
from psycopg import sql

from ..errors import TRANSIENT, Refused, Unavailable, refused
from . import Json


class Postgres:
    """A connection in autocommit mode: a call is a transaction."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[Any] | None = None
        self._listening: psycopg.Connection[Any] | None = None

    def call(self, function: str, arguments: dict[str, object]) -> object:
        """Call a function; return its one row or value as JSON has it."""
        names = [
            sql.SQL("{} => {}").format(sql.Identifier(key), sql.Placeholder(key))
            for key in arguments
        ]
        query = sql.SQL("select to_jsonb(answer) from bindery.{}({}) as answer").format(
            sql.Identifier(function), sql.SQL(", ").join(names)
        )
        # Texts are sent without a type, so that they fit uuid and jsonb.
        values = {k: str(v) if isinstance(v, Json) else v for k, v in arguments.items()}
        return self._value(query, values)

    def read(self, table: str, column: str, value: str, fields: str) -> dict[str, object] | None:
        """Return the fields of one row."""
        names = sql.SQL(", ").join(sql.Identifier(field) for field in fields.split(","))
        query = sql.SQL(
            "select to_jsonb(found) from (select {} from bindery.{} where {} = %(value)s) found"
        ).format(names, sql.Identifier(table), sql.Identifier(column))
        return cast("dict[str, object] | None", self._value(query, {"value": value}))

    def listen(self) -> None:
        """Listen to the channel that Bindery notifies."""
        connection = self._connected()
        if connection is not self._listening:
            try:
                connection.execute("listen bindery")
            except psycopg.Error as error:
                raise self._explained(error) from error
            self._listening = connection

    def wait_for_change(self, book_id: str, seconds: float) -> bool:
        """Wait for a notification about a book."""
        try:
            for notification in self._connected().notifies(timeout=seconds):
                if book_id in notification.payload:
                    return True
        except psycopg.Error as error:
            raise self._explained(error) from error
        return False

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abandon(self) -> None:
        """Forget the connection; libpq's object does nothing in a process that did not make it."""
        self._connection = None

    def _value(self, query: sql.Composed, values: dict[str, object]) -> object:
        try:
            row = self._connected().execute(query, values).fetchone()
        except psycopg.Error as error:
            raise self._explained(error) from error
        return None if row is None else row[0]

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            try:
                # No prepared statements: poolers in transaction mode do not keep them.
                self._connection = psycopg.connect(
                    self._url,
                    autocommit=True,
                    prepare_threshold=None,
                    connect_timeout=3,
                    tcp_user_timeout=5000,
                    # A call waits for its answer without end; these notice that none can come.
                    keepalives_idle=5,
                    keepalives_interval=2,
                    keepalives_count=3,
                    application_name="bindery_client",
                )
            except psycopg.Error as error:
                raise self._explained(error) from error
        return self._connection

    def _explained(self, error: psycopg.Error) -> Exception:
        state = error.sqlstate
        if state is None and not isinstance(
            error, psycopg.OperationalError | psycopg.InterfaceError
        ):
            # The driver itself cannot send it: it never will.
            return Refused("not_sent", str(error))
        if state is None or TRANSIENT.match(state):
            self.close()
            return Unavailable(f"{type(error).__name__}: {str(error).strip()}")
        return refused(state, error.diag.message_primary or str(error), error.diag.message_detail)
