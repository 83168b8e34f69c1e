// Follows a book from elsewhere: its status, and each change of it.
import { z } from "zod";
import { textOf, Unavailable } from "./errors.js";
import { bookUuid } from "./ids.js";
import { environment } from "./runtime.js";
import type { Log } from "./sender.js";
import { statusSchema, type BookStatus } from "./status.js";
import { statusSourceFor, type StatusSource } from "./transports/for-url.js";

const LONGEST_PAUSE = 5000;

const optionsSchema = z.strictObject({
  url: z.string().optional(),
  key: z.string().optional(),
  timeout: z.number().min(0).optional(),
  poll: z.number().min(1).default(2000),
  signal: z.instanceof(AbortSignal).optional(),
  log: z.custom<Log>((value) => typeof value === "function").optional(),
});

/** Options of `watch`; times are milliseconds. */
export interface WatchOptions {
  /**
   * `postgresql://`, which notifies of changes, or `https://` of binderyd or PostgREST, which is
   * polled. By default the environment's BINDERY_STATUS_URL, or BINDERY_URL.
   */
  url?: string;
  /** The token of an https URL. By default BINDERY_KEY. */
  key?: string;
  /** The time after which the iteration ends; by default never. */
  timeout?: number;
  /** The time between two reads if no notification arrives; 2,000 by default. */
  poll?: number;
  /** Ends the iteration, without an error. */
  signal?: AbortSignal;
  /** Takes the package's warnings; `console.warn` by default. */
  log?: Log;
}

/**
 * Iterates over a book's status: first as it is, then after each change.
 *
 * Changes that follow each other fast come as one, the latest. The iteration ends once the book is
 * complete or CANCELLED; a FAILED book may still be resumed. It waits for a book that is not
 * registered yet. While the server cannot be reached it waits, too; one warning is logged.
 *
 * ```ts
 * for await (const { status, overall_progress } of watch("moby-dick")) show(overall_progress);
 * ```
 *
 * @param bookId a uuid, or the text that was given to `book`.
 * @throws RangeError if the URL is missing, or is neither of the two; or the id is empty.
 * @throws ZodError if an option is not valid.
 * @throws Refused in the loop, if the server refuses to show the book, such as `missing_pipeline`.
 */
export function watch(
  bookId: string,
  options: WatchOptions = {},
): AsyncGenerator<BookStatus, void, undefined> {
  const { url, key, timeout, poll, signal, log } = optionsSchema.parse(options);
  const env = environment();
  const id = bookUuid(bookId);
  const look = new Look(timeout, signal);
  // Not a generator itself, so that a wrong URL is refused by the call.
  const source = statusSourceFor(
    url ?? env.BINDERY_STATUS_URL ?? env.BINDERY_URL ?? "",
    key ?? env.BINDERY_KEY,
    // The end of the connection has no payload.
    (payload) => (payload === "" || payload.includes(id)) && look.now(),
  );
  return statuses(
    id,
    source,
    look,
    poll,
    log ?? ((message) => console.warn(`bindery: ${message}`)),
  );
}

async function* statuses(
  bookId: string,
  source: StatusSource,
  look: Look,
  poll: number,
  log: Log,
): AsyncGenerator<BookStatus, void, undefined> {
  // The compared part: the health changes with time alone, without a revision.
  let shown = "";
  let pause = 0;
  look.start();
  try {
    while (!look.isOver) {
      let found: BookStatus | undefined;
      try {
        found = await look.during(readStatus(source, bookId));
        pause = 0;
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
        if (pause === 0) log(`the status of book ${bookId} cannot be read: ${error.message}`);
        pause = Math.min(Math.max(2 * pause, 200), LONGEST_PAUSE);
        await look.pause(pause);
        continue;
      }
      const state = `${found?.revision} ${found?.health}`;
      if (found !== undefined && state !== shown) {
        shown = state;
        yield found;
        if (found.completed_at != null || found.status === "CANCELLED") return;
      }
      await look.next(poll);
    }
  } finally {
    look.end();
    await source.close();
  }
}

async function readStatus(source: StatusSource, bookId: string): Promise<BookStatus | undefined> {
  const answer = await source.read(bookId);
  if (answer === undefined) return undefined;
  const status = statusSchema.safeParse(answer);
  if (status.success) return status.data;
  throw new Unavailable(`the answer is no status: ${textOf(status.error)}`);
}

/** When to read next. One wait at a time; it keeps the program alive. */
class Look {
  isOver = false;
  #isDue = false;
  #wake: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly timeout: number | undefined,
    private readonly signal: AbortSignal | undefined,
  ) {}

  start(): void {
    if (this.signal?.aborted === true) this.isOver = true;
    this.signal?.addEventListener("abort", this.#stop);
    if (this.timeout !== undefined) this.#timer = setTimeout(this.#stop, this.timeout);
  }

  end(): void {
    this.signal?.removeEventListener("abort", this.#stop);
    clearTimeout(this.#timer);
  }

  /** The book may have changed. */
  now(): void {
    this.#isDue = true;
    this.#wake?.();
  }

  /** Waits for an answer, or for the end, which is undefined. */
  async during<T>(answer: Promise<T>): Promise<T | undefined> {
    // The answer has the changes up to now.
    this.#isDue = false;
    let isThere = false;
    const arrive = () => {
      isThere = true;
      this.#wake?.();
    };
    void answer.then(arrive, arrive);
    await this.#until(() => isThere || this.isOver);
    return isThere ? answer : undefined;
  }

  /** Waits until the book may have changed, at most this long. */
  next(milliseconds: number): Promise<void> {
    return this.#until(() => this.isOver || this.#isDue, milliseconds);
  }

  /** Waits this long, unless the iteration ends. */
  pause(milliseconds: number): Promise<void> {
    return this.#until(() => this.isOver, milliseconds);
  }

  readonly #stop = (): void => {
    this.isOver = true;
    this.#wake?.();
  };

  async #until(condition: () => boolean, timeout = 2 ** 30): Promise<void> {
    if (condition()) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(end, timeout);
      this.#wake = () => condition() && end();
    });
  }
}
