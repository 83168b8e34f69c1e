// Which transport a URL stands for.
import { z } from "zod";
import type { Item } from "../buffer.js";
import type { Caller } from "./caller.js";
import { DaemonTransport } from "./daemon.js";
import { FunctionsTransport } from "./functions.js";
import { Http } from "./http.js";
import { PostgresCaller } from "./postgres.js";
import { RedisTransport } from "./redis.js";
import { RestCaller } from "./rest.js";
import type { Outcome, Transport } from "./transport.js";

/** The URL's scheme, with one name for its aliases. */
export function schemeOf(url: string): string {
  const scheme = /^([a-z+]+):\/\//.exec(url)?.[1] ?? "";
  if (/^rediss?(\+(sentinel|cluster))?$/.test(scheme)) return "redis";
  return { postgres: "postgresql", http: "https" }[scheme] ?? scheme;
}

/**
 * The transport for a URL.
 *
 * @throws RangeError if the URL's scheme is not known.
 */
export function transportFor(url: string, stream: string, key: string | undefined): Transport {
  switch (schemeOf(url)) {
    case "redis":
      return new RedisTransport(url, stream);
    case "postgresql":
      return new FunctionsTransport(new PostgresCaller(url));
    case "https":
      return isRest(url)
        ? new FunctionsTransport(new RestCaller(url, key))
        : new ProbedTransport(url, key);
    default:
      throw new RangeError(
        "the URL has none of the schemes redis, rediss, postgresql, https and http",
      );
  }
}

/**
 * What reads the status of books at a URL.
 *
 * @throws RangeError if the URL's scheme is not known.
 */
export function callerFor(url: string, key: string | undefined): Caller {
  switch (schemeOf(url)) {
    case "postgresql":
      return new PostgresCaller(url);
    case "https":
      return new RestCaller(url, key);
    default:
      throw new RangeError("the status URL has none of the schemes postgresql, https and http");
  }
}

// Supabase's path of PostgREST.
const isRest = (url: string) => new URL(url).pathname.replace(/\/+$/, "").endsWith("/rest/v1");

const daemonSchema = z.looseObject({ version: z.string(), access: z.string() });

/** Asks the server once whether it is binderyd or PostgREST. */
class ProbedTransport implements Transport {
  readonly answersBegin = true;
  #found: Transport | undefined;

  constructor(
    private readonly url: string,
    private readonly key: string | undefined,
  ) {}

  async send(
    items: readonly Item[],
    settle: (item: Item, outcome: Outcome) => void,
  ): Promise<void> {
    this.#found ??= await this.#probe();
    await this.#found.send(items, settle);
  }

  async close(): Promise<void> {
    await this.#found?.close();
  }

  async #probe(): Promise<Transport> {
    const { body } = await new Http(this.url, this.key).ask("/api", { mayMiss: true });
    return daemonSchema.safeParse(body).success
      ? new DaemonTransport(this.url, this.key)
      : new FunctionsTransport(new RestCaller(this.url, this.key));
  }
}
