// The bounded buffer between the work and the sender.
//
// Each book has a lane. Within a lane the order of events is kept; a substep waits in it once, and
// a newer report replaces its state. The bound counts events and bytes. When it is reached, the
// oldest waiting reports and heartbeats are dropped first; an event of another type is dropped only
// when nothing else is left to drop, and then it is the newest one. What is dropped is counted.
import type { Session, Substep } from "./session.js";

export type EventType =
  "register" | "begin" | "transition" | "progress" | "plan" | "heartbeat" | "fail";

/** An event as docs/events.md has it: flat, all values as text. */
export type BinderyEvent = Record<string, string>;

const BATCH_BYTES = 1024 * 1024;
// The next report of the substep replaces a dropped one.
const DROPPABLE: ReadonlySet<EventType> = new Set(["progress", "heartbeat"]);
const OF_A_STAGE: ReadonlySet<EventType> = new Set(["progress", "heartbeat", "fail"]);

/** An event that waits to be sent. */
export class Item {
  number = 0;
  size: number;
  /** Since when (milliseconds) it is early and sent again. */
  earlySince: number | undefined;
  /** The parts of the substep that this sending carries. */
  sent: readonly string[] = [];

  constructor(
    readonly type: EventType,
    readonly bookId: string,
    public fields: Record<string, string> = {},
    readonly session?: Session,
    readonly substep?: Substep,
  ) {
    const texts = Object.values(fields).reduce((sum, value) => sum + 2 * value.length, 0);
    this.size = substep?.size() ?? 512 + texts;
  }

  /** The event as it is sent. */
  event(): BinderyEvent {
    const { session, type } = this;
    const event: BinderyEvent = { type, book_id: this.bookId };
    if (session !== undefined && OF_A_STAGE.has(type)) event["stage"] = session.stage;
    // A begin has one only if it was given (by a message of bindery:changes).
    if (session?.attempt !== undefined && (OF_A_STAGE.has(type) || type === "transition"))
      event["attempt"] = String(session.attempt);
    if (this.substep !== undefined) event["substep"] = this.substep.name;
    return Object.assign(event, this.fields);
  }
}

class Lane {
  waiting: Item[] = [];
  inFlight: Item[] = [];
  /** Early events; each is sent again before all others when it is due. */
  early: Item[] = [];
  earlyAt = 0;
  pause = 0;

  oldest(withEarly = true): number | undefined {
    const first = [this.inFlight[0], this.waiting[0], withEarly ? this.early[0] : undefined];
    const numbers = first.flatMap((item) => (item === undefined ? [] : [item.number]));
    return numbers.length === 0 ? undefined : Math.min(...numbers);
  }
}

function removed(items: Item[], item: Item): boolean {
  const place = items.indexOf(item);
  if (place >= 0) items.splice(place, 1);
  return place >= 0;
}

export class Buffer {
  dropped = 0;
  events = 0;
  bytes = 0;
  lastNumber = 0;
  readonly #lanes = new Map<string, Lane>();
  #droppable = new Map<number, Item>();

  constructor(
    private readonly maxEvents: number,
    private readonly maxBytes: number,
  ) {}

  /** Appends an event to its book's lane; false if it was dropped because of the bound. */
  add(item: Item): boolean {
    item.number = this.lastNumber += 1;
    if (!this.#makeRoom(item)) {
      this.dropped += 1;
      return false;
    }
    let lane = this.#lanes.get(item.bookId);
    if (lane === undefined) this.#lanes.set(item.bookId, (lane = new Lane()));
    lane.waiting.push(item);
    this.#count(item, 1);
    return true;
  }

  /** Queues a report of a substep's newest state, unless one waits. */
  report(session: Session, substep: Substep): void {
    const waiting = substep.item;
    if (waiting === undefined) {
      const item = new Item("progress", session.bookId, {}, session, substep);
      if (this.add(item)) substep.item = item;
    } else {
      this.bytes += substep.size() - waiting.size;
      waiting.size = substep.size();
      this.#makeRoom();
    }
  }

