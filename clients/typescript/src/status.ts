// The status of a book, as pages and `watch` show it.
import { z } from "zod";

/** What `bindery.get_book_status` returns; docs/api.md describes all of it. */
export const statusSchema = z.looseObject({
  book_id: z.string(),
  title: z.string().nullable(),
  pipeline: z.string(),
  status: z.string(),
  current_stage: z.string(),
  overall_progress: z.number(),
  stage_progress: z.number(),
  substeps_total: z.number(),
  substeps_done: z.number(),
  message: z.string().nullable(),
  error: z.record(z.string(), z.unknown()).nullable(),
  attempt: z.number(),
  revision: z.number(),
  completed_at: z.string().nullish(),
  health: z.enum(["live", "waiting", "quiet", "stalled"]).nullable(),
  substeps: z.array(
    z.looseObject({
      substep: z.string(),
      label: z.string(),
      state: z.enum(["done", "active", "pending"]),
      progress: z.number(),
      done: z.number().optional(),
      total: z.number().optional(),
      unit: z.string().optional(),
      message: z.string().optional(),
    }),
  ),
  stages: z.array(
    z.looseObject({ name: z.string(), label: z.string(), state: z.string(), progress: z.number() }),
  ),
});
/** What `bindery.get_book_status` returns: where a book stands. */
export type BookStatus = z.infer<typeof statusSchema>;
