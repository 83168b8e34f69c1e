// Iteration whose progress is reported: the loop counts, the sender reads the count.
import { wrapped } from "./resume.js";
import type { Counted, Session } from "./session.js";
import type { Changes } from "./session.js";

// Milliseconds after which an asynchronous loop lets timers run, so that reports and heartbeats are
// sent beside work that never waits.
const YIELD_EVERY = 50;

/** What a track needs of its stage. */
export interface Tracker {
  readonly session: Session;
  /** How many items to skip (undefined: all), and the worker's own checkpoint. */
  begun(substep: string): { items: number | undefined; saved: string | undefined };
  send(substep: string, changes: Changes): void;
  follow(): void;
}

/** See `Stage.track`. Iterate over it once. */
export class Track<T> implements Iterable<T>, AsyncIterable<T>, Counted {
  /** How many items are finished, skipped ones included. */
  done = 0;
  readonly total: number | undefined;
  // The items that the worker's own checkpoint covers, and that checkpoint.
  #saved: { items: number; data: string } | undefined;
  #isFinished = false;
  #reported = "";

  /** Use `Stage.track`. */
  constructor(
    private readonly stage: Tracker,
    private readonly items: Iterable<T> | AsyncIterable<T>,
    readonly substep: string,
    total: number | undefined,
    private readonly unit: string | undefined,
  ) {
    this.total = total ?? sizeOf(items);
  }

  /**
   * Iterates without giving way: what is reported is sent once the work waits for something. Prefer
   * `for await`.
   *
   * @throws TypeError if the items are asynchronous.
   */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    if (!(Symbol.iterator in this.items))
      throw new TypeError("these items are asynchronous; iterate over them by `for await`");
    let skipped = this.#open();
    if (skipped === undefined) return;
    const { session } = this.stage;
    try {
      for (const item of this.items) {
        if (skipped > 0) {
          skipped -= 1;
          continue;
        }
        yield item;
        this.done += 1;
        if (session.superseded !== undefined) session.throwIfSuperseded();
      }
      this.#isFinished = true;
    } finally {
      this.#close();
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    let skipped = this.#open();
    if (skipped === undefined) return;
    const { session } = this.stage;
    let yielded = performance.now();
    try {
      for await (const item of this.items) {
        if (skipped > 0) {
          skipped -= 1;
          continue;
        }
        yield item;
        this.done += 1;
        if (performance.now() - yielded > YIELD_EVERY) {
          await new Promise<void>((resolve) => setTimeout(resolve, 0));
          yielded = performance.now();
        }
        session.throwIfSuperseded();
      }
      this.#isFinished = true;
    } finally {
      this.#close();
    }
  }

  /** Saves the worker's own checkpoint, with the current item finished. */
  save(encoded: string): void {
    this.#saved = { items: this.done + 1, data: encoded };
  }

  /** Reports the count if it has changed. */
  report(): void {
    const { items, data } = this.#saved ?? { items: this.done, data: undefined };
    const state = `${this.done} ${items} ${this.#isFinished} ${data}`;
    if (state === this.#reported) return;
    this.#reported = state;
    this.stage.send(this.substep, { ...this.#progress(), checkpoint: wrapped(items, data) });
  }

  #open(): number | undefined {
    this.stage.session.throwIfSuperseded();
    const { items, saved } = this.stage.begun(this.substep);
    if (items === undefined) {
      this.done = this.total ?? 0;
      return undefined;
    }
    this.done = items;
    if (saved !== undefined) this.#saved = { items, data: saved };
    this.stage.session.tracks.add(this);
    this.stage.follow();
    return items;
  }

  #close(): void {
    this.report();
    this.stage.session.tracks.delete(this);
  }

  #progress(): Changes {
    const unit = this.unit === undefined ? {} : { unit: this.unit };
    if (this.#isFinished && this.done > 0) return { ...unit, done: this.done, total: this.done };
    if (this.#isFinished) return { ...unit, progress: 100, done: null, total: null };
    const { total } = this;
    if (total !== undefined && total > 0)
      return { ...unit, done: Math.min(this.done, total), total };
    return { ...unit, progress: 0, done: null, total: null };
  }
}

/** How many items there are, if they have a `length` or `size`. */
function sizeOf(items: object): number | undefined {
  if ("length" in items && typeof items.length === "number") return items.length;
  if ("size" in items && typeof items.size === "number") return items.size;
  return undefined;
}
