import type { BinderyEvent } from "../buffer.js";
import { Client, withClient } from "../client.js";
import type { Transport } from "../transports/transport.js";

/** Reports to a list, without a server; give its `transport` to `new Client`. */
export class Recorder {
  /** What was delivered: the events as docs/events.md has them, all values as text. */
  readonly events: BinderyEvent[] = [];
  readonly transport: Transport = {
    answersBegin: false,
    send: async (items, settle) => {
      for (const item of items) {
        this.events.push(item.event());
        settle(item, "delivered");
      }
    },
    close: async () => undefined,
  };
}

/**
 * Lets the default client record its events while some work runs; returns them.
 *
 * The reports of a substep are coalesced as usual: the last one is always there, those between may
 * be.
 */
export async function record(work: () => void | Promise<void>): Promise<BinderyEvent[]> {
  const recorder = new Recorder();
  const client = new Client(undefined, { transport: recorder.transport });
  try {
    await withClient(client, work);
  } finally {
    await client.close();
  }
  return recorder.events;
}
