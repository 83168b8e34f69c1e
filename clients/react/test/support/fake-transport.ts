// A transport of which the test controls both ends: it answers requests and sends the events of
// subscriptions.
import { BinderyError } from "../../src/errors.js";
import type {
  ActOptions,
  BooksQuery,
  CancelOptions,
  Page,
  SubscriptionListener,
  SubstepsQuery,
  TimelineQuery,
  Topic,
  Transport,
} from "../../src/transport.js";

/** What is requested: a book's status, a list, or something about a book. */
export type Target =
  | string
  | BooksQuery
  | ({ timeline: string } & TimelineQuery)
  | ({ substeps: string } & SubstepsQuery)
  | ({ resume: string } & ActOptions)
  | ({ cancel: string } & CancelOptions);

export interface Request {
  target: Target;
  signal: AbortSignal;
  answer(value: unknown): void;
  refuse(error?: BinderyError): void;
}

export interface Subscription extends SubscriptionListener {
  topic: Topic;
  since: number | null;
  closed: boolean;
}

export class FakeTransport implements Transport {
  /** All requests so far, in order. */
  readonly requests: Request[] = [];
  /** All subscriptions so far, in order. */
  readonly subscriptions: Subscription[] = [];
  /** If set, answers requests at once. */
  answers: ((target: Target) => unknown) | null = null;
  /** Closing waits for this. */
  closing: Promise<void> = Promise.resolve();

  fetchBook(bookId: string, signal: AbortSignal): Promise<unknown> {
    return this.#send(bookId, signal);
  }

  async fetchBooks(query: BooksQuery, signal: AbortSignal) {
    const rows = await this.#send(query, signal);
    return Array.isArray(rows)
      ? { rows, total: rows.length }
      : (rows as { rows: unknown; total: number | null });
  }

  open(topic: Topic, since: number | null, listener: SubscriptionListener): () => Promise<void> {
    const subscription: Subscription = { topic, since, closed: false, ...listener };
    this.subscriptions.push(subscription);
    return async () => {
      await this.closing;
      subscription.closed = true;
    };
  }

  async fetchTimeline(bookId: string, query: TimelineQuery, signal: AbortSignal) {
    return (await this.#send({ timeline: bookId, ...query }, signal)) as Page<number>;
  }

  async fetchSubsteps(bookId: string, query: SubstepsQuery, signal: AbortSignal) {
    return (await this.#send({ substeps: bookId, ...query }, signal)) as Page<string>;
  }

  async resumeBook(bookId: string, options: ActOptions) {
    await this.#send({ resume: bookId, ...options });
  }

  async cancelBook(bookId: string, options: CancelOptions) {
    await this.#send({ cancel: bookId, ...options });
  }

  get request(): Request {
    return last(this.requests, "request");
  }

  get subscription(): Subscription {
    return last(this.subscriptions, "subscription");
  }

  #send(target: Target, signal = new AbortController().signal): Promise<unknown> {
    return new Promise((answer, refuse) => {
      const request = {
        target,
        signal,
        answer,
        refuse: (error = new BinderyError("unreachable", "no answer")) => refuse(error),
      };
      this.requests.push(request);
      if (this.answers !== null) answer(this.answers(target));
    });
  }
}

function last<Value>(values: readonly Value[], target: string): Value {
  const value = values.at(-1);
  if (value === undefined) throw new Error(`there was no ${target}`);
  return value;
}
