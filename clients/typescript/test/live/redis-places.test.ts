// Redis behind Sentinel, and Redis Cluster: servers of their own, without a daemon.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import { afterEach, describe, expect, test } from "vitest";
import { Client } from "../../src/index.js";
import { redisPlace } from "../../src/transports/redis-connection.js";
import { Worker } from "../../src/worker.js";
import { waitFor } from "../support.js";

const program = fileURLToPath(new URL("program.mjs", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "bindery-places-"));
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  rmSync(folder, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  return port;
}

/** Starts a redis-server, and returns a client of it once it answers. */
async function start(port: number, ...options: string[]): Promise<Redis> {
  const own = join(folder, String(port));
  mkdirSync(own, { recursive: true });
  const configuration = join(own, "redis.conf");
  writeFileSync(configuration, "");
  const log = openSync(join(own, "log"), "a");
  const given = [configuration, ...options, "--port", String(port), "--bind", "127.0.0.1"];
  const child: ChildProcess = spawn("redis-server", [...given, "--dir", own, "--save", ""], {
    stdio: ["ignore", log, log],
  });
  const client = new Redis(port, "127.0.0.1", { retryStrategy: () => 50 });
  client.on("error", () => undefined);
  closing.push(async () => {
    client.disconnect();
    if (child.exitCode !== null) return;
    child.kill();
    await once(child, "exit");
  });
  await waitFor(() => client.ping().catch(() => ""), `a Redis; see ${own}/log`);
  return client;
}

function open(url: string): Client {
  const client = new Client(url, { log: () => undefined });
  closing.push(() => client.close(100));
  return client;
}

async function report(client: Client): Promise<void> {
  const book = client.book("moby-dick");
  await book.stage("ANALYZING", async (stage) => {
    for await (const page of stage.track([1, 2, 3], "extract_text")) void page;
  });
  expect(await book.flush(20_000)).toBe(true);
}

const entries = (redis: Redis) => redis.xrange("bindery:events", "-", "+");
const types = async (redis: Redis, from = 0) =>
  (await entries(redis)).slice(from).map(([, fields]) => fields[fields.indexOf("type") + 1]);

test("events reach the master that the sentinels name, and the next one after a failover", async () => {
  const [one = 0, two = 0, three = 0, closed = 0] = await Promise.all(
    Array.from({ length: 4 }, freePort),
  );
  const first = await start(one);
  const second = await start(two, "--replicaof", "127.0.0.1", String(one));
  // One sentinel decides alone; of the two in the URL the first is away.
  const sentinel = await start(three, "--sentinel");
  await sentinel.call("SENTINEL", "MONITOR", "books", "127.0.0.1", one, 1);
  await sentinel.call("SENTINEL", "SET", "books", "down-after-milliseconds", 500);
  const replicas = async () => (await sentinel.call("SENTINEL", "REPLICAS", "books")) as unknown[];
  await waitFor(async () => (await replicas()).length === 1, "a replica that is known");
  const client = open(`redis+sentinel://127.0.0.1:${closed},127.0.0.1:${three}/books/0`);
  await report(client);
  expect(await types(first)).toEqual(["register", "begin", "progress"]);

  const before = (await entries(first)).length;
  const isCopied = async () => (await entries(second)).length === before;
  await waitFor(isCopied, "what a failover would lose");
  await first.shutdown("NOSAVE").catch(() => undefined);
  const book = client.book("moby-dick");
  await book.stage("ANALYZING", (stage) => stage.report(100, "detect_chapters"));
  expect(await book.flush(60_000)).toBe(true);
  expect(await types(second, before)).toEqual(["register", "begin", "progress"]);
});

