// The states that the gallery shows. Times are relative to the time at which the page opens.
import {
  BinderyError,
  type AttemptRow,
  type BookStatus,
  type BookView,
  type SomeLabels,
  type Stage,
  type Substep,
} from "@bindery/react";
import { arabic } from "./arabic.js";
import { german } from "./german.js";

export interface Example {
  name: string;
  view: BookView;
  attempts?: readonly AttemptRow[];
  labels?: SomeLabels;
  lang?: string;
  canRetry?: boolean;
}

const opened = Date.now();
const inSeconds = (seconds: number) => new Date(opened + seconds * 1000).toISOString();

const stages = (...progress: number[]): Stage[] => {
  const first = progress.findIndex((one) => one < 100);
  const one = (name: string, label: string, weight: number, place: number): Stage => {
    const done = progress[place] ?? 0;
    const state = done === 100 ? "done" : place === first ? "active" : "pending";
    const seconds = state === "done" ? [252, 131, 1130][place] : null;
    const begun = state === "active" ? inSeconds(-140) : null;
    const started_at = state === "done" ? inSeconds(-2000) : begun;
    const attempt = state === "pending" ? null : 1;
    const more = { weight, attempt, max_attempts: 5, started_at, seconds: seconds ?? null };
    return { name, label, state, progress: done, ...more, median_seconds: 240 };
  };
  return [
    one("ANALYZING", "Reading the book", 1, 0),
    one("GENERATING_SCENES", "Writing the scenes", 1, 1),
    one("CREATING_ARTWORK", "Drawing the pictures", 3, 2),
  ];
};

const substep = (label: string, done: number, total: number, unit: string): Substep => ({
  substep: label,
  label,
  weight: 1,
  state: done === total ? "done" : done > 0 ? "active" : "pending",
  progress: (100 * done) / total,
  done,
  total,
  unit,
});

const chapters = [
  substep("Chapter 1", 18, 18, "panel"),
  substep("Chapter 2", 22, 22, "panel"),
  substep("Chapter 3", 7, 16, "panel"),
  substep("Chapter 4", 0, 20, "panel"),
];

function book(changes: Partial<BookStatus>): BookStatus {
  const { substeps = [] } = changes;
  const current = changes.stages?.find(({ state }) => state !== "done")?.name ?? "CREATING_ARTWORK";
  return {
    book_id: "6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b",
    owner_id: null,
    title: "The Salt Clock",
    pipeline: "comic",
    pipeline_version: 1,
    status: current,
    current_stage: current,
    overall_progress: 0,
    stage_progress: 0,
    substeps,
    substeps_total: substeps.length,
    substeps_done: substeps.filter(({ state }) => state === "done").length,
    message: null,
    error: null,
    attempt: 1,
    revision: 5,
    heartbeat_at: inSeconds(-1),
    stage_entered_at: inSeconds(-140),
    stage_started_at: inSeconds(-140),
    resume_at: null,
    estimated_completion_at: null,
    metadata: {},
    created_at: inSeconds(-3000),
    updated_at: inSeconds(-1),
    completed_at: null,
    stages: stages(0, 0, 0),
    health: "live",
    ...changes,
  };
}

const drawing = book({
  overall_progress: 67,
  stages: stages(100, 100, 45),
  substeps: chapters,
  estimated_completion_at: inSeconds(720),
});

const halted = (state: Stage["state"], attempt: number): Stage[] =>
  stages(100, 100, 55).map((stage) =>
    stage.state === "active"
      ? { ...stage, state, attempt, started_at: inSeconds(-212), seconds: 212 }
      : stage,
  );

const failed = book({
  title: "Post over the Stone Pass",
  status: "FAILED",
  overall_progress: 73,
  stages: halted("failed", 3),
  substeps: chapters.slice(0, 3),
  error: {
    code: "model_unavailable",
    message: "The image model did not answer: 503 after three requests.",
  },
  attempt: 3,
  health: null,
});

const many = Array.from({ length: 200 }, (_, place) =>
  substep(`Page ${place + 811}`, place < 2 ? 1 : place < 6 ? 0.4 : 0, 1, ""),
).map(({ done: _, total: __, unit: ___, ...rest }) => rest);

