// Requests of a list of books: its window from the top, its next page, or only its counts.
import { parseAnswer } from "./answers.js";
import type { BooksAnswer, BooksState, CountAnswer, Counts } from "./books-reducer.js";
import { BinderyError, isRecord } from "./errors.js";
import type { Extent } from "./news.js";
import { PHASES } from "./phase.js";
import { arrayOf } from "./schema.js";
import { listedBookSchema, withoutSubsteps, type BookRow } from "./status.js";
import type { BooksPage, BooksQuery, BookTransport, Transport } from "./transport.js";

const booksSchema = arrayOf(listedBookSchema);

function readCounts(counts: unknown): Counts | null {
  if (!isRecord(counts)) return null;
  const known = PHASES.flatMap((phase) => {
    const count = counts[phase];
    return typeof count === "number" ? [[phase, count] as const] : [];
  });
  return Object.fromEntries(known);
}

function listing(transport: BookTransport): Transport["fetchBooks"] {
  if (transport.fetchBooks === undefined)
    throw new BinderyError("refused", "This transport cannot read lists of books.");
  return transport.fetchBooks.bind(transport);
}

/** The books from the top. */
export async function fetchWindow(
  transport: BookTransport,
  query: BooksQuery,
  signal: AbortSignal,
): Promise<BooksAnswer> {
  return { kind: "window", ...answerOf(await listing(transport)(query, signal), query) };
}

export async function fetchBooks(
  transport: BookTransport,
  { query, rows, next, covered }: BooksState,
  signal: AbortSignal,
  extent: Extent,
): Promise<BooksAnswer | CountAnswer> {
  if (extent === "count" && transport.countBooks !== undefined) {
    const { total, counts } = await transport.countBooks(query, signal);
    return { kind: "count", total, counts: readCounts(counts) };
  }
  if (extent !== "more" || rows === null || typeof next !== "string")
    return fetchWindow(transport, query, signal);
  const page = await listing(transport)({ ...query, limit: query.limit - covered }, signal, next);
  return { kind: "page", ...answerOf(page, query) };
}

function answerOf(page: BooksPage, { limit }: BooksQuery) {
  return {
    rows: parseAnswer(booksSchema, page.rows).map((row): BookRow => withoutSubsteps(row)),
    total: page.total,
    counts: readCounts(page.counts),
    limit,
    next: page.next,
  };
}
