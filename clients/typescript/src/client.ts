// A client: the settings, and the connection that its books share.
import { z } from "zod";
import { Book, type BookOptions } from "./book.js";
import { Checker } from "./checker.js";
import { bookUuid } from "./ids.js";
import { environment, workerName } from "./runtime.js";
import { Sender, type Log } from "./sender.js";
import { callerFor, transportFor } from "./transports/for-url.js";
import type { Transport } from "./transports/transport.js";

const milliseconds = z.number().min(0);

const optionsSchema = z.strictObject({
  statusUrl: z.string().optional(),
  stream: z.string().optional(),
  key: z.string().optional(),
  worker: z.string().optional(),
  interval: milliseconds.default(250),
  heartbeat: milliseconds.default(10_000),
  maxEvents: z.int().min(1).default(100_000),
  maxBytes: z
    .int()
    .min(1)
    .default(64 * 1024 * 1024),
  beginTimeout: milliseconds.optional(),
  flushTimeout: milliseconds.default(5000),
  log: z.custom<Log>((value) => typeof value === "function").optional(),
  transport: z.custom<Transport>((value) => typeof value === "object").optional(),
});

/** Options of `Client` and `configure`; times are milliseconds. */
export interface ClientOptions {
  /**
   * With a Redis URL, where to read attempts and resume points: `postgresql://` or the URL of
   * PostgREST. By default the environment's BINDERY_STATUS_URL.
   */
  statusUrl?: string;
  /** The stream in Redis. By default BINDERY_STREAM, or `bindery:events`. */
  stream?: string;
  /** The token of an https URL, such as Supabase's service key. By default BINDERY_KEY. */
  key?: string;
  /** This worker's name in the books' history. By default the host's name and the process's id. */
  worker?: string;
  /** The least time between two reports of the same substep; 250 by default. */
  interval?: number;
  /**
   * The time without a report after which an open stage sends a heartbeat; 10,000 by default. Keep
   * it well below the pipeline's `stall_after`.
   */
  heartbeat?: number;
  /** How many events wait, at most, while the server cannot be reached; 100,000 by default. */
  maxEvents?: number;
  /** How many bytes they may take, about; 64 MiB by default. */
  maxBytes?: number;
  /**
   * How long the beginning of a stage waits for the attempt and the resume point. By default up to
   * 5,000, and not at all while the server does not answer.
   */
  beginTimeout?: number;
  /** How long a failed stage and `await using` wait for delivery, at most; 5,000 by default. */
  flushTimeout?: number;
  /** Takes the package's warnings; `console.warn` by default. */
  log?: Log;
  /** A transport of your own, instead of a URL. */
  transport?: Transport;
}

/** Reports to one server. Most programs need only the default client, see `configure`. */
export class Client {
  /** @internal */
  readonly sender: Sender;
  /** @internal */
  readonly checker: Checker | undefined;
  /** This worker's name in the books' history. */
  readonly worker: string;
  /** @internal */
  readonly log: Log;
  /** @internal */
  readonly beginTimeout: number | undefined;
  /** @internal */
  readonly flushTimeout: number;

  /**
   * @param url where to report: `redis://` (or `rediss://`, `redis+sentinel://`,
   *   `redis+cluster://`), `postgresql://` or `https://` (binderyd, or PostgREST). By default the environment's
   *   BINDERY_URL; without one, nothing is reported.
   * @throws RangeError if the URL's scheme is not known, or a Redis URL has no form of Redis's.
   * @throws ZodError if an option is not valid.
   */
  constructor(url?: string, options: ClientOptions = {}) {
    const given = optionsSchema.parse(options);
    const env = environment();
    const where = url ?? env.BINDERY_URL;
    const statusUrl = given.statusUrl ?? env.BINDERY_STATUS_URL;
    const stream = given.stream ?? env.BINDERY_STREAM ?? "bindery:events";
    const key = given.key ?? env.BINDERY_KEY;
    this.log = given.log ?? ((message) => console.warn(`bindery: ${message}`));
    this.worker = given.worker ?? workerName();
    this.beginTimeout = given.beginTimeout;
    this.flushTimeout = given.flushTimeout;
    const transport =
      given.transport ?? (where === undefined ? undefined : transportFor(where, stream, key));
    const { maxEvents, maxBytes, interval, heartbeat } = given;
    const { log } = this;
    this.sender = new Sender(transport, { maxEvents, maxBytes, interval, heartbeat, log });
    this.checker =
      transport === undefined || transport.answersBegin || statusUrl === undefined
        ? undefined
        : new Checker(callerFor(statusUrl, key), stream, log, () => this.sender.changed());
  }

  /** Whether the attempt and the resume point of a stage are available. */
  get answers(): boolean {
    return this.sender.transport?.answersBegin === true || this.checker !== undefined;
  }

  /** How many events were dropped because the buffer was full. */
  get dropped(): number {
    return this.sender.buffer.dropped;
  }

  /** A book to report about; see the function `book`. */
  book(bookId: string, options: BookOptions = {}): Book {
    return new Book(bookUuid(bookId), this, options);
  }

  /**
   * Waits until everything reported so far is delivered.
   *
   * @param timeout milliseconds to wait, at most.
   * @returns whether everything was delivered (or refused) in time.
   */
  flush(timeout = 5000): Promise<boolean> {
    return this.sender.flush(timeout);
  }

  /** Delivers the waiting events, and closes the connection; a later report opens it again. */
  close(timeout = 5000): Promise<boolean> {
    return this.sender.close(timeout);
  }
}

let known: Client | undefined;

/**
 * Makes the default client from a URL and options, and returns it. Call it once, before the first
 * book. Without a call the environment is used.
 */
export function configure(url?: string, options?: ClientOptions): Client {
  const former = known;
  known = new Client(url, options);
  if (former !== undefined) void former.close();
  return known;
}

/** The default client, which the first call creates from the environment. */
export function defaultClient(): Client {
  return (known ??= new Client());
}

/** Makes another client the default one while some work runs; for tests. */
export async function withClient<T>(client: Client, work: () => T | Promise<T>): Promise<T> {
  const former = known;
  known = client;
  try {
    return await work();
  } finally {
    known = former;
  }
}

/**
 * A book to report about, at the default client.
 *
 * @param bookId a uuid, or any text of your own, which becomes a stable uuid (`bookUuid`).
 * @throws RangeError if the id is empty, or the metadata are too large.
 * @throws TypeError if the metadata cannot be written as JSON.
 */
export function book(bookId: string, options: BookOptions = {}): Book {
  return defaultClient().book(bookId, options);
}
