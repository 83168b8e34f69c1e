// A client on a fake transport with the tests' clock, new for each test.
import { afterEach, beforeEach, vi } from "vitest";
import { createBindery, type Bindery } from "../../src/bindery.js";
import { id, status } from "./books.js";
import { FakeTransport } from "./fake-transport.js";
import { world, type World } from "./world.js";

export let around: World;
export let transport: FakeTransport;
export let bindery: Bindery;

export const view = () => bindery.bookView(id(1));

/** Call it once in a test file. */
export function useClient() {
  beforeEach(() => {
    around = world();
    transport = new FakeTransport();
    bindery = createBindery(transport, { environment: around });
  });

  afterEach(async () => {
    await bindery.close();
    vi.useRealTimers();
  });
}

/** Watches a book that is live and known at revision 5. */
export async function live() {
  transport.answers = () => status();
  const stop = bindery.watchBook(id(1), () => undefined);
  await around.pass(0);
  transport.subscription.subscribed();
  await around.pass(0);
  transport.answers = null;
  return stop;
}
