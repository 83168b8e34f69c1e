// Requests to the daemon's HTTP API.
import { BinderyError, refusal, unreachable } from "../errors.js";
import { sameForm } from "../uuid.js";

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

export interface Http {
  request(path: string, accept: string, init: RequestInit): Promise<Response>;
  /** The body of an answer. Throws a BinderyError. */
  json(path: string, init: RequestInit): Promise<unknown>;
}

export function httpOf(
  baseUrl: string,
  { token = () => null, fetch: send = (...request) => fetch(...request) }: SseOptions,
): Http {
  const base = baseUrl.replace(/\/+$/, "");

  async function request(path: string, accept: string, init: RequestInit): Promise<Response> {
    const bearer = await token();
    // fetch would throw, as if the server were unreachable.
    if (bearer !== null && /[^!-~]/.test(bearer.trim()))
      throw new BinderyError("signed_out", "The token is not a JWT.");
    const headers = {
      Accept: accept,
      ...init.headers,
      ...(bearer === null ? {} : { Authorization: `Bearer ${bearer}` }),
    };
    return send(base + path, { ...init, headers, cache: "no-store" });
  }

  async function json(path: string, init: RequestInit): Promise<unknown> {
    const failed = (cause: unknown) => Promise.reject(unreachable(cause));
    const response = await request(path, "application/json", init).catch(failed);
    if (!response.ok) throw await refused(response);
    return response.json().catch(failed);
  }

  return { request, json };
}

export const pathOf = (bookId: string) => `/api/books/${encodeURIComponent(sameForm(bookId))}`;

export async function refused(response: Response): Promise<BinderyError> {
  return refusal(response.status, await response.json().catch(() => null));
}
