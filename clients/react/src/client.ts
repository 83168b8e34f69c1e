// @bindery/react/client: everything that does not need React.
export {
  createBindery,
  defaultTiming,
  type Bindery,
  type BinderyOptions,
  type BookView,
  type BooksFilter,
  type BooksView,
  type View,
} from "./bindery.js";
export {
  supabaseTransport,
  type SupabaseClientLike,
  type SupabaseOptions,
} from "./transports/supabase.js";
export { sseTransport, type SseOptions } from "./transports/sse.js";
export type {
  BooksCount,
  BooksPage,
  BooksQuery,
  BooksSort,
  EndReason,
  SubscriptionListener,
  Topic,
  Transport,
} from "./transport.js";
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
