// The data of a book in the database: types for programs, schemas for received values. The schemas
// accept unknown keys, so that a newer server does not break an older page.
import { sameForm } from "./uuid.js";
import {
  array,
  boolean,
  nullable,
  number,
  object,
  oneOf,
  optional,
  partial,
  record,
  schemaOf,
  string,
  type Check,
  type Checks,
  type Schema,
} from "./schema.js";

/**
 * The health of the work: `quiet` after half of the stage's `stall_after` without an event,
 * `stalled` after all of it.
 */
export type Health = "live" | "waiting" | "quiet" | "stalled";

/** A part of the current stage, identified by its key `substep`. */
export interface Substep {
  substep: string;
  /** Its name for people. */
  label: string;
  /** Its share among the substeps of the stage. */
  weight: number;
  state: "done" | "active" | "pending";
  /** Percent, 0 to 100. */
  progress: number;
  done?: number | undefined;
  total?: number | undefined;
  /** The unit of `done` and `total`. */
  unit?: string | undefined;
  /** At most 500 characters. */
  message?: string | undefined;
}

/** A state of the pipeline in which work is done. */
export interface Stage {
  name: string;
  label: string;
  state: "done" | "active" | "pending" | "failed" | "cancelled";
  /** Percent, 0 to 100. */
  progress: number;
  /** Its share among the stages; an older server gives none of what follows. */
  weight?: number | undefined;
  /** How many attempts at it there have been. */
  attempt?: number | null | undefined;
  max_attempts?: number | null | undefined;
  /** When the last visit to it began; null if the book has not reached it. */
  started_at?: string | null | undefined;
  /** How long the last visit took; null until it is over. */
  seconds?: number | null | undefined;
  /** Null with too few samples. */
  median_seconds?: number | null | undefined;
}

/** Why a book is FAILED. */
export interface BookError {
  code?: unknown;
  [key: string]: unknown;
}

/** A row of `bindery.book_status`. Times are ISO 8601. */
export interface BookRow {
  book_id: string;
  owner_id: string | null;
  title: string | null;
  pipeline: string;
  pipeline_version: number;
  /** A state of its pipeline, or `FAILED` or `CANCELLED`. */
  status: string;
  /** The state it is in or, once halted, the last one it was in. */
  current_stage: string;
  /** Percent of the whole, 0 to 100; 100 only when completed. */
  overall_progress: number;
  stage_progress: number;
  /** How many substeps the current stage has. */
  substeps_total: number;
  /** How many of them are done. */
  substeps_done: number;
  message: string | null;
  error: BookError | null;
  /** The attempt at the current stage. */
  attempt: number;
  /** Grows with every visible change. */
  revision: number;
  heartbeat_at: string;
  /** When the book came to the current stage; resumes do not change it. */
  stage_entered_at: string;
  /** When the current attempt at the current stage began. */
  stage_started_at: string;
  resume_at: string | null;
  estimated_completion_at: string | null;
  metadata: Record<string, unknown>;
  created_at: string;
  updated_at: string;
  completed_at: string | null;
}

/**
 * The result of `bindery.get_book_status`: the row, the substeps, the stages, and the health of the
 * work.
 */
export interface BookStatus extends BookRow {
  /** Substeps of the current stage. At most 200: unfinished ones are selected first. */
  substeps: Substep[];
  stages: Stage[];
  /** Null once halted or completed. */
  health: Health | null;
}

/** A message about a book: its id and revision, and as much of its status as there was room for. */
export type BookPatch = Pick<BookRow, "book_id" | "revision"> &
  Partial<BookStatus> & {
    /** Columns that may have changed are missing. Without it, a missing column is unchanged. */
    partial?: boolean | undefined;
    /**
     * `substeps` has only the changed substeps: merge them by key. Without it, it is the whole
     * list.
     */
    substeps_partial?: boolean | undefined;
    /**
     * A partial `substeps` has every change after this revision; by default, after the one before.
     */
    since_revision?: number | undefined;
  };

const text = nullable(string);
const figure = optional(nullable(number));

const substep = object<Substep>({
  substep: string,
  label: string,
  weight: number,
  state: oneOf("done", "active", "pending"),
  progress: number,
  done: optional(number),
  total: optional(number),
  unit: optional(string),
  message: optional(string),
});

const stage = object<Stage>({
  name: string,
  label: string,
  state: oneOf("done", "active", "pending", "failed", "cancelled"),
  progress: number,
  weight: optional(number),
  attempt: figure,
  max_attempts: figure,
  started_at: optional(text),
  seconds: figure,
  median_seconds: figure,
});

