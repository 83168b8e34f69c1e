// Books in different states, to see the page with. They use the pipeline `comic`.
import { post } from "../api.js";

type Event = { type: string; book_id: string } & Record<string, unknown>;

/** A random UUID; `crypto.randomUUID` is missing where the page is not served securely. */
function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function sample(
  title: string,
  stages: readonly string[],
  more: (event: (type: string, fields: Record<string, unknown>) => Event) => Event[] = () => [],
): Event[] {
  const book_id = uuid();
  const event = (type: string, fields: Record<string, unknown>): Event => ({
    type,
    book_id,
    ...fields,
  });
  return [
    event("register", { title, pipeline: "comic", metadata: { tags: ["sample"] } }),
    ...stages.map((to_status) => event("transition", { to_status })),
    ...more(event),
  ];
}

const chapters = Array.from({ length: 5 }, (_, n) => ({ substep: `chapter_${n + 1}` }));
const all = ["ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK"];

export const samples = (): Event[] => [
  ...sample("A Lamp for the Ferryman", [...all, "COMPLETED"]),
  ...sample("The Salt Clock", all, (event) => [
    event("plan", { stage: "CREATING_ARTWORK", substeps: chapters }),
    event("progress", { substep: "chapter_1", done: 18, total: 18, unit: "panel" }),
    event("progress", { substep: "chapter_2", done: 22, total: 22, unit: "panel" }),
    event("progress", {
      substep: "chapter_3",
      done: 7,
      total: 16,
      unit: "panel",
      message: "Drawing the lighthouse",
    }),
  ]),
  ...sample("Mr Plum and the Goose", all.slice(0, 2), (event) => [
    event("progress", { substep: "split_scenes", done: 31, total: 31, unit: "scene" }),
    event("progress", { substep: "write_prompts", done: 12, total: 31, unit: "prompt" }),
  ]),
  ...sample("Post over the Stone Pass", all, (event) => [
    event("progress", {
      substep: "chapter_1",
      done: 11,
      total: 24,
      unit: "panel",
      checkpoint: { panel: 11 },
    }),
    event("fail", {
      error: {
        code: "image_model_unavailable",
        message: "The image model did not answer: 503 after three attempts.",
        http_status: 503,
      },
    }),
  ]),
  ...sample("The Orchard at World’s Edge", all.slice(0, 1), (event) => [
    event("progress", { substep: "extract_text", done: 212, total: 212, unit: "page" }),
    event("progress", { substep: "detect_chapters", done: 9, total: 14, unit: "chapter" }),
  ]),
  ...sample("The Cartographer’s Apology", [...all.slice(0, 1), "CANCELLED"]),
  ...sample("Letters from the Weather House", []),
];

interface Outcomes {
  outcomes: { outcome: string; message?: string | null }[];
}

/** Registers the sample books. Throws with the first rejection. */
export async function loadSamples(): Promise<void> {
  const { outcomes } = await post<Outcomes>("/api/events", samples());
  const rejected = outcomes.find(({ outcome }) => outcome === "rejected" || outcome === "early");
  if (rejected !== undefined)
    throw new Error(rejected.message ?? "The daemon rejected a sample book.");
}
