// Asks a second server (the status URL) for what a stream cannot answer: the attempt and the resume
// point of a `begin`, once the relay has applied it, and whether a book has left a worker's
// attempt.
import { z } from "zod";
import { Refused, textOf, Unavailable } from "./errors.js";
import { later } from "./runtime.js";
import type { Log } from "./sender.js";
import type { Session } from "./session.js";
import type { Caller } from "./transports/caller.js";
import { readState, readWholeResumePoint } from "./transports/functions.js";

// Milliseconds between two checks: for the outcome of a begin, and otherwise.
const BEGIN_EVERY = 50;
const CHECK_EVERY = 2000;

const cursorSchema = z.looseObject({ position: z.string().nullable() }).nullish();

const stagesSchema = z.looseObject({
  stages: z.array(z.looseObject({ name: z.string(), state: z.string() })),
});

/** The id of a stream's entry as numbers that can be compared. */
const entry = (id: string): [number, number] => {
  const [milliseconds = "0", sequence = "0"] = id.split("-");
  return [Number(milliseconds), Number(sequence)];
};

const isBefore = (left: string, right: string): boolean => {
  const [a, b] = [entry(left), entry(right)];
  return a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
};

export class Checker {
  readonly #sessions = new Set<Session>();
  #checked = 0;
  #isAway = false;
  #cancel: (() => void) | undefined;
  #running = false;

  constructor(
    private readonly caller: Caller,
    private readonly stream: string,
    private readonly log: Log,
    /** Called when a session's state has changed. */
    private readonly changed: () => void,
  ) {}

  /** Checks a session until it is closed. */
  follow(session: Session): void {
    this.#sessions.add(session);
    this.#arm(0);
  }

  #arm(pause: number): void {
    if (this.#running) return;
    this.#cancel?.();
    this.#cancel = later(pause, () => {
      this.#running = true;
      void this.#look().then((next) => {
        this.#running = false;
        if (next !== undefined) this.#arm(next);
      });
    });
  }

  async #look(): Promise<number | undefined> {
    for (const session of this.#sessions)
      if (!session.isOpen || session.superseded !== undefined) this.#sessions.delete(session);
    if (this.#sessions.size === 0) {
      await this.caller.close();
      return this.#sessions.size > 0 ? 0 : undefined;
    }
    const isLearning = (session: Session) => !session.begun || session.attempt === undefined;
    try {
      const isDue = performance.now() >= this.#checked + CHECK_EVERY;
      if (isDue) this.#checked = performance.now();
      for (const session of [...this.#sessions]) {
        if (isLearning(session)) await this.#learn(session);
        else if (isDue) {
          const state = await readState(this.caller, session.bookId);
          if (state?.current_stage != null)
            session.check(state.status, state.current_stage, state.attempt);
        }
      }
      this.#isAway = false;
    } catch (error) {
      const isExpected = error instanceof Unavailable || error instanceof Refused;
      if (!this.#isAway)
        this.log(`the status of books cannot be read: ${textOf(error)}${isExpected ? "" : " (!)"}`);
      this.#isAway = true;
    }
    this.changed();
    const isQuick = !this.#isAway && [...this.#sessions].some(isLearning);
    return isQuick ? BEGIN_EVERY : CHECK_EVERY;
  }

  async #learn(session: Session): Promise<void> {
    const { beginId, bookId } = session;
    if (beginId === undefined) return;
    const found = await this.caller.read("relay_cursors", "stream", this.stream, ["position"]);
    const position = cursorSchema.parse(found)?.position;
    if (position == null || isBefore(position, beginId)) return;
    // An early begin waits in Bindery. It is checked first: once it no longer waits, the book's
    // state is its outcome.
    const early = await this.caller.read("early_events", "book_id", bookId, ["book_id"]);
    try {
      const point = await readWholeResumePoint(this.caller, bookId);
      const isDecided = early === undefined || early === null;
      if (point.status === session.stage) session.learn(point);
      else if (isDecided && (await this.#hasPassed(session)))
        session.leave(point.status, point.stage, point.attempt);
      else if (isDecided) session.learn(point);
    } catch (error) {
      if (!(error instanceof Refused) || error.code !== "unknown_book") throw error;
    }
  }

  /** Whether the session's stage lies before the one that the book is in. */
  async #hasPassed({ bookId, stage }: Session): Promise<boolean> {
    const answer = await this.caller.call("get_book_status", { book_id: bookId });
    const { stages } = stagesSchema.parse(answer);
    return stages.some((known) => known.name === stage && known.state === "done");
  }
}
