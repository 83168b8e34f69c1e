// The substeps of any stage: of the current one live, unfinished first; then all by pages of 200.
import type { BookStatus, Substep } from "@bindery/react/client";
import { nameOfState, substepList } from "@bindery/react/view";
import { useEffect, useState } from "preact/hooks";
import { get, problemOf } from "../api.js";
import { Json } from "../copy.js";
import { draw, labels } from "../view.js";

/** A row of `GET /api/books/{id}/substeps`. */
export interface SubstepRow extends Omit<Substep, "done" | "total" | "unit" | "message"> {
  done?: number | null | undefined;
  total?: number | null | undefined;
  unit?: string | null | undefined;
  message?: string | null | undefined;
  checkpoint?: unknown;
}

interface Page {
  substeps: SubstepRow[];
  next: string | null;
}

const PAGE = 200;

const fetchPage = (bookId: string, stage: string, after: string | null, signal?: AbortSignal) =>
  get<Page>(`/api/books/${bookId}/substeps`, { stage, after, limit: PAGE }, signal);

const rank: Record<Substep["state"], number> = { active: 0, pending: 1, done: 2 };

/** Null members of a row are missing in a status. */
export function toSubstep(row: SubstepRow): Substep {
  const { done, total, unit, message, ...rest } = row;
  return {
    ...rest,
    ...(done != null && { done }),
    ...(total != null && { total }),
    ...(unit != null && { unit }),
    ...(message != null && { message }),
  };
}

/** The first page of the current stage with its checkpoints, read again after each attempt. */
export function useCurrentSubsteps(book: BookStatus | null): readonly SubstepRow[] {
  const [rows, setRows] = useState<readonly SubstepRow[]>([]);
  const key =
    book === null
      ? null
      : JSON.stringify([book.book_id, book.current_stage, book.attempt, book.status]);
  useEffect(() => {
    if (book === null) return;
    const request = new AbortController();
    fetchPage(book.book_id, book.current_stage, null, request.signal).then(
      ({ substeps }) => setRows(substeps),
      // The status has the substeps as well.
      () => undefined,
    );
    return () => request.abort();
  }, [key]);
  return rows;
}

export function Substeps({ book }: { book: BookStatus }) {
  const [stage, setStage] = useState<string | null>(null);
  const [pages, setPages] = useState<readonly SubstepRow[]>([]);
  /** Undefined: no page has been read. */
  const [next, setNext] = useState<string | null | undefined>(undefined);
  const [problem, setProblem] = useState<string | null>(null);
  const chosen = stage ?? book.current_stage;
  const isCurrent = chosen === book.current_stage;

  const load = async (after: string | null) => {
    try {
      const page = await fetchPage(book.book_id, chosen, after);
      setPages((before) => (after === null ? page.substeps : [...before, ...page.substeps]));
      setNext(page.next);
      setProblem(null);
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  useEffect(() => {
    setPages([]);
    setNext(undefined);
    if (!isCurrent) void load(null);
  }, [chosen, isCurrent]);

  // Pages are as old as their requests; the live substeps of the current stage replace theirs.
  const live = new Map(isCurrent ? book.substeps.map((one) => [one.substep, one]) : []);
  const read = pages.map((row) => live.get(row.substep) ?? toSubstep(row));
  const isPaged = next !== undefined;
  const list = isCurrent && !isPaged ? book.substeps : read;
  const ordered = [...list].sort((a, b) => rank[a.state] - rank[b.state]);
  const total = isCurrent ? book.substeps_total : read.length;
  const done = isCurrent ? book.substeps_done : read.filter((one) => one.state === "done").length;
  const checkpoints = pages.filter((row) => row.checkpoint != null);
  if (book.stages.length === 0) return null;
  return (
    <section class="section" aria-labelledby="substeps-title">
      <div class="section-head">
        <h3 id="substeps-title">Substeps</h3>
        <label class="unseen" for="substeps-stage">
          Stage
        </label>
        <select
          id="substeps-stage"
          value={chosen}
          onChange={(event) => setStage(event.currentTarget.value)}
        >
          {book.stages.map(({ name }) => (
            <option key={name} value={name}>
              {nameOfState(book, labels, name)}
            </option>
          ))}
        </select>
      </div>
      {ordered.length === 0 ? (
        <p class="soft">{problem ?? "This stage has no substeps yet."}</p>
      ) : (
        <div class="bindery-substep-box" data-tone="active">
          {substepList(
            draw,
            { substeps: ordered, substeps_total: total, substeps_done: done },
            labels,
          )}
        </div>
      )}
      {((isCurrent && !isPaged && total > ordered.length) || (isPaged && next !== null)) && (
        <button type="button" class="small" onClick={() => void load(next ?? null)}>
          {isPaged ? "Next 200 substeps" : `All ${total.toLocaleString("en")} substeps`}
        </button>
      )}
      {checkpoints.length > 0 && (
        <details>
          <summary>Checkpoints of {checkpoints.length} substeps</summary>
          <Checkpoints rows={checkpoints} />
        </details>
      )}
      {problem !== null && ordered.length > 0 && <p class="problem">{problem}</p>}
    </section>
  );
}

export function Checkpoints({ rows }: { rows: readonly SubstepRow[] }) {
  return (
    <Json
      label="Checkpoints"
      value={Object.fromEntries(rows.map((row) => [row.substep, row.checkpoint]))}
    />
  );
}
