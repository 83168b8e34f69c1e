// <bindery-progress book-id="…" src="…" token="…">: the tracker for pages without React. It draws
// into its own children, not into a shadow tree, so that styles.css and a page's own rules apply to
// it as they do to React's components.
import { h as createVNode, render, type VNode } from "preact";
import { createBookClient, type BookClient, type BookView } from "../bindery.js";
import type { BookStatus } from "../status.js";
import { sseBookTransport } from "../transports/sse-book.js";
import { announce, type Announced } from "../view/announce.js";
import type { RetryModel } from "../view/failure.js";
import type { H } from "../view/h.js";
import { english, labelsFrom, type SomeLabels } from "../view/labels.js";
import { outcome } from "../view/outcome.js";
import { retryState, runRetry, type Retry } from "../view/retry.js";
import { tracker, tickOf, type TrackerModel } from "../view/tracker.js";
import { idleBook } from "../views.js";

const h: H<VNode> = (tag, props, ...children) => createVNode(tag, props, ...children);

/** A server that imports this module has no HTMLElement. */
const Base = globalThis.HTMLElement ?? (class {} as typeof HTMLElement);

let count = 0;

export class BinderyProgressElement extends Base {
  static readonly observedAttributes = [
    "book-id",
    "src",
    "token",
    "hide-stages",
    "hide-substeps",
    "max-substeps",
  ];

  readonly #titleId = `bindery-title-${(count += 1)}`;
  #given: BookClient | null = null;
  #own: BookClient | null = null;
  #labels: SomeLabels | undefined;
  #words = english;
  #onRetry: ((book: BookStatus) => unknown) | undefined;
  #stop: (() => void) | null = null;
  #view: BookView = idleBook;
  #announced: Announced | null = null;
  #announcement = "";
  #retry: Retry | null = null;
  #tick: ReturnType<typeof setInterval> | undefined;
  #step = 0;

  constructor() {
    super();
    // A framework may set a property before the element is defined.
    for (const name of ["client", "labels", "onRetry"] as const) {
      const given = Object.getOwnPropertyDescriptor(this, name);
      if (given === undefined) continue;
      Reflect.deleteProperty(this, name);
      Reflect.set(this, name, given.value);
    }
  }

  /** The client that watches the book; by default one of its own for `src` and `token`. */
  get client(): BookClient | null {
    return this.#given ?? this.#own;
  }
  set client(client: BookClient | null | undefined) {
    this.#given = client ?? null;
    this.#restart();
  }

  get labels(): SomeLabels | undefined {
    return this.#labels;
  }
  set labels(labels: SomeLabels | undefined) {
    this.#labels = labels;
    this.#words = labelsFrom(labels);
    this.#draw();
  }

  /** Shows a button on a FAILED book, which waits for the returned promise. */
  get onRetry(): ((book: BookStatus) => unknown) | undefined {
    return this.#onRetry;
  }
  set onRetry(onRetry: ((book: BookStatus) => unknown) | undefined) {
    this.#onRetry = onRetry;
    this.#draw();
  }

  /** What is shown. */
  get view(): BookView {
    return this.#view;
  }

  connectedCallback(): void {
    if (this.#stop === null) this.#restart();
  }

  disconnectedCallback(): void {
    // An element that is moved is connected again at once.
    queueMicrotask(() => this.isConnected || this.#end());
  }

  attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    if (before === after || !this.isConnected) return;
    if (name === "book-id" || name === "src") this.#restart();
    // The client reads the token before each request.
    else if (name === "token") void this.client?.refetchBook(this.#bookId);
    else this.#draw();
  }

  get #bookId(): string {
    return this.getAttribute("book-id") ?? "";
  }

  #restart(): void {
    this.#end();
    if (!this.isConnected) return;
    const bookId = this.#bookId;
    if (bookId === "") return this.#show(idleBook);
    const token = () => this.getAttribute("token");
    if (this.#given === null)
      this.#own = createBookClient(sseBookTransport(this.getAttribute("src") || "/", { token }));
    const client = this.#given ?? this.#own;
    if (client === null) return;
    this.#stop = client.watchBook(bookId, (view) => this.#show(view));
    this.#show(client.bookView(bookId));
  }

  #end(): void {
    this.#stop?.();
    this.#stop = null;
    void this.#own?.close();
    this.#own = null;
    clearInterval(this.#tick);
    this.#step = 0;
    this.#view = idleBook;
    this.#announced = null;
    this.#announcement = "";
    render(null, this);
  }

  #show(view: BookView): void {
    const before = this.#view.book;
    this.#view = view;
    if (view.book !== null) {
      const next = announce(this.#announced, view.book, Date.now(), this.#words);
      this.#announced = next.announced;
      this.#announcement = next.text ?? this.#announcement;
    }
    const ended = outcome(before, view.book);
    this.#draw();
    if (ended !== null)
      this.dispatchEvent(
        new CustomEvent(`bindery-${ended}`, { detail: { book: view.book }, bubbles: true }),
      );
  }

  #draw(): void {
    if (!this.isConnected) return;
    this.#setTick();
    const most = Number(this.getAttribute("max-substeps") ?? Number.NaN);
    const model: TrackerModel = {
      view: this.#view,
      now: Math.floor(Date.now() / this.#step) * this.#step,
      labels: this.#words,
      titleId: this.#titleId,
      announcement: this.#announcement,
      retry: this.#retryModel(),
      showStages: !this.hasAttribute("hide-stages"),
      showSubsteps: !this.hasAttribute("hide-substeps"),
      maxSubsteps: Number.isNaN(most) ? undefined : most,
    };
    render(tracker(h, model), this);
  }

  #retryModel(): RetryModel | null {
    const { book } = this.#view;
    const act = this.#onRetry;
    if (book === null || act === undefined) return null;
    const state = retryState(this.#retry, book);
    const run = () => {
      if (retryState(this.#retry, book) === "running") return;
      void runRetry(
        book,
        () => act(book),
        (retry) => {
          this.#retry = retry;
          this.#draw();
        },
      );
    };
    return { state, run };
  }

  /** Draws relative times again, as often as they change. */
  #setTick(): void {
    const step = tickOf(this.#view);
    if (step === this.#step) return;
    this.#step = step;
    clearInterval(this.#tick);
    this.#tick = setInterval(() => this.#draw(), step);
  }
}
