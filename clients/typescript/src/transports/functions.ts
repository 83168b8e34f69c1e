// Events through the SQL functions of the schema `bindery`; docs/api.md describes them.
import { z } from "zod";
import type { BinderyEvent, EventType, Item } from "../buffer.js";
import { Refused, Unavailable } from "../errors.js";
import { answerSchema, wholeResumePoint, type ResumePoint } from "../resume.js";
import type { Session } from "../session.js";
import { JSON_ARGUMENTS, type Caller } from "./caller.js";
import type { Outcome, Transport } from "./transport.js";

// A later change of the book can make these applicable, like early events in a stream.
const EARLY: ReadonlySet<string> = new Set(["unknown_book", "stage_not_reached", "attempt_ahead"]);
// Milliseconds, as `bindery.settings.patience`.
const PATIENCE = 15 * 60_000;
const NUMBERS: ReadonlySet<string> = new Set(["progress", "done", "total", "attempt"]);

const stateSchema = z.looseObject({
  status: z.string(),
  current_stage: z.string().nullable(),
  attempt: z.number(),
  revision: z.number(),
});
const leftSchema = z.looseObject({
  passed: z.boolean(),
  status: z.string(),
  attempt: z.number(),
});
type State = z.infer<typeof stateSchema>;
const STATE = ["status", "current_stage", "attempt", "revision"] as const;

function argumentsOf(event: BinderyEvent, ...without: string[]): Record<string, unknown> {
  const given = Object.entries(event).filter(([name]) => ![...without, "type"].includes(name));
  return Object.fromEntries(
    given.map(([name, value]) => {
      if (NUMBERS.has(name)) return [name, Number(value)];
      return [name, JSON_ARGUMENTS.has(name) ? (JSON.parse(value) as unknown) : value];
    }),
  );
}

/** Reads the whole resume point of a book; `first` is its first page, if that is known. */
export async function readWholeResumePoint(
  caller: Caller,
  bookId: string,
  first?: unknown,
): Promise<ResumePoint> {
  const ask = async (after?: string) =>
    answerSchema.parse(await caller.call("get_resume_point", { book_id: bookId, after }));
  const point = await wholeResumePoint(
    ask,
    first === undefined ? undefined : answerSchema.parse(first),
  );
  if (point === undefined) throw new Unavailable("get_resume_point gave nothing");
  return point;
}

/** The place of a book; undefined for an unknown one. */
export async function readState(caller: Caller, bookId: string): Promise<State | undefined> {
  const row = await caller.read("book_status", "book_id", bookId, STATE);
  return row === undefined || row === null ? undefined : stateSchema.parse(row);
}

/** Calls a function for each event. */
export class FunctionsTransport implements Transport {
  readonly answersBegin = true;

  constructor(private readonly caller: Caller) {}

  async send(
    items: readonly Item[],
    settle: (item: Item, outcome: Outcome) => void,
  ): Promise<void> {
    const early: Item[] = [];
    for (const item of items) {
      // Later events of the same stage have to wait as well; those of other stages need not.
      const waits = early.some(
        (first) => first.bookId === item.bookId && first.session === item.session,
      );
      const outcome = waits ? "early" : await this.#outcome(item);
      if (outcome === "early") early.push(item);
      settle(item, outcome);
    }
  }

  close(): Promise<void> {
    return this.caller.close();
  }

  async #outcome(item: Item): Promise<Outcome> {
    try {
      await this.#call(item, item.event());
      return "delivered";
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.code === "stage_left" && item.session !== undefined) {
        await this.#leave(item.session, item.type, error);
        return "delivered";
      }
      const since = performance.now() - (item.earlySince ?? performance.now());
      return EARLY.has(error.code) && since < PATIENCE ? "early" : error;
    }
  }

  /** Records that the book has left the stage, from the error's details or else from its row. */
  async #leave(session: Session, type: EventType, error: Refused): Promise<void> {
    const known = leftSchema.safeParse(error.details);
    if (known.success) {
      const { passed, status, attempt } = known.data;
      if (passed) session.pass(status, attempt);
      else session.supersede(status, attempt);
      return;
    }
    const state = await readState(this.caller, session.bookId);
    if (type === "begin") session.leave(state?.status, state?.current_stage, state?.attempt);
    else session.supersede(state?.status, state?.attempt);
  }

  async #call(item: Item, event: BinderyEvent): Promise<void> {
    const { caller } = this;
    const { session } = item;
    switch (item.type) {
      case "register":
        await caller.call("register_book", argumentsOf(event));
        return;
      case "begin":
        return this.#begin(item, event);
      case "transition":
        await caller.call("transition_book", argumentsOf(event));
        return;
      case "plan":
        await caller.call("plan_substeps", argumentsOf(event));
        return;
      case "progress": {
        const row = stateSchema.parse(await caller.call("report_progress", argumentsOf(event)));
        session?.check(row.status, row.current_stage, row.attempt);
        return;
      }
      case "heartbeat":
        return this.#heartbeat(item, event);
      case "fail":
        return this.#fail(item, event);
    }
  }

  async #begin(item: Item, event: BinderyEvent): Promise<void> {
    const answer = await this.caller.call("begin_stage", argumentsOf(event));
    item.session?.learn(await readWholeResumePoint(this.caller, item.bookId, answer));
  }

  async #heartbeat({ bookId, session }: Item, event: BinderyEvent): Promise<void> {
    // It has no effect from a stage or an attempt that the book has left.
    const row = stateSchema.safeParse(await this.caller.call("heartbeat", argumentsOf(event)));
    // If the call returns no row, the row is read.
    const state = row.success ? row.data : await readState(this.caller, bookId);
    if (state !== undefined) session?.check(state.status, state.current_stage, state.attempt);
  }

  async #fail({ session }: Item, event: BinderyEvent): Promise<void> {
    const { status, attempt } = stateSchema.parse(
      await this.caller.call("fail_book", argumentsOf(event)),
    );
    // The book had left the stage or the attempt, so that the call had no effect.
    if (status !== "FAILED") session?.supersede(status, attempt);
  }
}
