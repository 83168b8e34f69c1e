from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from rest_server import RestServer
from servers import Servers

from bindery_client import Client


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    started = Servers()
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture
def rest(servers: Servers) -> Iterator[RestServer]:
    """A stand-in for PostgREST."""
    server = RestServer(servers.postgres_url)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BINDERY_URL", "BINDERY_STATUS_URL", "BINDERY_STREAM", "BINDERY_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def book_id() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def open_client() -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def make(url: str | None = None, **options: object) -> Client:
        client = Client(url, **options)  # type: ignore[arg-type]
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close(0.5)
