// Calls Bindery's functions over a connection.
import { z } from "zod";
import { Refused } from "../errors.js";

/** A value for an argument or a column; objects and arrays are JSON. */
export type Arguments = Readonly<Record<string, unknown>>;

/** Calls the functions of the schema `bindery`. */
export interface Caller {
  /**
   * Calls a function with named arguments; returns its one row or value as JSON has it.
   *
   * @throws Refused if the server has refused the call.
   * @throws Unavailable if the server cannot be reached, or cannot serve now.
   */
  call(name: string, args: Arguments): Promise<unknown>;
  /** Returns these columns of the row of a table that has a value in a column. */
  read(table: string, column: string, value: string, columns: readonly string[]): Promise<unknown>;
  /** Closes the connection; the next call opens it again. */
  close(): Promise<void>;
}

/** The arguments that are JSON in SQL; a text among them is a JSON string. */
export const JSON_ARGUMENTS: ReadonlySet<string> = new Set([
  "metadata",
  "checkpoint",
  "substeps",
  "error",
  "definition",
]);

const IDENTIFIER = /^[a-z_]+$/;

/** A call as one statement with parameters; it returns one row with one column, `answer`. */
export function callStatement(name: string, args: Arguments): { text: string; values: unknown[] } {
  const given = Object.entries(args).filter(([, value]) => value !== undefined);
  for (const word of [name, ...given.map(([key]) => key)])
    if (!IDENTIFIER.test(word)) throw new RangeError(`${word} is no name of a function`);
  const places = given.map(([key], place) => `${key} => $${place + 1}`).join(", ");
  return {
    text: `select to_jsonb(answer) as answer from bindery.${name}(${places}) as answer`,
    values: given.map(([key, value]) =>
      JSON_ARGUMENTS.has(key) && value !== null ? JSON.stringify(value) : value,
    ),
  };
}

/** A read of one row as one statement with parameters; its one column is `answer`. */
export function readStatement(table: string, column: string, columns: readonly string[]): string {
  for (const word of [table, column, ...columns])
    if (!IDENTIFIER.test(word)) throw new RangeError(`${word} is no name of a table or column`);
  const members = columns.map((name) => `'${name}', t.${name}`).join(", ");
  return (
    `select jsonb_build_object(${members}) as answer from bindery.${table} t ` +
    `where t.${column}::text = $1 limit 1`
  );
}

const detailSchema = z.looseObject({ code: z.string() });

/** The error of the server in PostgreSQL's form as `Refused`. */
export function refusedBy(problem: {
  state: string;
  message: string;
  detail?: string | null | undefined;
  hint?: string | null | undefined;
}): Refused {
  let details: Record<string, unknown> = {};
  let code = problem.state;
  try {
    const known = detailSchema.safeParse(JSON.parse(problem.detail ?? ""));
    if (known.success) ({ code, ...details } = known.data);
  } catch {
    // PostgreSQL's own errors have a detail in words, or none.
  }
  return new Refused(code, problem.message, details, problem.hint ?? undefined);
}
