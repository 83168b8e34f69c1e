// Requests by fetch, without Node's APIs: the same in Node, Deno and edge functions.
import { z } from "zod";
import { isTransient, textOf, Unavailable } from "../errors.js";
import { refusedBy } from "./caller.js";

const TIMEOUT = 5000;

const problemSchema = z.looseObject({
  code: z.string(),
  message: z.string(),
  details: z.string().nullish(),
  hint: z.string().nullish(),
});

export interface Answer {
  status: number;
  body: unknown;
}

export class Http {
  readonly #url: string;
  readonly #headers: Record<string, string>;

  constructor(url: string, key: string | undefined, headers: Record<string, string> = {}) {
    const parts = new URL(url);
    // fetch refuses a URL with a login.
    const { username, password } = parts;
    parts.username = parts.password = "";
    this.#url = parts.href.replace(/\/+$/, "");
    this.#headers = { ...headers };
    if (key !== undefined) {
      this.#headers["apikey"] = key;
      this.#headers["Authorization"] = `Bearer ${key}`;
    } else if (username !== "") {
      const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
      this.#headers["Authorization"] = `Basic ${btoa(login)}`;
    }
  }

  /**
   * Sends a request; returns the answer of success, or 404 where `mayMiss`.
   *
   * @throws Refused if the server has refused it permanently.
   * @throws Unavailable if it cannot be reached, or cannot serve now.
   */
  async ask(
    path: string,
    options: { body?: string; headers?: Record<string, string>; mayMiss?: boolean } = {},
  ): Promise<Answer> {
    const { body, headers = {}, mayMiss = false } = options;
    let status: number;
    let text: string;
    try {
      const answer = await fetch(this.#url + path, {
        method: body === undefined ? "GET" : "POST",
        headers: {
          ...this.#headers,
          ...(body !== undefined && { "Content-Type": "application/json" }),
          ...headers,
        },
        ...(body !== undefined && { body }),
        signal: AbortSignal.timeout(TIMEOUT),
      });
      status = answer.status;
      text = await answer.text();
    } catch (error) {
      const cause = error instanceof Error && error.cause ? `: ${textOf(error.cause)}` : "";
      throw new Unavailable(`${textOf(error)}${cause}`, { cause: error });
    }
    const parsed = json(text);
    if ((status >= 200 && status < 300) || (mayMiss && status === 404))
      return { status, body: parsed };
    const problem = problemSchema.safeParse(parsed);
    const message = `HTTP ${status}: ${problem.success ? problem.data.message : text.slice(0, 200)}`;
    // Also for a wrong key or URL: nothing is lost once it is corrected.
    const isPassing = [401, 403, 408, 429].includes(status) || status >= 500;
    if (!problem.success) throw new Unavailable(message);
    const { code: state, details: detail, hint } = problem.data;
    const refused = refusedBy({ state, message, detail, hint });
    // The claims of a worker's token exclude the call permanently.
    const isFinal = refused.code === "not_allowed";
    if (!isFinal && (isPassing || isTransient(state))) throw new Unavailable(message);
    throw refused;
  }
}

function json(text: string): unknown {
  try {
    return text === "" ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}
