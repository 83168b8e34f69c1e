// Requests to the daemon's API, with the token. Live books come through @bindery/react/client.
import { BinderyError } from "@bindery/react/client";

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

/** The token of `#token=…`, which is removed from the address, or the one of this tab. */
export function takeToken(): string | null {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const given = fragment.get("token");
  if (given) {
    setToken(given);
    fragment.delete("token");
    const rest = fragment.toString();
    history.replaceState(null, "", location.pathname + location.search + (rest ? `#${rest}` : ""));
  }
  return token();
}

export const token = (): string | null => sessionStorage.getItem(KEY);
export const setToken = (value: string): void =>
  sessionStorage.setItem(KEY, value.trim().replace(/^bearer\s+/i, ""));
export const forgetToken = (): void => sessionStorage.removeItem(KEY);

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
