// Replaying and dropping: a dialog that counts first, describes the effect, and shows the outcome.
import { useEffect, useState } from "preact/hooks";
import { post, problemOf } from "../api.js";
import { Dialog } from "../dialog.js";
import { counted, count } from "../operation/text.js";
import type { Filter } from "./letters.js";

export type Act = "replay" | "drop";
export type Choice = { readonly ids: readonly number[] } | { readonly filter: Filter };

interface DryRun {
  readonly matching: number;
  readonly replayable: number;
  readonly through: number | null;
}

interface Outcome {
  applied?: number;
  stale?: number;
  rejected?: number;
  dropped?: number;
  readonly more: boolean;
  readonly next: number | null;
}

/** The outcome as a sentence. */
function sentence(act: Act, sum: Required<Omit<Outcome, "more" | "next">>): string {
  if (act === "drop") return `Dropped ${counted(sum.dropped, "dead letter")}.`;
  const parts = [
    `${counted(sum.applied, "event")} applied`,
    `${count(sum.stale)} stale`,
    `${count(sum.rejected)} rejected again`,
  ];
  return `Replayed: ${parts.join(", ")}.`;
}

export function ActDialog({
  act,
  choice,
  onDone,
  onClose,
}: {
  act: Act;
  choice: Choice;
  /** Called after a change, with the outcome for the reader. */
  onDone: (outcome: string) => void;
  onClose: () => void;
}) {
  const [dry, setDry] = useState<DryRun | null>(null);
  const [done, setDone] = useState<number | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const path = `/api/dead-letters/${act}`;

  useEffect(() => {
    post<DryRun>(path, { ...choice, dry_run: true })
      .then(setDry)
      .catch((error: unknown) => setProblem(problemOf(error)));
  }, []);

  // With a filter, a replay skips unreadable events; those given by id are rejected again.
  const number = dry === null ? 0 : act === "replay" ? dry.replayable : dry.matching;
  const skipped = dry === null || act === "drop" ? 0 : dry.matching - dry.replayable;

  const run = async () => {
    if (dry === null) return;
    const sum = { applied: 0, stale: 0, rejected: 0, dropped: 0 };
    let after: number | undefined;
    setDone(0);
    setProblem(null);
    try {
      for (;;) {
        const outcome: Outcome = await post(path, { ...choice, through: dry.through, after });
        for (const name of ["applied", "stale", "rejected", "dropped"] as const)
          sum[name] += outcome[name] ?? 0;
        setDone(sum.applied + sum.stale + sum.rejected + sum.dropped);
        if (!outcome.more || outcome.next === null) break;
        after = outcome.next;
      }
      onDone(sentence(act, sum));
      onClose();
    } catch (error) {
      setProblem(problemOf(error));
      setDone(null);
      if (sum.applied + sum.stale + sum.rejected + sum.dropped > 0) onDone(sentence(act, sum));
    }
  };

  return (
    <Dialog
      title={
        dry === null
          ? "Counting dead letters"
          : `${act === "replay" ? "Replay" : "Drop"} ${counted(number, "dead letter")}?`
      }
      onClose={() => {
        if (done === null) onClose();
      }}
    >
      {dry !== null && act === "replay" && (
        <p>
          Bindery applies the events again, the oldest first. Events that take effect or are stale
          leave this list. The others stay, each with its newest reason.
        </p>
      )}
      {skipped > 0 && (
        <p>
          {counted(skipped, "dead letter")} cannot be replayed: the relay could not read the event,
          or kept only a part of it. Send the event again.
        </p>
      )}
      {dry !== null && act === "drop" && (
        <p>Bindery deletes the events permanently. This cannot be undone.</p>
      )}
      {problem !== null && (
        <p class="bad" role="alert">
          {problem}
        </p>
      )}
      {done !== null && <p role="status">{counted(done, "event")} so far.</p>}
      <div class="act-buttons">
        <button type="button" onClick={onClose} disabled={done !== null}>
          Keep
        </button>
        <button
          type="button"
          class={act === "drop" ? "danger" : "primary"}
          disabled={number === 0 || done !== null}
          onClick={() => void run()}
        >
          {act === "replay" ? "Replay" : "Drop"}
          {dry === null ? "" : ` ${counted(number, "dead letter")}`}
        </button>
      </div>
    </Dialog>
  );
}
