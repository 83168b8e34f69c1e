// Which owners' private topics admit this reader. Realtime serves nothing on a socket for 5 s after
// a join that it refuses. Admission depends only on the topic's owner, so one topic of an owner is
// tried while the others wait for its outcome, and after a refusal none is tried for a while.

/** The delay after the first refusal; each further one in a row doubles it. */
const SHUT_MS = 15_000;
const LONGEST_SHUT_MS = 300_000;

export type Outcome = "admitted" | "refused" | "unknown";

interface Door {
  admits: boolean;
  refusals: number;
  shutUntil: number;
  trying: Promise<unknown> | null;
}

export class Doors {
  readonly #doors = new Map<string | null, Door>();

  /**
   * Joins by `join`, which resolves with the outcome; false: it was not called, because this
   * owner's topics are refused for now.
   */
  async enter(owner: string | null, join: () => Promise<Outcome>): Promise<boolean> {
    const door = this.#doors.get(owner) ?? {
      admits: false,
      refusals: 0,
      shutUntil: 0,
      trying: null,
    };
    this.#doors.set(owner, door);
    while (!door.admits && door.trying !== null) await door.trying.catch(() => undefined);
    if (Date.now() < door.shutUntil) return false;
    const trying = join().then((outcome) => settle(door, outcome));
    if (!door.admits) {
      door.trying = trying;
      const over = () => {
        if (door.trying === trying) door.trying = null;
      };
      trying.then(over, over);
    }
    await trying;
    return true;
  }
}

function settle(door: Door, outcome: Outcome) {
  if (outcome === "unknown") return;
  door.admits = outcome === "admitted";
  door.refusals = door.admits ? 0 : door.refusals + 1;
  door.shutUntil = door.admits
    ? 0
    : Date.now() + Math.min(LONGEST_SHUT_MS, SHUT_MS * 2 ** (door.refusals - 1));
}
