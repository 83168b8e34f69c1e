import type { Substep } from "./status.js";

const rank: Record<Substep["state"], number> = { active: 0, pending: 1, done: 2 };

/**
 * At most `most` substeps, in the same order: active ones are kept first, then pending ones, then
 * done ones.
 */
export function firstSubsteps<List extends readonly Substep[]>(
  list: List,
  most: number,
): List | Substep[] {
  if (list.length <= most) return list;
  const ranked = [...list].sort((a, b) => rank[a.state] - rank[b.state]);
  const first = new Set(ranked.slice(0, most));
  return list.filter((one) => first.has(one));
}
