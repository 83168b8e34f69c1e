// The real servers behind a page: Postgres with the schema, a daemon, and a network between them
// and the page that can fail.
import { spawn, type ChildProcess } from "node:child_process";
import { createHmac, randomUUID } from "node:crypto";
import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";
import pg from "pg";

const SECRET = "the secret of the client's tests, 32 bytes";

function given(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "")
    throw new Error(`no ${name}; run: scripts/react.sh browser`);
  return value;
}

/** A real daemon; it can be ended and started again at the same address. */
export class Daemon {
  base = "";
  #log = "";
  #child: ChildProcess | null = null;
  #port = 0;

  /** For pages of that origin (null: of its own); `open`: it asks for no tokens. */
  constructor(
    private readonly origin: string | null,
    private readonly access: "tokens" | "open" = "tokens",
  ) {}

  async start() {
    if (this.#port === 0) this.#port = await freePort();
    this.base = `http://127.0.0.1:${this.#port}`;
    const args = [
      "run",
      "--database-url",
      given("DATABASE_URL"),
      "--redis-url",
      given("REDIS_URL"),
    ];
    args.push(
      "--http",
      `127.0.0.1:${this.#port}`,
      "--stream",
      `client:${randomUUID()}`,
      "--sweep",
      "0",
      "--outbox",
      "",
    );
    if (this.origin !== null) args.push("--cors-origin", this.origin);
    if (this.access === "tokens") args.push("--jwt-secret", SECRET);
    const child = spawn(given("BINDERYD"), args, { stdio: ["ignore", "ignore", "pipe"] });
    child.stderr.on("data", (text: Buffer) => (this.#log += text.toString()));
    this.#child = child;
    for (;;) {
      const ready = await fetch(`${this.base}/readyz`).catch(() => null);
      if (ready?.ok === true) return;
      if (child.exitCode !== null) throw new Error(`the daemon ended:\n${this.#log}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async stop() {
    const child = this.#child;
    if (child === null || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    await ended;
  }
}

/** Books, by SQL. */
export class Books {
  readonly #client = new pg.Client({ connectionString: given("DATABASE_URL") });

  async start() {
    await this.#client.connect();
  }

  async stop() {
    await this.#client.end();
  }

  async run(sql: string, values: unknown[] = []) {
    await this.#client.query(sql, values);
  }

  /** A book at work on ANALYZING. */
  async book(owner: string, title: string): Promise<string> {
    const id = randomUUID();
    await this.run("select from bindery.register_book($1, $2, title => $3)", [id, owner, title]);
    await this.run("select from bindery.transition_book($1, 'ANALYZING')", [id]);
    return id;
  }

  /** Each book of an owner, and its revision. */
  async revisions(owner: string): Promise<[string, number][]> {
    const sql = "select book_id, revision::integer from bindery.book_status where owner_id = $1";
    const { rows } = await this.#client.query<{ book_id: string; revision: number }>(sql, [owner]);
    return rows.map((row) => [row.book_id, row.revision]);
  }

  async report(id: string, done: number, total = 200) {
    const report =
      "select from bindery.report_progress($1, 'extract_text', done => $2, total => $3, unit => 'pages')";
    await this.run(report, [id, done, total]);
  }
}

/** An owner's token, for so many seconds. */
export function token(owner: string, seconds = 3600): string {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ role: "authenticated", sub: owner, exp })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

/**
 * A proxy to a port that can fall silent, as the network does for a laptop that sleeps: it refuses
 * nothing, and delivers nothing.
 */
export class Network {
  base = "";
  #silent = false;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  constructor(port: number) {
    this.#server = createServer((near) => {
      const far = connect(port, "127.0.0.1");
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from);
        from.on("data", (data) => this.#silent || to.write(data));
        from.on("close", () => {
          this.#sockets.delete(from);
          if (!this.#silent) to.destroy();
        });
        from.on("error", () => undefined);
      }
    });
  }

  async start() {
    this.base = `http://127.0.0.1:${await listen(this.#server)}`;
  }

  fallSilent() {
    this.#silent = true;
  }

  /** New connections work; the earlier ones stay dead without an error. */
  comeBack() {
    for (const socket of this.#sockets) socket.removeAllListeners("data");
    this.#silent = false;
  }

  async stop() {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}