describe("in a cluster", () => {
  /** Two nodes, each with half of the keys; the URL names one of them. */
  async function startCluster(): Promise<{ with: (key: string) => Promise<Redis>; url: string }> {
    const nodes: { node: Redis; port: number; bus: number }[] = [];
    for (const slots of [
      [0, 8191],
      [8192, 16383],
    ]) {
      const [port, bus] = [await freePort(), await freePort()];
      const options = ["--cluster-enabled", "yes", "--cluster-port", String(bus)];
      const node = await start(port, ...options, "--cluster-announce-ip", "127.0.0.1");
      await node.call("CLUSTER", "ADDSLOTSRANGE", ...slots);
      nodes.push({ node, port, bus });
    }
    const [first, second] = nodes;
    if (first === undefined || second === undefined) throw new Error("no nodes");
    await first.node.call("CLUSTER", "MEET", "127.0.0.1", second.port, second.bus);
    for (const { node } of nodes) {
      const isWhole = async () => String(await node.cluster("INFO")).includes("cluster_state:ok");
      await waitFor(isWhole, "a whole cluster");
    }
    const holder = async (key: string) =>
      Number(await first.node.call("CLUSTER", "KEYSLOT", key)) <= 8191 ? first : second;
    return {
      with: async (key) => (await holder(key)).node,
      // The one that has not the stream of events.
      url: `redis+cluster://127.0.0.1:${
        (await holder("bindery:events")) === first ? second.port : first.port
      }`,
    };
  }

  test("events reach the node that has the stream, and the program ends", async () => {
    const { with: holding, url } = await startCluster();
    await report(open(url));
    const node = await holding("bindery:events");
    expect(await types(node)).toEqual(["register", "begin", "progress"]);
    const record = join(folder, "record");
    const child = spawn(process.execPath, [program, "work", "3", "1"], {
      env: { ...process.env, BINDERY_URL: url, BOOK: "white-whale", RECORD: record },
      stdio: "inherit",
    });
    closing.push(async () => void child.kill("SIGKILL"));
    expect(await once(child, "exit")).toEqual([0, null]);
    expect(readFileSync(record, "utf8")).toBe("attempt undefined\n0\n1\n2\n");
    expect(await types(node, 3)).toEqual(["register", "begin", "progress"]);
  });

  test("a worker follows the changes", async () => {
    const { with: holding, url } = await startCluster();
    const client = open(url);
    const worker = new Worker({ client, changesUrl: url });
    const seen: string[] = [];
    worker.stage("ANALYZING", (stage) => void seen.push(`${stage.book.bookId} ${stage.attempt}`));
    const running = worker.run({ handleSignals: false });
    const bookId = crypto.randomUUID();
    const payload = JSON.stringify({
      book_id: bookId,
      revision: 2,
      to_status: "ANALYZING",
      stage: "ANALYZING",
      attempt: 1,
    });
    await (
      await holding("bindery:changes")
    ).xadd("bindery:changes", "*", "id", "message-1", "payload", payload);
    await waitFor(() => seen.length > 0, "a call");
    worker.stop();
    expect(await running).toBe(true);
    expect(seen).toEqual([`${bookId} 1`]);
    const key = "bindery:changes:workers:message-1";
    expect(await (await holding(key)).get(key)).toBe("done");
    expect(await types(await holding("bindery:events"))).toEqual(["begin"]);
  });

  test("that is away nothing breaks", async () => {
    const book = open(`redis+cluster://127.0.0.1:${await freePort()}`).book("b");
    await book.stage("S", (stage) => stage.report(5));
    expect(await book.flush(300)).toBe(false);
  });
});

test.each([
  "redis+sentinel://host:26379",
  "redis+sentinel://host:26379/books/x",
  "redis+cluster://host:6379/1",
  "redis+cluster://host:x",
  "redis+cluster://,host",
  "redis+other://host",
  "rediss://host?tls_ca=/ca.pem",
  "redis://",
])("the URL %s is refused", (url) => {
  expect(() => redisPlace(url)).toThrow(RangeError);
  expect(() => new Client(url)).toThrow(RangeError);
});

test("hosts, logins and TLS are taken from the URL", () => {
  const login = { username: "u@x", password: "p:", tls: {} };
  expect(redisPlace("rediss+sentinel://u%40x:p%3A@a:1,[::1]/books/2?sentinel_password=s")).toEqual({
    kind: "sentinel",
    sentinels: [
      { host: "a", port: 1 },
      { host: "::1", port: 26_379 },
    ],
    name: "books",
    db: 2,
    login,
    own: { sentinelPassword: "s", enableTLSForSentinelMode: true, sentinelTLS: {} },
  });
  expect(redisPlace("redis+cluster://a,b:7/0")).toEqual({
    kind: "cluster",
    nodes: [
      { host: "a", port: 6379 },
      { host: "b", port: 7 },
    ],
    login: {},
  });
});
