// Events through Redis: entries of a stream that `binderyd` relays into Postgres.
//
// A batch is one MULTI/EXEC: all of its entries or none. A batch whose reply was lost is sent
// again; Bindery applies a repeated event without effect.
import type { Item } from "../buffer.js";
import { textOf, Unavailable } from "../errors.js";
import { connectRedis, redisPlace, type RedisClient, type RedisPlace } from "./redis-connection.js";
import type { Outcome, Transport } from "./transport.js";

export class RedisTransport implements Transport {
  readonly answersBegin = false;
  readonly #place: RedisPlace;
  #client: Promise<RedisClient> | undefined;

  /** @throws RangeError if the URL has no form of Redis's. */
  constructor(
    url: string,
    private readonly stream: string,
  ) {
    this.#place = redisPlace(url);
  }

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
      this.#client ??= connectRedis(this.#place, true);
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
}
