/// <reference lib="esnext.disposable" preserve="true" />
/**
 * Bindery without a server, for tests and browsers: the portable schema in PGlite (PostgreSQL
 * compiled to WebAssembly), in memory, with all rules. Needs `@electric-sql/pglite`.
 *
 * @module
 */
import { PGlite, type PGliteOptions } from "@electric-sql/pglite";
import { z } from "zod";
import { Client, withClient, type ClientOptions } from "../client.js";
import { bookUuid } from "../ids.js";
import { FunctionsTransport } from "../transports/functions.js";
import { answerSchema, readResumePoint, type ResumePoint } from "../resume.js";
import { statusSchema, type BookStatus } from "../status.js";
import { PgliteCaller } from "./pglite-caller.js";
import { schema } from "./schema.js";

export { bookUuid } from "../ids.js";
export { Refused } from "../errors.js";
export type { Left, ResumePoint } from "../resume.js";
export { record, Recorder } from "./record.js";
export type { BookStatus } from "../status.js";

/** Options of `createTestBindery`. */
export interface TestOptions {
  /**
   * Start from `snapshot()` of another one instead of an empty schema. It may come from a file,
   * such as one that a global setup has written.
   */
  snapshot?: Blob;
  /** Further options of PGlite, such as `extensions`; a `dataDir` makes it persistent. */
  pglite?: Omit<PGliteOptions, "loadDataDir">;
}

/** One report; give `progress`, or `done` and `total`, or neither. */
export interface Report {
  /** `all` by default, the one substep of a stage that declares none. */
  substep?: string;
  /** Percent, 0 to 100. */
  progress?: number;
  done?: number;
  total?: number;
  unit?: string;
  message?: string;
  /** Anything that is JSON. */
  checkpoint?: unknown;
  /** The book's current stage by default. */
  stage?: string;
  /** The book's current attempt by default. */
  attempt?: number;
}

const rowSchema = z.looseObject({
  book_id: z.string(),
  status: z.string(),
  current_stage: z.string(),
  overall_progress: z.number(),
  stage_progress: z.number(),
  attempt: z.number(),
  revision: z.number(),
  message: z.string().nullable(),
});
/** The book's row of `bindery.book_status`. */
export type BookRow = z.infer<typeof rowSchema>;

/** A private database with Bindery's schema. Get one from `createTestBindery`. */
export class TestBindery {
  /** Calls functions of the schema that have no method here; see docs/api.md. */
  readonly caller: PgliteCaller;

  /** Use `createTestBindery`. */
  constructor(
    /** The database itself. */
    readonly db: PGlite,
    private readonly options: TestOptions,
  ) {
    this.caller = new PgliteCaller(db);
  }

  /** Registers a book, unless it is registered. */
  registerBook(
    id: string,
    book: {
      title?: string;
      pipeline?: string;
      ownerId?: string;
      metadata?: Record<string, unknown>;
    } = {},
  ): Promise<BookRow> {
    const { ownerId: owner_id, ...rest } = book;
    return this.#row("register_book", id, { ...rest, owner_id });
  }

  /** Enters a stage, resumes a book that FAILED in it, or finds the book in it. */
  async beginStage(id: string, stage: string, worker?: string): Promise<ResumePoint> {
    return this.#point("begin_stage", id, { to_status: stage, worker });
  }

  /** Lets a book go to another state. */
  transition(
    id: string,
    toStatus: string,
    options: { message?: string; expectedRevision?: number; attempt?: number } = {},
  ): Promise<BookRow> {
    const { expectedRevision: expected_revision, ...rest } = options;
    return this.#row("transition_book", id, { ...rest, to_status: toStatus, expected_revision });
  }

  /** Reports the progress of a substep. */
  report(id: string, report: Report): Promise<BookRow> {
    return this.#row("report_progress", id, { ...report });
  }

  /** Declares the book's own substeps of a stage, with weights or without. */
  plan(
    id: string,
    stage: string,
    substeps: readonly string[] | Record<string, number>,
  ): Promise<BookRow> {
    const planned = Array.isArray(substeps)
      ? substeps.map((substep: string) => ({ substep }))
      : Object.entries(substeps).map(([substep, weight]) => ({ substep, weight }));
    return this.#row("plan_substeps", id, { stage, substeps: planned });
  }

  /** Sends a heartbeat. */
  async heartbeat(id: string, attempt?: number): Promise<void> {
    await this.caller.call("heartbeat", { book_id: bookUuid(id), attempt });
  }

