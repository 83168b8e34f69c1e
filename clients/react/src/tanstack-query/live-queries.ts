// Keeps the observed queries of a cache live: each one has a subscription of the client from its
// first observer to its last, which writes what changes into the cache.
import type { Query, QueryClient } from "@tanstack/react-query";
import { forbidsShowing, type BinderyError } from "../errors.js";
import type { View } from "../views.js";

/** What a query shows. */
export interface LiveSource {
  watch(listener: () => void): () => void;
  view(): View;
  /** The data after a change of the view; undefined: none yet. */
  data(before: unknown): unknown;
}

export class LiveQueries {
  readonly #live = new WeakSet<object>();

  /** `sourceOf`: what a query shows; null: it is none of ours. */
  constructor(private readonly sourceOf: (key: readonly unknown[]) => LiveSource | null) {}

  /** Whether a subscription keeps the query up to date. */
  isLive(query: object): boolean {
    return this.#live.has(query);
  }

  connect(queryClient: QueryClient): () => void {
    const cache = queryClient.getQueryCache();
    const endings = new Map<Query, () => void>();
    const begin = (query: Query) => {
      const source = this.sourceOf(query.queryKey);
      if (source === null || endings.has(query)) return;
      const write = () => this.#write(queryClient, query, source);
      endings.set(query, source.watch(write));
      this.#live.add(query);
      write();
    };
    const end = (query: Query) => {
      endings.get(query)?.();
      endings.delete(query);
      this.#live.delete(query);
    };
    const stop = cache.subscribe(({ type, query }) => {
      if (type === "observerAdded") begin(query);
      const isLast = type === "observerRemoved" && query.getObserversCount() === 0;
      if (isLast || type === "removed") end(query);
    });
    for (const query of cache.getAll()) if (query.getObserversCount() > 0) begin(query);
    return () => {
      stop();
      for (const query of [...endings.keys()]) end(query);
    };
  }

  #write(queryClient: QueryClient, query: Query, source: LiveSource) {
    const { error } = source.view();
    if (error !== null && forbidsShowing(error)) return withhold(query, error);
    const before: unknown = query.state.data;
    const data = source.data(before);
    if (data !== undefined && data !== before) queryClient.setQueryData(query.queryKey, data);
  }
}

/** The reader may not see the data any more. */
function withhold(query: Query, error: BinderyError) {
  if (query.state.data === undefined && query.state.error !== null) return;
  query.setState({ data: undefined, error, status: "error", errorUpdatedAt: Date.now() });
}
