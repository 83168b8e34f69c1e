// A stage of a book that this worker works on.
import type { Book } from "./book.js";
import { Item } from "./buffer.js";
import type { Client } from "./client.js";
import { Failed, Superseded } from "./errors.js";
import type { ResumePoint } from "./resume.js";
import { Session, type Changes } from "./session.js";
import { Track, type Tracker } from "./track.js";
import * as values from "./values.js";

const BEGIN_TIMEOUT = 5000;

/** Options of `Book.stage`. */
export interface StageOptions {
  /**
   * The attempt that a message of `bindery:changes` is about; work on it, and on no later one. By
   * default the beginning of the stage learns it.
   */
  attempt?: number;
  /** The resume point of that message, if it has one. */
  resumePoint?: ResumePoint;
  /** Whether an error makes the book FAILED; by default every error does. */
  fails?: (error: unknown) => boolean;
  /**
   * Whether to run the work of a stage that the book has passed, with nothing left to do, rather
   * than throw `Superseded`. By default true, unless `attempt` is given.
   */
  skip?: boolean;
}

/** A report of progress: `progress`, or `done` and `total`. */
export interface StageReport {
  /** Percent, 0 to 100. */
  progress?: number;
  /** How much of `total` is done. */
  done?: number;
  /** Above 0, up to 1e15. */
  total?: number;
  /** What `done` counts, such as page; up to 63 characters. */
  unit?: string;
  /** For people, up to 8,192 characters. */
  message?: string;
}

/** Options of `Stage.track`. */
export interface TrackOptions {
  /** How many items there are; by default their `length` or `size`. */
  total?: number;
  /** What is counted, such as page; up to 63 characters. */
  unit?: string;
}

/** Work on one stage; `Book.stage` gives it to its callback. */
export class Stage {
  /** @internal */
  readonly session: Session;
  readonly #client: Client;
  readonly #tracker: Tracker;
  #substep: string | undefined;