  /** Makes the book FAILED. */
  fail(
    id: string,
    failure: { error?: Record<string, unknown>; message?: string; attempt?: number } = {},
  ): Promise<BookRow> {
    return this.#row("fail_book", id, { ...failure });
  }

  /** Resumes a FAILED book. */
  resume(id: string): Promise<BookRow> {
    return this.#row("resume_book", id, {});
  }

  /** Cancels a book permanently. */
  cancel(id: string, message?: string): Promise<BookRow> {
    return this.#row("cancel_book", id, { message });
  }

  /** What `bindery.get_book_status` returns. */
  async status(id: string): Promise<BookStatus> {
    const answer = await this.caller.call("get_book_status", { book_id: bookUuid(id) });
    return statusSchema.parse(answer);
  }

  /** The resume point of a book. */
  resumePoint(id: string): Promise<ResumePoint> {
    return this.#point("get_resume_point", id, {});
  }

  /** Stores the next version of a pipeline; returns its number. */
  async definePipeline(name: string, definition: Record<string, unknown>): Promise<number> {
    return z.number().parse(await this.caller.call("define_pipeline", { name, definition }));
  }

  /** Runs one statement with parameters (`$1`); returns its rows. */
  async sql<Row = Record<string, unknown>>(
    text: string,
    parameters: readonly unknown[] = [],
  ): Promise<Row[]> {
    return (await this.db.query<Row>(text, [...parameters])).rows;
  }

  /** A client of the producer whose reports take effect in this database. */
  client(options: Omit<ClientOptions, "transport"> = {}): Client {
    return new Client(undefined, { ...options, transport: new FunctionsTransport(this.caller) });
  }

  /** Lets the producer's default client report to this database while some work runs. */
  async run<T>(work: () => T | Promise<T>): Promise<T> {
    const client = this.client();
    try {
      return await withClient(client, work);
    } finally {
      await client.close();
    }
  }

  /** Deletes all books and their data. Pipelines and settings stay. */
  async reset(): Promise<void> {
    const [found] = await this.sql<{ tables: string }>(
      `select string_agg(format('%I.%I', schemaname, tablename), ', ') as tables from pg_tables
       where schemaname in ('bindery', 'bindery_internal') and tablename <> all ($1)`,
      [["pipelines", "settings", "mutexes", "registration_slots", "schema_history"]],
    );
    await this.db.exec(`truncate ${found?.tables} restart identity`);
  }

  /** The whole database as it is now, for `createTestBindery({ snapshot })`. About 42 MB. */
  snapshot(): Promise<Blob> {
    return this.db.dumpDataDir("none");
  }

  /** Another database with everything that is in this one. */
  async clone(): Promise<TestBindery> {
    return createTestBindery({ ...this.options, snapshot: await this.snapshot() });
  }

  /** Closes the database; its data in memory is lost. */
  close(): Promise<void> {
    return this.db.close();
  }

  /** For `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #row(name: string, id: string, args: Record<string, unknown>): Promise<BookRow> {
    return rowSchema.parse(await this.caller.call(name, { book_id: bookUuid(id), ...args }));
  }

  async #point(name: string, id: string, args: Record<string, unknown>): Promise<ResumePoint> {
    const answer = await this.caller.call(name, { book_id: bookUuid(id), ...args });
    return readResumePoint(answerSchema.parse(answer));
  }
}

// The empty schema, once it has been made in this process.
let empty: Promise<Blob> | undefined;

/**
 * Returns a database of its own, in memory, with Bindery's schema.
 *
 * The first one of a process boots PostgreSQL and makes the schema, in about 3 seconds. Later ones
 * are copies of it, in about 0.7 seconds.
 */
export async function createTestBindery(options: TestOptions = {}): Promise<TestBindery> {
  const { snapshot, pglite = {} } = options;
  const copied = snapshot ?? (pglite.dataDir === undefined ? await empty : undefined);
  if (copied !== undefined) {
    const db = await PGlite.create({ ...pglite, loadDataDir: copied });
    return new TestBindery(db, options);
  }
  const db = await PGlite.create(pglite);
  const [found] = (
    await db.query<{ made: boolean }>("select to_regnamespace('bindery') is not null as made")
  ).rows;
  if (found?.made !== true) {
    await db.exec(schema);
    if (pglite.dataDir === undefined) {
      empty = db.dumpDataDir("none");
      await empty;
    }
  }
  return new TestBindery(db, options);
}
