// The stream `bindery:changes`, read by a consumer group: each message is worked on once.
//
// A message stays with its consumer until the work on it has ended. While it is worked on, its
// lease is renewed; the message of a consumer that died is claimed by another one after its lease.
// The keys are those of the Python package: workers of both may share a group.
import { z } from "zod";
import { textOf, Unavailable } from "./errors.js";
import { answerSchema, readResumePoint, type ResumePoint } from "./resume.js";
import { connectRedis, redisPlace, type RedisClient } from "./transports/redis-connection.js";

const DONE = "done";
// How long the id of a finished message is kept, in case it is published again: a day, in seconds.
const KNOWN_SECONDS = 86_400;
const PAGE = 1000;

/** A message: a book has changed its status. */
export interface Change {
  /** The id of the stream's entry. */
  readonly entry: string;
  /** The message's own id, the same each time that it is published. */
  readonly id: string;
  readonly bookId: string;
  readonly revision: number;
  readonly toStatus: string;
  readonly stage: string | null;
  readonly attempt: number;
  readonly resumePoint: ResumePoint | undefined;
}

const payloadSchema = z.looseObject({
  book_id: z.string(),
  revision: z.number(),
  to_status: z.string(),
  stage: z.string().nullish(),
  attempt: z.int().min(1),
  resume_point: answerSchema.nullish(),
});
// A claimed entry that was trimmed has no fields.
const entriesSchema = z.array(z.tuple([z.string(), z.array(z.string()).nullable()]).nullable());
const readSchema = z.array(z.tuple([z.string(), entriesSchema])).nullable();
const claimedSchema = z.tuple([z.string(), entriesSchema]).rest(z.unknown());
const pendingSchema = z.array(z.unknown());

/** Reads a message; undefined if it is not one of Bindery's. */
export function parseChange(entry: string, fields: readonly string[] | null): Change | undefined {
  const of = (name: string) => {
    const place = (fields ?? []).findIndex((field, at) => at % 2 === 0 && field === name);
    return place < 0 ? undefined : fields?.[place + 1];
  };
  const id = of("id");
  const payload = payloadSchema.safeParse(json(of("payload")));
  if (id === undefined || !payload.success) return undefined;
  const { book_id, revision, to_status, stage, attempt, resume_point: point } = payload.data;
  return {
    entry,
    id,
    bookId: book_id,
    revision,
    toStatus: to_status,
    stage: stage ?? null,
    attempt,
    // A cut resume point lacks the lists of finished and unfinished substeps.
    resumePoint: point == null || point.cut === true ? undefined : readResumePoint(point),
  };
}

function json(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}

/** One consumer of the group. Methods throw `Unavailable` while Redis is away. */
export class Changes {
  // A connection that waits for messages blocks further commands on it.
  readonly #reader: Connection;
  readonly #other: Connection;

  /**
   * @param lease milliseconds.
   * @throws RangeError if the URL has no form of Redis's.
   */
  constructor(
    url: string,
    private readonly stream: string,
    private readonly group: string,
    private readonly consumer: string,
    private readonly lease: number,
  ) {
    this.#reader = new Connection(url);
    this.#other = new Connection(url);
  }

  /** Creates the group if it is missing; it begins with the oldest message. */
  async join(): Promise<void> {
    try {
      await this.#other.call("xgroup", "CREATE", this.stream, this.group, "0", "MKSTREAM");
    } catch (error) {
      if (!textOf(error).includes("BUSYGROUP")) throw error;
    }
  }

