// An event as JSON, for those who write or read events without this package's verbs. The vectors in
// tests/vectors hold these schemas to docs/schema/event.schema.json.
import { z } from "zod";
import { MAX_WEIGHT, MESSAGE, MIN_WEIGHT, SUBSTEPS, TITLE, TOTAL, UNIT, WORKER } from "./values.js";

/** A text of at most this many characters; Bindery would cut a longer one. */
const upTo = (limit: number) =>
  z.string().refine((text) => text.length <= limit || Array.from(text).length <= limit, {
    error: `longer than ${limit} characters`,
  });
const state = z.string().regex(/^[A-Z][A-Z0-9_]{0,62}$/);
const lowerSnake = z.string().regex(/^[a-z][a-z0-9_]{0,62}$/);
// Aliases, which a writer does not use.
const alias = z.never().optional();

const common = { book_id: z.guid(), at: upTo(64).optional() };
const attempt = z.int().min(1).max(2_147_483_647).optional();
const message = upTo(MESSAGE).optional();
const object = z.record(z.string(), z.unknown());
const registration = {
  owner_id: z.guid().optional(),
  pipeline: lowerSnake.optional(),
  title: upTo(TITLE).optional(),
  metadata: object.optional(),
};

const progressSchema = z
  .looseObject({
    ...common,
    type: z.literal("progress"),
    progress: z.number().min(0).max(100).optional(),
    done: z.number().min(0).max(TOTAL).optional(),
    total: z.number().gt(0).max(TOTAL).optional(),
    stage: state.optional(),
    substep: lowerSnake.optional(),
    unit: upTo(UNIT).optional(),
    message,
    checkpoint: z
      .union([object, z.array(z.unknown()), z.number(), z.boolean(), z.null()])
      .optional(),
    attempt,
  })
  .refine(
    ({ progress, done, total }) =>
      progress === undefined
        ? done !== undefined && total !== undefined
        : done === undefined && total === undefined,
    { error: "give either progress, or done and total" },
  );

/** The events of docs/events.md in the form of docs/schema/event.schema.json. */
export const eventSchema = z.discriminatedUnion("type", [
  z.looseObject({ ...common, ...registration, type: z.literal("register") }),
  z.looseObject({
    ...common,
    ...registration,
    type: z.literal("begin"),
    to_status: state,
    to: alias,
    stage: alias,
    worker: upTo(WORKER).optional(),
    attempt,
    resume: z.boolean().optional(),
  }),
  z.looseObject({
    ...common,
    type: z.literal("transition"),
    to_status: state,
    to: alias,
    message,
    attempt,
  }),
  progressSchema,
  z.looseObject({
    ...common,
    type: z.literal("plan"),
    stage: state,
    substeps: z
      .array(
        z.looseObject({
          substep: lowerSnake,
          name: alias,
          weight: z.number().min(MIN_WEIGHT).max(MAX_WEIGHT).optional(),
        }),
      )
      .max(SUBSTEPS),
  }),
  z.looseObject({
    ...common,
    type: z.literal("heartbeat"),
    stage: state.optional(),
    message,
    attempt,
  }),
  z.looseObject({
    ...common,
    type: z.literal("fail"),
    error: object.optional(),
    message,
    stage: state.optional(),
    attempt,
  }),
]);

/** An event as JSON, its numbers as numbers. */
export type Event = z.infer<typeof eventSchema>;
