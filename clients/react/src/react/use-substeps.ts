"use client";
import { useMemo } from "react";
import { idleSubsteps, type SubstepsOptions, type SubstepsView } from "../pages/substep-list.js";
import { bookSubsteps } from "../pages/pages-of-books.js";
import { useBindery } from "./context.js";
import { usePages, type PagesActions } from "./use-pages.js";

export interface SubstepsResult extends SubstepsView, PagesActions {}

const starting: SubstepsView = { ...idleSubsteps, connection: "connecting", loading: true };

/**
 * All substeps of a stage (by default, the current one) in the order of their keys: `limit` of
 * them, and as many more at each `loadMore`. Changes follow live. Shows and requests nothing while
 * `bookId` is null or undefined.
 */
export function useSubsteps(
  bookId: string | null | undefined,
  { stage, limit }: SubstepsOptions = {},
): SubstepsResult {
  const client = useBindery();
  const pages = useMemo(
    () => (bookId ? bookSubsteps(client, bookId, { stage, limit }) : null),
    [client, bookId, stage, limit],
  );
  return usePages(pages, idleSubsteps, starting);
}
