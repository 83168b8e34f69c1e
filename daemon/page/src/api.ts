// Requests to the daemon's API, with the token. Live books come through @bindery/react/client.
import { BinderyError } from "@bindery/react/client";
import { tabStorage } from "./storage.js";
import { replace } from "./url.js";

const KEY = "bindery.token";

/** A refused request, as the API describes it. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    readonly status: number,
    message: string,
    readonly code: string | null,
    readonly hint: string | null,
    /** Bindery's own JSON about the refusal, as text. */
    readonly details: string | null,
  ) {
    super(message);
  }
}

/**
 * Moves the token of `#token=…`, or of `#/books?token=…`, from the address to this tab. Returns
 * whether there was one.
 */
export function takeToken(): boolean {
  const fragment = location.hash.slice(1);
  const [, path = "", query = ""] = /^(\/[^?]*)?\??(.*)$/s.exec(fragment) ?? [];
  const parameters = new URLSearchParams(query);
  const given = parameters.get("token");
  if (given === null) return false;
  parameters.delete("token");
  const rest = [path, parameters.toString()].filter(Boolean).join("?");
  replace(location.pathname + location.search + (rest && `#${rest}`));
  return setToken(given);
}

export const token = (): string | null => tabStorage.getItem(KEY);
export const forgetToken = (): void => tabStorage.removeItem(KEY);

/** Returns whether the text may be a token: a header cannot have any other. */
export function setToken(text: string): boolean {
  // A terminal breaks a token into lines.
  const value = text
    .trim()
    .replace(/^bearer\s+/i, "")
    .replace(/\s+/g, "");
  if (!/^[!-~]+$/.test(value)) return false;
  tabStorage.setItem(KEY, value);
  return true;
}

/** The role of the token, for what is shown; Postgres decides what is allowed. */
export function roleOf(jwt: string): string {
  try {
    const claims = atob((jwt.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/"));
    const { role }: { role?: unknown } = JSON.parse(claims);
    return typeof role === "string" ? role : "anon";
  } catch {
    return "anon";
  }
}

/** Query parameters; null, undefined, false and "" are left out. */
export type Parameters = Record<string, string | number | boolean | null | undefined>;

function address(path: string, parameters: Parameters): string {
  const given = Object.entries(parameters).filter(
    (entry): entry is [string, string | number | true] =>
      entry[1] !== null && entry[1] !== undefined && entry[1] !== false && entry[1] !== "",
  );
  const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
  return given.length === 0 ? path : `${path}?${query}`;
}

async function request<Answer>(path: string, init: RequestInit): Promise<Answer> {
  const jwt = token();
  const headers = new Headers(init.headers);
  if (jwt) headers.set("Authorization", `Bearer ${jwt}`);
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers, cache: "no-store" });
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new ApiError(0, "The daemon does not answer.", null, "Is it running?", null);
  }
  if (!response.ok) throw refusal(response.status, await response.json().catch(() => null));
  return (await response.json()) as Answer;
}

function refusal(status: number, body: unknown): ApiError {
  const error = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  const word = (name: string) => (typeof error[name] === "string" ? error[name] : null);
  const message = word("message") ?? `HTTP ${status}`;
  return new ApiError(status, message, word("code"), word("hint"), word("details"));
}

/** `GET path`. The caller names the answer's type, as docs/http.md describes it. */
export const get = <Answer>(
  path: string,
  parameters: Parameters = {},
  signal?: AbortSignal,
): Promise<Answer> => request(address(path, parameters), signal ? { signal } : {});

/** `POST path` with a JSON body. */
export const post = <Answer>(path: string, body: unknown): Promise<Answer> =>
  request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

/** The message of any error, and what to do. */
export function problemOf(error: unknown): string {
  if (error instanceof ApiError || error instanceof BinderyError)
    return [error.message, error.hint].filter(Boolean).join(" ");
  return error instanceof Error ? error.message : String(error);
}
