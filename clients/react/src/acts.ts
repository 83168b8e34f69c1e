// Resumes and cancels books: one act of a book at a time, by any of its components.
import type { BookClient } from "./bindery.js";
import { BinderyError, refusal } from "./errors.js";
import { partOf } from "./internals.js";
import type { ActOptions, CancelOptions, BookTransport } from "./transport.js";
import { invalidId, sameForm } from "./uuid.js";

export type Act = "resume" | "cancel";

/** The last act on a book. A successful one leaves `idle`. */
export interface ActView {
  /** Null before the first act. */
  readonly act: Act | null;
  readonly state: "idle" | "pending" | "failed";
  /** Why it failed. */
  readonly error: BinderyError | null;
}

/**
 * Performs an act in place of the transport, for example by a call of the application's server. It
 * fails if the promise rejects, or resolves to a `Response` whose status is not 2xx.
 */
export type PerformAct<Options extends ActOptions> = (bookId: string, options: Options) => unknown;

/** The acts on one book. */
export interface BookActs {
  /** The same object until something changes. */
  view(): ActView;
  watch(listener: () => void): () => void;
  /**
   * Resumes the book if it is FAILED. Resolves when the act is over, to whether it succeeded; never
   * rejects. While another act on the book is pending this one is not begun.
   */
  resume(options?: ActOptions, perform?: PerformAct<ActOptions>): Promise<boolean>;
  /** Cancels the book permanently. Resolves like `resume`. */
  cancel(options?: CancelOptions, perform?: PerformAct<CancelOptions>): Promise<boolean>;
  /** Forgets a failed act. */
  reset(): void;
}

export const idleAct: ActView = { act: null, state: "idle", error: null };

interface Entry {
  view: ActView;
  pending: Promise<boolean> | null;
  readonly listeners: Set<() => void>;
}

/** The acts on a book. */
export function bookActs(client: BookClient, bookId: string): BookActs {
  const acts = actsOf(client);
  return acts.of(bookId, () => client.refetchBook(bookId));
}

class Acts {
  readonly #entries = new Map<string, Entry>();

  constructor(private readonly transport: BookTransport) {}

  /** `refetch` requests the book after an act, and resolves when its answer is shown. */
  of(given: string, refetch: () => Promise<void>): BookActs {
    const bookId = sameForm(given);
    const { transport } = this;
    return {
      view: () => this.#entries.get(bookId)?.view ?? idleAct,
      watch: (listener) => this.#watch(bookId, listener),
      resume: (options = {}, perform = transport.resumeBook?.bind(transport)) =>
        this.#run(bookId, "resume", perform && (() => perform(bookId, options)), refetch),
      cancel: (options = {}, perform = transport.cancelBook?.bind(transport)) =>
        this.#run(bookId, "cancel", perform && (() => perform(bookId, options)), refetch),
      reset: () => {
        const entry = this.#entries.get(bookId);
        if (entry?.view.state === "failed") this.#show(bookId, entry, idleAct);
      },
    };
  }

  #watch(bookId: string, listener: () => void): () => void {
    const entry = this.#entry(bookId);
    const own = () => listener();
    entry.listeners.add(own);
    return () => {
      entry.listeners.delete(own);
      this.#forget(bookId, entry);
    };
  }

  #run(
    bookId: string,
    act: Act,
    perform: (() => unknown) | undefined,
    refetch: () => Promise<void>,
  ): Promise<boolean> {
    const entry = this.#entry(bookId);
    if (entry.pending !== null)
      return entry.view.act === act ? entry.pending : Promise.resolve(false);
    const pending = this.#perform(bookId, act, perform, refetch).then((error) => {
      entry.pending = null;
      this.#show(bookId, entry, { act, state: error === null ? "idle" : "failed", error });
      return error === null;
    });
    entry.pending = pending;
    this.#show(bookId, entry, { act, state: "pending", error: null });
    return pending;
  }

  /** Returns why the act failed, or null. */
  async #perform(
    bookId: string,
    act: Act,
    perform: (() => unknown) | undefined,
    refetch: () => Promise<void>,
  ): Promise<BinderyError | null> {
    const invalid = invalidId("book_id", bookId);
    if (invalid !== null) return invalid;
    if (perform === undefined) {
      const hint = `Pass a function that does it: ${act === "resume" ? "useResumeBook" : "useCancelBook"}(bookId, { ${act} }).`;
      return new BinderyError("refused", `This transport cannot ${act} books.`, null, hint);
    }
    try {
      const result = await perform();
      if (typeof Response !== "undefined" && result instanceof Response && !result.ok)
        return refusal(result.status, await result.json().catch(() => null));
    } catch (cause) {
      if (cause instanceof BinderyError) return cause;
      const message = cause instanceof Error ? cause.message : String(cause);
      return new BinderyError("refused", message, null, null, { cause });
    }
    // The act stays pending until the book shows it, so that it is not begun again.
    await refetch();
    return null;
  }

  #entry(bookId: string): Entry {
    const entry = this.#entries.get(bookId) ?? {
      view: idleAct,
      pending: null,
      listeners: new Set<() => void>(),
    };
    this.#entries.set(bookId, entry);
    return entry;
  }

  #show(bookId: string, entry: Entry, view: ActView) {
    entry.view = view;
    for (const listener of [...entry.listeners]) listener();
    this.#forget(bookId, entry);
  }

  /** Keeps nothing of a book that is neither watched nor acted on. */
  #forget(bookId: string, entry: Entry) {
    if (entry.pending !== null || entry.listeners.size > 0) return;
    if (this.#entries.get(bookId) === entry) this.#entries.delete(bookId);
  }
}

const actsOf = partOf(({ transport }) => new Acts(transport));
