// The pages of an infinite query, and how a live list changes them. Pure.
import type { InfiniteData } from "@tanstack/react-query";

export interface PageShape<Page, Item, Cursor> {
  itemsOf(page: Page): readonly Item[];
  nextOf(page: Page): Cursor | null;
  pageOf(items: Item[], next: Cursor | null): Page;
  cursorOf(item: Item): Cursor;
  /** Whether the item lies after a cursor in the order of the list. */
  isAfter(item: Item, cursor: Cursor): boolean;
}

type Data<Page, Cursor> = InfiniteData<Page, Cursor | null>;

/**
 * The pages with the items of the live list, which has everything from the beginning to its last
 * item. Pages beyond that stay; unchanged ones stay the same objects.
 */
export function mergePages<Page, Item, Cursor>(
  shape: PageShape<Page, Item, Cursor>,
  data: Data<Page, Cursor> | undefined,
  live: readonly Item[],
  hasMore: boolean,
  limit: number,
): Data<Page, Cursor> {
  const last = live.at(-1);
  const known = data?.pages.flatMap((page) => [...shape.itemsOf(page)]) ?? [];
  const end = last === undefined ? null : shape.cursorOf(last);
  const beyond = hasMore && end !== null ? known.filter((item) => shape.isAfter(item, end)) : [];
  const isJoined = beyond.length < known.length || known.length === 0;
  if (data === undefined || (hasMore && !isJoined)) {
    const items = live.slice(0, limit);
    const isWhole = items.length === live.length && !hasMore;
    return { pages: [pageUntil(shape, items, isWhole)], pageParams: [null] };
  }
  const items = [...live, ...beyond];
  const pages = data.pages.map((page, place) => {
    const from = data.pageParams[place] ?? null;
    const to = place === data.pages.length - 1 ? shape.nextOf(page) : data.pageParams[place + 1];
    const own = items.filter(
      (item) =>
        (from === null || shape.isAfter(item, from)) && (to == null || !shape.isAfter(item, to)),
    );
    if (isSame(own, shape.itemsOf(page))) return page;
    return shape.pageOf(own, shape.nextOf(page));
  });
  return isSame(pages, data.pages) ? data : { pages, pageParams: data.pageParams };
}

export function pageUntil<Page, Item, Cursor>(
  shape: PageShape<Page, Item, Cursor>,
  items: Item[],
  isLast: boolean,
): Page {
  const last = items.at(-1);
  return shape.pageOf(items, isLast || last === undefined ? null : shape.cursorOf(last));
}

function isSame<Value>(a: readonly Value[], b: readonly Value[]): boolean {
  return a.length === b.length && a.every((value, place) => value === b[place]);
}