  /** Use `Book.stage`. */
  constructor(
    readonly book: Book,
    /** The stage's name. */
    readonly name: string,
    client: Client,
    session: Session,
  ) {
    this.#client = client;
    this.session = session;
    this.#tracker = {
      session,
      begun: (substep) => this.#begun(substep),
      send: (substep, changes) => this.#client.sender.report(session, substep, changes),
      follow: () => this.#client.sender.follow(),
    };
  }

  /** The attempt that this worker works on, from 1; undefined if it is not known (yet). */
  get attempt(): number | undefined {
    return this.session.attempt;
  }

  /** What earlier attempts have finished; undefined if it is not known. */
  get resumePoint(): ResumePoint | undefined {
    return this.session.resumePoint;
  }

  /** Whether the book has left this attempt; the next report throws `Superseded`. */
  get superseded(): boolean {
    return this.session.superseded !== undefined;
  }

  /** Aborted with `Superseded` once the book has left this attempt. */
  get signal(): AbortSignal {
    return this.session.abort.signal;
  }

  /**
   * Iterates over items by `for await` (or `for`), and reports how many of them are finished.
   *
   * Items that a checkpoint of an earlier attempt covers are skipped, so they must come in the same
   * order in each attempt. An item is finished when the next one is asked for.
   *
   * @param substep `all` in a stage that declares none.
   * @throws RangeError if the substep is not lower snake case of up to 63 characters.
   * @throws Superseded in the loop, once the book has left this attempt.
   */
  track<T>(
    items: Iterable<T> | AsyncIterable<T>,
    substep = "all",
    options: TrackOptions = {},
  ): Track<T> {
    const unit = options.unit === undefined ? undefined : values.text(options.unit, values.UNIT);
    this.#substep = values.key(substep);
    return new Track(this.#tracker, items, substep, options.total, unit);
  }

  /**
   * Reports the progress of a substep. The last report wins.
   *
   * Numbers outside their range become the nearest end; NaN is ignored.
   *
   * @param report percent, or what is done of what.
   * @param substep by default the one that was reported last, or `all`.
   * @throws TypeError if neither or both of `progress`, and `done` with `total`, are given.
   * @throws RangeError if the substep is not valid.
   * @throws Superseded if the book has left this attempt.
   */
  report(report: number | StageReport, substep?: string): void {
    this.session.throwIfSuperseded();
    const { progress, done, total, unit, message } =
      typeof report === "number" ? ({ progress: report } as StageReport) : report;
    if ((progress === undefined) === (done === undefined || total === undefined))
      throw new TypeError("give either progress, or done and total");
    this.#report(substep, {
      ...progressed(progress, done, total),
      ...(unit !== undefined && { unit: values.text(unit, values.UNIT) }),
      ...(message !== undefined && { message: values.text(message, values.MESSAGE) }),
    });
  }

  /**
   * Shows a text for people beside a substep, up to 8,192 characters.
   *
   * @throws RangeError if the substep is not valid.
   * @throws Superseded if the book has left this attempt.
   */
  message(text: string, substep?: string): void {
    this.session.throwIfSuperseded();
    this.#report(substep, { message: values.text(text, values.MESSAGE) });
  }

  /**
   * Saves a value of your own, which the next attempt finds in `resumePoint`.
   *
   * In a loop of `track` it marks the current item as finished, too: call it at the end of the
   * loop's body. After the first call, the next attempt continues after the item of the last
   * checkpoint, so that value and items belong together.
   *
   * @param value anything that `JSON.stringify` takes, up to 64 KiB. One that is larger is not
   *   saved, and logged; the last one that was saved stays.
   * @param substep by default the one of the last loop that runs, or the one that was reported
   *   last, or `all`.
   * @throws TypeError if the value cannot be written as JSON.
   * @throws Superseded if the book has left this attempt.
   */
  checkpoint(value: unknown, substep?: string): void {
    this.session.throwIfSuperseded();
    let track: Track<unknown> | undefined;
    for (const running of this.session.tracks)
      if (running instanceof Track && (substep === undefined || running.substep === substep))
        track = running;
    let encoded: string;
    try {
      encoded = values.encoded(value, track === undefined ? 0 : values.TRACKED_BYTES);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#client.log(`a checkpoint of ${this.name} is not saved: ${error.message}`);
      return;
    }
    if (track === undefined) this.#report(substep, { checkpoint: encoded });
    else track.save(encoded);
  }

  /** Declares this book's own substeps of the stage; see `Book.plan`. */
  plan(substeps: Readonly<Record<string, number>> | Iterable<string>): void {
    this.session.throwIfSuperseded();
    if (this.session.isDone) values.planned(substeps);
    else this.book.plan(this.name, substeps);
  }

  /**
   * Whether nothing is left to do in this stage, or in one substep of it.
   *
   * Without a substep: whether the book has passed this stage, which an earlier run of the program
   * has finished. `track` yields nothing then, and nothing is reported. It is false where that is
   * not known, as with a Redis URL alone.
   *
   * @param substep whether an earlier attempt has finished this substep, or the stage.
   */
  isDone(substep?: string): boolean {
    if (this.session.isDone || substep === undefined) return this.session.isDone;
    return this.session.resumePoint?.done.has(substep) ?? false;
  }

  /** Begins the stage, runs the work in it, and ends it. */
  async run<T>(work: (stage: Stage) => T | Promise<T>, options: StageOptions): Promise<T> {
    const session = this.session;
    const { sender } = this.#client;
    const begin = new Item(
      "begin",
      session.bookId,
      {
        to_status: this.name,
        worker: session.worker,
        ...(options.attempt !== undefined && { attempt: String(options.attempt) }),
      },
      session,
    );
    sender.enter(session);
    sender.add(begin);
    this.#client.checker?.follow(session);
    try {
      await this.#awaitBegin();
      session.isAwaited = false;
      session.throwIfSuperseded();
      const result = await work(this);
      session.throwIfSuperseded();
      return result;
    } catch (error) {
      sender.sample(session.bookId);
      const isOver =
        error instanceof Superseded || session.superseded !== undefined || session.isDone;
      if (!isOver && (options.fails?.(error) ?? true)) {
        sender.add(new Item("fail", session.bookId, failure(error), session));
        session.isOpen = false;
        // The error may end the program.
        await sender.flush(this.#client.flushTimeout, session.bookId, false);
      }
      throw error;
    } finally {
      sender.sample(session.bookId);
      session.isOpen = false;
      session.tracks.clear();
    }
  }

  async #awaitBegin(): Promise<void> {
    const { sender, beginTimeout, answers } = this.#client;
    const session = this.session;
    if (!answers) return;
    const isHopeless = () => beginTimeout === undefined && sender.isAway;
    await sender.until(() => session.begun || isHopeless(), beginTimeout ?? BEGIN_TIMEOUT);
    if (!session.begun)
      this.#client.log(`the attempt of ${this.name} is not known; the stage starts over`);
  }

  #begun(substep: string): ReturnType<Tracker["begun"]> {
    const point = this.session.resumePoint;
    if (this.isDone(substep)) return { items: undefined, saved: undefined };
    const left = point?.left.get(substep);
    if (left === undefined || left.checkpoint === null)
      return { items: left?.items ?? 0, saved: undefined };
    return { items: left.items, saved: values.encoded(left.checkpoint) };
  }

  #report(substep: string | undefined, changes: Changes): void {
    const name = substep ?? this.#substep ?? "all";
    this.#substep = values.key(name);
    this.#client.sender.report(this.session, name, changes);
  }
}

/** The changes of a report; numbers outside their range become the nearest end. */
export function progressed(progress?: number, done?: number, total?: number): Changes {
  if (progress !== undefined)
    return Number.isNaN(progress)
      ? {}
      : { progress: values.clamped(progress, 0, 100), done: null, total: null };
  if (done === undefined || total === undefined || Number.isNaN(done) || Number.isNaN(total))
    return {};
  // A loop without items is complete.
  if (total <= 0) return { progress: 100, done: null, total: null };
  const whole = Math.min(total, values.TOTAL);
  return { done: values.clamped(done, 0, whole), total: whole };
}

const snake = (name: string): string =>
  name
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replace(/([A-Z])([A-Z][a-z])/g, "$1_$2")
    .toLowerCase();

/** The fields of `fail` for an error that the work has thrown. */
function failure(error: unknown): Record<string, string> {
  const raw = error instanceof Error ? error.message || error.name : String(error);
  const message = values.text(raw, values.MESSAGE);
  if (error instanceof Failed) {
    const known = { code: error.code, ...(error.retry ? {} : { retry: false }) };
    try {
      return { error: values.encoded({ ...error.details, ...known }), message };
    } catch {
      // The work's own error is thrown, not this one.
      return { error: values.encoded(known), message };
    }
  }
  const name = error instanceof Error ? error.name : "error";
  return { error: values.encoded({ code: snake(name), type: name }), message };
}
