/**
 * Bindery in BullMQ's workers: `new Worker("extract", bullmq("ANALYZING", process))`.
 *
 * @module
 */
import { z } from "zod";
import { defaultClient, type Client } from "./client.js";
import { Superseded } from "./errors.js";
import { Stage, type StageReport } from "./stage.js";

/** The used part of BullMQ's `Job`. */
export interface JobLike {
  data: unknown;
  attemptsMade: number;
  opts: { attempts?: number };
  updateProgress(progress: never): Promise<unknown>;
}

/** Options of `bullmq`, instead of the stage's name alone. */
export interface Step {
  /** The stage that the queue's jobs work on. */
  stage: string;
  /** The substep that a job does; that of the job's data comes first. `all` by default. */
  substep?: string;
  /** The default client by default. */
  client?: Client;
}

const dataSchema = z.looseObject({
  bookId: z.string().optional(),
  book_id: z.string().optional(),
  substep: z.string().optional(),
  attempt: z.int().min(1).optional(),
  to_status: z.string().optional(),
});

const progressSchema = z.union([
  z.number(),
  z.looseObject({
    progress: z.number().optional(),
    done: z.number().optional(),
    total: z.number().optional(),
    substep: z.string().optional(),
    unit: z.string().optional(),
    message: z.string().optional(),
    checkpoint: z.unknown(),
  }),
]);

/** BullMQ does not retry a job after an error of this name. */
class Unrecoverable extends Error {
  override name = "UnrecoverableError";
}

/**
 * Wraps the processor of a BullMQ worker, so that its jobs report to Bindery.
 *
 * The job's data have `bookId` (or `book_id`), and may have `substep`, `attempt` and `to_status`,
 * as in docs/events.md. `job.updateProgress` reports to Bindery, too; `stage` has the resume point,
 * the attempt, `track` and `checkpoint`. A job that is done is 100 percent of its substep, or with
 * `to_status` the book's transition. The book becomes FAILED once BullMQ does not try the job
 * again. A job whose book has left the attempt is not tried again.
 */
export function bullmq<J extends JobLike, R>(
  step: string | Step,
  processor: (job: J, stage: Stage, token?: string, signal?: AbortSignal) => Promise<R>,
): (job: J, token?: string, signal?: AbortSignal) => Promise<R> {
  const { stage: name, substep: given, client } = typeof step === "string" ? { stage: step } : step;
  return async (job, token, signal) => {
    const data = dataSchema.parse(job.data);
    const id = data.bookId ?? data.book_id;
    if (id === undefined) throw new Unrecoverable("the job's data have no bookId");
    const book = (client ?? defaultClient()).book(id, { register: false });
    const substep = data.substep ?? given ?? "all";
    const options = {
      // A processor that runs again would repeat the work.
      skip: false,
      ...(data.attempt !== undefined && { attempt: data.attempt }),
      fails: (error: unknown) => isFinal(job, error),
    };
    try {
      const result = await book.stage(name, options, async (stage) => {
        const before = job.updateProgress;
        job.updateProgress = async (progress: never) => {
          forward(stage, substep, progress);
          return before.call(job, progress);
        };
        const found = await processor(job, stage, token, signal);
        if (data.to_status === undefined) stage.report(100, substep);
        return found;
      });
      if (data.to_status !== undefined) book.transition(data.to_status);
      return result;
    } catch (error) {
      if (error instanceof Superseded) throw new Unrecoverable(error.message, { cause: error });
      throw error;
    }
  };
}

function isFinal(job: JobLike, error: unknown): boolean {
  const { name, message } = error instanceof Error ? error : { name: "", message: "" };
  // RateLimitError, DelayedError and similar errors only postpone the job.
  if (/^bullmq:(rateLimitExceeded|movedTo)/.test(message)) return false;
  return name === "UnrecoverableError" || job.attemptsMade + 1 >= (job.opts.attempts ?? 1);
}

function forward(stage: Stage, own: string, progress: unknown): void {
  const read = progressSchema.safeParse(progress);
  // A job may update its progress with a value of its own, which is not reported.
  if (!read.success) return;
  const given = typeof read.data === "number" ? { progress: read.data } : read.data;
  const {
    substep = own,
    checkpoint,
    ...report
  } = given as StageReport & {
    substep?: string;
    checkpoint?: unknown;
  };
  const isCounted = report.done !== undefined && report.total !== undefined;
  if (isCounted || report.progress !== undefined) {
    const { progress: _, ...counted } = report;
    stage.report(isCounted ? counted : report, substep);
  } else if (report.message !== undefined) stage.message(report.message, substep);
  if (checkpoint !== undefined) stage.checkpoint(checkpoint, substep);
}
