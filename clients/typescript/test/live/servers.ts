// Private servers for the tests: Postgres, Redis and binderyd, in a temporary folder.
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, openSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import pg from "pg";
import { waitFor } from "../support.js";

const root = fileURLToPath(new URL("../../../../", import.meta.url));
const script = join(root, "scripts/servers.sh");
const run = promisify(execFile);

// stall_after is short, so that a book whose worker was killed is resumed soon.
const PIPELINE = {
  states: [
    { name: "UPLOADED" },
    {
      name: "ANALYZING",
      weight: 1,
      stall_after: "1 second",
      retry_after: "0.1 seconds",
      max_attempts: 5,
      substeps: [{ substep: "extract_text" }, { substep: "detect_chapters" }],
    },
    { name: "DRAWING", weight: 1 },
    { name: "COMPLETED" },
  ],
};

export class Servers {
  readonly folder = mkdtempSync(join(tmpdir(), "bindery-typescript."));
  postgresUrl = "";
  redisUrl = "";
  httpUrl = "";
  #leash: ChildProcess | undefined;
  readonly #daemons: ChildProcess[] = [];

  async start(): Promise<void> {
    chmodSync(this.folder, 0o755);
    const leash = spawn(script, ["leash", this.folder], { stdio: ["pipe", "pipe", "inherit"] });
    this.#leash = leash;
    const [first] = (await once(leash.stdout, "data")) as [Buffer];
    if (first.toString().trim() !== "ready") throw new Error(first.toString());
    const port = (name: string) => readFileSync(join(this.folder, `${name}.port`), "utf8").trim();
    this.postgresUrl = `postgresql://postgres@127.0.0.1:${port("postgres")}/postgres`;
    this.redisUrl = `redis://127.0.0.1:${port("redis")}/`;
    const options = ["migrate", "--kernel", "portable", "--database-url", this.postgresUrl];
    await run(this.#program, options);
    await this.sql("select bindery.define_pipeline('brief', $1)", JSON.stringify(PIPELINE));
    const given = ["--redis-url", this.redisUrl, "--sweep", "200ms", "--lease", "2s"];
    this.httpUrl = await this.startDaemon(...given);
  }

  get #program(): string {
    return process.env["BINDERYD"] ?? join(root, "target/release/binderyd");
  }

  /** Starts a daemon; returns the URL of its HTTP. */
  async startDaemon(...given: string[]): Promise<string> {
    const probe = createServer().listen(0, "127.0.0.1");
    await once(probe, "listening");
    const address = probe.address();
    const port = typeof address === "object" ? address?.port : undefined;
    probe.close();
    const url = `http://127.0.0.1:${port}`;
    const options = ["--database-url", this.postgresUrl, "--http", `127.0.0.1:${port}`, ...given];
    const log = openSync(join(this.folder, "daemon.log"), "a");
    const daemon = spawn(this.#program, ["run", ...options], { stdio: ["ignore", log, log] });
    this.#daemons.push(daemon);
    const isReady = async () => {
      if (daemon.exitCode !== null)
        throw new Error(readFileSync(join(this.folder, "daemon.log"), "utf8"));
      const answer = await fetch(`${url}/readyz`).catch(() => undefined);
      return answer?.status === 200;
    };
    await waitFor(isReady, "a ready daemon");
    return url;
  }

  async do(
    command: "stop-redis" | "start-redis" | "stop-postgres" | "start-postgres" | "restart-postgres",
  ): Promise<void> {
    const isEnd = command === "stop-postgres" || command === "restart-postgres";
    // As after a crash.
    await run(script, [command, this.folder, ...(isEnd ? ["immediate"] : [])]);
  }

  async stop(): Promise<void> {
    for (const daemon of this.#daemons) {
      if (daemon.exitCode !== null) continue;
      const ended = once(daemon, "exit");
      daemon.kill("SIGTERM");
      await ended;
    }
    if (this.#leash === undefined || this.#leash.exitCode !== null) return;
    const ended = once(this.#leash, "exit");
    this.#leash.stdin?.end();
    await ended;
  }

  /** Runs a query; the first column of its rows. */
  async sql(text: string, ...parameters: unknown[]): Promise<unknown[]> {
    const client = new pg.Client({ connectionString: this.postgresUrl });
    await client.connect();
    try {
      const { rows } = await client.query<Record<string, unknown>>(text, parameters);
      return rows.map((row) => Object.values(row)[0]);
    } finally {
      await client.end();
    }
  }

  /** Waits until the status of a book has these members. */
  async waitForBook(bookId: string, expected: Record<string, unknown>): Promise<void> {
    let last: Record<string, unknown> = {};
    const look = async () => {
      const [found] = await this.sql(
        "select to_jsonb(b) from bindery.book_status b where book_id = $1",
        bookId,
      );
      last = (found as Record<string, unknown> | undefined) ?? {};
      return Object.entries(expected).every(([name, value]) => last[name] === value);
    };
    await waitFor(look, `a book with ${JSON.stringify(expected)}`).catch((error: unknown) => {
      throw new Error(`${String(error)}; it is ${JSON.stringify(last)}`);
    });
  }

  /** A row of a book's progress. */
  async substep(bookId: string, name: string): Promise<Record<string, unknown>> {
    const [found] = await this.sql(
      "select to_jsonb(p) from bindery.book_progress p where book_id = $1 and substep = $2",
      bookId,
      name,
    );
    return (found as Record<string, unknown> | undefined) ?? {};
  }
}
