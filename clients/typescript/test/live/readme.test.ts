// README's examples, as they are typed, beside the package as it is published.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Queue } from "bullmq";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bookUuid, Client } from "../../src/index.js";
import { createTestBindery } from "../../src/testing/index.js";
import { KEY, restServer } from "../http-servers.js";
import { waitFor } from "../support.js";
import { Servers } from "./servers.js";

const run = promisify(execFile);
const root = new URL("../..", import.meta.url).pathname;
const app = mkdtempSync(join(tmpdir(), "bindery-readme-"));
const servers = new Servers();

const readme = readFileSync(join(root, "README.md"), "utf8");
const examples = [...readme.matchAll(/```ts\n(.*?)```/gs)].map((match) => match[1] ?? "");
const names = {
  first: "split_scenes",
  words: "let words",
  again: "stage.isDone()",
  failed: "torn_page",
  bullmq: "bullmq(step",
  worker: "worker.stage(",
  watch: "watch(",
  deno: "Deno.serve",
  record: "record(",
  run: "bindery.run(",
  testing: "// ANALYZING 1.25",
  snapshot: "openAsBlob",
};
type Name = keyof typeof names;

// What is the reader's own in the examples.
const prelude = `
import { book as opened } from "@bindery/producer";
const pages = ["one", "two words", "three"];
const read = (page: string) => Promise.resolve(page);
const count = (page: string) => Promise.resolve(page.split(" ").length);
const analyze = async (id: string) => {
  const book = opened(id);
  await book.stage("ANALYZING", async (stage) => {
    for await (const page of stage.track(pages, "extract_text")) await read(page);
  });
  book.transition("GENERATING_SCENES");
};
declare const Deno: {
  env: { get(name: string): string | undefined };
  serve(handler: (request: Request) => Promise<Response>): void;
};
void [pages, read, count, analyze];
`;
const postlude: Partial<Record<Name, string>> = {
  snapshot: `console.log((await bindery.status("kept")).status); await bindery.close();\n`,
};

beforeAll(async () => {
  const installed = join(app, "node_modules/@bindery/producer");
  mkdirSync(installed, { recursive: true });
  cpSync(join(root, "dist"), join(installed, "dist"), { recursive: true });
  cpSync(join(root, "package.json"), join(installed, "package.json"));
  const packages = ["@electric-sql", "@types", "bullmq", "ioredis", "pg", "uuid", "zod"];
  for (const name of [...packages, "undici-types"])
    symlinkSync(join(root, "node_modules", name), join(app, "node_modules", name));
  writeFileSync(join(app, "package.json"), '{"type": "module"}');
  for (const [name, part] of Object.entries(names)) {
    const code = examples.filter((example) => example.includes(part));
    expect(code, part).toHaveLength(1);
    writeFileSync(join(app, `${name}.ts`), prelude + code[0] + (postlude[name as Name] ?? ""));
  }
  const options = ["--strict", "--target", "es2022", "--module", "nodenext", "--types", "node"];
  const files = Object.keys(names).map((name) => `${name}.ts`);
  await run(join(root, "node_modules/.bin/tsc"), [...options, "--skipLibCheck", ...files], {
    cwd: app,
  });
  await servers.start();
}, 180_000);
afterAll(async () => {
  await servers.stop();
  rmSync(app, { recursive: true, force: true });
});

const environment = () => ({
  ...process.env,
  BINDERY_URL: servers.redisUrl,
  BINDERY_STATUS_URL: servers.postgresUrl,
});
async function output(name: Name, env: NodeJS.ProcessEnv = process.env): Promise<string> {
  return (await run("node", [`${name}.js`], { cwd: app, env })).stdout;
}

test("every example of the README is run here", () => {
  expect(examples).toHaveLength(Object.keys(names).length);
});

test("the package's own types are checked with the standard libraries alone", async () => {
  const names = ["@bindery/producer", "@bindery/producer/bullmq", "@bindery/producer/worker"];
  const code = names.map((name) => `export * from "${name}";\n`).join("");
  writeFileSync(join(app, "strict.ts"), code);
  const options = ["--strict", "--noEmit", "--target", "es2022", "--module", "nodenext"];
  await run(join(root, "node_modules/.bin/tsc"), [...options, "--types", "", "strict.ts"], {
    cwd: app,
  });
});

test("a URL whose package is not installed is a warning that names it", async () => {
  rmSync(join(app, "node_modules/ioredis"));
  const program = `
    import { Client } from "@bindery/producer";
    const client = new Client("redis://127.0.0.1:1", { log: console.log });
    client.book("a").transition("ANALYZING");
    await client.flush(300);
    process.exit();
  `;
  const given = ["--input-type=module", "--eval", program];
  const { stdout } = await run("node", given, { cwd: app });
  symlinkSync(join(root, "node_modules/ioredis"), join(app, "node_modules/ioredis"));
  expect(stdout).toContain("a Redis URL needs the package ioredis; install it");
});

test("the first example completes its book", async () => {
  await output("first", environment());
  const bookId = bookUuid("moby-dick");
  await servers.waitForBook(bookId, { status: "COMPLETED", title: "Moby Dick" });
  expect(await servers.substep(bookId, "extract_text")).toMatchObject({ done: 3, unit: "page" });
});

