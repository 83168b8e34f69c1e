// Bindery's functions over a connection to PostgreSQL, by the package `pg`.
import type { Client } from "pg";
import { z } from "zod";
import { isTransient, textOf, Unavailable } from "../errors.js";
import { within } from "../runtime.js";
import { callStatement, readStatement, refusedBy, type Arguments, type Caller } from "./caller.js";

const databaseError = z.looseObject({
  code: z.string().regex(/^[0-9A-Z]{5}$/),
  severity: z.string(),
  message: z.string(),
  detail: z.string().nullish(),
  hint: z.string().nullish(),
});
const rowSchema = z.object({ answer: z.unknown() });

// Milliseconds that the end of a connection waits for the server.
const GOODBYE = 1000;

export class PostgresCaller implements Caller {
  #client: Promise<Client> | undefined;

  /**
   * `notified` is called with each notification of the channel `bindery`, and with "" at its end.
   */
  constructor(
    private readonly url: string,
    private readonly notified?: (payload: string) => void,
  ) {}

  call(name: string, args: Arguments): Promise<unknown> {
    const { text, values } = callStatement(name, args);
    return this.#answer(text, values);
  }

  read(table: string, column: string, value: string, columns: readonly string[]): Promise<unknown> {
    return this.#answer(readStatement(table, column, columns), [value]);
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.then((open) => within(open.end(), GOODBYE)).catch(() => undefined);
  }

  async #answer(text: string, values: unknown[]): Promise<unknown> {
    try {
      this.#client ??= this.#connect();
      const client = await this.#client;
      const { rows } = await client.query<Record<string, unknown>>(text, values);
      return rows.length === 0 ? undefined : rowSchema.parse(rows[0]).answer;
    } catch (error) {
      const known = databaseError.safeParse(error);
      if (known.success && !isTransient(known.data.code))
        throw refusedBy({ ...known.data, state: known.data.code });
      // After a timeout an answer may still arrive: use another connection.
      void this.close();
      throw new Unavailable(textOf(error), { cause: error });
    }
  }

  async #connect(): Promise<Client> {
    const { default: pg } = await import("pg").catch((cause: unknown) => {
      throw new Unavailable("a PostgreSQL URL needs the package pg; install it", { cause });
    });
    const timeout = 5000;
    const client = new pg.Client({
      connectionString: this.url,
      connectionTimeoutMillis: timeout,
      query_timeout: timeout,
      keepAlive: true,
    });
    client.on("error", () => void this.close());
    await client.connect();
    const { notified } = this;
    if (notified !== undefined) {
      client.on("notification", ({ payload = "" }) => notified(payload));
      client.on("end", () => notified(""));
      await client.query("listen bindery");
    }
    // The connection alone does not keep the program alive.
    (client as Client & { unref: () => void }).unref();
    return client;
  }
}
