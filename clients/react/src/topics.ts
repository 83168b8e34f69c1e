// The open subscriptions of a client, one for each topic, within the transport's limit.
import type { Environment } from "./environment.js";
import { isRecord } from "./errors.js";
import { createLink, type Link, type LinkListener } from "./link.js";
import type { Topic, BookTransport } from "./transport.js";
import { sameForm } from "./uuid.js";

/** Subscriptions that books leave free: a book without its own one uses its owner's topic. */
const KEPT_FOR_LISTS = 5;

export interface Topics {
  /**
   * Subscribes until the returned function is called; null: the limit is reached. A book without
   * its own subscription uses its owner's topic; audits find missed changes.
   */
  attach(topic: Topic, listener: LinkListener): (() => void) | null;
  /** Resolves when all subscriptions that have been ended are closed. */
  closed(): Promise<void>;
}

export function createTopics(transport: BookTransport, environment: Environment): Topics {
  const links = new Map<string, Link>();

  function attach(topic: Topic, listener: LinkListener): (() => void) | null {
    const name = JSON.stringify(topic);
    const known = links.get(name);
    const most = transport.most ?? Number.POSITIVE_INFINITY;
    const room = most - (topic.kind === "book" ? KEPT_FOR_LISTS : 0);
    if (known === undefined && links.size >= room) {
      if (topic.kind === "books" || topic.ownerId === null) return null;
      const ownersTopic = { kind: "books", ownerId: topic.ownerId } as const;
      return attach(ownersTopic, onlyBook(topic.bookId, listener));
    }
    const link = known ?? createLink(transport, topic, environment, () => links.delete(name));
    links.set(name, link);
    return link.attach(listener);
  }

  return {
    attach,
    async closed() {
      await Promise.all([...links.values()].map((link) => link.closed()));
    },
  };
}

/** The messages about one book, from a topic with many books. */
function onlyBook(bookId: string, listener: LinkListener): LinkListener {
  const matches = (id: unknown) => typeof id === "string" && sameForm(id) === bookId;
  return {
    ...listener,
    message: (payload) => {
      if (isRecord(payload) && matches(payload["book_id"])) listener.message(payload);
    },
    deleted: (id) => {
      if (matches(id)) listener.deleted(id);
    },
    since: () => null,
  };
}
