"use client";
// A page with what the package has: components, hooks, and the adapter for TanStack Query.
import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import {
  BinderyProvider,
  createBindery,
  ProgressTracker,
  sseTransport,
  StatusIndicator,
  useBooks,
  useBookStatus,
  useBookTimeline,
  useResumeBook,
  useSubsteps,
  type BookStatus,
} from "@bindery/react";
import { binderyQueries } from "@bindery/react/tanstack-query";

const clients = new Map<string, ReturnType<typeof connect>>();

function connect(base: string) {
  const bindery = createBindery(sseTransport(base));
  return { bindery, queries: binderyQueries(bindery) };
}

/** One client for each server, made once, outside of components. */
function clientOf(base: string) {
  const client = clients.get(base) ?? connect(base);
  clients.set(base, client);
  return client;
}

interface Given {
  base: string;
  bookId: string;
  /** What the server has fetched. */
  initial?: BookStatus | undefined;
}

export function Live(given: Given) {
  const { bindery, queries } = clientOf(given.base);
  const [queryClient] = useState(() => new QueryClient());
  useEffect(() => queries.connect(queryClient), [queries, queryClient]);
  return (
    <QueryClientProvider client={queryClient}>
      <BinderyProvider client={bindery}>
        <Page {...given} />
      </BinderyProvider>
    </QueryClientProvider>
  );
}

function Page({ base, bookId, initial }: Given) {
  const [ends, setEnds] = useState<string[]>([]);
  const note = (what: string) => setEnds((before) => [...before, what]);
  const percent = useBookStatus(bookId, {
    initial,
    select: ({ book }) => book?.overall_progress ?? null,
    onComplete: ({ attempt }) => note(`completed at ${attempt}`),
    onFail: ({ attempt }) => note(`failed at ${attempt}`),
  });
  const { events } = useBookTimeline(bookId);
  const { substeps } = useSubsteps(bookId, { limit: 20 });
  const { books } = useBooks({ pageSize: 5 });
  const { resume, state, busy } = useResumeBook(bookId);
  const cached = useQuery(clientOf(base).queries.book(bookId));
  return (
    <main>
      <ProgressTracker bookId={bookId} initial={initial} />
      <p id="percent">{percent}</p>
      <p id="ends">{ends.join(", ")}</p>
      <p id="timeline">{events.map(({ kind }) => kind).join(" ")}</p>
      <p id="substeps">
        {substeps.map(({ substep, progress }) => `${substep} ${progress}`).join(", ")}
      </p>
      <p id="cached">{cached.data?.message}</p>
      <ul id="books">
        {books.map((book) => (
          <li key={book.book_id}>
            {book.title} <StatusIndicator book={book} />
          </li>
        ))}
      </ul>
      <button id="resume" disabled={busy} onClick={() => void resume()}>
        {state}
      </button>
    </main>
  );
}
