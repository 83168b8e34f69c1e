// Supabase: PostgREST for requests, Realtime for subscriptions. Broadcasts on private topics by
// default, Postgres Changes on request. After SUBSCRIBED, messages may still be missing until the
// `system` message, which therefore raises a doubt.
import { BinderyError, isRecord, refusal } from "../errors.js";
import type {
  BooksQuery,
  EndReason,
  Page,
  SubscriptionListener,
  Topic,
  Transport,
} from "../transport.js";
import { sameForm } from "../uuid.js";
import type { Answer, Channel, Query, Supabase, SupabaseClientLike } from "./supabase-client.js";
import { TopicAccess, type Outcome } from "./topic-access.js";

export type { SupabaseClientLike } from "./supabase-client.js";

export interface SupabaseOptions {
  /**
   * - `broadcast` (the default): private topics `book:<id>:<owner_id>` (`book:<id>` without an
   *   owner) and `owner:<owner_id>`, fast, for many readers. A list without an owner has no topic
   *   and uses Postgres Changes.
   * - `changes`: Postgres Changes for everything. Slower (polled by Realtime), and needs no policy
   *   on `realtime.messages`.
   */
  via?: "broadcast" | "changes";
  /** The schema in which Bindery is installed. */
  schema?: string;
  /**
   * The most open channels at once; 50 by default. Realtime allows a connection 100, including your
   * own.
   */
  channels?: number;
}

/** The number of joins in a row that time out before the connection is made again. */
const TIME_OUTS = 2;

/**
 * Errors of a join for which an immediate retry is useless: no right to the topic, or no room for
 * another channel.
 */
const REFUSALS = /\b(Unauthorized|PrivateOnly|ChannelRateLimitReached)\b/;

export function supabaseTransport(
  client: SupabaseClientLike,
  options: SupabaseOptions = {},
): Transport {
  const supabase = client as unknown as Supabase;
  const { via = "broadcast", schema = "bindery", channels = 50 } = options;
  const access = new TopicAccess();
  let timeOuts = 0;

  return {
    most: channels,

    async fetchBook(bookId, signal) {
      // A GET, so that a read replica may answer.
      const args = { book_id: sameForm(bookId) };
      return answerOf(call("get_book_status", args, { get: true }).abortSignal(signal));
    },

    async fetchBooks(query, signal) {
      const { data, count } = checked(await books(query).abortSignal(signal));
      return { rows: data, total: count };
    },

    open(given, _since, listener) {
      const topic = sameTopic(given);
      let channel: Channel | null = null;
      let closed = false;
      /** Ends the wait for a join whose channel was closed before it had an outcome. */
      let leave = () => {};
      const join = async (): Promise<Outcome> => {
        // With the current token: a channel with an expired token is refused.
        if (!closed) await supabase.realtime.setAuth();
        if (closed) return "unknown";
        return new Promise((resolve) => {
          leave = () => resolve("unknown");
          channel = joined(topic, listener, resolve);
        });
      };
      const isPrivate = via === "broadcast" && (topic.kind === "book" || topic.ownerId !== null);
      const joining = isPrivate ? access.join(topic.ownerId, join) : join().then(() => true);
      joining.then(
        (tried) => tried || listener.ended("refused"),
        () => listener.ended("lost"),
      );
      return async () => {
        closed = true;
        leave();
        if (channel !== null) await supabase.removeChannel(channel);
      };
    },

    async fetchTimeline(bookId, { before, limit }, signal) {
      let query = supabase.schema(schema).from("book_events").select("*");
      query = query.eq("book_id", sameForm(bookId));
      if (before !== null) query = query.lt("revision", before);
      query = query.order("revision", { ascending: false }).limit(limit + 1);
      return page(await answerOf(query.abortSignal(signal)), limit, "revision", isNumber);
    },

    async fetchSubsteps(bookId, { stage, after, limit }, signal) {
      const args = {
        book_id: sameForm(bookId),
        ...(stage === null ? {} : { stage }),
        ...(after === null ? {} : { after }),
        max_substeps: limit + 1,
      };
      const query = call("list_substeps", args, { get: true });
      return page(await answerOf(query.abortSignal(signal)), limit, "substep", isString);
    },

    async resumeBook(bookId, { expectedRevision }) {
      const args = { book_id: sameForm(bookId), expected_revision: expectedRevision ?? null };
      await answerOf(call("resume_book", args));
    },

    async cancelBook(bookId, { message, expectedRevision }) {
      const args = { message: message ?? null, expected_revision: expectedRevision ?? null };
      await answerOf(call("cancel_book", { book_id: sameForm(bookId), ...args }));
    },
  };

  function call(name: string, args: Record<string, unknown>, options?: { get: boolean }): Query {
    return supabase.schema(schema).rpc(name, args, options);
  }

  function books(wanted: BooksQuery): Query {
    for (const name of ["phase", "search", "tag", "counts"] as const)
      if (wanted[name] !== undefined)
        throw new BinderyError("invalid", `supabaseTransport has no filter "${name}".`);
    let query = supabase.schema(schema).from("book_status").select("*", { count: "exact" });
    if (wanted.ownerId !== null) query = query.eq("owner_id", sameForm(wanted.ownerId));
    if (wanted.pipeline !== null) query = query.eq("pipeline", wanted.pipeline);
    if (wanted.statuses !== null) query = query.in("status", wanted.statuses);
    const ascending = !wanted.descending;
    return query
      .order(wanted.sort, { ascending })
      .order("book_id", { ascending })
      .limit(wanted.limit);
  }

  function joined(
    topic: Topic,
    listener: SubscriptionListener,
    settle: (outcome: Outcome) => void,
  ): Channel {
    const name = nameOf(topic);
    const channel =
      via === "changes" || name === null
        ? listenToChanges(topic, name ?? "books", listener)
        : listen(name, listener);
    channel.on("system", {}, (message) => {
      if (isRecord(message) && message["status"] === "error") listener.ended("lost");
      else listener.doubt();
    });
    return channel.subscribe((status, error) => {
      if (status === "SUBSCRIBED") {
        timeOuts = 0;
        settle("granted");
        return listener.subscribed();
      }
      // CHANNEL_ERROR, TIMED_OUT, CLOSED: a new channel uses a new token, so none is left to
      // reconnect automatically.
      const reason = reasonOf(error);
      settle(isUnauthorized(error) ? "refused" : "unknown");
      if (status !== "TIMED_OUT") return listener.ended(reason);
      void renewed().finally(() => listener.ended(reason));
    });
  }

  /**
   * Some WebSockets, such as that of Node 22, stay "connecting" forever after a failed handshake.
   */
  async function renewed(): Promise<void> {
    timeOuts += 1;
    if (timeOuts < TIME_OUTS || supabase.realtime.isConnected()) return;
    timeOuts = 0;
    await supabase.realtime.disconnect();
  }

  function listen(name: string, listener: SubscriptionListener): Channel {
    const channel = supabase.channel(name, {
      config: { private: true, broadcast: { replication_ready: true } },
    });
    const payloadOf = (message: unknown) => (isRecord(message) ? message["payload"] : message);
    return channel
      .on("broadcast", { event: "book_status" }, (message) => listener.message(payloadOf(message)))
      .on("broadcast", { event: "gone" }, (message) => gone(payloadOf(message), listener));
  }

  function listenToChanges(topic: Topic, name: string, listener: SubscriptionListener): Channel {
    const change = { event: "*", schema, table: "book_status" };
    const filter =
      topic.kind === "book"
        ? `book_id=eq.${topic.bookId}`
        : topic.ownerId === null
          ? null
          : `owner_id=eq.${topic.ownerId}`;
    const channel = supabase.channel(`bindery:${name}`, { config: { private: false } });
    return channel.on(
      "postgres_changes",
      filter === null ? change : { ...change, filter },
      (message) => {
        if (!isRecord(message)) return listener.doubt();
        const { eventType, new: row, old } = message;
        if (eventType !== "DELETE") listener.message(row);
        // Deletions arrive unfiltered, with the key only.
        else gone(old, listener);
      },
    );
  }
}

