// The events and substeps that pages consist of: types for programs, schemas for received values.
import { parseAnswer } from "../answers.js";
import { arrayOf, nullable, number, object, oneOf, optional, schemaOf, string } from "../schema.js";
import type { Check } from "../schema.js";
import type { Substep } from "../status.js";

/** A change of a book's status: a row of `bindery.book_events`. */
export interface BookEvent {
  /** The book's revision after the change. */
  revision: number;
  /** `register`, `transition`, `fail`, `resume`, `rewind`, `cancel` or `complete`. */
  kind: string;
  /** Null at registration. */
  from_status: string | null;
  to_status: string;
  /** The stage the book was in after the change. */
  stage: string;
  /** The attempt after the change. */
  attempt: number;
  /** A user's id, a role, a worker, `relay:<stream>`, or `sweep`. */
  actor: string;
  message: string | null;
  /** For `fail`: the error. */
  data: unknown;
  at: string;
}

/** A substep of any stage, as `bindery.list_substeps` lists it. */
export interface ListedSubstep extends Substep {
  /** Null if no request has shown the substep yet; as of the last one otherwise. */
  checkpoint: unknown;
  attempt: number;
  /** The book's revision at the last change of the substep. */
  revision: number;
  started_at: string | null;
  updated_at: string | null;
}

const text = nullable(string);
const anything: Check<unknown> = () => "";

const eventsSchema = arrayOf(
  schemaOf(
    object<BookEvent>({
      revision: number,
      kind: string,
      from_status: text,
      to_status: string,
      stage: string,
      attempt: number,
      actor: string,
      message: text,
      data: anything,
      at: string,
    }),
    (event) => event,
  ),
);

export function parseEvents(answer: unknown): BookEvent[] {
  return parseAnswer(eventsSchema, answer);
}

/** The columns that are null in a table are missing in a status. */
type Nullable = "done" | "total" | "unit" | "message";
type Row = Omit<ListedSubstep, Nullable> & {
  [Name in Nullable]-?: ListedSubstep[Name] | null;
};

function listed({ done, total, unit, message, ...rest }: Row): ListedSubstep {
  const given = {
    done: done ?? undefined,
    total: total ?? undefined,
    unit: unit ?? undefined,
    message: message ?? undefined,
  };
  return { ...rest, ...given };
}

const rowsSchema = arrayOf(
  schemaOf(
    object<Row>({
      substep: string,
      label: string,
      weight: number,
      state: oneOf("done", "active", "pending"),
      progress: number,
      done: optional(nullable(number)),
      total: optional(nullable(number)),
      unit: optional(text),
      message: optional(text),
      checkpoint: anything,
      attempt: number,
      revision: number,
      started_at: text,
      updated_at: text,
    }),
    (row) => row,
  ),
);

export function parseSubsteps(answer: unknown): ListedSubstep[] {
  return parseAnswer(rowsSchema, answer).map(listed);
}
