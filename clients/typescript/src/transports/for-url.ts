// The transport for each URL scheme.
import { z } from "zod";
import type { Item } from "../buffer.js";
import { Refused } from "../errors.js";
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
        "the URL has none of the schemes redis, rediss (or one of them with +sentinel or +cluster), " +
          "postgresql, https and http",
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

/**
 * Whether binderyd answers at the URL, rather than PostgREST.
 *
 * @throws Unavailable if the server cannot be reached, or cannot serve now.
 */
async function isDaemon(url: string, key: string | undefined): Promise<boolean> {
  const { body } = await new Http(url, key).ask("/api", { mayMiss: true });
  return daemonSchema.safeParse(body).success;
}

/** Reads the statuses of books. */
export interface StatusSource {
  /**
   * What `get_book_status` returns; undefined for an unknown book.
   *
   * @throws Refused if the server has refused the call.
   * @throws Unavailable if it cannot be reached, or cannot serve now.
   */
  read(bookId: string): Promise<unknown>;
  /** Closes the connection; the next call opens it again. */
  close(): Promise<void>;
}

/**
 * What reads the statuses of books at a URL.
 *
 * @param changed called when a book may have changed, where the server notifies of changes.
 * @throws RangeError if the URL's scheme is not known.
 */
export function statusSourceFor(
  url: string,
  key: string | undefined,
  changed: (payload: string) => void,
): StatusSource {
  switch (schemeOf(url)) {
    case "postgresql":
      return new CalledSource(new PostgresCaller(url, changed));
    case "https":
      return isRest(url) ? new CalledSource(new RestCaller(url, key)) : new HttpSource(url, key);
    default:
      throw new RangeError(
        "watching a book needs a postgresql:// or https:// URL; " +
          "set BINDERY_STATUS_URL (a Redis stream holds no status)",
      );
  }
}

class CalledSource implements StatusSource {
  constructor(private readonly caller: Caller) {}

  async read(bookId: string): Promise<unknown> {
    try {
      return await this.caller.call("get_book_status", { book_id: bookId });
    } catch (error) {
      if (error instanceof Refused && error.code === "unknown_book") return undefined;
      throw error;
    }
  }

  close(): Promise<void> {
    return this.caller.close();
  }
}

/** binderyd or PostgREST. */
class HttpSource implements StatusSource {
  readonly #http: Http;
  readonly #rest: CalledSource;
  #isDaemon: boolean | undefined;

  constructor(
    private readonly url: string,
    private readonly key: string | undefined,
  ) {
    this.#http = new Http(url, key);
    this.#rest = new CalledSource(new RestCaller(url, key));
  }

  async read(bookId: string): Promise<unknown> {
    this.#isDaemon ??= await isDaemon(this.url, this.key);
    if (!this.#isDaemon) return this.#rest.read(bookId);
    const path = `/api/books/${bookId}/status`;
    const { status, body } = await this.#http.ask(path, { mayMiss: true });
    return status === 404 ? undefined : body;
  }

  /** Does nothing: fetch keeps its own connections. */
  async close(): Promise<void> {}
}

/** Determines once whether the server is binderyd or PostgREST. */
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
    return (await isDaemon(this.url, this.key))
      ? new DaemonTransport(this.url, this.key)
      : new FunctionsTransport(new RestCaller(this.url, this.key));
  }
}
