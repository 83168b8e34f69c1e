/** Chance that can be had again: mulberry32 over a seed. */
export function chance(seed: number) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number) => Math.floor(next() * limit);
  return {
    below,
    happens: (probability: number) => next() < probability,
    shuffled<Value>(values: readonly Value[]): Value[] {
      const left = [...values];
      return values.map(() => left.splice(below(left.length), 1)[0] as Value);
    },
  };
}
