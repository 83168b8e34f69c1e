// The tab Books: tools, failed books, the list, and beside it the open book.
import {
  phaseOf,
  type BookRow,
  type BooksFilter,
  type BookStatus,
  type Phase,
} from "@bindery/react/client";
import { titleOf } from "@bindery/react/view";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { problemOf, token } from "../api.js";
import { Confirm, isFinal, type Asked } from "../acts.js";
import { Panel } from "../book/panel.js";
import { Help } from "../help.js";
import { useKeys } from "../keyboard.js";
import { useBooks } from "../live.js";
import { useSession } from "../session.js";
import { change, hrefOf, usePlace } from "../url.js";
import { labels, useNow } from "../view.js";
import { Bulk, type Target } from "./bulk.js";
import { Empty } from "./empty.js";
import { phaseNames, Tools, type Known } from "./filters.js";
import { List } from "./list.js";
import { useHeldOrder } from "./order.js";
import { isFiltered, listPlace, scopeOf, wireFilter } from "./place.js";
import type { RowsHandle } from "./rows.js";
import { MOST_VISIBLE, Strip } from "./strip.js";
import { useHeld, useNarrow } from "./layout.js";

const PAGE = 200;
/** Rows below the visible ones that are loaded in advance. */
const AHEAD = 100;

/** The selected books: some, or all that fit the filter. */
type Selection = ReadonlySet<string> | "all";
const none: Selection = new Set();