  /** Waits this many milliseconds at most for a message that no consumer has. */
  async next(milliseconds: number): Promise<Change | undefined> {
    const found = await this.#reader.call(
      ...["xreadgroup", "GROUP", this.group, this.consumer, "COUNT", 1],
      ...["BLOCK", Math.max(1, Math.round(milliseconds)), "STREAMS", this.stream, ">"],
    );
    const [streams] = readSchema.parse(found) ?? [];
    return this.#first(streams?.[1] ?? []);
  }

  /** Claims a message whose lease has ended. */
  async abandoned(): Promise<Change | undefined> {
    const found = await this.#other.call(
      ...["xautoclaim", this.stream, this.group, this.consumer, this.lease, "0-0", "COUNT", 1],
    );
    return this.#first(claimedSchema.parse(found)[1]);
  }

  /** Takes the lease of a message; false if it is finished, or another consumer has it. */
  async take(change: Change, isClaimed: boolean): Promise<boolean> {
    const key = this.#key(change);
    const taken = await this.#other.call("set", key, this.consumer, "NX", "PX", this.lease);
    if (taken !== null) return true;
    // A new message that was published twice: its first entry stays with its consumer until the
    // work has ended. A message that was claimed too early comes again after another lease.
    if (!isClaimed || (await this.#other.call("get", key)) === DONE)
      await this.#acknowledge(change.entry);
    return false;
  }

  /**
   * Renews a lease; false if another consumer has claimed the message meanwhile.
   *
   * @param hasEnded whether the work has ended, so that the message is about to be finished.
   */
  async renew(change: Change, hasEnded: () => boolean): Promise<boolean> {
    const { stream, group, consumer } = this;
    const { entry } = change;
    const found = await this.#other.call("xpending", stream, group, entry, entry, 1, consumer);
    if (hasEnded()) return true;
    if (pendingSchema.parse(found).length === 0) return false;
    await this.#other.call("set", this.#key(change), consumer, "PX", this.lease);
    await this.#other.call("xclaim", stream, group, consumer, 0, entry, "JUSTID");
    return true;
  }

  /** Acknowledges a message after the work on it has ended, successful or not. */
  async finish(change: Change): Promise<void> {
    await this.#other.call("set", this.#key(change), DONE, "EX", KNOWN_SECONDS);
    await this.#acknowledge(change.entry);
  }

  /** Leaves the group, unless it has messages that other consumers have to claim. */
  async leave(): Promise<void> {
    const { stream, group, consumer } = this;
    const found = await this.#other.call("xpending", stream, group, "-", "+", 1, consumer);
    if (pendingSchema.parse(found).length === 0)
      await this.#other.call("xgroup", "DELCONSUMER", stream, group, consumer);
  }

  /**
   * The latest message about the same book, and the id of the last entry.
   *
   * @param after the id of an entry; only later ones are read.
   */
  async latest(change: Change, after: string): Promise<{ latest: Change; seen: string }> {
    let latest = change;
    let seen = after;
    for (;;) {
      const found = await this.#other.call("xrange", this.stream, `(${seen}`, "+", "COUNT", PAGE);
      const entries = entriesSchema.parse(found).filter((entry) => entry !== null);
      for (const [entry, fields] of entries) {
        const later = parseChange(entry, fields);
        if (later?.bookId === change.bookId && later.revision > latest.revision) latest = later;
        seen = entry;
      }
      if (entries.length < PAGE) return { latest, seen };
    }
  }

  /** Closes the connections; the next call opens them again. */
  async close(): Promise<void> {
    await Promise.all([this.#reader.close(), this.#other.close()]);
  }

  #acknowledge(entry: string): Promise<unknown> {
    return this.#other.call("xack", this.stream, this.group, entry);
  }

  async #first(entries: z.infer<typeof entriesSchema>): Promise<Change | undefined> {
    const [first] = entries;
    if (first == null) return undefined;
    const change = parseChange(...first);
    if (change === undefined) await this.#acknowledge(first[0]);
    return change;
  }

  #key(change: Change): string {
    return `${this.stream}:${this.group}:${change.id}`;
  }
}

/** A connection that is opened when it is needed, and again after an error. */
class Connection {
  readonly #place;
  #client: Promise<RedisClient> | undefined;

  constructor(url: string) {
    this.#place = redisPlace(url);
  }

  /** The command is in lower case: ioredis gives each protocol's answer the same form then. */
  async call(command: string | number, ...args: (string | number)[]): Promise<unknown> {
    const client = (this.#client ??= connectRedis(this.#place, false));
    try {
      return await (await client).call(String(command), ...args);
    } catch (error) {
      // After a timeout a reply may still arrive: use another connection.
      const isAnswer = /^(BUSYGROUP|NOGROUP)/.test(textOf(error));
      if (!isAnswer && this.#client === client) await this.close();
      throw new Unavailable(textOf(error), { cause: error });
    }
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.then((open) => open.disconnect()).catch(() => undefined);
  }
}
