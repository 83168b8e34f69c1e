// The daemon's HTTP API: JSON for requests, server-sent events for subscriptions. It uses fetch,
// because EventSource cannot send a token.
import { isRecord, refusal, unreachable, type BinderyError } from "../errors.js";
import type {
  BooksCount,
  BooksQuery,
  SubscriptionListener,
  Topic,
  Transport,
} from "../transport.js";
import { sameForm } from "../uuid.js";
import { eventParser, type ServerSentEvent } from "./sse-parser.js";

/** The daemon returns at most this many books at once. */
const PAGE = 200;

export interface SseOptions {
  /** Returns the reader's current token; called before each request. */
  token?: () => string | null | Promise<string | null>;
  /**
   * The server sends a comment at least three times in this time (ms); a longer silence is a loss.
   */
  silence?: number;
  /** Replaces the global `fetch`. */
  fetch?: typeof fetch;
}

export function sseTransport(baseUrl: string, options: SseOptions = {}): Transport {
  const base = baseUrl.replace(/\/+$/, "");
  const { silence = 45_000, token = () => null } = options;
  const send = options.fetch ?? ((...request: Parameters<typeof fetch>) => fetch(...request));

  return {
    fetchBook: (bookId, signal) => json(`${pathOf(bookId)}/status`, { signal }),

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

    open(topic, since, listener) {
      const controller = new AbortController();
      void listen(topic, since, listener, controller);
      return async () => controller.abort();
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

  async function request(path: string, accept: string, init: RequestInit): Promise<Response> {
    const bearer = await token();
    const headers = {
      Accept: accept,
      ...init.headers,
      ...(bearer === null ? {} : { Authorization: `Bearer ${bearer}` }),
    };
    return send(base + path, { ...init, headers, cache: "no-store" });
  }

  async function json(path: string, init: RequestInit): Promise<unknown> {
    const response = await request(path, "application/json", init).catch((cause: unknown) =>
      Promise.reject(unreachable(cause)),
    );
    if (!response.ok) throw await refused(response);
    return response.json().catch((cause: unknown) => Promise.reject(unreachable(cause)));
  }

  async function listen(
    topic: Topic,
    since: number | null,
    listener: SubscriptionListener,
    controller: AbortController,
  ) {
    let watchdog: ReturnType<typeof setTimeout> | undefined;
    const restartWatchdog = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => controller.abort(), silence);
    };
    restartWatchdog();
    try {
      const headers: HeadersInit = since === null ? {} : { "Last-Event-ID": String(since) };
      const init = { headers, signal: controller.signal };
      const response = await request(streamOf(topic), "text/event-stream", init);
      if (!response.ok)
        return listener.ended(
          isMissing(await refused(response), response) ? "unavailable" : "lost",
        );
      const type = response.headers.get("Content-Type") ?? "";
      if (response.body === null || !type.startsWith("text/event-stream"))
        return listener.ended("unavailable");
      listener.subscribed();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      const parse = eventParser();
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        restartWatchdog();
        for (const event of parse(piece.value)) deliver(event, listener);
      }
      listener.ended("lost");
    } catch {
      listener.ended("lost");
    } finally {
      clearTimeout(watchdog);
      controller.abort();
    }
  }
}

const pathOf = (bookId: string) => `/api/books/${encodeURIComponent(sameForm(bookId))}`;

function streamOf(topic: Topic): string {
  if (topic.kind === "book") return `${pathOf(topic.bookId)}/events`;
  return topic.ownerId === null
    ? "/api/events"
    : `/api/events?owner_id=${encodeURIComponent(sameForm(topic.ownerId))}`;
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

function deliver({ event, data }: ServerSentEvent, listener: SubscriptionListener) {
  if (event !== "book_status" && event !== "book_gone") return;
  let payload: unknown;
  try {
    payload = JSON.parse(data);
  } catch {
    return listener.doubt();
  }
  if (event === "book_status") listener.message(payload);
  else if (isRecord(payload) && typeof payload["book_id"] === "string")
    listener.deleted(payload["book_id"]);
}

async function refused(response: Response): Promise<BinderyError> {
  return refusal(response.status, await response.json().catch(() => null));
}

/** Whether the server has no such stream, in contrast to no such book yet. */
function isMissing(error: BinderyError, response: Response): boolean {
  return [404, 405, 406, 501].includes(response.status) && error.code !== "unknown_book";
}
