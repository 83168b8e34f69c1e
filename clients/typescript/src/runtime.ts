// The differences between Node, Deno, edge functions and browsers; this module imports nothing from
// Node.
import { z } from "zod";

interface Timer {
  unref?: () => void;
}

/** Calls back after some milliseconds; in Node it does not keep the process alive. */
export function later(milliseconds: number, call: () => void): () => void {
  const timer = setTimeout(call, milliseconds);
  (timer as Timer).unref?.();
  return () => clearTimeout(timer);
}

/** Waits for an end, at most this long; in Node it keeps the process alive. */
export async function within(end: Promise<unknown>, milliseconds: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, milliseconds)));
  try {
    await Promise.race([end, late]);
  } finally {
    clearTimeout(timer);
  }
}

interface Process {
  env?: Record<string, string | undefined>;
  pid?: number;
  on?: (event: string, call: () => void) => unknown;
  off?: (event: string, call: () => void) => unknown;
  kill?: (pid: number, signal: string) => unknown;
}
const node = (globalThis as { process?: Process }).process;

const environmentSchema = z.object({
  BINDERY_URL: z.string().optional(),
  BINDERY_STATUS_URL: z.string().optional(),
  BINDERY_KEY: z.string().optional(),
  BINDERY_STREAM: z.string().optional(),
  HOSTNAME: z.string().optional(),
});

/** The environment's settings; empty without an environment or without the right to read it. */
export function environment(): z.infer<typeof environmentSchema> {
  const names = Object.keys(environmentSchema.shape);
  return environmentSchema.parse(Object.fromEntries(names.map((name) => [name, setting(name)])));
}

/** A setting of the environment; Deno asks for the right to each. */
export function setting(name: string): string | undefined {
  try {
    return node?.env?.[name] || undefined;
  } catch {
    return undefined;
  }
}

/**
 * Calls back at the first SIGTERM or SIGINT; a second one ends the program as without a handler.
 *
 * @returns what takes the handlers away.
 */
export function onStopSignal(call: () => void): () => void {
  const names = ["SIGTERM", "SIGINT"];
  let isFirst = true;
  const handlers = names.map((name) => (): void => {
    if (isFirst) {
      isFirst = false;
      return call();
    }
    remove();
    if (node?.pid !== undefined) node.kill?.(node.pid, name);
  });
  const remove = () => names.forEach((name, place) => node?.off?.(name, handlers[place] ?? call));
  names.forEach((name, place) => node?.on?.(name, handlers[place] ?? call));
  return remove;
}

/** A name for this worker: the host's name, if it is available, and the process's id. */
export function workerName(): string {
  const host = environment().HOSTNAME ?? "worker";
  return `${host}-${node?.pid ?? crypto.randomUUID().slice(0, 8)}`;
}

/** Calls back when the program has nothing left to do; Node and Deno have that event. */
export function beforeExit(call: () => void): void {
  node?.on?.("beforeExit", call);
}