const columns: Checks<BookRow> = {
  book_id: string,
  owner_id: text,
  title: text,
  pipeline: string,
  pipeline_version: number,
  status: string,
  current_stage: string,
  overall_progress: number,
  stage_progress: number,
  substeps_total: number,
  substeps_done: number,
  message: text,
  error: nullable(record),
  attempt: number,
  revision: number,
  heartbeat_at: string,
  stage_entered_at: string,
  stage_started_at: string,
  resume_at: text,
  estimated_completion_at: text,
  metadata: record,
  created_at: string,
  updated_at: string,
  completed_at: text,
};

const whole: Checks<BookStatus> = {
  ...columns,
  substeps: array(substep),
  stages: array(stage),
  health: nullable(oneOf("live", "waiting", "quiet", "stalled")),
};

const patch: Checks<BookPatch> = {
  ...partial(whole),
  book_id: string,
  revision: number,
  partial: optional(boolean),
  substeps_partial: optional(boolean),
  since_revision: optional(number),
};

/** Ids in the form in which Postgres writes them. */
function read<Value extends Pick<BookPatch, "book_id" | "owner_id">>(value: Value): Value {
  const { book_id, owner_id } = value;
  const owner = typeof owner_id === "string" ? { owner_id: sameForm(owner_id) } : {};
  return { ...value, book_id: sameForm(book_id), ...owner };
}

export const bookRowSchema: Schema<BookRow> = schemaOf(object(columns), read);
export const bookStatusSchema: Schema<BookStatus> = schemaOf(object(whole), read);
export const bookPatchSchema: Schema<BookPatch> = schemaOf(object(patch), read);
/** A book of a list: of its metadata it may have only the tags, as `tags`. */
type ListedBook = Omit<BookRow, "metadata"> & Partial<Pick<BookRow, "metadata">>;

export const listedBookSchema: Schema<BookRow> = schemaOf(
  object<BookRow>({ ...columns, metadata: optional(record) as Check<BookRow["metadata"]> }),
  ({ metadata, ...row }: ListedBook & { tags?: unknown }) =>
    read({ ...row, metadata: metadata ?? { tags: row.tags } }),
);

const columnNames = Object.keys(columns) as (keyof BookRow)[];

/** Whether every column of the row is in it. */
export function isWholeRow(patch: BookPatch): patch is BookPatch & BookRow {
  return patch.partial !== true && columnNames.every((name) => patch[name] !== undefined);
}

/** A patch with everything of `get_book_status`, but its substeps may be partial or missing. */
export type DescribedPatch = BookPatch & BookRow & Pick<BookStatus, "stages" | "health">;

export function isDescribed(patch: BookPatch): patch is DescribedPatch {
  return isWholeRow(patch) && patch.stages !== undefined && patch.health !== undefined;
}

/** The patch without its substeps and without the marks that describe the message. */
export function withoutSubsteps<Patch extends BookPatch>(
  patch: Patch,
): Omit<Patch, "partial" | "substeps" | "substeps_partial" | "since_revision"> {
  const { partial: _, substeps: __, substeps_partial: ___, since_revision: ____, ...rest } = patch;
  return rest;
}

/** The columns that a patch has, without its marks. */
export function columnsOf(patch: BookPatch): Partial<BookRow> {
  return Object.fromEntries(
    columnNames.filter((name) => patch[name] !== undefined).map((name) => [name, patch[name]]),
  );
}

/** Whether the book can no longer change: it is completed or cancelled. */
export function isFinal(book: BookRow): boolean {
  return book.completed_at !== null || book.status === "CANCELLED";
}

/**
 * 1 if `candidate` belongs to a later registration of the id of `known` (revisions begin again), -1
 * if to an earlier one.
 */
export function compareLives(known: BookRow, candidate: BookPatch): -1 | 0 | 1 {
  if (candidate.created_at === undefined) return 0;
  const apart = Date.parse(candidate.created_at) - Date.parse(known.created_at);
  // Drivers may cut times to milliseconds; a book is not deleted and registered again within a
  // second.
  if (apart > 1000) return 1;
  return apart < -1000 ? -1 : 0;
}

/** Whether `candidate` is newer than `known`. */
export function isNewer(known: BookRow, candidate: BookPatch): boolean {
  return (compareLives(known, candidate) || candidate.revision - known.revision) > 0;
}
