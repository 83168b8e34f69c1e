// The data shared by the work and the sender: a worker's session in a stage, and the state of its
// substeps.
import { Superseded } from "./errors.js";
import type { Item } from "./buffer.js";
import type { ResumePoint } from "./resume.js";
import { key } from "./values.js";

/** The parts of a substep's state; null stands for "none from now on". */
export interface Changes {
  progress?: number;
  done?: number | null;
  total?: number | null;
  unit?: string;
  message?: string;
  checkpoint?: string;
}

/** The newest state of a substep. A report sends its progress, and the other parts that changed. */
export class Substep {
  progress = 0;
  done: number | null = null;
  total: number | null = null;
  unit: string | undefined;
  message: string | undefined;
  checkpoint: string | undefined;
  readonly changed = new Set<string>();
  /** Whether it was reported before; the first report of 0 percent also counts. */
  isKnown = false;
  /** Its place in the buffer, if it has something to send. */
  item: Item | undefined;

  constructor(readonly name: string) {}

  /** Merges changes; returns whether there is something to send. */
  take(changes: Changes): boolean {
    const own = this as unknown as Record<string, unknown>;
    for (const [part, value] of Object.entries(changes)) {
      if (own[part] === value) continue;
      own[part] = value;
      this.changed.add(part);
    }
    const isFirst = !this.isKnown && Object.keys(changes).length > 0;
    this.isKnown ||= isFirst;
    return isFirst || this.changed.size > 0;
  }

  /** The event for a report of this state. */
  fields(): Record<string, string> {
    const fields: Record<string, string> = {};
    if (this.total === null) fields["progress"] = String(this.progress);
    else {
      fields["done"] = String(this.done ?? 0);
      fields["total"] = String(this.total);
    }
    if (this.unit !== undefined) fields["unit"] = this.unit;
    for (const part of ["message", "checkpoint"] as const) {
      const value = this[part];
      if (this.changed.has(part) && value !== undefined) fields[part] = value;
    }
    return fields;
  }

  /** The approximate size of the report in memory, in bytes. */
  size(): number {
    return 512 + 2 * (this.message?.length ?? 0) + 2 * (this.checkpoint?.length ?? 0);
  }
}

/** A loop whose count the sender reads. */
export interface Counted {
  report(): void;
}

/** One worker's session in a stage of a book. */
export class Session {
  superseded: Superseded | undefined;
  readonly substeps = new Map<string, Substep>();
  readonly tracks = new Set<Counted>();
  /** Set once the outcome of `begin` is known, or can no longer be known. */
  begun = false;
  /** The stream id of the `begin`, with which another server is asked for its outcome. */
  beginId: string | undefined;
  /** Between the begin and the end of the stage; heartbeats are sent then. */
  isOpen = true;
  /** The book had already passed the stage at the begin: nothing is left to do. */
  isDone = false;
  /**
   * Whether the work has not started, so that the session can still find that nothing is left to
   * do.
   */
  isAwaited = true;
  lastSent = 0;
  /** Aborted once the session is superseded. */
  readonly abort = new AbortController();

  constructor(
    readonly bookId: string,
    readonly stage: string,
    readonly worker: string,
    public attempt: number | undefined,
    public resumePoint: ResumePoint | undefined,
    /** Whether a stage that the book has passed is skipped, rather than superseded. */
    private readonly skips = true,
  ) {}

  /** A substep's state; created at its first report. */
  substep(name: string): Substep {
    const known = this.substeps.get(name);
    if (known !== undefined) return known;
    const made = new Substep(key(name));
    if (this.resumePoint?.done.has(name)) made.progress = 100;
    else made.progress = this.resumePoint?.left.get(name)?.progress ?? 0;
    this.substeps.set(name, made);
    return made;
  }

  /** Applies the answer to `begin`. */
  learn(point: ResumePoint): void {
    if (point.status === this.stage) {
      this.attempt ??= point.attempt;
      this.resumePoint = point;
    }
    this.check(point.status, point.stage, point.attempt);
    this.begun = true;
  }

  /** Records that the book has passed the stage: nothing is left to do in it. */
  pass(status: string | undefined, attempt: number | undefined): void {
    if (!this.skips || !this.isAwaited) return this.supersede(status, attempt);
    this.isDone = true;
    this.isOpen = false;
    this.begun = true;
  }

  /**
   * Takes over that the `begin` came too late to have an effect, and where the book is.
   *
   * A book that is complete, or in a later stage (FAILED there or not), has passed this one.
   */
  leave(status?: string, stage?: string | null, attempt?: number): void {
    const hasEnded = status === "CANCELLED" || (status === "FAILED" && stage === this.stage);
    if (status === undefined || status === this.stage || hasEnded) this.supersede(status, attempt);
    else this.pass(status, attempt);
  }

  /** Compares the book's place with this worker's. */
  check(status: string, stage: string | null, attempt: number): void {
    const isHere = status === this.stage && stage === this.stage;
    if (!isHere || (this.attempt !== undefined && this.attempt !== attempt))
      this.supersede(status, attempt);
  }

  /** Makes the next report throw `Superseded`. */
  supersede(status?: string, attempt?: number): void {
    if (this.superseded === undefined && this.isOpen) {
      const { bookId, stage } = this;
      this.superseded = new Superseded(bookId, stage, this.attempt, status, attempt);
      this.abort.abort(this.superseded);
    }
    this.begun = true;
  }

  /** Throws `Superseded` if the book has left this attempt. */
  throwIfSuperseded(): void {
    const known = this.superseded;
    if (known === undefined) return;
    const { bookId, stage, attempt, status, currentAttempt } = known;
    // A new error, so that its stack is that of the report.
    throw new Superseded(bookId, stage, attempt, status, currentAttempt);
  }
}
