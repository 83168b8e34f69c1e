// How a status that holds only the substeps that changed joins the status before it.

/** The daemon gives at most this many substeps with a status; no more are kept here. */
const MOST = 200;
const RANK = { active: 0, pending: 1, done: 2 };

const sameStage = (a, b) =>
  a.created_at === b.created_at && a.current_stage === b.current_stage && a.attempt === b.attempt;

/** Known substeps keep their places, new ones follow in the order of their keys; those that are done give way first. */
function overlay(list, changes) {
  const latest = new Map(changes.map((step) => [step.substep, step]));
  const next = list.map((step) => latest.get(step.substep) ?? step);
  for (const step of list) latest.delete(step.substep);
  next.push(...[...latest.values()].sort((a, b) => (a.substep < b.substep ? -1 : 1)));
  if (next.length <= MOST) return next;
  const kept = new Set([...next].sort((a, b) => RANK[a.state] - RANK[b.state]).slice(0, MOST));
  return next.filter((step) => kept.has(step));
}

/**
 * `book` with its list of substeps made whole from `before`, the status known so far, if any. `lacks` is then null; or, where
 * changes are missing, the revision at which a whole status has them.
 */
export function follow(before, book) {
  if (!book.substeps_partial) return { ...book, lacks: null };
  const same = before && sameStage(before, book);
  const changes = book.substeps.map((step) => ({ ...step, at: book.revision }));
  const substeps = overlay(same ? before.substeps : [], changes);
  const since = book.since_revision ?? book.revision - 1;
  let lacks = same && before.revision >= since ? before.lacks : since;
  // A new plan has removed some, which changes do not show.
  if (substeps.length > book.substeps_total) lacks = book.revision;
  return { ...book, substeps, substeps_partial: false, lacks };
}

export const isLacking = (book) => book?.lacks != null;

/** `book` with what it lacks from a whole status, which may be older. */
export function complete(book, whole) {
  if (!isLacking(book) || whole.substeps_partial || whole.revision < book.lacks || !sameStage(book, whole)) return book;
  const later = book.substeps.filter((step) => step.at > whole.revision);
  return { ...book, substeps: overlay(whole.substeps, later), lacks: null };
}
