// The daemon's API for single books: JSON for requests, server-sent events for subscriptions. It
// uses fetch, because EventSource cannot send a token.
import { isRecord, type BinderyError } from "../errors.js";
import type { BookTransport, SubscriptionListener, Topic } from "../transport.js";
import { sameForm } from "../uuid.js";
import { httpOf, pathOf, refused, type Http, type SseOptions } from "./http.js";
import { eventParser, type ServerSentEvent } from "./sse-parser.js";

/**
 * `sseTransport` for single books that are shown and not acted on: without lists, timelines,
 * substeps by pages, and acts.
 */
export function sseBookTransport(baseUrl: string, options: SseOptions = {}): BookTransport {
  return booksOver(httpOf(baseUrl, options), options);
}

export function booksOver(
  http: Http,
  { silence = 45_000 }: SseOptions,
): Pick<BookTransport, "fetchBook" | "open"> {
  return {
    fetchBook: (bookId, signal) => http.json(`${pathOf(bookId)}/status`, { signal }),
    open(topic, since, listener) {
      const controller = new AbortController();
      void listen(http, silence, topic, since, listener, controller);
      return async () => controller.abort();
    },
  };
}

async function listen(
  http: Http,
  silence: number,
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
    const response = await http.request(streamOf(topic), "text/event-stream", init);
    if (!response.ok)
      return listener.ended(isMissing(await refused(response), response) ? "unavailable" : "lost");
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

function streamOf(topic: Topic): string {
  if (topic.kind === "book") return `${pathOf(topic.bookId)}/events`;
  return topic.ownerId === null
    ? "/api/events"
    : `/api/events?owner_id=${encodeURIComponent(sameForm(topic.ownerId))}`;
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

/** Whether the server has no such stream, in contrast to no such book yet. */
function isMissing(error: BinderyError, response: Response): boolean {
  return [404, 405, 406, 501].includes(response.status) && error.code !== "unknown_book";
}
