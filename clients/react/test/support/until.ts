import { vi } from "vitest";

/** Waits until it holds; patient, since a busy machine is no fault of the code. */
export const until = (check: () => void) => vi.waitFor(check, { timeout: 20_000, interval: 10 });
