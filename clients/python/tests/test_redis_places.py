"""Redis behind Sentinel, and Redis Cluster: servers of their own, without a daemon."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from fakes import steps
from redis.cluster import RedisCluster
from servers import wait_for

from bindery_client import Client, Stage, Worker
from bindery_client.transports.redis_url import RedisUrl


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Run = Callable[..., redis.Redis]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Start a redis-server, and return a client of it once it answers."""
    children: list[subprocess.Popen[bytes]] = []

    def start(port: int, *options: str) -> redis.Redis:
        folder = tmp_path / str(port)
        folder.mkdir(exist_ok=True)
        (folder / "redis.conf").write_text("")
        command = ["redis-server", str(folder / "redis.conf"), *options, "--port", str(port)]
        command += ["--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        children.append(
            subprocess.Popen(command, stdout=(folder / "log").open("ab"), stderr=subprocess.STDOUT)
        )
        client = redis.Redis(port=port, decode_responses=True)

        def answers() -> bool:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

        wait_for(answers, f"a Redis; see {folder}/log")
        return client

    yield start
    for child in children:
        child.terminate()
        child.wait(10)


def watch_over(port: int, sentinel: redis.Redis) -> Any:
    """Let a sentinel, which decides alone, watch over a Redis; return what asks it."""
    ask: Any = sentinel.execute_command
    ask("SENTINEL", "MONITOR", "books", "127.0.0.1", port, 1)
    ask("SENTINEL", "SET", "books", "down-after-milliseconds", 500)
    return ask


def start_cluster(run: Run) -> tuple[str, RedisCluster]:
    """Start a cluster of three nodes; return its URL, which names one of them, and a client."""
    nodes: list[tuple[int, int, Any]] = []
    for number in range(3):
        port, bus = free_port(), free_port()
        node = run(port, "--cluster-enabled", "yes", "--cluster-port", str(bus))
        ask: Any = node.execute_command
        ask("CLUSTER", "ADDSLOTSRANGE", 5462 * number, min(5462 * number + 5461, 16383))
        for known, its_bus, _ in nodes:
            ask("CLUSTER", "MEET", "127.0.0.1", known, its_bus)
        nodes.append((port, bus, ask))

    def is_whole() -> bool:
        states = [ask("CLUSTER INFO") for _, _, ask in nodes]
        return all((s["cluster_state"], s["cluster_known_nodes"]) == ("ok", "3") for s in states)

    wait_for(is_whole, "a whole cluster", 40)
    port = nodes[0][0]
    return f"redis+cluster://127.0.0.1:{port}", RedisCluster(
        "127.0.0.1", port, decode_responses=True
    )


def entries(client: redis.Redis | RedisCluster) -> list[Any]:
    found: Any = client.xrange("bindery:events")
    return [fields for _, fields in found]


def report(client: Client) -> None:
    with client.book("moby-dick") as book, book.stage("ANALYZING") as stage:
        for _ in stage.track(range(5), "extract_text"):
            pass
    assert book.flush(10)


def test_events_reach_the_master_that_the_sentinels_name_and_the_next_one(
    run: Run, open_client: Callable[..., Client]
) -> None:
    ports = [free_port() for _ in range(4)]
    first = run(ports[0])
    second = run(ports[1], "--replicaof", "127.0.0.1", str(ports[0]))
    # Of the two in the URL the first is away.
    sentinel = watch_over(ports[0], run(ports[2], "--sentinel"))
    wait_for(
        lambda: len(sentinel("SENTINEL", "REPLICAS", "books")) == 1,
        "a sentinel that has found the replica",
    )
    hosts = f"127.0.0.1:{ports[3]},127.0.0.1:{ports[2]}"
    client = open_client(f"redis+sentinel://{hosts}/books/0")
    report(client)
    assert [event["type"] for event in steps(entries(first))] == ["register", "begin", "progress"]

    before = len(entries(first))
    wait_for(lambda: len(entries(second)) == before, "what a failover would lose")
    first.shutdown(nosave=True)
    with client.book("moby-dick") as book, book.stage("ANALYZING") as stage:
        stage.progress(100, "detect_chapters")
    assert book.flush(40)
    later = steps(entries(second)[before:])
    assert [event["type"] for event in later] == ["register", "begin", "progress"]


def test_events_reach_the_node_of_a_cluster_that_has_the_stream(
    run: Run, open_client: Callable[..., Client]
) -> None:
    url, cluster = start_cluster(run)
    report(open_client(url))
    assert [event["type"] for event in steps(entries(cluster))] == [
        *("register", "begin", "progress")
    ]


@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
def test_a_worker_follows_the_changes_in_each_of_them(kind: str, run: Run) -> None:
    store: Any
    if kind == "sentinel":
        port, watching = free_port(), free_port()
        store = run(port)
        watch_over(port, run(watching, "--sentinel"))
        url = f"redis+sentinel://127.0.0.1:{watching}/books/0"
    else:
        url, store = start_cluster(run)
    books = [str(uuid.uuid4()) for _ in range(20)]
    # The keys of their leases lie on all nodes.
    for book in books:
        change = {"book_id": book, "revision": 2, "to_status": "READING", "stage": "READING"}
        payload = json.dumps({**change, "attempt": 1})
        store.xadd("bindery:changes", {"id": str(uuid.uuid4()), "payload": payload})
    worker = Worker(Client(), changes_url=url)
    seen = []

    @worker.stage("READING")
    def read(stage: Stage) -> None:
        seen.append(stage.book.book_id)
        if len(seen) == len(books):
            worker.stop()

    running = threading.Thread(target=worker.run)
    running.start()
    running.join(30)
    worker.stop()
    assert seen == books
    assert not running.is_alive()
    assert store.xpending("bindery:changes", "workers")["pending"] == 0


def test_a_cluster_that_is_away_breaks_nothing(open_client: Callable[..., Client]) -> None:
    client = open_client(f"redis+cluster://127.0.0.1:{free_port()}")
    with client.book("b") as book, book.stage("S") as stage:
        stage.progress(5)
        assert not book.flush(0.3)


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://host:26379",
        "redis+sentinel://host:26379/books/x",
        "redis+cluster://host:6379/1",
        "redis+cluster://host:x",
        "redis+cluster://,host",
        "redis+cluster://host?tls_ca=/ca.pem",
        "redis+other://host",
        "redis://",
    ],
)
def test_a_url_that_has_none_of_the_forms_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"redis|Redis"):
        RedisUrl(url, 5)


def test_logins_and_certificates_are_taken_from_the_url() -> None:
    url = "rediss+sentinel://u%40x:p%3A@a:1,[::1]/books/2?sentinel_password=s&tls_ca=/ca.pem"
    made = RedisUrl(url, 5)
    assert made._hosts == [("a", 1), ("::1", 26379)]
    client: Any = made.connect()
    options = client.connection_pool.connection_kwargs
    assert (options["username"], options["password"], options["db"]) == ("u@x", "p:", 2)
    assert options["ssl_ca_certs"] == "/ca.pem"
    one: Any = RedisUrl("rediss://h:1/3?tls_ca=/ca.pem", 5).connect()
    assert one.connection_pool.connection_kwargs["ssl_ca_certs"] == "/ca.pem"
