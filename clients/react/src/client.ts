// @bindery/react/client: everything that does not need React.
export {
  createBindery,
  createBookClient,
  defaultTiming,
  type Bindery,
  type BinderyOptions,
  type BookClient,
  type BookView,
  type BooksFilter,
  type BooksList,
  type BooksView,
  type View,
} from "./bindery.js";
export {
  supabaseTransport,
  type SupabaseClientLike,
  type SupabaseOptions,
} from "./transports/supabase.js";
export { sseTransport, type SseOptions } from "./transports/sse.js";
export { sseBookTransport } from "./transports/sse-book.js";
export type {
  ActOptions,
  BookTransport,
  BooksCount,
  BooksPage,
  BooksQuery,
  BooksSort,
  CancelOptions,
  EndReason,
  Page,
  SubscriptionListener,
  SubstepsQuery,
  TimelineQuery,
  Topic,
  Transport,
} from "./transport.js";
export { bookActs, type Act, type ActView, type BookActs, type PerformAct } from "./acts.js";
export type { BookEvent, ListedSubstep } from "./pages/items.js";
export type { PagesView } from "./pages/live-pages.js";
export { bookSubsteps, bookTimeline, type Pages } from "./pages/pages-of-books.js";
export type { SubstepsOptions, SubstepsView } from "./pages/substep-list.js";
export type { TimelineOptions, TimelineView } from "./pages/timeline.js";
export { PHASES, phaseOf, type Phase } from "./phase.js";
export type { Connection } from "./connection.js";
export { BinderyError, type ErrorKind } from "./errors.js";
export type { Environment } from "./environment.js";
export type { Timing } from "./subject.js";
export type { Patience } from "./stale.js";
export {
  bookPatchSchema,
  bookRowSchema,
  bookStatusSchema,
  isFinal,
  type BookError,
  type BookPatch,
  type BookRow,
  type BookStatus,
  type Health,
  type Stage,
  type Substep,
} from "./status.js";
