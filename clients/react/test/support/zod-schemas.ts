// The schemas of status.ts a second time, written with zod: what the package's own checks are held
// against.
import * as z from "zod";
import { sameForm } from "../../src/uuid.js";

const text = z.nullable(z.string());
const id = z.string().transform(sameForm);

const substep = z.looseObject({
  substep: z.string(),
  label: z.string(),
  weight: z.number(),
  state: z.enum(["done", "active", "pending"]),
  progress: z.number(),
  done: z.optional(z.number()),
  total: z.optional(z.number()),
  unit: z.optional(z.string()),
  message: z.optional(z.string()),
});

const stage = z.looseObject({
  name: z.string(),
  label: z.string(),
  state: z.enum(["done", "active", "pending", "failed", "cancelled"]),
  progress: z.number(),
  weight: z.optional(z.number()),
  attempt: z.nullish(z.number()),
  max_attempts: z.nullish(z.number()),
  started_at: z.nullish(z.string()),
  seconds: z.nullish(z.number()),
  median_seconds: z.nullish(z.number()),
});

const columns = {
  book_id: id,
  owner_id: z.nullable(id),
  title: text,
  pipeline: z.string(),
  pipeline_version: z.number(),
  status: z.string(),
  current_stage: z.string(),
  overall_progress: z.number(),
  stage_progress: z.number(),
  substeps_total: z.number(),
  substeps_done: z.number(),
  message: text,
  error: z.nullable(z.record(z.string(), z.unknown())),
  attempt: z.number(),
  revision: z.number(),
  heartbeat_at: z.string(),
  stage_entered_at: z.string(),
  stage_started_at: z.string(),
  resume_at: text,
  estimated_completion_at: text,
  metadata: z.record(z.string(), z.unknown()),
  created_at: z.string(),
  updated_at: z.string(),
  completed_at: text,
};

const derived = {
  substeps: z.array(substep),
  stages: z.array(stage),
  health: z.nullable(z.enum(["live", "waiting", "quiet", "stalled"])),
};

export const zodRow = z.looseObject(columns);
export const zodStatus = z.looseObject({ ...columns, ...derived });
export const zodPatch = zodStatus.partial().extend({
  book_id: id,
  revision: z.number(),
  partial: z.optional(z.boolean()),
  substeps_partial: z.optional(z.boolean()),
  since_revision: z.optional(z.number()),
});