export function BooksTab() {
  const address = usePlace();
  const place = useMemo(() => listPlace(address), [address]);
  const { client, mayAct, notify, signOut, about } = useSession();
  const scope = scopeOf(place);
  const scopeKey = JSON.stringify([scope, place.phase, place.sort, place.descending]);
  const filter: BooksFilter = {
    ...scope,
    phase: place.phase ?? undefined,
    sort: place.sort,
    order: place.descending ? "descending" : "ascending",
    counts: true,
    pageSize: PAGE,
  };
  const list = useBooks(filter);
  const hasStrip = place.phase === null && place.status === "";
  const failures = useBooks({
    ...scope,
    phase: hasStrip ? "failed" : undefined,
    status: hasStrip ? "" : "FAILED",
    sort: "updated_at",
    pageSize: 50,
  });

  // ---- who may look
  const { error } = list;
  useEffect(() => {
    if (error === null) return;
    const isRefused = error.kind === "signed_out" || error.kind === "denied";
    if (isRefused && about.access === "tokens") signOut(token() === null ? "" : error.message);
    else if (error.kind !== "unreachable") {
      notify(problemOf(error));
      return () => notify(null);
    }
    return;
  }, [error]);

  // ---- what is shown
  const now = useNow(1000);
  const box = useRef<HTMLDivElement>(null);
  const shelf = useRef<HTMLDivElement>(null);
  const [isHeld, release] = useHeld(shelf);
  const listed = useMemo(
    () => (hasStrip ? list.books.filter((book) => book.status !== "FAILED") : list.books),
    [list.books, hasStrip],
  );
  const shown = useHeldOrder(scopeKey, listed, isHeld, { all: list.books });
  const strip = useHeldOrder(`${scopeKey} ${failures.loading}`, failures.books, isHeld, {
    // Until it scrolls, another book makes the strip higher.
    grows: (rows) => rows > MOST_VISIBLE,
  });
  const failed = list.counts?.failed ?? 0;
  const matching = hasStrip ? (list.total ?? 0) - failed : (list.total ?? 0);
  const count = list.hasMore ? Math.max(matching, shown.rows.length + 1) : shown.rows.length;
  const arrivals = shown.arrivals + strip.arrivals;

  // ---- more of it
  const visible = useRef(0);
  const wanted = useRef(filter);
  wanted.current = filter;
  const loadMore = useCallback(
    (to: number) => {
      visible.current = to;
      const view = client.booksView(wanted.current);
      if (view.hasMore && !view.loadingMore && to + AHEAD > view.books.length - failed)
        client.loadMore(wanted.current);
    },
    [client, failed],
  );
  useEffect(() => loadMore(visible.current), [list.books, list.loadingMore, loadMore]);

  // ---- selection
  const [selection, setSelection] = useState<Selection>(none);
  const lastSelected = useRef<string | null>(null);
  useEffect(() => setSelection(none), [scopeKey]);
  const selected = (bookId: string) => selection === "all" || selection.has(bookId);
  const rowsNow = useRef<readonly BookRow[]>([]);
  rowsNow.current = [...strip.rows, ...shown.rows];
  const select = useCallback((bookId: string, extend: boolean) => {
    setSelection((before) => {
      const rows = rowsNow.current;
      const next = new Set(before === "all" ? rows.map((row) => row.book_id) : before);
      const from = rows.findIndex((row) => row.book_id === lastSelected.current);
      const to = rows.findIndex((row) => row.book_id === bookId);
      if (extend && from >= 0 && to >= 0)
        for (const row of rows.slice(Math.min(from, to), Math.max(from, to) + 1))
          next.add(row.book_id);
      else if (!next.delete(bookId)) next.add(bookId);
      lastSelected.current = bookId;
      return next;
    });
  }, []);
  const selectedCount = selection === "all" ? (list.total ?? 0) : selection.size;

  // ---- acts
  const [asked, setAsked] = useState<Asked | null>(null);
  const [bulk, setBulk] = useState<{ act: "resume" | "cancel"; target: Target } | null>(null);
  const [help, setHelp] = useState(false);
  const target = (): Target =>
    selection === "all" ? { filter: wireFilter(place) } : { book_ids: [...selection] };
  const titleById = (bookId: string) => {
    const book = rowsNow.current.find((row) => row.book_id === bookId);
    return book === undefined ? bookId : titleOf(book, labels);
  };
  const ask = useCallback((next: Asked) => setAsked(next), []);
  const askResume = useCallback((book: BookRow) => setAsked({ act: "resume", book }), []);
  const done = (book: BookStatus) => {
    void client.refetchBook(book.book_id);
  };

  // ---- the open book and the keyboard
  const [cursor, setCursor] = useState<string | null>(place.book);
  const handle = useRef<RowsHandle | null>(null);
  const open = useCallback((bookId: string) => {
    setCursor(bookId);
    change({ book: bookId }, { push: true });
  }, []);
  const close = useCallback(() => change({ book: undefined }), []);
  const bookHref = useCallback(
    (bookId: string) => hrefOf("books", { ...address.parameters, book: bookId }),
    [address],
  );
  const step = (by: number) => {
    const rows = rowsNow.current;
    const here = rows.findIndex((row) => row.book_id === cursor);
    const next = rows[here < 0 ? 0 : Math.max(0, Math.min(rows.length - 1, here + by))];
    if (next === undefined) return;
    setCursor(next.book_id);
    const index = shown.rows.indexOf(next);
    if (index >= 0) handle.current?.reveal(index);
    // An open book follows, so that one reads book after book.
    if (place.book !== null) change({ book: next.book_id });
  };
  useKeys({
    "/": () => document.getElementById("search")?.focus(),
    "?": () => setHelp(true),
    j: () => step(1),
    k: () => step(-1),
    x: () => cursor !== null && select(cursor, false),
    Enter: () => cursor !== null && open(cursor),
    Escape: () => {
      if (place.book !== null) close();
      else setSelection(none);
    },
    r: () => {
      if (!mayAct) return;
      if (selectedCount > 0) return setBulk({ act: "resume", target: target() });
      // The list may not have the open book.
      const book =
        place.book === null
          ? rowsNow.current.find((row) => row.book_id === cursor)
          : client.bookView(place.book).book;
      if (book?.status === "FAILED") setAsked({ act: "resume", book });
    },
  });

  const narrow = useNarrow(box);
  const height = narrow ? 60 : 32;
  const known = useKnown(list.books);
  const isEmpty = !list.loading && list.total === 0 && failures.books.length === 0;

  return (
    <main class="books" data-open={place.book !== null} data-connection={list.connection}>
      <div class="browse" ref={box} data-narrow={narrow}>
        <Tools place={place} counts={list.counts} known={known} />
        <Announcer books={list.books} />
        {isEmpty && !isFiltered(place) && <Empty />}
        <div class="shelf" ref={shelf} hidden={isEmpty && !isFiltered(place)}>
          {hasStrip && (
            <Strip
              books={strip.rows}
              total={failures.total ?? strip.rows.length}
              gone={strip.gone}
              height={narrow ? 60 : 32}
              now={now}
              mayAct={mayAct}
              selected={selected}
              cursor={cursor}
              open={place.book}
              hrefOf={bookHref}
              onOpen={open}
              onSelect={select}
              onResume={askResume}
              onAll={() => change({ phase: "failed" satisfies Phase })}
              onMore={() =>
                client.loadMore({ ...scope, phase: "failed", sort: "updated_at", pageSize: 50 })
              }
            />
          )}
          {count === 0 && list.total !== null ? (
            <p class="nothing">{isFiltered(place) ? "No results" : "No other books"}</p>
          ) : (
            <List
              place={place}
              rows={shown.rows}
              count={count}
              gone={shown.gone}
              height={height}
              now={now}
              handle={handle}
              cursor={cursor}
              isAllSelected={selection === "all"}
              selected={selected}
              hrefOf={bookHref}
              onOpen={open}
              onSelect={select}
              onSelectAll={(all) => setSelection(all ? "all" : none)}
              onVisible={(_, to) => loadMore(to)}
            />
          )}
          <div class="afloat">
            {arrivals > 0 && (
              <button type="button" class="arrivals" onClick={release}>
                {arrivals} new
              </button>
            )}
            {selectedCount > 0 && (
              <div class="selection" role="group" aria-label="Selected books">
                <span>
                  {selection === "all" ? "All " : ""}
                  {selectedCount.toLocaleString("en")} selected
                </span>
                {mayAct && (
                  <>
                    <button
                      type="button"
                      onClick={() => setBulk({ act: "resume", target: target() })}
                    >
                      Resume
                    </button>
                    <button
                      type="button"
                      class="danger"
                      onClick={() => setBulk({ act: "cancel", target: target() })}
                    >
                      Cancel
                    </button>
                  </>
                )}
                <button type="button" class="plain" onClick={() => setSelection(none)}>
                  Clear
                </button>
              </div>
            )}
          </div>
        </div>
      </div>
      {place.book !== null && (
        <Panel key={place.book} bookId={place.book} onClose={close} onAct={ask} />
      )}
      {asked !== null && !isFinal(asked.book) && (
        <Confirm asked={asked} onClose={() => setAsked(null)} onDone={done} />
      )}
      {bulk !== null && (
        <Bulk
          act={bulk.act}
          target={bulk.target}
          titleOf={titleById}
          onClose={() => setBulk(null)}
          onDone={() => setSelection(none)}
        />
      )}
      {help && <Help onClose={() => setHelp(false)} />}
    </main>
  );
}

