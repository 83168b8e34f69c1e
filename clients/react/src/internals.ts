// What the parts of the client share that an app may leave out of its bundle: they are functions of
// a client, and not its methods.
import type { News } from "./news.js";
import type { Environment } from "./environment.js";
import type { BookStatus } from "./status.js";
import type { Timing } from "./subject.js";
import type { LinkListener } from "./link.js";
import type { Topic, BookTransport } from "./transport.js";
import type { BookView } from "./views.js";

/** A book that is kept up to date while it is subscribed. */
export interface WatchedBook {
  readonly view: BookView;
  /** Calls at each change of the view. */
  subscribe(listener: () => void): () => void;
  /** Calls with each piece of news, before it changes the view. */
  onNews(listener: (news: News<BookStatus>) => void): () => void;
}

export interface Internals {
  readonly transport: BookTransport;
  readonly timing: Timing;
  readonly environment: Environment;
  /** Subscribes to a topic until the returned function is called; null: the limit is reached. */
  readonly attach: (topic: Topic, listener: LinkListener) => (() => void) | null;
  book(bookId: string): WatchedBook;
  /** Called when the client is closed. */
  readonly closers: Set<() => void>;
}

const internals = new WeakMap<object, Internals>();

export function shareInternals(client: object, own: Internals) {
  internals.set(client, own);
}

export function internalsOf(client: object): Internals {
  const own = internals.get(client);
  if (own === undefined) throw new TypeError("This is not a client that createBindery has made.");
  return own;
}

/** A function that makes a part once for each client. */
export function partOf<Part>(make: (client: Internals) => Part): (client: object) => Part {
  const parts = new WeakMap<object, Part>();
  return (client) => {
    const known = parts.get(client);
    if (known !== undefined) return known;
    const part = make(internalsOf(client));
    parts.set(client, part);
    return part;
  };
}
