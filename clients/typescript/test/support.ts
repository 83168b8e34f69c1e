import { Client, type ClientOptions } from "../src/client.js";
import { Unavailable } from "../src/errors.js";
import { Recorder } from "../src/testing/record.js";
import type { Transport } from "../src/transports/transport.js";

export { Recorder };

/** Asks until the answer is true. */
export async function waitFor<T>(
  look: () => Promise<T> | T,
  what: string,
  timeout = 30_000,
): Promise<T> {
  const deadline = performance.now() + timeout;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (performance.now() > deadline) throw new Error(`in ${timeout} ms there was not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A recorder whose server can be away. */
export class Flaky extends Recorder {
  isAway = false;
  readonly logged: string[] = [];
  readonly client: Client;

  constructor(options: ClientOptions = {}) {
    super();
    const kept = this.transport;
    const transport: Transport = {
      answersBegin: false,
      send: async (items, settle) => {
        if (this.isAway) throw new Unavailable("connection refused");
        await kept.send(items, settle);
      },
      close: async () => undefined,
    };
    const log = (message: string) => void this.logged.push(message);
    this.client = new Client(undefined, { interval: 5, log, transport, ...options });
  }

  /** The kinds of the events, and what they are about. */
  get kinds(): string[] {
    return this.events.map((event) => `${event["type"]} ${event["to_status"] ?? ""}`.trim());
  }
}
