/** How long to wait after the given number of failures in a row: doubling from 1 s to 30 s, half of it by chance. */
export function backoff(failures: number, random: () => number = Math.random): number {
  const longest = Math.min(30_000, 1000 * 2 ** Math.max(0, failures - 1));
  return longest * (0.5 + random() / 2);
}