/** The topic that Bindery broadcasts to; null: none. */
function nameOf(topic: Topic): string | null {
  if (topic.kind === "books") return topic.ownerId === null ? null : `owner:${topic.ownerId}`;
  return topic.ownerId === null ? `book:${topic.bookId}` : `book:${topic.bookId}:${topic.ownerId}`;
}

function gone(payload: unknown, listener: SubscriptionListener) {
  if (isRecord(payload) && typeof payload["book_id"] === "string")
    listener.deleted(payload["book_id"]);
  else listener.doubt();
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : "");
const reasonOf = (error: unknown): EndReason =>
  REFUSALS.test(messageOf(error)) ? "refused" : "lost";
const isUnauthorized = (error: unknown) => /\bUnauthorized\b/.test(messageOf(error));

/** The same topic with its ids in the form in which Bindery broadcasts and Postgres compares. */
function sameTopic(topic: Topic): Topic {
  const ownerId = topic.ownerId === null ? null : sameForm(topic.ownerId);
  return topic.kind === "books"
    ? { ...topic, ownerId }
    : { ...topic, bookId: sameForm(topic.bookId), ownerId };
}

const isNumber = (value: unknown) => typeof value === "number";
const isString = (value: unknown) => typeof value === "string";

/** A page of at most `limit` of the rows; one more row shows that another page follows. */
function page<Cursor>(
  rows: unknown,
  limit: number,
  key: string,
  isCursor: (value: unknown) => value is Cursor,
): Page<Cursor> {
  if (!Array.isArray(rows) || rows.length <= limit) return { items: rows, next: null };
  const items: unknown[] = rows.slice(0, limit);
  const last = items.at(-1);
  const next = isRecord(last) && isCursor(last[key]) ? last[key] : null;
  return { items, next };
}

async function answerOf(query: PromiseLike<Answer>): Promise<unknown> {
  return checked(await query).data;
}

function checked(answer: Answer): Answer {
  if (answer.error !== null) throw refusal(answer.status, answer.error);
  return answer;
}
