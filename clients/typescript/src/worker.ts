/**
 * A worker: calls a function for each book that comes to a stage. Needs `ioredis`.
 *
 * @module
 */
import { z } from "zod";
import { Changes, type Change } from "./changes.js";
import { Client, defaultClient } from "./client.js";
import { Superseded, textOf, Unavailable } from "./errors.js";
import { onStopSignal, setting } from "./runtime.js";
import type { Stage } from "./stage.js";
import { schemeOf } from "./transports/for-url.js";

const LONGEST_PAUSE = 5000;
// Milliseconds that a read waits for a message, and that a stop waits for the read.
const READ = 250;

const optionsSchema = z.strictObject({
  client: z.instanceof(Client).optional(),
  changesUrl: z.string().optional(),
  stream: z.string().default("bindery:changes"),
  group: z.string().min(1).default("workers"),
  concurrency: z.int().min(1).default(1),
  lease: z.int().min(1).default(30_000),
  grace: z.number().min(0).default(30_000),
});

/** Options of `Worker`; times are milliseconds. */
export interface WorkerOptions {
  /** What to report with; by default the default client. */
  client?: Client;
  /**
   * The Redis with the stream of changes. By default BINDERY_CHANGES_URL, or BINDERY_URL if that is
   * a Redis URL.
   */
  changesUrl?: string;
  /** The stream of changes; `bindery:changes` by default. */
  stream?: string;
  /** The consumer group, which workers of one kind share; `workers` by default. */
  group?: string;
  /** How many functions run at once, on one event loop; 1 by default. */
  concurrency?: number;
  /**
   * The time after which the message of a worker that died is claimed; 30,000 by default. A living
   * worker renews it, however long its work takes, unless the work blocks the event loop.
   */
  lease?: number;
  /** How long `run` waits for running functions once it is to stop; 30,000 by default. */
  grace?: number;
}

/** Options of `Worker.stage`. */
export interface WorkerStageOptions {
  /** Where the book goes once the function has returned; by default nowhere. */
  toStatus?: string;
}

/** Options of `Worker.run`. */
export interface RunOptions {
  /** Stops the worker once it is aborted. */
  signal?: AbortSignal;
  /**
   * Whether SIGTERM and SIGINT stop the worker while it runs; true by default. A second one ends
   * the program.
   */
  handleSignals?: boolean;
}

/** Works on a stage of a book. */
export type StageWork = (stage: Stage) => unknown;

/** A function that runs. */
interface Run {
  /** The entry up to which the stream was searched for later changes of the book. */
  seen: string;
  stage?: Stage;
  hasEnded: boolean;
  /** Another worker has claimed the message. */
  isLost: boolean;
}

/**
 * Follows the stream of changes, and works on the stages that it has functions for.
 *
 * Start as many processes as you like: each message goes to one of them. The message of a worker
 * that died goes to another one after its lease. A function that throws makes its book FAILED, and
 * the worker continues; where the stage has `retry_after`, the resume is a message of its own. A
 * function whose book has left the attempt gets `Superseded`.
 */
export class Worker {
  readonly #client: Client;
  readonly #changes: Changes;
  readonly #functions = new Map<string, { work: StageWork; toStatus: string | undefined }>();
  readonly #running = new Map<Change, Run>();
  readonly #stopped = new AbortController();
  readonly #concurrency: number;
  readonly #lease: number;
  readonly #grace: number;
  // The callbacks that wait for a function to end, or for the stop.
  readonly #waiters = new Set<() => void>();

  /**
   * @throws RangeError if there is no Redis URL.
   * @throws ZodError if an option is not valid.
   */
  constructor(options: WorkerOptions = {}) {
    const given = optionsSchema.parse(options);
    const url = given.changesUrl ?? setting("BINDERY_CHANGES_URL") ?? setting("BINDERY_URL") ?? "";
    if (schemeOf(url) !== "redis")
      throw new RangeError(
        "a worker follows a stream in Redis; set BINDERY_CHANGES_URL to its redis:// URL",
      );
    this.#client = given.client ?? defaultClient();
    this.#concurrency = given.concurrency;
    this.#lease = given.lease;
    this.#grace = given.grace;
    const consumer = `${this.#client.worker}-${crypto.randomUUID().slice(0, 8)}`;
    this.#changes = new Changes(url, given.stream, given.group, consumer, given.lease);
  }

  /** Whether the worker is stopping; a long function may check it, and return early. */
  get stopping(): boolean {
    return this.#stopped.signal.aborted;
  }

  /**
   * Registers a function for a stage.
   *
   * @param name a state of the books' pipelines, such as ANALYZING.
   * @returns the worker, for the next call.
   */
  stage(name: string, work: StageWork): this;
  stage(name: string, options: WorkerStageOptions, work: StageWork): this;
  stage(name: string, first: WorkerStageOptions | StageWork, second?: StageWork): this {
    const work = typeof first === "function" ? first : second;
    if (work === undefined) throw new TypeError("give the stage a function that does its work");
    const toStatus = typeof first === "function" ? undefined : first.toStatus;
    this.#functions.set(name, { work, toStatus });
    return this;
  }

  /** Takes no more messages, and lets `run` return once the running functions have. */
  stop(): void {
    this.#stopped.abort();
    this.#wake();
  }