/** Pipelines, statuses and tags of the books so far, for the filters to offer. */
function useKnown(books: readonly BookRow[]): Known {
  const seen = useRef({
    pipelines: new Set<string>(),
    statuses: new Set(["FAILED", "CANCELLED"]),
    tags: new Set<string>(),
    upTo: 0,
  });
  const all = seen.current;
  if (books.length !== all.upTo) {
    for (const { pipeline, status, metadata } of books) {
      all.pipelines.add(pipeline);
      all.statuses.add(status);
      const { tags } = metadata;
      if (Array.isArray(tags))
        for (const tag of tags) if (typeof tag === "string") all.tags.add(tag);
    }
    all.upTo = books.length;
  }
  return useMemo(
    () => ({
      pipelines: [...all.pipelines].sort(),
      statuses: [...all.statuses].sort(),
      tags: [...all.tags].sort(),
    }),
    [books.length],
  );
}

/** For screen readers: changes of status, a few at a time; never every percent. */
function Announcer({ books }: { books: readonly BookRow[] }) {
  const [text, setText] = useState("");
  const last = useRef<readonly BookRow[]>([]);
  const news = useRef<string[]>([]);
  useEffect(() => {
    const before = last.current;
    last.current = books;
    let byId: ReadonlyMap<string, BookRow> | null = null;
    books.forEach((book, place) => {
      let known = before[place];
      if (known === book) return;
      // Most rows keep their places.
      if (known?.book_id !== book.book_id) {
        byId ??= new Map(before.map((row) => [row.book_id, row]));
        known = byId.get(book.book_id);
      }
      if (known !== undefined && known !== book && phaseOf(known) !== phaseOf(book))
        news.current.push(`${titleOf(book, labels)}: ${phaseNames[phaseOf(book)].toLowerCase()}`);
    });
  }, [books]);
  useEffect(() => {
    const timer = setInterval(() => {
      const some = news.current.splice(0);
      if (some.length > 0)
        setText(some.length > 3 ? `${some.length} books changed their status` : some.join(". "));
    }, 1500);
    return () => clearInterval(timer);
  }, []);
  return (
    <p class="unseen" role="status" aria-live="polite">
      {text}
    </p>
  );
}
