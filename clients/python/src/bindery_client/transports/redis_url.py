"""Connections to Redis by the URLs that `binderyd` takes: one server, Sentinel, or Cluster."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlencode

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

FORMS = (
    "give redis://user:password@host:6379/0, "
    "redis+sentinel://user:password@host:26379,host:26379/master/0 or "
    "redis+cluster://user:password@host:6379,host:6379 (rediss… for TLS)"
)
SCHEMES = tuple(
    base + kind for base in ("redis", "rediss") for kind in ("", "+sentinel", "+cluster")
)

# The names of binderyd's parameters in redis-py.
_TLS = {"tls_ca": "ssl_ca_certs", "tls_cert": "ssl_certfile", "tls_key": "ssl_keyfile"}

AnyRedis = redis.Redis | RedisCluster


class RedisUrl:
    """A URL; `connect` gives a client, which connects at its first command.

    Raises:
        ValueError: the URL has none of the forms.
        ImportError: the URL is of a cluster, and redis-py is older than version 6.
    """

    def __init__(self, url: str, socket_timeout: float) -> None:
        scheme, _, rest = url.partition("://")
        if scheme not in SCHEMES or not rest:
            raise ValueError(f"not a Redis URL; {FORMS}")
        base, _, self._kind = scheme.partition("+")
        self._options: dict[str, Any] = {
            "decode_responses": True,
            "socket_connect_timeout": 3,
            "socket_timeout": socket_timeout,
        }
        rest, _, query = rest.partition("?")
        parameters = {_TLS.get(key, key): value for key, value in parse_qsl(query)}
        if not self._kind:
            self._url = f"{base}://{rest}" + (f"?{urlencode(parameters)}" if parameters else "")
            # Checks the URL, without connecting. It also imports what a connection needs here
            # rather than in the sender's thread: a process that is forked during an import
            # would inherit half of a module.
            self._connect_one().close()
            return
        authority, _, path = rest.partition("/")
        user, _, hosts = authority.rpartition("@")
        self._hosts = [_address(host, self._kind) for host in hosts.split(",")]
        name, _, password = user.partition(":")
        login = {"username": unquote(name) or None, "password": unquote(password) or None}
        tls: dict[str, Any] = {k: parameters[k] for k in _TLS.values() if k in parameters}
        if base == "rediss":
            tls["ssl"] = True
        elif tls:
            raise ValueError("tls_ca, tls_cert and tls_key are for rediss://")
        self._master, _, database = path.partition("/")
        self._own = {
            "username": parameters.get("sentinel_username"),
            "password": parameters.get("sentinel_password"),
            **tls,
        }
        self._options |= login | tls
        if self._kind == "sentinel":
            if not self._master or (database and not database.isdigit()):
                raise ValueError(f"the master's name or its database is missing; {FORMS}")
            self._options["db"] = int(database or 0)
        elif path not in ("", "0"):
            raise ValueError("a Redis Cluster has no database but 0")
        elif int(redis.__version__.split(".")[0]) < 6:
            raise ImportError(f"redis+cluster:// needs redis-py 6; this is {redis.__version__}")

    def connect(self) -> AnyRedis:
        """Return a client. One of a cluster asks it for its nodes at once.

        Raises:
            redis.RedisError: the cluster cannot be reached.
        """
        if self._kind == "sentinel":
            timeouts = {"socket_connect_timeout": 3, "socket_timeout": 3}
            # redis-py has no types for these.
            sentinels: Any = Sentinel
            found = sentinels(self._hosts, sentinel_kwargs={**timeouts, **self._own})
            master = found.master_for(self._master, **self._options, retry=_no_retry())
            return cast("redis.Redis", master)
        if self._kind == "cluster":
            node: Any = ClusterNode
            return RedisCluster(
                startup_nodes=[node(host, port) for host, port in self._hosts],
                require_full_coverage=False,
                **self._options,
            )
        return self._connect_one()

    def _connect_one(self) -> redis.Redis:
        client = redis.Redis.from_url(self._url, **self._options, retry=_no_retry())
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)
        return client


class Connection:
    """A client that is made when it is needed, and again after `close`."""

    def __init__(self, url: str, socket_timeout: float) -> None:
        self._url = RedisUrl(url, socket_timeout)
        self._client: AnyRedis | None = None

    def client(self) -> AnyRedis:
        """Return the client.

        Raises:
            redis.RedisError: the cluster cannot be reached.
        """
        client = self._client
        if client is None:
            client = self._client = self._url.connect()
        return client

    def close(self) -> None:
        """Close all connections of the client, and forget the servers that it has found."""
        client, self._client = self._client, None
        if isinstance(client, redis.Redis):
            client.close()
            client.connection_pool.disconnect()
        elif client is not None:
            client.close()


def _address(host: str, kind: str) -> tuple[str, int]:
    name, _, port = host.rpartition(":")
    if not name or name.endswith(":") or "]" in port:
        name, port = host, "26379" if kind == "sentinel" else "6379"
    name = name.strip("[]")
    if not name or not port.isdigit():
        raise ValueError(f"not a Redis URL: a host or its port is missing; {FORMS}")
    return name, int(port)


def _no_retry() -> Retry:
    # The sender retries, and meanwhile the newest state replaces older ones.
    return Retry(NoBackoff(), 0)
