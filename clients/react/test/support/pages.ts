// A book with a history and substeps, which answers the requests of a FakeTransport.
import type { BookEvent, ListedSubstep } from "../../src/pages/items.js";
import type { BookStatus } from "../../src/status.js";
import { at, id, status, substep } from "./books.js";
import type { Target } from "./fake-transport.js";

export function event(revision: number, changes: Partial<BookEvent> = {}): BookEvent {
  return {
    revision,
    kind: "transition",
    from_status: "UPLOADED",
    to_status: "ANALYZING",
    stage: "ANALYZING",
    attempt: 1,
    actor: "service_role",
    message: null,
    data: null,
    at: at(revision),
    ...changes,
  };
}

export function listed(
  key: string,
  progress = 0,
  changes: Partial<ListedSubstep> = {},
): ListedSubstep {
  const rest = { attempt: 1, revision: 5, started_at: null, updated_at: at(0), checkpoint: null };
  return { ...substep(key, progress), ...rest, ...changes };
}

/** What the database holds; a test changes it and sends messages about it. */
export class Server {
  status: BookStatus = status();
  /** Newest first. */
  events: BookEvent[] = [];
  /** In the order of their keys. */
  substeps: ListedSubstep[] = [];

  readonly answer = (target: Target): unknown => {
    if (typeof target === "string") return { ...this.status, book_id: target };
    if ("timeline" in target) {
      const { before, limit } = target;
      const rows = this.events.filter(({ revision }) => before === null || revision < before);
      return page(rows, limit, ({ revision }) => revision);
    }
    if ("substeps" in target) {
      const { after, limit } = target;
      const rows = this.substeps.filter((one) => after === null || one.substep > after);
      return page(rows, limit, ({ substep }) => substep);
    }
    return undefined;
  };
}

function page<Item, Cursor>(rows: Item[], limit: number, cursorOf: (item: Item) => Cursor) {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, next: rows.length > limit && last !== undefined ? cursorOf(last) : null };
}

/** The targets that concern pages, without the id of the book. */
export function pageRequests(requests: readonly { target: Target }[]): unknown[] {
  return requests
    .map(({ target }) => target)
    .filter(
      (target) => typeof target !== "string" && ("timeline" in target || "substeps" in target),
    )
    .map((target) => {
      if (typeof target === "string") return target;
      if ("timeline" in target) return { before: target.before, limit: target.limit };
      if ("substeps" in target) {
        const { stage, after, limit } = target;
        return { stage, after, limit };
      }
      return target;
    });
}

export const bookId = id(1);
