// One error type for every failure between the page and the database, and its mapping in one place.

/**
 * - `gone`: unknown, or not visible to this reader
 * - `denied`: this role has no right
 * - `signed_out`: the token is missing or has expired
 * - `invalid`: an id that is not a UUID, or a filter that the transport lacks; no request was sent
 */
export type ErrorKind =
  "gone" | "denied" | "signed_out" | "unreachable" | "refused" | "bad_answer" | "invalid";

export class BinderyError extends Error {
  override readonly name = "BinderyError";

  constructor(
    readonly kind: ErrorKind,
    message: string,
    /** The database's own code, such as `unknown_book`, or the SQLSTATE. */
    readonly code: string | null = null,
    readonly hint: string | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The error in a response body, as PostgREST and the daemon write it, with its HTTP status. */
export function refusal(status: number, body: unknown): BinderyError {
  const fields = isRecord(body) ? body : {};
  const sqlstate = textOrNull(fields["code"]);
  const code = textOrNull(detail(fields["details"])["code"]) ?? sqlstate;
  return new BinderyError(
    kindOf(status, sqlstate),
    textOrNull(fields["message"]) ?? `HTTP ${status}`,
    code,
    textOrNull(fields["hint"]),
  );
}

/** The error of a failed `fetch` or a broken connection. */
export function unreachable(cause: unknown): BinderyError {
  if (cause instanceof BinderyError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new BinderyError(
    "unreachable",
    message,
    null,
    "Is the server up, and does it allow this page's origin?",
    {
      cause,
    },
  );
}

/**
 * Whether the shown data must be removed: the reader has no right to it, or it no longer exists.
 */
export function forbidsShowing(error: BinderyError): boolean {
  return error.kind === "gone" || error.kind === "denied";
}

function kindOf(status: number, sqlstate: string | null): ErrorKind {
  if (status === 404 && sqlstate?.startsWith("PT") !== false) return "gone";
  if (status === 401 || sqlstate?.startsWith("PGRST3")) return "signed_out";
  if (status === 403 || sqlstate === "42501") return "denied";
  return status === 0 || status >= 500 ? "unreachable" : "refused";
}

function detail(details: unknown): Record<string, unknown> {
  if (isRecord(details)) return details;
  try {
    const parsed: unknown = JSON.parse(String(details));
    return isRecord(parsed) ? parsed : {};
  } catch {
    return {};
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
