import type { PGlite } from "@electric-sql/pglite";
import { z } from "zod";
import {
  callStatement,
  readStatement,
  refusedBy,
  type Arguments,
  type Caller,
} from "../transports/caller.js";

const databaseError = z.looseObject({
  code: z.string(),
  message: z.string(),
  detail: z.string().nullish(),
  hint: z.string().nullish(),
});

/** Calls Bindery's functions in a PGlite. */
export class PgliteCaller implements Caller {
  constructor(private readonly db: PGlite) {}

  call(name: string, args: Arguments): Promise<unknown> {
    const { text, values } = callStatement(name, args);
    return this.#answer(text, values);
  }

  read(table: string, column: string, value: string, columns: readonly string[]): Promise<unknown> {
    return this.#answer(readStatement(table, column, columns), [value]);
  }

  /** Does nothing: the database belongs to its `TestBindery`. */
  async close(): Promise<void> {}

  async #answer(text: string, values: unknown[]): Promise<unknown> {
    try {
      const { rows } = await this.db.query<{ answer: unknown }>(text, values);
      return rows[0]?.answer;
    } catch (error) {
      const known = databaseError.safeParse(error);
      if (!known.success) throw error;
      throw refusedBy({ ...known.data, state: known.data.code });
    }
  }
}
