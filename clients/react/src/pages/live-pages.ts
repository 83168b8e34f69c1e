// Keeps the pages of one list about a book up to date: its history, or the substeps of a stage. The
// book's own subscription shows what has changed; requests read the pages.
import type { Environment } from "../environment.js";
import { forbidsShowing, type BinderyError } from "../errors.js";
import type { Extent, News } from "../news.js";
import { createNotifier, type Notifier } from "../notifier.js";
import { createRequests, type Requests, type Outcome } from "../requests.js";
import type { BookStatus } from "../status.js";
import type { Timing } from "../subject.js";
import { createTimer, type Timer } from "../timer.js";
import type { BookView, View } from "../views.js";
import type { WatchedBook } from "../internals.js";

/** The most items that one request reads. */
const MOST = 200;

const nothing: readonly never[] = [];

export interface PagesView extends View {
  /** More items follow; `loadMore` shows them. */
  readonly hasMore: boolean;
  readonly loadingMore: boolean;
}

export const idlePages: PagesView = {
  hasMore: false,
  loadingMore: false,
  connection: "closed",
  stale: false,
  loading: false,
  error: null,
};

export interface ItemsPage<Item, Cursor> {
  readonly items: readonly Item[];
  readonly next: Cursor | null;
}

/** Items that are known, in order, and whether more follow. */
export interface Known<Item> {
  readonly items: readonly Item[];
  readonly hasMore: boolean;
}

export interface PagesSource<Item, Cursor, Shown extends PagesView> {
  fetch(after: Cursor | null, limit: number, signal: AbortSignal): Promise<ItemsPage<Item, Cursor>>;
  view(items: readonly Item[], view: PagesView): Shown;
  cursorOf(item: Item): Cursor;
  /** Items of a book with another identity are not shown any more. */
  identityOf(book: BookStatus): string;
  /** A book with another mark requires a refresh. */
  markOf(book: BookStatus): string;
  /** Whether a refresh may stop, because everything after `items` is known. */
  reaches(items: readonly Item[], known: Known<Item>): boolean;
  /**
   * Merges a refresh. `since`: the book's revision when it began; every change up to there is in
   * `fresh`.
   */
  refreshed(known: Known<Item> | null, fresh: Known<Item>, since: number): Known<Item>;
  /**
   * Merges news about the book, which is `book` before them. `refresh`: the news leave a doubt.
   * Null: they do not concern the items.
   */
  follow?(
    known: Known<Item>,
    news: News<BookStatus>,
    book: BookStatus,
  ): { known: Known<Item>; refresh: boolean } | null;
}

type Fetched<Item> =
  { refresh: true; fresh: Known<Item>; since: number } | { refresh: false; more: Known<Item> };

export class LivePages<Item, Cursor, Shown extends PagesView> {
  #book: WatchedBook | null = null;
  #known: Known<Item> | null = null;
  #identity: string | null = null;
  #mark: string | null = null;
  /** How many items are demanded. */
  #wanted: number;
  #refresh = true;
  #error: BinderyError | null = null;
  /** The news since the pending request began: its answer may be older. */
  #news: News<BookStatus>[] = [];
  #endings: (() => void)[] = [];
  readonly #requests: Requests;
  readonly #notifier: Notifier<Shown>;
  readonly #lingerTimer: Timer;

  constructor(
    private readonly source: PagesSource<Item, Cursor, Shown>,
    private readonly pageSize: number,
    private readonly bookOf: () => WatchedBook,
    private readonly timing: Timing,
    private readonly environment: Environment,
    private readonly onIdle: () => void,
  ) {
    this.#wanted = pageSize;
    const requester = {
      fetch: (signal: AbortSignal) => this.#fetch(signal),
      reduce: (outcome: Outcome<Fetched<Item>>) => this.#reduce(outcome),
      settled: () => this.#notifier.notify(),
      interval: () => null,
    };
    this.#requests = createRequests(requester, timing.gap, environment);
    this.#notifier = createNotifier(() => this.#makeView(), 0, environment);
    this.#lingerTimer = createTimer(environment);
  }

