// Which owners' private topics admit this reader. Realtime serves nothing on a socket for 5 s after
// a join that it refuses. Admission depends only on the topic's owner, so one topic of an owner is
// tried while the others wait for its outcome, and after a refusal none is tried for a while.

/** The delay after the first refusal; each further one in a row doubles it. */
const BLOCK_MS = 15_000;
const MAX_BLOCK_MS = 300_000;

export type Outcome = "granted" | "refused" | "unknown";

interface OwnerAccess {
  granted: boolean;
  refusals: number;
  blockedUntil: number;
  attempt: Promise<unknown> | null;
}

export class TopicAccess {
  readonly #owners = new Map<string | null, OwnerAccess>();

  /**
   * Joins by `join`, which resolves with the outcome; false: it was not called, because this
   * owner's topics are refused for now.
   */
  async join(owner: string | null, join: () => Promise<Outcome>): Promise<boolean> {
    const state = this.#owners.get(owner) ?? {
      granted: false,
      refusals: 0,
      blockedUntil: 0,
      attempt: null,
    };
    this.#owners.set(owner, state);
    while (!state.granted && state.attempt !== null) await state.attempt.catch(() => undefined);
    if (Date.now() < state.blockedUntil) return false;
    const attempt = join().then((outcome) => settle(state, outcome));
    if (!state.granted) {
      state.attempt = attempt;
      const over = () => {
        if (state.attempt === attempt) state.attempt = null;
      };
      attempt.then(over, over);
    }
    await attempt;
    return true;
  }
}

function settle(state: OwnerAccess, outcome: Outcome) {
  if (outcome === "unknown") return;
  state.granted = outcome === "granted";
  state.refusals = state.granted ? 0 : state.refusals + 1;
  state.blockedUntil = state.granted
    ? 0
    : Date.now() + Math.min(MAX_BLOCK_MS, BLOCK_MS * 2 ** (state.refusals - 1));
}
