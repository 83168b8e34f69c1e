// Stand-ins for PostgREST and for binderyd's HTTP routes of producers, with the real rules in
// PGlite.
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { callStatement } from "../src/transports/caller.js";
import type { TestBindery } from "../src/testing/index.js";

export const KEY = "service-key";

interface Reply {
  status: number;
  body: unknown;
}
interface DatabaseError {
  code: string;
  message: string;
  detail?: string;
  hint?: string;
}

/** A server on a free port; `answer` returns its responses. */
export class StandIn {
  readonly requests: { path: string; headers: IncomingMessage["headers"]; body: unknown }[] = [];
  /**
   * The responses to the next requests; "lost": the request takes effect, and its response is lost.
   */
  readonly faults: (Reply | "lost")[] = [];
  readonly #server: Server;

  constructor(
    protected readonly bindery: TestBindery,
    answer: (request: IncomingMessage, url: URL, body: unknown) => Promise<Reply>,
  ) {
    this.#server = createServer((request, response) => {
      void (async () => {
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk as Buffer);
        const text = Buffer.concat(chunks).toString();
        const body = text === "" ? undefined : (JSON.parse(text) as unknown);
        // Behind Supabase's gateway PostgREST is at /rest/v1.
        const path = (request.url ?? "").replace(/^\/rest\/v1/, "");
        const url = new URL(path, "http://localhost");
        this.requests.push({ path: url.pathname, headers: request.headers, body });
        const fault = request.method === "POST" ? this.faults.shift() : undefined;
        const isKnown = request.headers.authorization === `Bearer ${KEY}`;
        const reply =
          typeof fault === "object"
            ? fault
            : isKnown
              ? await answer(request, url, body).catch(explained)
              : { status: 401, body: { code: "PGRST301", message: "no token" } };
        if (fault === "lost") return void request.socket.destroy();
        response.writeHead(reply.status, { "Content-Type": "application/json" });
        response.end(reply.body === undefined ? "" : JSON.stringify(reply.body));
      })();
    });
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => void this.#server.close(() => resolve()));
  }
}

function explained(error: unknown): Reply {
  const { code, message, detail = null, hint = null } = error as DatabaseError;
  const status = code.startsWith("PT") ? Number(code.slice(2)) : 400;
  return { status, body: { code, message, details: detail, hint } };
}

/** PostgREST, as far as the package uses it. */
export function restServer(bindery: TestBindery): StandIn {
  return new StandIn(bindery, async (request, url, body) => {
    // Without the header it is the schema public, which has no such table.
    if (url.pathname === "/api") return { status: 404, body: { code: "PGRST205", message: "no" } };
    if (
      ![request.headers["accept-profile"], request.headers["content-profile"]].includes("bindery")
    )
      return { status: 406, body: { code: "PGRST106", message: "no such schema" } };
    if (request.method === "POST") {
      const name = url.pathname.replace("/rpc/", "");
      const { text, values } = callStatement(name, body as Record<string, unknown>);
      const [row] = await bindery.sql<{ answer: unknown }>(text, values);
      const [found] = await bindery.sql<{ rows: boolean }>(
        "select proretset as rows from pg_proc where oid = to_regproc($1)",
        [`bindery.${name}`],
      );
      const answer = row?.answer === "" ? undefined : row?.answer;
      return { status: 200, body: found?.rows === true ? [answer] : answer };
    }
    const [[column, value] = ["", ""]] = [...url.searchParams];
    const rows = await bindery.sql(
      `select ${url.searchParams.get("select")} from bindery.${url.pathname.slice(1)}
       where ${column} = $1`,
      [value.replace("eq.", "")],
    );
    return { status: 200, body: rows };
  });
}

const NUMBERS = ["progress", "done", "total", "attempt"];
const JSONS = ["substeps", "checkpoint", "error", "metadata"];

/** binderyd with POST /api/events and GET /api/books/{id}/resume-point. */
export async function daemonServer(bindery: TestBindery): Promise<StandIn> {
  await bindery.sql("select bindery.acquire_stream('http', 'stand-in')");
  const answers = new Map<unknown, Reply>();
  const apply = async (event: Record<string, string>) => {
    const item = Object.fromEntries(
      Object.entries(event).map(([name, value]) => {
        if (NUMBERS.includes(name)) return [name, Number(value)];
        return [name, JSONS.includes(name) ? (JSON.parse(value) as unknown) : value];
      }),
    );
    const [counts] = await bindery.sql<Record<string, string>>(
      `select a.applied, a.stale, a.early, a.rejected from bindery.relay_cursors c,
         bindery.apply_events('http', c.epoch,
           split_part(c.position, '-', 1)::bigint + 1 || '-0', $1::jsonb) a
       where c.stream = 'http'`,
      [JSON.stringify([{ ...item, id: "1-1", count: 1 }])],
    );
    const outcome = Object.entries(counts ?? {}).find(([, count]) => Number(count) > 0)?.[0];
    if (outcome !== "rejected") return { outcome: outcome ?? "applied" };
    const [letter] = await bindery.sql<{ reason: string; message: string }>(
      "select reason, message from bindery.dead_letters order by id desc limit 1",
    );
    return { outcome, code: letter?.reason, message: letter?.message };
  };
  return new StandIn(bindery, async (request, url, body) => {
    if (url.pathname === "/api")
      return { status: 200, body: { version: "0.1.0", access: "tokens", hears: true } };
    if (url.pathname === "/api/events" && request.method === "POST") {
      const key = request.headers["idempotency-key"];
      const known = answers.get(key);
      if (known !== undefined) return known;
      const outcomes = [];
      for (const event of body as Record<string, string>[]) outcomes.push(await apply(event));
      const reply = { status: 200, body: { replayed: false, outcomes } };
      answers.set(key, reply);
      return reply;
    }
    const [, id] = /^\/api\/books\/([^/]+)\/resume-point$/.exec(url.pathname) ?? [];
    if (id === undefined) return { status: 404, body: { code: "no_route", message: "no route" } };
    const { text, values } = callStatement("get_resume_point", { book_id: id });
    const [row] = await bindery.sql<{ answer: unknown }>(text, values);
    return { status: 200, body: row?.answer };
  });
}
