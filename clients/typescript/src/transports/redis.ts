// Events through Redis: entries of a stream that `binderyd` relays into Postgres.
//
// A batch is one MULTI/EXEC: all of its entries or none. A batch whose reply was lost is sent again;
// Bindery applies a repeated event without effect.
import type { Redis } from "ioredis";
import type { Item } from "../buffer.js";
import { textOf, Unavailable } from "../errors.js";
import type { Outcome, Transport } from "./transport.js";

export class RedisTransport implements Transport {
  readonly answersBegin = false;
  #client: Promise<Redis> | undefined;

  constructor(
    private readonly url: string,
    private readonly stream: string,
  ) {}

  async send(
    items: readonly Item[],
    settle: (item: Item, outcome: Outcome) => void,
  ): Promise<void> {
    const ids = await this.#append(items);
    for (const [place, item] of items.entries()) {
      const id = ids[place];
      if (item.type === "begin" && item.session !== undefined && id !== undefined)
        item.session.beginId = id;
      settle(item, "delivered");
    }
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.then((open) => open.disconnect()).catch(() => undefined);
  }

  async #append(items: readonly Item[]): Promise<string[]> {
    try {
      this.#client ??= this.#connect();
      const client = await this.#client;
      const batch = client.multi();
      for (const item of items)
        batch.xadd(this.stream, "*", ...Object.entries(item.event()).flat());
      const replies = await batch.exec();
      if (replies === null) throw new Error("the transaction was aborted");
      return replies.map(([error, id]) => {
        if (error !== null) throw error;
        return String(id);
      });
    } catch (error) {
      // After a timeout a reply may still arrive: use another connection.
      await this.close();
      throw new Unavailable(textOf(error), { cause: error });
    }
  }

  async #connect(): Promise<Redis> {
    const { Redis } = await import("ioredis").catch((cause: unknown) => {
      throw new Unavailable("a Redis URL needs the package ioredis; install it", { cause });
    });
    const client = new Redis(this.url, {
      lazyConnect: true,
      connectTimeout: 5000,
      commandTimeout: 5000,
      // The sender tries again.
      retryStrategy: () => null,
      maxRetriesPerRequest: 0,
    });
    // An error also rejects the command that it concerns.
    let problem: unknown;
    client.on("error", (error: unknown) => (problem = error));
    try {
      await client.connect();
    } catch (error) {
      client.disconnect();
      throw problem ?? error;
    }
    // The connection alone does not keep the program alive.
    client.stream.unref();
    return client;
  }
}
