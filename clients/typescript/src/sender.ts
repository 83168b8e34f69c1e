// Delivers a client's events in the background, and sends heartbeats.
import { Buffer, Item, type BinderyEvent } from "./buffer.js";
import { Refused, textOf, Unavailable } from "./errors.js";
import { beforeExit, later } from "./runtime.js";
import type { Changes, Session } from "./session.js";
import type { Outcome, Transport } from "./transports/transport.js";

const BATCH = 500;
const LONGEST_PAUSE = 5000;
const EXIT_TIMEOUT = 5000;

export type { BinderyEvent };

/** Takes the package's warnings. */
export type Log = (message: string) => void;

export interface SenderOptions {
  maxEvents: number;
  maxBytes: number;
  /** Milliseconds. */
  interval: number;
  heartbeat: number;
  log: Log;
}

// Senders with something to deliver when the program ends.
const busy = new Set<Sender>();
let followsExit = false;

export class Sender {
  readonly buffer: Buffer;
  readonly sessions = new Set<Session>();
  /** The server counts as available until it does not answer. */
  isAway = false;
  readonly #waiters = new Set<() => void>();
  readonly #refusalsLogged = new Set<string>();
  #cancel: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #urgent = false;
  #nextReport = 0;
  #nextTry = 0;
  #pause = 0;
  #droppedLogged = 0;
  #isEnding = false;

  /** `transport` is undefined if nothing is reported. */
  constructor(
    readonly transport: Transport | undefined,
    private readonly options: SenderOptions,
  ) {
    this.buffer = new Buffer(options.maxEvents, options.maxBytes);
  }

  // The methods that the work calls; none waits for a server.

  /** Sends an event as soon as possible. */
  add(item: Item): void {
    if (this.transport === undefined) return;
    this.buffer.add(item);
    this.wake();
  }

  /** Sends heartbeats for a session while it is open, and reads its loops' counts. */
  enter(session: Session): void {
    session.lastSent = performance.now();
    if (this.transport !== undefined) this.sessions.add(session);
  }

  /** Merges changes to a substep's state, and sends it within the interval. */
  report(session: Session, name: string, changes: Changes): void {
    if (session.superseded !== undefined || session.isDone) return;
    const substep = session.substep(name);
    if (!substep.take(changes) || this.transport === undefined) return;
    this.buffer.report(session, substep);
    this.#arm();
  }

  /** Sends at once. */
  wake(): void {
    if (this.transport === undefined) return;
    this.#urgent = true;
    this.#arm();
  }

  /** A running loop has a count to sample within the interval. */
  follow(): void {
    this.#arm();
  }

  /**
   * Waits until everything reported so far is settled; false if it is not in time.
   *
   * `patiently` false: does not wait for a server that does not answer, nor for what has come too
   * early.
   */
  async flush(timeout: number, bookId?: string, patiently = true): Promise<boolean> {
    this.sample(bookId);
    const number = this.buffer.lastNumber;
    const isDone = () => this.buffer.isDelivered(number, bookId, patiently);
    // The caller waits: try at once, not at the end of the pause.
    if (patiently) this.#pause = this.#nextTry = 0;
    if (!isDone()) this.wake();
    await this.until(() => isDone() || (this.isAway && !patiently), timeout);
    return isDone();
  }