const show = (shown: BookStatus | null, more: Partial<BookView> = {}): BookView => ({
  book: shown,
  connection: "live",
  stale: false,
  loading: false,
  error: null,
  ...more,
});
const withoutBook = (kind: "gone" | "denied") =>
  show(null, { error: new BinderyError(kind, kind) });

const arabicBook = {
  ...drawing,
  title: "ساعة الملح",
  status: "GENERATING_SCENES",
  current_stage: "GENERATING_SCENES",
  stages: stages(100, 62, 0),
  overall_progress: 32,
  substeps_total: 2,
  substeps_done: 0,
  substeps: [
    { ...substep("split", 48, 120, "page"), label: "تقسيم المشاهد" },
    { ...substep("prompts", 0, 120, "page"), label: "كتابة الأوصاف" },
  ],
};
const germanBook = {
  ...drawing,
  title: "Die Salzuhr",
  attempt: 2,
  stages: drawing.stages.map((stage, place) => ({
    ...stage,
    label: ["Buch lesen", "Szenen schreiben", "Bilder zeichnen"][place] ?? stage.label,
  })),
  substeps: chapters.map((one, place) => ({ ...one, label: `Kapitel ${place + 1}` })),
};

export const examples: Example[] = [
  { name: "Active", view: show(drawing) },
  { name: "Failed", view: show(failed), canRetry: true },
  { name: "Completed", view: show(completed()) },
  {
    name: "Many substeps",
    view: show(
      book({
        title: "Mr Plum and the Goose",
        overall_progress: 84,
        message: "Rendering on gpu-4",
        stages: stages(100, 100, 81),
        substeps: many,
        substeps_total: 1000,
        substeps_done: 812,
      }),
    ),
  },
  {
    name: "Failed, retried later",
    view: show({ ...failed, resume_at: inSeconds(19.4) }),
    attempts: [1, 2, 3].map((attempt) => ({
      stage: "CREATING_ARTWORK",
      attempt,
      state: "failed",
      seconds: [190, 74, 212][attempt - 1] ?? null,
      message: attempt === 2 ? "The worker ran out of memory." : null,
    })),
  },
  {
    name: "Retrying",
    view: show({ ...drawing, attempt: 2, stages: halted("active", 2) }),
    attempts: [
      { stage: "CREATING_ARTWORK", attempt: 1, state: "failed", seconds: 74, message: "503" },
      { stage: "CREATING_ARTWORK", attempt: 2, state: "active", seconds: null },
    ],
  },
  { name: "Loading", view: show(null, { connection: "connecting", loading: true }) },
  {
    name: "Waiting",
    view: show(
      book({
        status: "UPLOADED",
        current_stage: "UPLOADED",
        health: "waiting",
        stages: stages(0, 0, 0).map((stage) => ({
          ...stage,
          state: "pending",
          attempt: null,
          started_at: null,
        })),
      }),
    ),
  },
  {
    name: "Overdue",
    view: show({
      ...drawing,
      estimated_completion_at: null,
      stages: drawing.stages.map((stage) =>
        stage.state === "active" ? { ...stage, started_at: inSeconds(-660) } : stage,
      ),
    }),
  },
  { name: "Quiet", view: show({ ...drawing, health: "quiet" }) },
  { name: "Stalled", view: show({ ...drawing, health: "stalled" }) },
  {
    name: "Cancelled",
    view: show({
      ...drawing,
      status: "CANCELLED",
      message: "Cancelled by the author",
      health: null,
      stages: halted("cancelled", 1),
      substeps: [],
      substeps_total: 0,
    }),
  },
  { name: "Stale", view: show(drawing, { connection: "polling", stale: true }) },
  { name: "Reconnecting", view: show(drawing, { connection: "reconnecting" }) },
  { name: "Delayed", view: show(drawing, { connection: "delayed" }) },
  { name: "Denied", view: withoutBook("denied") },
  { name: "Gone", view: withoutBook("gone") },
  {
    name: "Missing pipeline",
    view: show({ ...drawing, title: "", stages: [], health: null, estimated_completion_at: null }),
  },
  { name: "Right to left", view: show(arabicBook), labels: arabic, lang: "ar" },
  { name: "German", view: show(germanBook), labels: german, lang: "de" },
];

function completed(): BookStatus {
  const done = { status: "COMPLETED", completed_at: inSeconds(0), health: null };
  return book({ ...done, overall_progress: 100, stages: stages(100, 100, 100) });
}