test("the first example and the one that asks whether its stage is done run again", async () => {
  const revision = "select revision from bindery.book_status where book_id = $1";
  const before = await servers.sql(revision, bookUuid("moby-dick"));
  for (const name of ["first", "again"] as const) {
    const { stderr } = await run("node", [`${name}.js`], { cwd: app, env: environment() });
    expect(stderr).toBe("");
  }
  expect(await servers.sql(revision, bookUuid("moby-dick"))).toEqual(before);
});

test("the example that watches a book prints its end", async () => {
  expect(await output("watch", environment())).toBe("COMPLETED 100\n");
});

test("the example with a checkpoint of its own saves it beside the loop's count", async () => {
  await output("words", environment());
  const found = () => servers.substep(bookUuid("white-whale"), "extract_text");
  await waitFor(async () => (await found())["progress"] === 100, "the end of the loop");
  expect((await found())["checkpoint"]).toEqual({ tracked: 3, data: 4 });
});

test("the example of Failed makes the book FAILED with its own code", async () => {
  const ended: unknown = await output("failed", environment()).catch((error: unknown) => error);
  expect(ended).toMatchObject({ code: 1 });
  await servers.waitForBook(bookUuid("torn"), { status: "FAILED", message: "Page 31 is torn." });
  const [error] = await servers.sql(
    "select error from bindery.book_status where book_id = $1",
    bookUuid("torn"),
  );
  expect(error).toEqual({ code: "torn_page", page: 31, retry: false });
});

test("the example with BullMQ works on the queue's jobs", async () => {
  const worker = spawn("node", ["bullmq.js"], { cwd: app, env: environment(), stdio: "inherit" });
  const queue = new Queue("extract", { connection: { url: servers.redisUrl } });
  const client = new Client(servers.redisUrl);
  try {
    client.book("queued").transition("ANALYZING");
    await client.flush();
    await queue.add("book", { bookId: "queued", to_status: "GENERATING_SCENES" });
    await servers.waitForBook(bookUuid("queued"), { status: "GENERATING_SCENES" });
  } finally {
    await queue.close();
    await client.close();
    worker.kill("SIGKILL");
  }
});

test("the example of a worker works on a book, and ends at SIGTERM", async () => {
  const worker = spawn("node", ["worker.js"], { cwd: app, env: environment(), stdio: "inherit" });
  const client = new Client(servers.redisUrl);
  try {
    client.book("followed").transition("ANALYZING");
    await client.flush();
    await servers.waitForBook(bookUuid("followed"), { status: "GENERATING_SCENES" });
    worker.kill("SIGTERM");
    expect(await once(worker, "exit")).toEqual([0, null]);
  } finally {
    await client.close();
    worker.kill("SIGKILL");
  }
});

test("the example of an edge function runs in Deno, with the rights to network and settings", async () => {
  const bindery = await createTestBindery();
  const rest = await restServer(bindery).start();
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await bindery.registerBook("moby-dick");
  const flags = ["run", "--no-prompt", "--cached-only", "--node-modules-dir=manual"];
  const rights = ["--allow-net=127.0.0.1", "--allow-env=SUPABASE_URL,SUPABASE_SERVICE_ROLE_KEY"];
  const deno = spawn(join(root, "node_modules/.bin/deno"), [...flags, ...rights, "deno.js"], {
    cwd: app,
    stdio: "inherit",
    // A group of its own: the package's program starts Deno as a child.
    detached: true,
    env: {
      ...process.env,
      SUPABASE_URL: rest.url,
      SUPABASE_SERVICE_ROLE_KEY: KEY,
      DENO_SERVE_ADDRESS: `tcp:127.0.0.1:${port}`,
      DENO_NO_UPDATE_CHECK: "1",
    },
  });
  try {
    const body = JSON.stringify({ bookId: "moby-dick" });
    const ask = () =>
      fetch(`http://127.0.0.1:${port}`, { method: "POST", body }).catch(() => undefined);
    const answer = await waitFor(ask, "a server in Deno");
    expect(await answer?.json()).toEqual({ delivered: true });
    const { status, substeps } = await bindery.status("moby-dick");
    expect(status).toBe("ANALYZING");
    expect(substeps.find((known) => known.substep === "extract_text")?.state).toBe("done");
    // Watching takes no more rights than the network.
    const code = `
      import { watch } from "@bindery/producer";
      const options = { url: ${JSON.stringify(rest.url)}, key: ${JSON.stringify(KEY)} };
      for await (const { status } of watch("moby-dick", options)) {
        console.log(status);
        break;
      }`;
    writeFileSync(join(app, "watched.js"), code);
    const given = [...flags, "--allow-net=127.0.0.1", "watched.js"];
    expect((await run(join(root, "node_modules/.bin/deno"), given, { cwd: app })).stdout).toBe(
      "ANALYZING\n",
    );
  } finally {
    if (deno.pid !== undefined) process.kill(-deno.pid, "SIGKILL");
    await rest.stop();
    await bindery.close();
  }
});

test("the examples for tests of one's own print what their comments contain", async () => {
  expect(await output("record")).toBe("[ 'register', 'begin', 'progress', 'transition' ]\n");
  expect(await output("run")).toBe("GENERATING_SCENES\n");
  expect(await output("testing")).toBe("ANALYZING 1.25\n");
});

test("the example of a snapshot in a file starts from that file", async () => {
  const original = await createTestBindery();
  await original.registerBook("kept");
  const snapshot = await original.snapshot();
  await original.close();
  writeFileSync(join(app, "bindery.tar"), new Uint8Array(await snapshot.arrayBuffer()));
  expect(await output("snapshot")).toBe("UPLOADED\n");
});
