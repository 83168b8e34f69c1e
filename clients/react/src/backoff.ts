/**
 * The delay after this number of failures in a row: it doubles from 1 s to 30 s, and half of it is
 * random.
 */
export function backoff(failures: number, random: () => number = Math.random): number {
  const longest = Math.min(30_000, 1000 * 2 ** Math.max(0, failures - 1));
  return longest * (0.5 + random() / 2);
}
