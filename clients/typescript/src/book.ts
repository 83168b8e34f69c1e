/// <reference lib="esnext.disposable" preserve="true" />
// A book: one unit of long work.
import { Item } from "./buffer.js";
import type { Client } from "./client.js";
import { Session } from "./session.js";
import { Stage, type StageOptions } from "./stage.js";
import * as values from "./values.js";

/** Options of `book`. */
export interface BookOptions {
  /** For people, up to 1,024 characters. */
  title?: string;
  /** The pipeline of a new book; `comic` by default. */
  pipeline?: string;
  /** The uuid of the user who may read the book; by default the service alone may. */
  ownerId?: string;
  /** A JSON object of your own, up to 64 KiB. */
  metadata?: Record<string, unknown>;
  /** False: the book is registered elsewhere. */
  register?: boolean;
}

/** Reports about one book. Get one from `book`. */
export class Book {
  readonly #client: Client;
  #registration: Record<string, string> | undefined;
  #session: Session | undefined;

  /** Use `book`. */
  constructor(
    /** The book's uuid. */
    readonly bookId: string,
    client: Client,
    options: BookOptions,
  ) {
    this.#client = client;
    const { title, pipeline, ownerId, metadata, register = true } = options;
    const fields = {
      ...(title && { title: values.text(title, values.TITLE) }),
      ...(pipeline && { pipeline: values.text(pipeline, values.NAME) }),
      ...(ownerId && { owner_id: ownerId }),
      ...(metadata && { metadata: values.encoded(metadata) }),
    };
    this.#registration = register ? fields : undefined;
  }

  /**
   * Works on a stage: enters it, or resumes it after a failure, or finds the book in it. While the
   * work runs, heartbeats are sent in the background. An error makes the book FAILED, and is thrown
   * on.
   *
   * A program that runs again comes to stages that its book has passed. The work of such a stage
   * is called with nothing left to do: see `Stage.isDone`.
   *
   * @param name a state of the book's pipeline, such as ANALYZING.
   * @returns what the work returns.
   * @throws Superseded if the book has left this attempt, or is CANCELLED.
   */
  stage<T>(name: string, work: (stage: Stage) => T | Promise<T>): Promise<T>;
  stage<T>(name: string, options: StageOptions, work: (stage: Stage) => T | Promise<T>): Promise<T>;
  async stage<T>(
    name: string,
    first: StageOptions | ((stage: Stage) => T | Promise<T>),
    second?: (stage: Stage) => T | Promise<T>,
  ): Promise<T> {
    const options = typeof first === "function" ? {} : first;
    const work = typeof first === "function" ? first : second;
    if (work === undefined) throw new TypeError("give the stage a function that does its work");
    this.#register();
    const stage = values.text(name, values.NAME);
    const worker = values.text(this.#client.worker, values.WORKER);
    const { attempt, resumePoint, skip = attempt === undefined } = options;
    const session = new Session(this.bookId, stage, worker, attempt, resumePoint, skip);
    const former = this.#session;
    this.#session = session;
    if (former !== undefined && former.stage !== stage) former.isOpen = false;
    return new Stage(this, stage, this.#client, session).run(work, options);
  }

  /**
   * Lets the book go to another state, such as COMPLETED after the last stage.
   *
   * After a stage that the book had passed (`Stage.isDone`) nothing is sent: the book has moved on
   * from it already.
   *
   * @param message for people, up to 8,192 characters.
   */
  transition(toStatus: string, message?: string): void {
    const fields = {
      to_status: values.text(toStatus, values.NAME),
      ...(message !== undefined && { message: values.text(message, values.MESSAGE) }),
    };
    if (this.#session?.isDone) return;
    // The book leaves the stage by this worker's own will.
    if (this.#session !== undefined) this.#session.isOpen = false;
    this.#send(new Item("transition", this.bookId, fields, this.#session));
  }

  /**
   * Declares this book's own substeps of a stage that it is in or will come to.
   *
   * @param substeps keys in lower snake case, up to 10,000; an object gives each its weight
   *   (1e-9 to 1e9), otherwise each has weight 1. Planning again changes weights, and never
   *   progress.
   * @throws RangeError if a key or a weight is not valid, or there are too many.
   */
  plan(stage: string, substeps: Readonly<Record<string, number>> | Iterable<string>): void {
    const name = values.text(stage, values.NAME);
    for (const part of values.planned(substeps))
      this.#send(new Item("plan", this.bookId, { stage: name, substeps: part }));
  }

  /**
   * Waits until everything reported so far about this book is delivered.
   *
   * @param timeout milliseconds to wait, at most.
   * @returns whether it was delivered (or refused) in time.
   */
  flush(timeout = 5000): Promise<boolean> {
    return this.#client.sender.flush(timeout, this.bookId);
  }

  /** For `await using`: waits for delivery, but not for a server that does not answer. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.sender.flush(this.#client.flushTimeout, this.bookId, false);
  }

  #register(): void {
    const fields = this.#registration;
    this.#registration = undefined;
    if (fields !== undefined) this.#client.sender.add(new Item("register", this.bookId, fields));
  }

  #send(item: Item): void {
    this.#register();
    this.#client.sender.add(item);
  }
}
