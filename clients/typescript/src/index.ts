/**
 * Report the progress of long work to Bindery.
 *
 * Reporting never breaks the work: calls return at once, events are delivered in the background,
 * and problems of the server are logged. `Superseded` is the one error that stops the work.
 *
 * @module
 */
export { Book, type BookOptions } from "./book.js";
export type { BinderyEvent, EventType, Item } from "./buffer.js";
export { book, Client, configure, defaultClient, type ClientOptions } from "./client.js";
export { BinderyError, Failed, Refused, Superseded, Unavailable } from "./errors.js";
export { eventSchema, type Event } from "./event.js";
export { bookUuid, NAMESPACE } from "./ids.js";
export type { Left, ResumePoint } from "./resume.js";
export { Stage, type StageOptions, type StageReport, type TrackOptions } from "./stage.js";
export type { BookStatus } from "./status.js";
export { Track } from "./track.js";
export type { Outcome, Transport } from "./transports/transport.js";
export { watch, type WatchOptions } from "./watch.js";