  /**
   * Works until `stop`, an abort of `signal`, SIGTERM or SIGINT.
   *
   * While Redis is away it waits; one warning is logged.
   *
   * @returns whether all running functions have returned within `grace`. The messages of those that
   *   have not go to other workers after their lease.
   */
  async run({ signal, handleSignals = true }: RunOptions = {}): Promise<boolean> {
    const stop = () => this.stop();
    if (signal?.aborted === true) stop();
    signal?.addEventListener("abort", stop, { once: true });
    const removeHandlers = handleSignals ? onStopSignal(stop) : () => undefined;
    const kept = this.#keep();
    kept.catch(stop);
    try {
      await this.#follow();
      const deadline = performance.now() + this.#grace;
      await this.#until(() => this.#running.size === 0, this.#grace);
      await this.#client.flush(Math.max(deadline - performance.now(), 1000));
      const haveAllEnded = this.#running.size === 0;
      // Functions that still run keep their messages, but no longer renew them.
      this.#running.clear();
      this.#wake();
      await kept;
      await this.#changes.leave().catch(ignoreUnavailable);
      return haveAllEnded;
    } finally {
      this.stop();
      this.#running.clear();
      this.#wake();
      await kept.catch(() => undefined);
      removeHandlers();
      signal?.removeEventListener("abort", stop);
      await this.#changes.close();
    }
  }

  async #follow(): Promise<void> {
    let pause = 0;
    let nextClaim: number | undefined;
    while (!this.stopping) {
      if (this.#running.size >= this.#concurrency) {
        await this.#until(() => this.stopping || this.#running.size < this.#concurrency);
        continue;
      }
      try {
        if (pause > 0 || nextClaim === undefined) await this.#changes.join();
        const now = performance.now();
        const isDue = now >= (nextClaim ?? 0);
        if (isDue) nextClaim = now + this.#lease / 3;
        const claimed = isDue ? await this.#changes.abandoned() : undefined;
        // Another message may wait.
        if (claimed !== undefined) nextClaim = 0;
        const found = claimed ?? (await this.#changes.next(Math.min(READ, this.#lease / 3)));
        if (found !== undefined) await this.#begin(found, claimed !== undefined);
        pause = 0;
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
        if (pause === 0) this.#client.log(`the stream of changes cannot be read: ${error.message}`);
        pause = Math.min(Math.max(2 * pause, 100), LONGEST_PAUSE);
        await this.#until(() => this.stopping, pause);
      }
    }
  }

  async #begin(change: Change, isClaimed: boolean): Promise<void> {
    if (!this.#functions.has(change.toStatus) || change.toStatus !== change.stage)
      return this.#changes.finish(change);
    // This process was paused for longer than its lease, and received its own message again.
    if ([...this.#running.keys()].some((known) => known.entry === change.entry)) return;
    if (!(await this.#changes.take(change, isClaimed))) return;
    let seen = change.entry;
    if (isClaimed) {
      const found = await this.#changes.latest(change, seen);
      seen = found.seen;
      const { toStatus, attempt } = found.latest;
      // A later change has its own message.
      if (toStatus !== change.toStatus || attempt !== change.attempt)
        return this.#changes.finish(change);
    }
    const run: Run = { seen, hasEnded: false, isLost: false };
    this.#running.set(change, run);
    void this.#work(change, run);
  }

  async #work(change: Change, run: Run): Promise<void> {
    try {
      await this.#call(change, run);
    } catch (error) {
      const what = `${change.toStatus} of book ${change.bookId}`;
      if (!(error instanceof Superseded)) this.#client.log(`${what} has failed: ${textOf(error)}`);
    }
    await this.#end(change, run);
  }

  async #call(change: Change, run: Run): Promise<void> {
    const known = this.#functions.get(change.toStatus);
    if (known === undefined) return;
    const { attempt, resumePoint } = change;
    const book = this.#client.book(change.bookId, { register: false });
    const options = { attempt, ...(resumePoint !== undefined && { resumePoint }) };
    await book.stage(change.toStatus, options, (stage) => {
      run.stage = stage;
      return known.work(stage);
    });
    if (known.toStatus !== undefined) book.transition(known.toStatus);
    await book[Symbol.asyncDispose]();
  }

  async #end(change: Change, run: Run): Promise<void> {
    let pause = 100;
    run.hasEnded = true;
    // The worker that has claimed a message finishes it.
    while (!run.isLost && this.#running.has(change)) {
      try {
        await this.#changes.finish(change);
        break;
      } catch {
        // Without the acknowledgement, it would be processed again.
        if (this.stopping) break;
        await this.#until(() => this.stopping, pause);
        pause = Math.min(2 * pause, LONGEST_PAUSE);
      }
    }
    this.#running.delete(change);
    this.#wake();
  }

  /** Renews the leases of the running functions. */
  async #keep(): Promise<void> {
    while (!this.stopping || this.#running.size > 0) {
      for (const [change, run] of [...this.#running])
        await this.#renew(change, run).catch(ignoreUnavailable);
      const pause = Math.min(this.#lease / 3, 1000);
      await this.#until(() => this.stopping && this.#running.size === 0, pause);
    }
  }

  async #renew(change: Change, run: Run): Promise<void> {
    const session = run.stage?.session;
    if (!(await this.#changes.renew(change, () => run.hasEnded))) {
      run.isLost = true;
      session?.supersede();
    }
    if (run.hasEnded) return;
    const { latest, seen } = await this.#changes.latest(change, run.seen);
    run.seen = seen;
    if (latest !== change) session?.check(latest.toStatus, latest.stage, latest.attempt);
  }

  /** Waits for a condition that the end of a function or the stop changes. */
  async #until(condition: () => boolean, timeout?: number): Promise<void> {
    if (condition()) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#waiters.delete(look);
        resolve();
      };
      const look = () => {
        if (condition()) end();
      };
      const timer = timeout === undefined ? undefined : setTimeout(end, timeout);
      this.#waiters.add(look);
    });
  }

  #wake(): void {
    for (const look of [...this.#waiters]) look();
  }
}

/** The reader logs it. */
function ignoreUnavailable(error: unknown): void {
  if (!(error instanceof Unavailable)) throw error;
}
