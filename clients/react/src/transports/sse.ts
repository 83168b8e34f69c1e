// The whole of the daemon's HTTP API: single books, and lists, timelines, substeps and acts.
import { isRecord } from "../errors.js";
import type { BooksCount, BooksQuery, Transport } from "../transport.js";
import { sameForm } from "../uuid.js";
import { httpOf, pathOf, type SseOptions } from "./http.js";
import { booksOver } from "./sse-book.js";

export type { SseOptions } from "./http.js";

/** The daemon returns at most this many books at once. */
const PAGE = 200;

export function sseTransport(baseUrl: string, options: SseOptions = {}): Transport {
  const http = httpOf(baseUrl, options);
  const { json } = http;

  return {
    ...booksOver(http, options),

    async fetchBooks(query, signal, after) {
      const rows: unknown[] = [];
      let first: Record<string, unknown> | null = null;
      let next: string | null = after ?? null;
      do {
        const limit = Math.min(query.limit - rows.length, PAGE);
        const answer = await json(`/api/books?${parameters(query, limit, next)}`, { signal });
        if (!isRecord(answer) || !Array.isArray(answer["books"]))
          return { rows: answer, total: null };
        rows.push(...(answer["books"] as unknown[]));
        first ??= answer;
        next = typeof answer["next"] === "string" ? answer["next"] : null;
      } while (next !== null && rows.length < query.limit);
      return { rows, next, ...countOf(first) };
    },

    async countBooks(query, signal) {
      return countOf(await json(`/api/books?${parameters(query, 1, null)}`, { signal }));
    },

    async fetchTimeline(bookId, query, signal) {
      const answer = await json(`${pathOf(bookId)}/timeline?${present({ ...query })}`, { signal });
      if (!isRecord(answer)) return { items: answer, next: null };
      const { events, next } = answer;
      return { items: events, next: typeof next === "number" ? next : null };
    },

    async fetchSubsteps(bookId, query, signal) {
      const answer = await json(`${pathOf(bookId)}/substeps?${present({ ...query })}`, { signal });
      if (!isRecord(answer)) return { items: answer, next: null };
      const { substeps, next } = answer;
      return { items: substeps, next: typeof next === "string" ? next : null };
    },

    async resumeBook(bookId, { expectedRevision }) {
      await act(`${pathOf(bookId)}/resume`, { expected_revision: expectedRevision });
    },

    async cancelBook(bookId, { message, expectedRevision }) {
      await act(`${pathOf(bookId)}/cancel`, { message, expected_revision: expectedRevision });
    },
  };

  function act(path: string, given: Record<string, unknown>): Promise<unknown> {
    const headers = { "Content-Type": "application/json" };
    return json(path, { method: "POST", headers, body: JSON.stringify(given) });
  }
}

function countOf(answer: unknown): BooksCount {
  const { total, counts } = isRecord(answer) ? answer : {};
  return { total: typeof total === "number" ? total : null, counts };
}

/** A page of the list; the first one has the counts. */
function parameters(query: BooksQuery, limit: number, after: string | null): URLSearchParams {
  return present({
    fields: "row",
    owner_id: query.ownerId === null ? null : sameForm(query.ownerId),
    pipeline: query.pipeline,
    status: query.statuses?.join(",") ?? null,
    phase: query.phase,
    q: query.search,
    tag: query.tag,
    sort: query.sort,
    order: query.descending ? "desc" : "asc",
    limit,
    ...(after === null ? { total: "true", counts: query.counts ? "true" : null } : { after }),
  });
}

/** The parameters that are neither null nor undefined. */
function present(given: Record<string, string | number | null | undefined>): URLSearchParams {
  const kept = Object.entries(given).flatMap(([name, value]) =>
    value === null || value === undefined ? [] : [[name, String(value)]],
  );
  return new URLSearchParams(kept);
}
