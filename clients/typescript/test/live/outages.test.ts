// 10,000 reports of 50 books, while servers are away and a worker is killed.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { bookUuid, Client } from "../../src/index.js";
import { waitFor } from "../support.js";
import { Servers } from "./servers.js";

const BOOKS = 50;
const REPORTS = 200;
const SUBSTEPS = ["extract_text", "detect_chapters", "analyze_characters"];

const program = fileURLToPath(new URL("program.mjs", import.meta.url));
const servers = new Servers();
const folder = mkdtempSync(join(tmpdir(), "bindery-outages-"));
const children: ChildProcess[] = [];

beforeAll(() => servers.start(), 120_000);
afterEach(() => children.splice(0).forEach((child) => child.kill("SIGKILL")));
afterAll(async () => {
  await servers.stop();
  rmSync(folder, { recursive: true, force: true });
});

const ways: Record<string, () => Record<string, string>> = {
  "Redis with a status URL": () => ({
    BINDERY_URL: servers.redisUrl,
    BINDERY_STATUS_URL: servers.postgresUrl,
  }),
  PostgreSQL: () => ({ BINDERY_URL: servers.postgresUrl }),
  "binderyd's HTTP": () => ({ BINDERY_URL: servers.httpUrl }),
};
const pause = (milliseconds: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

interface Row {
  substep: string;
  done: number;
  total: number;
  message: string;
}

describe.each(Object.keys(ways))("over %s", (way) => {
  const env = () => ways[way]?.() ?? {};

  test("10,000 reports of 50 books arrive exactly, although both servers are away meanwhile", async () => {
    const logged: string[] = [];
    const { BINDERY_URL: url, BINDERY_STATUS_URL: statusUrl } = env();
    const log = (message: string) => void logged.push(message);
    const client = new Client(url, { log, ...(statusUrl !== undefined && { statusUrl }) });
    const ended = new Map<string, Map<string, { done: number; message: string }>>();
    let half = 0;
    let slowest = 0;
    let release = () => {};
    const released = new Promise<void>((resolve) => (release = resolve));

    const work = async () => {
      const book = client.book(crypto.randomUUID());
      const state = new Map<string, { done: number; message: string }>();
      await book.stage("ANALYZING", async (stage) => {
        for (let number = 0; number < REPORTS; number += 1) {
          if (number === REPORTS / 2) {
            half += 1;
            await released;
          }
          const substep = SUBSTEPS[number % 3] ?? "";
          const message = `at ${number}`;
          const before = performance.now();
          stage.report({ done: number, total: 250, message }, substep);
          slowest = Math.max(slowest, performance.now() - before);
          state.set(substep, { done: number, message });
          await pause(5);
        }
      });
      ended.set(book.bookId, state);
    };
    const all = Array.from({ length: BOOKS }, work);
    await waitFor(() => half === BOOKS, "half of the reports");
    await servers.do("stop-redis");
    await servers.do("stop-postgres");
    release();
    // The other half ends while both are away.
    await Promise.all(all);
    expect(await client.flush(500)).toBe(false);
    await servers.do("start-postgres");
    await servers.do("start-redis");
    expect(await client.flush(60_000)).toBe(true);

    for (const [bookId, state] of ended) {
      const expected = Object.fromEntries(state);
      let last: unknown;
      const look = async () => {
        const rows = (await servers.sql(
          "select to_jsonb(p) from bindery.book_progress p where book_id = $1",
          bookId,
        )) as Row[];
        const found = rows.map(({ substep, done, message }) => [substep, { done, message }]);
        last = Object.fromEntries(found);
        if (rows.length !== SUBSTEPS.length) return false;
        return rows.every(({ substep, done, message, total }) => {
          const own = expected[substep];
          return own?.done === done && own.message === message && total === 250;
        });
      };
      await waitFor(look, `the last reports of ${bookId}`).catch((error: unknown) => {
        throw new Error(`${String(error)}; they are ${JSON.stringify(last)}`);
      });
      await servers.waitForBook(bookId, { status: "ANALYZING", attempt: 1 });
    }
    expect(ended.size).toBe(BOOKS);
    expect(slowest).toBeLessThan(500);
    expect(await servers.sql("select reason from bindery.dead_letters")).toEqual([]);
    const kinds = new Set(logged.map((message) => message.split(":")[0]));
    kinds.delete("the status of books cannot be read");
    expect([...kinds]).toEqual(["Bindery cannot be reached, reports wait"]);
    await client.close();
  });

  // As in the Python package's test, it takes a disk that syncs quickly after Postgres was stopped.
  const isAsked = process.env["BINDERY_CHAOS"] !== undefined;
  test.runIf(isAsked)(
    "50 books end as their programs record, through outages and a killed worker",
    async () => {
      const prefix = crypto.randomUUID();
      const names = Array.from({ length: BOOKS }, (_, place) => `${prefix}-${place}`);
      const ids = names.map(bookUuid);
      const record = join(folder, prefix);
      const limits = join(folder, `${prefix}.limits`);
      let errors = "";
      // 200 items are 10,000 reports of 50 books.
      const letGoTo = (limit: number) => {
        writeFileSync(`${limits}.next`, String(limit));
        renameSync(`${limits}.next`, limits);
      };
      const run = (place: number) => {
        const given = ["many", String(10 * place), String(10 * place + 10), limits];
        const child = spawn(process.execPath, [program, ...given], {
          env: { ...process.env, ...env(), BOOK: prefix, RECORD: record },
          stdio: ["ignore", "ignore", "pipe"],
        });
        child.stderr.on("data", (text: Buffer) => (errors += text.toString()));
        children.push(child);
        return child;
      };
      const recorded = () =>
        existsSync(record) ? readFileSync(record, "utf8").trim().split("\n") : [];
      const delivered = async () => {
        const query =
          "select count(*)::int from bindery.book_progress where book_id = any($1) and done = 50";
        return (await servers.sql(query, ids))[0];
      };

      letGoTo(50);
      const workers = [0, 1, 2, 3, 4].map(run);
      await waitFor(async () => (await delivered()) === BOOKS, "50 items of each book", 60_000);
      // Both servers are away, while all books continue and one worker dies.
      await servers.do("stop-redis");
      await servers.do("stop-postgres");
      letGoTo(100);
      await waitFor(() => recorded().length === BOOKS * 100, "100 items of each book", 60_000);
      workers[0]?.kill("SIGKILL");
      await servers.do("start-postgres");
      await servers.do("start-redis");
      workers[0] = run(0);
      const lost = 10 * 50;
      await waitFor(() => recorded().length === BOOKS * 100 + lost, "the lost items", 60_000);
      // Once more without Postgres alone.
      await servers.do("stop-postgres");
      letGoTo(150);
      await waitFor(() => recorded().length === BOOKS * 150 + lost, "150 items of each", 60_000);
      await servers.do("start-postgres");
      letGoTo(200);
      for (const worker of workers)
        if (worker.exitCode === null) expect(await once(worker, "exit")).toEqual([0, null]);

      const sum = (200 * 199) / 2;
      const lines = recorded().map((line) => line.split(" "));
      for (const [place, name] of names.entries()) {
        const own = lines.filter(([book]) => book === name);
        const whole = Array.from({ length: 200 }, (_, item) => item);
        // The worker that was killed had delivered 50 items of each of its books.
        const items = place < 10 ? [...whole.slice(0, 100), ...whole.slice(50)] : whole;
        expect(own.map(([, , item]) => Number(item))).toEqual(items);
        expect(new Set(own.map(([, attempt]) => attempt))).toEqual(new Set(["1"]));
        expect(Number(own.at(-1)?.[3])).toBe(sum);
        const id = ids[place] ?? "";
        await waitFor(async () => (await servers.substep(id, "extract_text"))["done"] === 200, id);
        expect(await servers.substep(id, "extract_text")).toMatchObject({
          total: 200,
          progress: 100,
          message: "at 199",
          checkpoint: { tracked: 200, data: sum },
        });
        await servers.waitForBook(id, { status: "ANALYZING", attempt: 1 });
      }
      expect(await servers.sql("select reason from bindery.dead_letters")).toEqual([]);
      expect(errors).toContain("Bindery cannot be reached, reports wait");
      expect(errors).not.toMatch(/starts over|not delivered|has refused|Error:/);
    },
    300_000,
  );
});
