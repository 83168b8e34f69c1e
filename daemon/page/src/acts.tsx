// An operator's acts on one book, each after a dialog that describes its effect.
import type { BookRow, BookStatus, Stage } from "@bindery/react/client";
import { nameOfState, titleOf, type ShownBook } from "@bindery/react/view";
import { useState } from "preact/hooks";
import { post, problemOf } from "./api.js";
import { Dialog } from "./dialog.js";
import { labels } from "./view.js";

export type Act = "resume" | "cancel" | "rewind";

export interface Asked {
  act: Act;
  book: ShownBook;
  /** Where a resumed book continues, as a sentence. */
  resumesAt?: string | null;
}

const path = (book: BookRow, act: Act) => `/api/books/${book.book_id}/${act}`;

/** The dialog of an act. `onDone` gets the book's new status. */
export function Confirm({
  asked: { act, book, resumesAt },
  onClose,
  onDone,
}: {
  asked: Asked;
  onClose: () => void;
  onDone: (book: BookStatus) => void;
}) {
  const targets = rewindTargets(book);
  const [target, setTarget] = useState(targets.at(-1)?.name ?? "");
  const [state, setState] = useState<"ready" | "running">("ready");
  const [problem, setProblem] = useState<string | null>(null);
  const title = titleOf(book, labels);
  const run = async () => {
    if (state === "running") return;
    setState("running");
    setProblem(null);
    try {
      // Each report changes the revision of a book at work, so only a resume names one.
      const bodies = {
        resume: { expected_revision: book.revision },
        cancel: {},
        rewind: { to_stage: target },
      };
      onDone(await post<BookStatus>(path(book, act), bodies[act]));
      onClose();
    } catch (error) {
      setProblem(problemOf(error));
      setState("ready");
    }
  };
  const texts = {
    resume: {
      title: "Resume this book?",
      effect:
        resumesAt ??
        `It continues at ${nameOfState(book, labels, book.current_stage)} as attempt ` +
          `${book.attempt + 1}. Finished substeps and those with a checkpoint are kept.`,
      keep: "Not now",
      act: "Resume book",
    },
    cancel: {
      title: "Cancel this book?",
      effect: "This cannot be undone.",
      keep: "Keep",
      act: "Cancel book",
    },
    rewind: {
      title: "Rewind this book?",
      effect: "It starts this stage over, and the stages after it. Their progress is discarded.",
      keep: "Keep",
      act: "Rewind book",
    },
  }[act];
  return (
    <Dialog title={texts.title} onClose={onClose}>
      <p class="subject" dir="auto">
        {title}
      </p>
      {act === "rewind" && (
        <label class="field">
          To the start of
          <select value={target} onChange={(event) => setTarget(event.currentTarget.value)}>
            {targets.map((stage) => (
              <option key={stage.name} value={stage.name}>
                {nameOfState(book, labels, stage.name)}
              </option>
            ))}
          </select>
        </label>
      )}
      <p>{texts.effect}</p>
      {problem !== null && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <div class="actions">
        <button type="button" onClick={onClose}>
          {texts.keep}
        </button>
        <button
          type="button"
          class={act === "resume" ? "primary" : "danger"}
          aria-disabled={state === "running"}
          onClick={() => void run()}
        >
          {texts.act}
        </button>
      </div>
    </Dialog>
  );
}

/** The stages that a book has passed, and of a FAILED one the stage that it failed in. */
export function rewindTargets(book: ShownBook): readonly Stage[] {
  if (isFinal(book)) return [];
  const stages = book.stages ?? [];
  return stages.filter(({ name, state }) =>
    name === book.current_stage ? book.status === "FAILED" : state === "done",
  );
}

export const isFinal = (book: BookRow): boolean =>
  book.completed_at !== null || book.status === "CANCELLED";
