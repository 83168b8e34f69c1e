// Events over binderyd's HTTP: batches to POST /api/events, and each book's place from GET
// /api/books/{id}/resume-point.
import { z } from "zod";
import type { Item } from "../buffer.js";
import { Refused, Unavailable } from "../errors.js";
import { answerSchema, wholeResumePoint, type ResumePoint } from "../resume.js";
import { Http } from "./http.js";
import type { Outcome, Transport } from "./transport.js";

const answersSchema = z.looseObject({
  outcomes: z.array(
    z.looseObject({
      outcome: z.enum(["applied", "stale", "early", "rejected"]),
      code: z.string().optional(),
      message: z.string().optional(),
      hint: z.string().optional(),
    }),
  ),
});

// A request may have 1 MiB and 1,000 events; an event is smaller than the rest.
const PART_BYTES = 512 * 1024;
const PART_EVENTS = 1000;

interface Part {
  items: Item[];
  body: string;
}

/** The events as bodies of requests, none larger than the daemon takes. */
function parts(items: readonly Item[]): Part[] {
  const found: { items: Item[]; events: string[] }[] = [];
  let left = 0;
  for (const item of items) {
    const event = JSON.stringify(item.event());
    left -= new TextEncoder().encode(event).length + 1;
    let last = found.at(-1);
    if (last === undefined || left < 0 || last.items.length === PART_EVENTS) {
      found.push((last = { items: [], events: [] }));
      left = PART_BYTES;
    }
    last.items.push(item);
    last.events.push(event);
  }
  return found.map((part) => ({ items: part.items, body: `[${part.events.join()}]` }));
}

export class DaemonTransport implements Transport {
  readonly answersBegin = true;
  readonly #http: Http;
  #sent: { body: string; key: string } | undefined;

  /** The URL is the daemon's root, such as http://localhost:7890. */
  constructor(url: string, key: string | undefined) {
    this.#http = new Http(url, key);
  }

  async send(
    items: readonly Item[],
    settle: (item: Item, outcome: Outcome) => void,
  ): Promise<void> {
    for (const part of parts(items)) await this.#sendPart(part, settle);
  }

  async close(): Promise<void> {}

  async #sendPart(
    { items, body }: Part,
    settle: (item: Item, outcome: Outcome) => void,
  ): Promise<void> {
    // A batch whose answer was lost keeps its key: the server repeats its answer, and the batch
    // takes effect once.
    if (this.#sent?.body !== body) this.#sent = { body, key: crypto.randomUUID() };
    const headers = { "Idempotency-Key": this.#sent.key };
    const answer = await this.#http.ask("/api/events", { body, headers });
    const { outcomes } = answersSchema.parse(answer.body);
    if (outcomes.length !== items.length)
      throw new Unavailable(`${outcomes.length} outcomes for ${items.length} events`);
    const points = new Map<string, Promise<ResumePoint | undefined>>();
    const pointOf = (bookId: string) => {
      const known = points.get(bookId) ?? this.#resumePoint(bookId);
      points.set(bookId, known);
      return known;
    };
    for (const [place, item] of items.entries()) {
      const found = outcomes[place];
      const { session } = item;
      const isStale = found?.outcome === "stale";
      if (session !== undefined && (isStale || item.type === "begin")) {
        const point = await pointOf(item.bookId);
        if (isStale && item.type === "begin")
          session.leave(point?.status, point?.stage, point?.attempt);
        else if (isStale && point === undefined) session.supersede();
        else if (isStale && point !== undefined)
          session.check(point.status, point.stage, point.attempt);
        // An early begin waits in Bindery: its attempt is not known yet.
        else if (point !== undefined && found?.outcome !== "early") session.learn(point);
      }
      if (found?.outcome !== "rejected") settle(item, "delivered");
      else {
        const { code = "rejected", message = code, hint } = found;
        settle(item, new Refused(code, message, {}, hint));
      }
    }
    this.#sent = undefined;
  }

  async #resumePoint(bookId: string): Promise<ResumePoint | undefined> {
    try {
      return await wholeResumePoint(async (after) => {
        const query = after === undefined ? "" : `?${new URLSearchParams({ after })}`;
        const path = `/api/books/${bookId}/resume-point${query}`;
        const { status, body } = await this.#http.ask(path, { mayMiss: true });
        return status === 404 ? undefined : answerSchema.parse(body);
      });
    } catch (error) {
      // The book has left the stage that the worker's token is for.
      if (error instanceof Refused && error.code === "not_allowed") return undefined;
      throw error;
    }
  }
}
