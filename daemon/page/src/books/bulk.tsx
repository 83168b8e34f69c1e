// Acts on many books: the server counts first, then acts in batches, with a result for each book.
import { useEffect, useState } from "preact/hooks";
import { post, problemOf } from "../api.js";
import { Dialog } from "../dialog.js";

/** The books of an act: these, or all that fit a filter. */
export type Target = { book_ids: readonly string[] } | { filter: Record<string, string> };

interface DryRun {
  matching: number;
  allowed: number;
  refused: Record<string, number>;
}

interface Outcome {
  book_id: string;
  outcome: "done" | "refused";
  code?: string | null;
  message?: string | null;
}

interface Answer {
  done: number;
  refused: number;
  results: Outcome[];
  more: boolean;
}

const acts = {
  resume: {
    ask: "Resume",
    effect: "Each continues at the stage that it failed in.",
    done: "resumed",
  },
  cancel: { ask: "Cancel", effect: "This cannot be undone.", done: "cancelled" },
} as const;

/** Results that are listed; the others are counted. */
const LISTED = 500;

const books = (count: number) => `${count.toLocaleString("en")} ${count === 1 ? "book" : "books"}`;
const words = (code: string) => code.replaceAll("_", " ");

export function Bulk({
  act,
  target,
  titleOf,
  onClose,
  onDone,
}: {
  act: keyof typeof acts;
  target: Target;
  titleOf: (bookId: string) => string;
  onClose: () => void;
  onDone: () => void;
}) {
  const [dry, setDry] = useState<DryRun | null>(null);
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [running, setRunning] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const text = acts[act];
  const path = `/api/books/${act}`;
  useEffect(() => {
    let open = true;
    post<DryRun>(path, { ...target, dry_run: true }).then(
      (counted) => open && setDry(counted),
      (error: unknown) => open && setProblem(problemOf(error)),
    );
    return () => {
      open = false;
    };
  }, []);
  const run = async () => {
    if (running) return;
    setRunning(true);
    setProblem(null);
    try {
      setAnswer(await post<Answer>(path, target));
      onDone();
    } catch (error) {
      setProblem(problemOf(error));
    }
    setRunning(false);
  };
  const refused = Object.entries(dry?.refused ?? {});
  const trouble = problem !== null && (
    <p class="problem" role="alert">
      {problem}
    </p>
  );
  if (answer !== null) {
    const first = [...answer.results].sort((a, b) => (a.outcome < b.outcome ? 1 : -1));
    return (
      <Dialog title={`${books(answer.done)} ${text.done}`} onClose={onClose} wide>
        {answer.refused > 0 && <p>{books(answer.refused)} left as they are.</p>}
        {answer.more && <p>More books match. Repeat the action for the next ones.</p>}
        <ul class="results" tabIndex={0} aria-label="Results">
          {first.slice(0, LISTED).map((one) => (
            <li key={one.book_id} data-outcome={one.outcome}>
              <span class="cut" dir="auto">
                {titleOf(one.book_id)}
              </span>
              <span class="outcome">
                {one.outcome === "done"
                  ? text.done
                  : (one.message ?? words(one.code ?? "not changed"))}
              </span>
            </li>
          ))}
        </ul>
        {first.length > LISTED && (
          <p>
            The first {LISTED} of {books(first.length)} are listed.
          </p>
        )}
        <div class="actions">
          <button type="button" onClick={onClose}>
            Close
          </button>
        </div>
      </Dialog>
    );
  }
  return (
    <Dialog
      title={dry === null ? `${text.ask} books?` : `${text.ask} ${books(dry.allowed)}?`}
      onClose={onClose}
    >
      {dry === null ? (
        problem === null && <p role="status">Counting…</p>
      ) : (
        <>
          <p>{dry.allowed > 0 ? text.effect : "None of them can be changed this way."}</p>
          {refused.length > 0 && (
            <ul class="refused">
              {refused.map(([code, count]) => (
                <li key={code}>
                  {books(count)} will be left as they are: {words(code)}
                </li>
              ))}
            </ul>
          )}
        </>
      )}
      {trouble}
      <div class="actions">
        <button type="button" onClick={onClose}>
          {act === "cancel" ? "Keep" : "Not now"}
        </button>
        {dry !== null && dry.allowed > 0 && (
          <button
            type="button"
            class={act === "cancel" ? "danger" : "primary"}
            aria-disabled={running}
            onClick={() => void run()}
          >
            {running ? "Working…" : `${text.ask} ${books(dry.allowed)}`}
          </button>
        )}
      </div>
    </Dialog>
  );
}