  /**
   * Takes events that are due, each lane's in its order; they are in flight until settled.
   *
   * A lane's part ends after a `begin`, so that its outcome is known before what follows is sent.
   */
  take(atMost: number): Item[] {
    const now = performance.now();
    const taken: Item[] = [];
    let size = 0;
    const isFull = () => taken.length >= atMost || size >= BATCH_BYTES;
    for (const [bookId, lane] of [...this.#lanes]) {
      if (lane.inFlight.length > 0) continue;
      if (lane.early.length > 0 && lane.earlyAt <= now)
        lane.waiting = [...lane.early.splice(0), ...lane.waiting];
      let count = 0;
      for (const item of lane.waiting) {
        if (isFull()) break;
        count += 1;
        this.#droppable.delete(item.number);
        const { substep } = item;
        if (substep !== undefined) {
          substep.item = undefined;
          item.fields = substep.fields();
          item.sent = [...substep.changed];
          substep.changed.clear();
        }
        taken.push(item);
        size += item.size;
        if (item.type === "begin") break;
      }
      lane.inFlight = lane.waiting.splice(0, count);
      if (count > 0) {
        // The next call begins with another book.
        this.#lanes.delete(bookId);
        this.#lanes.set(bookId, lane);
      }
      if (isFull()) break;
    }
    return taken;
  }

  /** Forgets an event: it was delivered, or it never will be. */
  settle(item: Item): void {
    const lane = this.#lanes.get(item.bookId);
    if (lane === undefined || !removed(lane.inFlight, item)) return;
    this.#count(item, -1);
    this.#tidy(item.bookId, lane);
  }

  /** Requeues events before all others of their lanes; `early`: after a delay that doubles. */
  putBack(items: readonly Item[], early = false): void {
    for (const item of early ? items : [...items].reverse()) {
      const lane = this.#lanes.get(item.bookId);
      if (lane === undefined || !removed(lane.inFlight, item)) continue;
      const { substep } = item;
      if (substep !== undefined) {
        for (const part of item.sent) substep.changed.add(part);
        const newer = substep.item;
        if (newer !== undefined) {
          // A newer report waits: this one replaces it, and sends its parts as well.
          removed(lane.waiting, newer);
          this.#count(newer, -1);
        }
        substep.item = item;
      }
      if (!early) lane.waiting.unshift(item);
      else {
        if (lane.early.length === 0) {
          lane.pause = Math.min(Math.max(2 * lane.pause, 100), 2000);
          lane.earlyAt = performance.now() + lane.pause;
        }
        lane.early.push(item);
      }
    }
    const back = items.filter((item) => DROPPABLE.has(item.type));
    const first = back.map((item): [number, Item] => [item.number, item]);
    if (first.length > 0) this.#droppable = new Map([...first, ...this.#droppable]);
  }

  /** Drops the waiting events of a superseded session. */
  dropSession(session: Session): void {
    const lane = this.#lanes.get(session.bookId);
    if (lane === undefined) return;
    for (const item of [...lane.early, ...lane.waiting])
      if (item.session === session) this.#drop(lane, item);
    this.#tidy(session.bookId, lane);
  }

  /** Whether an event of a book waits to be sent. */
  waits(bookId: string): boolean {
    return (this.#lanes.get(bookId)?.waiting.length ?? 0) > 0;
  }

  /** When an event is due (as `performance.now`); undefined: none waits. */
  nextDue(): number | undefined {
    let due: number | undefined;
    for (const lane of this.#lanes.values()) {
      if (lane.inFlight.length > 0) continue;
      if (lane.waiting.length > 0) return 0;
      if (lane.early.length > 0) due = Math.min(due ?? Infinity, lane.earlyAt);
    }
    return due;
  }

  /** Whether everything up to this number (of one book) is settled. */
  isDelivered(number: number, bookId?: string, withEarly = true): boolean {
    const lanes = bookId === undefined ? [...this.#lanes.values()] : [this.#lanes.get(bookId)];
    return lanes.every((lane) => (lane?.oldest(withEarly) ?? Infinity) > number);
  }

  #count(item: Item, sign: 1 | -1): void {
    this.events += sign;
    this.bytes += sign * item.size;
    if (!DROPPABLE.has(item.type)) return;
    if (sign > 0) this.#droppable.set(item.number, item);
    else this.#droppable.delete(item.number);
  }

  #makeRoom(item?: Item): boolean {
    const isFull = () =>
      this.events + (item === undefined ? 0 : 1) > this.maxEvents ||
      this.bytes + (item?.size ?? 0) > this.maxBytes;
    while (isFull()) {
      const oldest = this.#droppable.values().next().value;
      const lane = oldest && this.#lanes.get(oldest.bookId);
      if (oldest === undefined || lane === undefined) return false;
      this.#drop(lane, oldest);
      this.dropped += 1;
      this.#tidy(oldest.bookId, lane);
    }
    return true;
  }

  #drop(lane: Lane, item: Item): void {
    if (!removed(lane.waiting, item)) removed(lane.early, item);
    this.#count(item, -1);
    if (item.substep !== undefined) item.substep.item = undefined;
  }

  #tidy(bookId: string, lane: Lane): void {
    if (lane.oldest() === undefined) this.#lanes.delete(bookId);
  }
}