  /** Watches until the returned function is called. Listeners read `view`. */
  subscribe(listener: () => void): () => void {
    if (this.#book === null) this.#start();
    this.#lingerTimer.clear();
    const remove = this.#notifier.add(listener);
    return () => {
      if (remove()) this.#lingerTimer.set(this.timing.linger, () => this.close());
    };
  }

  /** The same object until something changes. */
  get view(): Shown {
    return this.#notifier.view();
  }

  /** Reads the shown pages again. Resolves when the answer or the error has arrived. */
  refetch(): Promise<void> {
    if (this.#book === null) return Promise.resolve();
    this.#refresh = true;
    return this.#requests.refetch();
  }

  /** Shows one more page. */
  loadMore() {
    const { hasMore, loadingMore } = this.view;
    if (!hasMore || loadingMore || this.#known === null) return;
    this.#wanted = this.#known.items.length + this.pageSize;
    this.#requests.send("now");
    this.#notifier.notify();
  }

  close() {
    if (this.#book === null) return;
    this.#book = null;
    for (const end of this.#endings.splice(0)) end();
    this.#lingerTimer.clear();
    this.#requests.stop();
    this.#notifier.stop();
    this.#notifier.invalidate();
    this.onIdle();
  }

  #start() {
    const book = this.bookOf();
    this.#book = book;
    this.#endings = [
      book.onNews((news) => this.#follow(book, news)),
      book.subscribe(() => this.#bookChanged(book.view)),
      this.environment.onWake(() => {
        if (this.#error !== null) this.#requests.send("now");
      }),
    ];
    this.#bookChanged(book.view);
  }

  #bookChanged({ book, error }: BookView) {
    if (error !== null && forbidsShowing(error)) this.#reset(null);
    else if (book !== null) {
      const [identity, mark] = [this.source.identityOf(book), this.source.markOf(book)];
      if (identity !== this.#identity) this.#reset(identity);
      if (mark !== this.#mark) {
        this.#mark = mark;
        this.#refresh = true;
        this.#requests.send(this.#known === null ? "now" : "soon");
      }
    }
    this.#notifier.notify();
  }

  #reset(identity: string | null) {
    if (this.#identity !== null) this.#requests.stop();
    this.#identity = identity;
    this.#mark = null;
    this.#known = null;
    this.#wanted = this.pageSize;
    this.#refresh = true;
    this.#error = null;
  }

  #follow({ view }: WatchedBook, news: News<BookStatus>) {
    if (this.source.follow === undefined || view.book === null) return;
    if (this.#requests.isPending()) this.#news.push(news);
    if (this.#merge(news, view.book)) this.#requests.send("soon");
    this.#notifier.notify();
  }

  /** Returns whether a refresh is needed. */
  #merge(news: News<BookStatus>, book: BookStatus): boolean {
    const followed = this.#known === null ? null : this.source.follow?.(this.#known, news, book);
    if (followed === null || followed === undefined) return false;
    this.#known = followed.known;
    if (followed.refresh) this.#refresh = true;
    return followed.refresh;
  }

  async #fetch(signal: AbortSignal): Promise<Fetched<Item>> {
    const known = this.#known;
    this.#news = [];
    const since = this.#book?.view.book?.revision ?? 0;
    if (known !== null && !this.#refresh) {
      const last = known.items.at(-1);
      const from = last === undefined ? null : this.source.cursorOf(last);
      const more = await this.#read(from, this.#wanted - known.items.length, signal);
      return { refresh: false, more };
    }
    this.#refresh = false;
    try {
      const fresh = await this.#read(null, this.#wanted, signal, known);
      return { refresh: true, fresh, since };
    } catch (cause) {
      this.#refresh = true;
      throw cause;
    }
  }

  /** Reads pages until `count` items are there, or the rest is known. */
  async #read(
    from: Cursor | null,
    count: number,
    signal: AbortSignal,
    known: Known<Item> | null = null,
  ): Promise<Known<Item>> {
    const items: Item[] = [];
    let after = from;
    do {
      const limit = Math.max(1, Math.min(MOST, count - items.length));
      const page = await this.source.fetch(after, limit, signal);
      items.push(...page.items);
      after = page.next;
      if (known !== null && this.source.reaches(items, known)) break;
    } while (after !== null && items.length < count);
    return { items, hasMore: after !== null };
  }

  #reduce(outcome: Outcome<Fetched<Item>>): Extent | null {
    if (outcome.type === "failed") {
      this.#error = outcome.error;
      if (forbidsShowing(outcome.error)) this.#known = null;
      return null;
    }
    this.#error = null;
    const { answer } = outcome;
    if (answer.refresh) {
      this.#known = this.source.refreshed(this.#known, answer.fresh, answer.since);
    } else {
      const before = this.#known?.items ?? [];
      const seen = new Set(before.map((item) => this.source.cursorOf(item)));
      const added = answer.more.items.filter((item) => !seen.has(this.source.cursorOf(item)));
      this.#known = { items: [...before, ...added], hasMore: answer.more.hasMore };
    }
    const book = this.#book?.view.book ?? null;
    if (book !== null) for (const news of this.#news.splice(0)) this.#merge(news, book);
    return this.#refresh || this.#isLoadingMore() ? "all" : null;
  }

  #isLoadingMore(): boolean {
    const known = this.#known;
    return known !== null && known.hasMore && known.items.length < this.#wanted;
  }

  #makeView(): Shown {
    const known = this.#known;
    const book = this.#book?.view;
    if (book === undefined) return this.source.view([], idlePages);
    const { connection, stale } = book;
    const error = this.#error ?? book.error;
    return this.source.view(known?.items ?? nothing, {
      hasMore: known?.hasMore ?? false,
      loadingMore: this.#isLoadingMore() && this.#error === null,
      connection,
      stale,
      loading: known === null && error === null,
      error,
    });
  }
}
