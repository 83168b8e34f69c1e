// Bindery's functions over PostgREST, as in Supabase.
import { z } from "zod";
import type { Arguments, Caller } from "./caller.js";
import { Http } from "./http.js";

/** The URL is PostgREST's root: in Supabase https://PROJECT.supabase.co/rest/v1. */
export class RestCaller implements Caller {
  readonly #http: Http;

  constructor(url: string, key: string | undefined) {
    this.#http = new Http(url, key, { "Accept-Profile": "bindery", "Content-Profile": "bindery" });
  }

  async call(name: string, args: Arguments): Promise<unknown> {
    const { body } = await this.#http.ask(`/rpc/${name}`, { body: JSON.stringify(args) });
    // Functions that return rows give a list, here of one.
    return Array.isArray(body) ? (body as unknown[])[0] : body;
  }

  async read(
    table: string,
    column: string,
    value: string,
    columns: readonly string[],
  ): Promise<unknown> {
    const query = new URLSearchParams({ [column]: `eq.${value}`, select: columns.join() });
    const { body } = await this.#http.ask(`/${table}?${query}&limit=1`);
    return z.array(z.unknown()).parse(body)[0];
  }

  /** Does nothing: fetch keeps its own connections. */
  async close(): Promise<void> {}
}
