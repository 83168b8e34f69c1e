// The base of the page's tests: a database with the schema, daemons, books that change, Chromium.
import { spawn } from "node:child_process";
import { createHmac, randomUUID } from "node:crypto";
import { createServer } from "node:net";
import assert from "node:assert/strict";
import axe from "axe-core";
import pg from "pg";
import { chromium } from "playwright-core";

const {
  DATABASE_URL = "",
  REDIS_URL = "",
  BINDERYD = "",
  CHROMIUM = "/usr/bin/chromium",
} = process.env;
if (!DATABASE_URL || !REDIS_URL || !BINDERYD) throw new Error("no servers; run scripts/page.sh");

/** How long anything may take, ms: a busy machine is no fault of the page. */
export const PATIENCE = Number(process.env["PATIENCE_MS"] ?? 180_000);
export const SECRET = "the secret of the page tests, 32 bytes";

/** @returns {Promise<number>} a port that no process uses now */
const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer()
      .on("error", reject)
      .listen(0, "127.0.0.1", () => {
        const address = server.address();
        server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
      });
  });

/** A daemon; it can be ended and started again at the same address. */
export class Daemon {
  /** @param {string[]} args more arguments of `binderyd run` @param {string} host where it listens */
  static async start(args = [], host = "127.0.0.1") {
    const daemon = new Daemon(await freePort(), args, host);
    await daemon.again();
    return daemon;
  }

  /** @param {number} port @param {string[]} args @param {string} host */
  constructor(port, args, host) {
    this.url = `http://127.0.0.1:${port}`;
    this.args = [
      "run",
      "--database-url",
      DATABASE_URL,
      "--redis-url",
      REDIS_URL,
      "--http",
      `${host}:${port}`,
      "--stream",
      `page:${randomUUID()}`,
      "--sweep",
      "0",
      "--outbox",
      "",
      ...args,
    ];
    this.log = "";
  }

  async again() {
    const child = spawn(BINDERYD, this.args, { stdio: ["ignore", "ignore", "pipe"] });
    child.stderr.on("data", (text) => {
      this.log += text;
    });
    this.child = child;
    for (;;) {
      const ready = await fetch(`${this.url}/readyz`).catch(() => null);
      if (ready?.ok) return;
      if (child.exitCode !== null) throw new Error(`the daemon ended:\n${this.log}`);
      await new Promise((resolve) => {
        setTimeout(resolve, 50);
      });
    }
  }

  async stop() {
    const { child } = this;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((resolve) => {
      child.once("exit", resolve);
    });
    child.kill("SIGTERM");
    await ended;
  }
}

/** Books, by SQL. */
export class Books {
  static async connect() {
    const client = new pg.Client({ connectionString: DATABASE_URL });
    await client.connect();
    return new Books(client);
  }

  /** @param {pg.Client} client */
  constructor(client) {
    this.client = client;
  }

  end() {
    return this.client.end();
  }

  /** @param {string} sql @param {unknown[]} [values] */
  async run(sql, values) {
    await this.client.query(sql, values);
  }

  clear() {
    return this.run("delete from bindery.book_status");
  }

  /**
   * Registers a book and takes it through these statuses.
   * @param {string} title @param {string[]} [way] @param {string | null} [owner]
   */
  async book(title, way = [], owner = null) {
    const id = randomUUID();
    await this.run("select from bindery.register_book($1, $2, title => $3)", [id, owner, title]);
    for (const to of way) await this.run("select from bindery.transition_book($1, $2)", [id, to]);
    return id;
  }

  /** @param {string} id @param {string} substep @param {number} done @param {number} total @param {string} [unit] */
  report(id, substep, done, total, unit) {
    return this.run(
      "select from bindery.report_progress($1, $2, done => $3, total => $4, unit => $5)",
      [id, substep, done, total, unit],
    );
  }

  /** @param {string} id @param {string} message */
  fail(id, message) {
    return this.run(
      "select from bindery.fail_book($1, jsonb_build_object('code', 'worker_failed', 'message', $2::text))",
      [id, message],
    );
  }
}

/** A token signed with HS256. @param {Record<string, unknown>} claims */
export function token(claims) {
  const part = (/** @type {unknown} */ value) =>
    Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ exp: Math.floor(Date.now() / 1000) + 3600, ...claims })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

export const browse = () =>
  chromium.launch({
    executablePath: CHROMIUM,
    timeout: PATIENCE,
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });

/**
 * A page in a context of its own.
 * @param {import('playwright-core').Browser} browser
 * @param {import('playwright-core').BrowserContextOptions} [looks]
 */
export async function newPage(browser, looks) {
  const page = await browser.newPage(looks);
  page.setDefaultTimeout(PATIENCE);
  return page;
}

/** A page that records what must not happen: errors, and requests to other origins.
 * @param {import('playwright-core').Browser} browser
 * @param {string} url
 * @param {import('playwright-core').BrowserContextOptions} [looks]
 */
export async function watchedPage(browser, url, looks) {
  const page = await newPage(browser, looks);
  /** @type {string[]} */ const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(url)) problems.push(`requested elsewhere: ${request.url()}`);
  });
  return { page, problems };
}

/** Waits until a value is as expected.
 * @param {() => Promise<unknown>} read
 * @param {unknown} expected
 */
export async function becomes(read, expected) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const value = await read();
    try {
      return assert.deepEqual(value, expected);
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
  }
}

/** The problems that axe finds. @param {import('playwright-core').Page} page */
export async function faults(page) {
  await page.evaluate(axe.source);
  const found = await page.evaluate(() => /** @type {any} */ (window).axe.run());
  return found.violations.map(
    (/** @type {any} */ fault) =>
      `${fault.id}: ${fault.nodes.map((/** @type {any} */ node) => `${node.html} ${node.failureSummary}`).join("\n")}`,
  );
}

/** Waits for the live connection. @param {import('playwright-core').Page} page */
export const live = (page) => page.getByText("Live", { exact: true }).waitFor();

/** The titles of the list, in order. @param {import('playwright-core').Page} page */
export const titles = (page) =>
  page
    .locator(".row:not(.empty-row)")
    .evaluateAll((rows) =>
      rows
        .sort(
          (a, b) =>
            Number(a.getAttribute("aria-rowindex")) - Number(b.getAttribute("aria-rowindex")),
        )
        .map((row) => row.querySelector(".c-title")?.textContent),
    );

/** The titles of the failed books above it. @param {import('playwright-core').Page} page */
export const failures = (page) => page.locator(".failed .c-title").allTextContents();