  /** Waits for a condition that an answer changes; it keeps the program alive. */
  async until(condition: () => boolean, timeout: number): Promise<void> {
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
      const timer = setTimeout(end, timeout);
      this.#waiters.add(look);
    });
  }

  /** Checks the conditions of `until` again. */
  changed(): void {
    for (const look of [...this.#waiters]) look();
  }

  /** Delivers the waiting events, and closes the connection; a later report opens it again. */
  async close(timeout: number): Promise<boolean> {
    // Events in flight at the timeout may have arrived by now.
    const delivered = (await this.flush(timeout)) || this.buffer.events === 0;
    this.#cancel?.();
    this.#cancel = undefined;
    busy.delete(this);
    if (!delivered) this.options.log(`${this.buffer.events} events for Bindery were not delivered`);
    await this.transport?.close();
    return delivered;
  }

  /** Reports the counts of the loops that run. */
  sample(bookId?: string): void {
    for (const session of this.sessions)
      if (bookId === undefined || session.bookId === bookId)
        for (const track of session.tracks) track.report();
  }

  // The background task.

  #arm(): void {
    if (this.#running !== undefined) return;
    this.#cancel?.();
    busy.add(this);
    if (!followsExit) {
      followsExit = true;
      beforeExit(() => {
        for (const sender of [...busy]) void sender.atExit();
      });
    }
    const due = this.#due();
    if (due === undefined) busy.delete(this);
    else this.#cancel = later(Math.max(0, due - performance.now()), () => this.#run());
  }

  /** Delivers at the end of the program, once. */
  async atExit(): Promise<void> {
    if (this.#isEnding || this.buffer.events === 0) return;
    this.#isEnding = true;
    if (await this.flush(EXIT_TIMEOUT)) this.#isEnding = false;
    else this.options.log(`${this.buffer.events} events for Bindery were not delivered`);
  }

  #run(): void {
    this.#cancel = undefined;
    this.#running = this.#step()
      .catch((error: unknown) => {
        this.options.log(`the reports to Bindery have met an error: ${textOf(error)}`);
        this.#nextReport = performance.now() + 1000;
        this.#urgent = false;
      })
      .finally(() => {
        this.#running = undefined;
        this.#arm();
      });
  }

  /** When the next task is due; undefined: never. */
  #due(): number | undefined {
    const ready = this.buffer.nextDue();
    if (ready !== undefined && this.isAway) return Math.max(ready, this.#nextTry);
    let due = Infinity;
    if (ready !== undefined) due = this.#urgent ? ready : Math.max(this.#nextReport, ready);
    for (const session of this.sessions) {
      if (!session.isOpen) continue;
      due = Math.min(due, session.lastSent + this.options.heartbeat);
      if (session.tracks.size > 0) due = Math.min(due, this.#nextReport);
    }
    return due === Infinity ? undefined : due;
  }

  async #step(): Promise<void> {
    const now = performance.now();
    this.#urgent = false;
    this.#nextReport = now + this.options.interval;
    this.sample();
    this.#beat(now);
    if (this.isAway && now < this.#nextTry) return;
    while (await this.#sendBatch());
  }

  #beat(now: number): void {
    for (const session of this.sessions) {
      if (!session.isOpen) {
        if (session.tracks.size === 0) this.sessions.delete(session);
        continue;
      }
      if (session.lastSent + this.options.heartbeat > now) continue;
      session.lastSent = now;
      // Whatever waits for its book is a heartbeat, too.
      if (session.superseded === undefined && !this.buffer.waits(session.bookId))
        this.buffer.add(new Item("heartbeat", session.bookId, {}, session));
    }
  }

  /** Sends one batch; false when nothing is left to send now. */
  async #sendBatch(): Promise<boolean> {
    const { transport } = this;
    const batch = this.buffer.take(BATCH);
    if (transport === undefined || batch.length === 0) return false;
    const unsettled = new Set(batch);
    const live: Item[] = [];
    for (const item of batch) {
      if (item.session?.superseded === undefined) live.push(item);
      else if (unsettled.delete(item)) this.buffer.settle(item);
    }
    const settle = (item: Item, outcome: Outcome) => {
      if (outcome === "early") item.earlySince ??= performance.now();
      else if (unsettled.delete(item)) this.#settle(transport, item, outcome);
    };
    try {
      if (live.length > 0) await transport.send(live, settle);
    } catch (error) {
      if (!(error instanceof Unavailable) && !this.isAway)
        this.options.log(`the transport to Bindery has met an error: ${textOf(error)}`);
      this.buffer.putBack([...unsettled]);
      this.#wentAway(error);
      return false;
    }
    this.#cameBack();
    this.buffer.putBack([...unsettled], true);
    this.changed();
    return true;
  }

  #settle(transport: Transport, item: Item, outcome: Outcome): void {
    const { session } = item;
    if (session !== undefined) {
      session.lastSent = performance.now();
      if (session.superseded !== undefined) this.buffer.dropSession(session);
      const isAnswered = transport.answersBegin || session.beginId === undefined;
      if (item.type === "begin" && (outcome instanceof Refused || isAnswered)) session.begun = true;
    }
    if (outcome instanceof Refused) this.#logRefusal(item, outcome);
    this.buffer.settle(item);
    this.changed();
  }

  #logRefusal(item: Item, refusal: Refused): void {
    // Logged once per kind, because a substep may be reported a thousand times.
    const kind = `${item.bookId} ${item.type} ${refusal.code}`;
    if (this.#refusalsLogged.has(kind) || this.#refusalsLogged.size >= 10_000) return;
    this.#refusalsLogged.add(kind);
    this.options.log(
      `Bindery has refused a ${item.type} of book ${item.bookId}: ${refusal.message}`,
    );
  }

  #wentAway(problem: unknown): void {
    this.#pause = Math.min(Math.max(100, 2 * this.#pause), LONGEST_PAUSE);
    this.#nextTry = performance.now() + this.#pause * (0.5 + Math.random() / 2);
    const wasAway = this.isAway;
    this.isAway = true;
    if (!wasAway) this.options.log(`Bindery cannot be reached, reports wait: ${textOf(problem)}`);
    this.changed();
  }

  #cameBack(): void {
    if (!this.isAway) return;
    this.isAway = false;
    this.#pause = 0;
    const dropped = this.buffer.dropped - this.#droppedLogged;
    this.#droppedLogged = this.buffer.dropped;
    if (dropped > 0)
      this.options.log(`Bindery is reached again; ${dropped} events were dropped meanwhile`);
  }
}
