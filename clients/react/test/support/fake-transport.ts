// A transport whose both ends are in the test's hands: questions wait to be answered, subscriptions to be spoken to.
import { BinderyError } from "../../src/errors.js";
import type { BooksQuery, Ears, Topic, Transport } from "../../src/transport.js";

export interface Question {
  what: string | BooksQuery;
  signal: AbortSignal;
  answer(value: unknown): void;
  refuse(error?: BinderyError): void;
}

export interface Subscription extends Ears {
  topic: Topic;
  since: number | null;
  closed: boolean;
}

export class FakeTransport implements Transport {
  /** All questions ever asked, in order. */
  readonly asked: Question[] = [];
  /** All subscriptions ever opened, in order. */
  readonly opened: Subscription[] = [];
  /** Answers at once where set. */
  answers: ((what: string | BooksQuery) => unknown) | null = null;
  /** Closing waits for this. */
  closing: Promise<void> = Promise.resolve();

  fetchBook(bookId: string, signal: AbortSignal): Promise<unknown> {
    return this.#ask(bookId, signal);
  }

  async fetchBooks(query: BooksQuery, signal: AbortSignal) {
    const rows = await this.#ask(query, signal);
    return Array.isArray(rows)
      ? { rows, total: rows.length }
      : (rows as { rows: unknown; total: number | null });
  }

  open(topic: Topic, since: number | null, ears: Ears): () => Promise<void> {
    const subscription: Subscription = { topic, since, closed: false, ...ears };
    this.opened.push(subscription);
    return async () => {
      await this.closing;
      subscription.closed = true;
    };
  }

  get question(): Question {
    return last(this.asked, "question");
  }

  get subscription(): Subscription {
    return last(this.opened, "subscription");
  }

  #ask(what: string | BooksQuery, signal: AbortSignal): Promise<unknown> {
    return new Promise((answer, refuse) => {
      const question = {
        what,
        signal,
        answer,
        refuse: (error = new BinderyError("unreachable", "no answer")) => refuse(error),
      };
      this.asked.push(question);
      if (this.answers !== null) answer(this.answers(what));
    });
  }
}

function last<Value>(values: readonly Value[], what: string): Value {
  const value = values.at(-1);
  if (value === undefined) throw new Error(`there was no ${what}`);
  return value;
}
