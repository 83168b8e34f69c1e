// The state of one book on a page, and the effect of each piece of news on it. Pure: no clock, no
// network. Rows and revisions are authoritative. Messages are hints: they may be dropped, repeated,
// reordered, or lack columns. Any doubt causes a refetch; until its answer arrives, the best known
// state is shown.
import { forbidsShowing, isRecord, type BinderyError } from "./errors.js";
import { merge, rebase, wholly, type Trust } from "./merge.js";
import { doubtful, readPatch, settled, type News, type Step } from "./news.js";
import { followHealth, followStages } from "./stages.js";
import { compareLives, isDescribed, isNewer, withoutSubsteps } from "./status.js";
import type { BookStatus, DescribedPatch } from "./status.js";
import {
  followSubsteps,
  noSubsteps,
  rebaseSubsteps,
  wholeSubsteps,
  type SubstepTrust,
} from "./substeps.js";

export interface BookState extends Trust {
  readonly bookId: string;
  readonly book: BookStatus | null;
  /** The newest revision of any message. */
  readonly newestRevision: number;
  /** Whether `stages` is confirmed, and not only inferred. */
  readonly stagesKnown: boolean;
  /** The completeness of the list of substeps. */
  readonly substeps: SubstepTrust;
  /** When the shown state was last confirmed. */
  readonly confirmedAt: number | null;
  /** Why the last fetch failed. */
  readonly error: BinderyError | null;
}

export function noBook(bookId: string): BookState {
  return {
    bookId,
    book: null,
    base: 0,
    patched: {},
    certain: false,
    stagesKnown: false,
    substeps: noSubsteps,
    newestRevision: 0,
    confirmedAt: null,
    error: null,
  };
}

export function reduceBook(state: BookState, news: News<BookStatus>): Step<BookState> {
  switch (news.type) {
    case "fetched":
      return fetched(state, news.answer, news.at);
    case "failed":
      return settled({
        ...(forbidsShowing(news.error) ? noBook(state.bookId) : state),
        error: news.error,
      });
    case "deleted":
      // The book is deleted, or has another owner: the answer shows what this reader may still see.
      return news.bookId === state.bookId ? doubtful(state) : settled(state);
    case "received":
      return received(state, news.payload, news.at);
  }
}

function fetched(state: BookState, answer: BookStatus, at: number): Step<BookState> {
  const known = state.book;
  if (known !== null && isNewer(answer, known))
    return overtaken({ ...state, error: null }, known, answer);
  const reborn = known !== null && compareLives(known, answer) > 0;
  const newestRevision = reborn ? answer.revision : Math.max(state.newestRevision, answer.revision);
  const same = known !== null && isSame(state, known, answer);
  const found = known !== null && (reborn || answer.revision > state.newestRevision);
  return {
    state: confirmed(state, same ? known : answer, newestRevision, at),
    refetch: newestRevision > answer.revision,
    found,
  };
}

/**
 * Whether an answer only confirms the shown state: the object stays the same, and nothing is
 * redrawn.
 */
function isSame(state: BookState, known: BookStatus, answer: BookStatus): boolean {
  const names = ["revision", "created_at", "heartbeat_at", "health"] as const;
  return !isDoubtful(state) && names.every((name) => known[name] === answer[name]);
}

/** An answer that a message overtook on its way. */
function overtaken(state: BookState, known: BookStatus, answer: BookStatus): Step<BookState> {
  const earlierLife = compareLives(known, answer) < 0;
  const rebased = earlierLife ? null : rebase(known, state, answer);
  const substeps = earlierLife ? null : rebaseSubsteps(known, state.substeps, answer);
  let next = state;
  if (rebased !== null) {
    const { row, trust } = rebased;
    const stagesKnown = row.status === answer.status && row.current_stage === answer.current_stage;
    const book = { ...row, stages: followStages(answer, row), health: followHealth(answer, row) };
    next = { ...next, ...trust, book, stagesKnown };
  }
  if (substeps !== null && next.book !== null) {
    const { list, trust } = substeps;
    next = { ...next, book: { ...next.book, substeps: list }, substeps: trust };
  }
  return { state: next, refetch: isDoubtful(next) };
}

function received(state: BookState, payload: unknown, at: number): Step<BookState> {
  const patch = readPatch(isRecord(payload) ? { book_id: state.bookId, ...payload } : payload);
  if (patch === null) return doubtful(state);
  if (patch.book_id !== state.bookId) return settled(state);
  if (isDescribed(patch) && isNews(state, patch)) return described(state, patch, at);
  const known = state.book;
  const newestRevision = Math.max(state.newestRevision, patch.revision);
  if (known === null) return doubtful({ ...state, newestRevision });
  const life = compareLives(known, patch);
  if (life > 0) return doubtful(state);
  if (life < 0 || patch.revision <= known.revision) return settled(state);

  const { row, trust } = merge(known, state, patch);
  const substeps = followSubsteps(known, state.substeps, patch, row);
  // A book with the same time of entry has not left its stage, whatever revisions were skipped.
  const names = ["status", "current_stage", "stage_entered_at"] as const;
  const moved = names.some((name) => row[name] !== known[name]);
  const book = {
    ...row,
    substeps: substeps.list,
    stages: patch.stages ?? followStages(known, row),
    health: patch.health ?? followHealth(known, row),
  };
  const stagesKnown = state.stagesKnown && !moved;
  const next = {
    ...state,
    ...trust,
    book,
    stagesKnown,
    substeps: substeps.trust,
    newestRevision,
    confirmedAt: at,
  };
  return { state: next, refetch: isDoubtful(next) };
}

/** A message with every column, except perhaps some of the substeps. */
function described(state: BookState, patch: DescribedPatch, at: number): Step<BookState> {
  const { list, trust } = followSubsteps(state.book, state.substeps, patch, patch);
  const book = { ...withoutSubsteps(patch), substeps: list };
  const next = { ...confirmed(state, book, patch.revision, at), substeps: trust };
  return { state: next, refetch: isDoubtful(next) };
}

/** The whole status is available. */
function confirmed(
  state: BookState,
  status: BookStatus,
  newestRevision: number,
  at: number,
): BookState {
  const { list, trust } = wholeSubsteps(status.substeps, status.revision);
  const book = list === status.substeps ? status : { ...status, substeps: list };
  const known = { ...wholly(book), stagesKnown: true, substeps: trust };
  return { ...state, ...known, book, newestRevision, confirmedAt: at, error: null };
}

/** The shown state may lack a change; only an answer resolves that. */
function isDoubtful(state: BookState): boolean {
  return !state.certain || !state.stagesKnown || !state.substeps.complete;
}

/** Whether a whole status is newer than the known state. */
function isNews(state: BookState, status: DescribedPatch): boolean {
  const known = state.book;
  if (known === null) return status.revision >= state.newestRevision;
  if (isNewer(known, status)) return true;
  // An answer with the same revision may have a newer heartbeat or another health.
  return (
    !isNewer(status, known) && Date.parse(status.heartbeat_at) >= Date.parse(known.heartbeat_at)
  );
}
