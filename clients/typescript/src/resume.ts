// Where a worker continues: what earlier attempts have finished, and their checkpoints.
import { z } from "zod";

/** An unfinished substep. */
export interface Left {
  /** Percent, 0 to 100. */
  progress: number;
  /** The value that `stage.checkpoint` saved, or null. */
  checkpoint: unknown;
  /** How many items of `stage.track` are finished. */
  items: number;
}

/** What `bindery.begin_stage` and `bindery.get_resume_point` return. */
export interface ResumePoint {
  /** The book's uuid. */
  bookId: string;
  status: string;
  /** The book's current stage; null before the first one. */
  stage: string | null;
  /** The attempt at that stage, from 1. */
  attempt: number;
  /** The book's change counter. */
  revision: number;
  /** The keys of the finished substeps. */
  done: ReadonlySet<string>;
  /** The unfinished substeps by their keys. */
  left: ReadonlyMap<string, Left>;
}

const tracked = z.strictObject({ tracked: z.int().min(0), data: z.unknown().optional() });

/** The JSON of `get_resume_point`, or one page of it. */
export const answerSchema = z.looseObject({
  book_id: z.string(),
  status: z.string(),
  stage: z.string().nullish(),
  attempt: z.number().nullish(),
  revision: z.number().nullish(),
  done: z.array(z.string()).nullish(),
  left: z
    .array(
      z.looseObject({
        substep: z.string(),
        progress: z.number().nullish(),
        checkpoint: z.unknown().optional(),
      }),
    )
    .nullish(),
  cut: z.boolean().nullish(),
});
export type ResumeAnswer = z.infer<typeof answerSchema>;

/** Reads the JSON of `get_resume_point` (or of a message of `bindery:changes`). */
export function readResumePoint(answer: ResumeAnswer): ResumePoint {
  const left = new Map<string, Left>();
  for (const { substep, progress, checkpoint } of answer.left ?? []) {
    const own = tracked.safeParse(checkpoint);
    left.set(substep, {
      progress: progress ?? 0,
      checkpoint: (own.success ? own.data.data : checkpoint) ?? null,
      items: own.success ? own.data.tracked : 0,
    });
  }
  return {
    bookId: answer.book_id,
    status: answer.status,
    stage: answer.stage ?? null,
    attempt: answer.attempt ?? 1,
    revision: answer.revision ?? 0,
    done: new Set(answer.done),
    left,
  };
}

/** The checkpoint of a tracked substep as JSON: its items, and the worker's own value. */
export function wrapped(items: number, saved: string | undefined): string {
  return saved === undefined ? `{"tracked":${items}}` : `{"tracked":${items},"data":${saved}}`;
}

/**
 * Reads all pages of a resume point; undefined for an unknown book. `ask` gives the page after a
 * substep, `first` is the first page, if that is known.
 */
export async function wholeResumePoint(
  ask: (after?: string) => Promise<ResumeAnswer | undefined>,
  first?: ResumeAnswer,
): Promise<ResumePoint | undefined> {
  const whole = first ?? (await ask());
  if (whole === undefined) return undefined;
  const left = [...(whole.left ?? [])];
  let page: ResumeAnswer | undefined = whole;
  while (page?.cut === true && left.length > 0) {
    page = await ask(left.at(-1)?.substep);
    // The book has changed meanwhile; what is missing starts over.
    if (page === undefined || page.revision !== whole.revision) break;
    left.push(...(page.left ?? []));
  }
  return readResumePoint({ ...whole, left });
}
