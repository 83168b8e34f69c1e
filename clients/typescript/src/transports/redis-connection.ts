// Connections to Redis by the URLs that `binderyd` takes: one server, Sentinel, or Cluster.
import type { ChainableCommander, Cluster, Redis } from "ioredis";
import { Unavailable } from "../errors.js";

const FORMS =
  "give redis://user:password@host:6379/0, " +
  "redis+sentinel://user:password@host:26379,host:26379/master/0 or " +
  "redis+cluster://user:password@host:6379,host:6379 (rediss… for TLS)";
// Milliseconds.
const CONNECT_TIMEOUT = 5000;
const ASK_TIMEOUT = 3000;

/** The used part of ioredis's `Redis` and `Cluster`. */
export interface RedisClient {
  call(command: string, ...args: (string | number)[]): Promise<unknown>;
  multi(): ChainableCommander;
  disconnect(): void;
}

interface Host {
  host: string;
  port: number;
}

interface Login {
  username?: string;
  password?: string;
  tls?: Record<string, never>;
}

interface SentinelLogin {
  sentinelUsername?: string;
  sentinelPassword?: string;
  enableTLSForSentinelMode?: boolean;
  sentinelTLS?: Record<string, never>;
}

/** The address of Redis. */
export type RedisPlace =
  | { kind: "one"; url: string }
  | {
      kind: "sentinel";
      sentinels: Host[];
      name: string;
      db: number;
      login: Login;
      own: SentinelLogin;
    }
  | { kind: "cluster"; nodes: Host[]; login: Login };

/**
 * Reads a URL.
 *
 * @throws RangeError if it has none of the forms.
 */
export function redisPlace(url: string): RedisPlace {
  const [, base = "", kind = "", rest = ""] =
    /^(rediss?)(?:\+(sentinel|cluster))?:\/\/(.+)$/.exec(url) ?? [];
  if (rest === "") throw new RangeError(`not a Redis URL; ${FORMS}`);
  const [address = "", query = ""] = rest.split("?", 2);
  const parameters = new URLSearchParams(query);
  if (["tls_ca", "tls_cert", "tls_key"].some((name) => parameters.has(name)))
    throw new RangeError(
      "tls_ca, tls_cert and tls_key are not supported here; set NODE_EXTRA_CA_CERTS to the file",
    );
  if (kind === "") return { kind: "one", url };
  const [authority = "", master = "", database = ""] = address.split("/", 3);
  const at = authority.lastIndexOf("@");
  const [user = "", password = ""] = authority.slice(0, Math.max(at, 0)).split(/:(.*)/s, 2);
  const hosts = authority
    .slice(at + 1)
    .split(",")
    .map((host) => hostOf(host, kind === "sentinel" ? 26_379 : 6379));
  const login: Login = {
    ...(user !== "" && { username: decodeURIComponent(user) }),
    ...(password !== "" && { password: decodeURIComponent(password) }),
    ...(base === "rediss" && { tls: {} }),
  };
  if (kind === "cluster") {
    if (!["", "0"].includes(master) || database !== "")
      throw new RangeError("a Redis Cluster has no database but 0");
    return { kind, nodes: hosts, login };
  }
  if (master === "" || !/^\d*$/.test(database))
    throw new RangeError(`the master's name or its database is missing; ${FORMS}`);
  const name = parameters.get("sentinel_username");
  const secret = parameters.get("sentinel_password");
  const own: SentinelLogin = {
    ...(name !== null && { sentinelUsername: name }),
    ...(secret !== null && { sentinelPassword: secret }),
    ...(base === "rediss" && { enableTLSForSentinelMode: true, sentinelTLS: {} }),
  };
  const db = Number(database);
  return { kind: "sentinel", sentinels: hosts, name: decodeURIComponent(master), db, login, own };
}

function hostOf(text: string, byDefault: number): Host {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d+))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined)
    throw new RangeError(`not a Redis URL: a host or its port is missing; ${FORMS}`);
  return { host, port: port === undefined ? byDefault : Number(port) };
}

/**
 * Connects.
 *
 * @param isBackground whether the connection alone does not keep the program alive.
 * @throws Unavailable if the package ioredis is missing.
 */
export async function connectRedis(place: RedisPlace, isBackground: boolean): Promise<RedisClient> {
  const { Cluster, Redis } = await import("ioredis").catch((cause: unknown) => {
    throw new Unavailable("a Redis URL needs the package ioredis; install it", { cause });
  });
  const settings = {
    lazyConnect: true,
    connectTimeout: CONNECT_TIMEOUT,
    commandTimeout: CONNECT_TIMEOUT,
    // The callers retry.
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
  };
  let client: Redis | Cluster;
  if (place.kind === "cluster")
    client = new Cluster(place.nodes, {
      lazyConnect: true,
      enableReadyCheck: false,
      clusterRetryStrategy: () => null,
      slotsRefreshTimeout: ASK_TIMEOUT,
      redisOptions: { ...settings, ...place.login },
    });
  else if (place.kind === "sentinel")
    client = new Redis({
      ...settings,
      ...place.login,
      ...place.own,
      sentinels: place.sentinels,
      name: place.name,
      db: place.db,
      sentinelRetryStrategy: () => null,
      sentinelCommandTimeout: ASK_TIMEOUT,
    });
  else client = new Redis(place.url, settings);
  // An error also rejects the command that it concerns.
  let problem: unknown;
  client.on("error", (error: unknown) => (problem = error));
  if (isBackground && client instanceof Cluster)
    client.on("+node", (node: Redis) => node.once("connect", () => node.stream.unref()));
  try {
    await client.connect();
  } catch (error) {
    client.disconnect();
    throw problem ?? error;
  }
  if (isBackground && client instanceof Redis) client.stream.unref();
  return client;
}
