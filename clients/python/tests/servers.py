"""Private servers for the tests: Postgres, Redis and binderyd, in a temporary folder."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import redis

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "scripts" / "servers.sh"


def wait_for(look: Callable[[], Any], what: str, timeout: float = 20.0) -> Any:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"in {timeout} s there was not: {what}")
        time.sleep(0.02)


class Servers:
    """Postgres with the schema, Redis, and a daemon between them."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bindery-python."))
        self.folder.chmod(0o755)
        self._leash: subprocess.Popen[str] | None = None
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._leash = subprocess.Popen(
            [SCRIPT, "leash", self.folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._leash.stdout is not None
        first = self._leash.stdout.readline().strip()
        if first != "ready":
            raise RuntimeError(first + self._leash.stdout.read())
        postgres, redis_port = (
            (self.folder / f"{name}.port").read_text().strip() for name in ("postgres", "redis")
        )
        self.postgres_url = f"postgresql://postgres@127.0.0.1:{postgres}/postgres"
        self.redis_url = f"redis://127.0.0.1:{redis_port}/"
        # A stop at once loses nothing while the operating system lives, but what the next start
        # would sync takes a slow disk up to half a minute.
        for setting in ("fsync", "full_page_writes"):
            self.sql(f"alter system set {setting} = off")
        self.sql("select pg_reload_conf()")
        migrate = [self.program, "migrate", "--kernel", "portable"]
        subprocess.run(
            [*migrate, "--database-url", self.postgres_url], check=True, capture_output=True
        )
        self.redis = redis.Redis.from_url(self.redis_url, decode_responses=True)
        self.start_daemon()

    @property
    def program(self) -> str:
        return os.environ.get("BINDERYD") or str(ROOT / "target" / "release" / "binderyd")

    def start_daemon(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.http = f"http://127.0.0.1:{port}"
        options = ["--database-url", self.postgres_url, "--redis-url", self.redis_url]
        options += ["--http", f"127.0.0.1:{port}", "--sweep", "200ms", "--lease", "2s"]
        log = (self.folder / "daemon.log").open("ab")
        self._daemon = subprocess.Popen([self.program, "run", *options], stdout=log, stderr=log)
        wait_for(self._is_ready, f"a ready daemon; see {self.folder}/daemon.log")

    def _is_ready(self) -> bool:
        assert self._daemon is not None
        assert self._daemon.poll() is None, (self.folder / "daemon.log").read_text()
        try:
            with urllib.request.urlopen(f"{self.http}/readyz", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop_daemon(self) -> None:
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait(30)
            self._daemon = None

    def stop_redis(self) -> None:
        subprocess.run([SCRIPT, "stop-redis", self.folder], check=True, capture_output=True)

    def start_redis(self) -> None:
        subprocess.run([SCRIPT, "start-redis", self.folder], check=True, capture_output=True)

    def stop_postgres(self) -> None:
        stop = [SCRIPT, "stop-postgres", self.folder, "immediate"]
        subprocess.run([str(word) for word in stop], check=True, capture_output=True)

    def start_postgres(self) -> None:
        subprocess.run([SCRIPT, "start-postgres", self.folder], check=True, capture_output=True)

    def stop(self) -> None:
        self.stop_daemon()
        if self._leash is not None:
            with contextlib.suppress(BrokenPipeError):
                self._leash.communicate()

    # What the tests ask.

    def sql(self, query: str, *values: object) -> Any:
        """Run a query; its first value, or None."""
        with psycopg.connect(self.postgres_url, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), values)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def book(self, book_id: str) -> dict[str, Any] | None:
        """The book's row."""
        found = self.sql(
            "select to_jsonb(b) from bindery.book_status b where book_id = %s", book_id
        )
        return None if found is None else dict(found)

    def substep(self, book_id: str, name: str) -> dict[str, Any]:
        """A row of the book's progress, or {}."""
        found = self.sql(
            "select to_jsonb(p) from bindery.book_progress p where book_id = %s and substep = %s",
            book_id,
            name,
        )
        return dict(found or {})

    def wait_for_substep(self, book_id: str, name: str, **expected: object) -> dict[str, Any]:
        """Wait until a row of the book's progress has these values."""

        def look() -> dict[str, Any] | None:
            found = self.substep(book_id, name)
            return found if expected.items() <= found.items() else None

        try:
            return dict(wait_for(look, f"{name} of {book_id} with {expected}"))
        except AssertionError as late:
            raise AssertionError(f"{late}; {self._explained(book_id)}") from None

    def wait_for_book(self, book_id: str, **expected: object) -> dict[str, Any]:
        """Wait until the book's row has these values."""

        def look() -> dict[str, Any] | None:
            found = self.book(book_id) or {}
            return found if expected.items() <= found.items() else None

        try:
            return dict(wait_for(look, f"a book with {expected}"))
        except AssertionError as late:
            raise AssertionError(f"{late}; {self._explained(book_id)}") from None

    def _explained(self, book_id: str) -> str:
        """What there is about a book, for a test that has failed."""
        tables = ("book_status", "book_progress", "early_events", "dead_letters")
        found = {
            table: self.sql(
                f"select jsonb_agg(to_jsonb(t)) from bindery.{table} t where book_id = %s", book_id
            )
            for table in tables
        }
        return json.dumps(found)

    def dead_letters(self, book_id: str) -> int:
        """How many dead letters a book has."""
        return int(
            self.sql("select count(*) from bindery.dead_letters where book_id = %s", book_id)
        )
