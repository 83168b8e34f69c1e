// The daemon's HTTP API with one book, which a test lets fail, resume and complete.
import type { BookStatus } from "../../src/status.js";
import { at, id, status, substep } from "../../test/support/books.js";
import { event, listed } from "../../test/support/pages.js";
import { SseServer, type Request } from "../../test/support/sse-server.js";

export const bookId = id(1);

export class Daemon {
  readonly server = new SseServer();
  base = "";
  #status = status();
  #events = [event(1, { kind: "register" })];

  async start() {
    this.base = await this.server.start();
    this.server.answer = (url, sent) => this.#answer(url, sent);
  }

  /** The same book again, as at the start. */
  reset() {
    this.#status = status({ updated_at: at(0) });
    this.#events = [event(1, { kind: "register" })];
    this.server.end();
    this.server.requests.length = 0;
  }

  /** The book's next revision. */
  change(changes: Partial<BookStatus>) {
    const revision = this.#status.revision + 1;
    this.#status = { ...this.#status, ...changes, revision };
    this.server.send("book_status", { ...this.#status, substeps_partial: false }, revision);
  }

  progress(percent: number, message: string) {
    const [, second] = status().substeps;
    const rest = second === undefined ? [] : [second];
    const substeps = [substep("extract_text", percent), ...rest];
    this.change({ overall_progress: percent, stage_progress: percent, message, substeps });
  }

  fail() {
    this.#note("fail", "FAILED");
    const error = { code: "out_of_memory", message: "The worker ran out of memory." };
    this.change({ status: "FAILED", error, health: null });
  }

  complete() {
    this.#note("complete", "COMPLETED");
    const stages = this.#status.stages.map((stage) => ({
      ...stage,
      state: "done" as const,
      progress: 100,
    }));
    const ended = { status: "COMPLETED", completed_at: at(60), health: null, stages };
    this.change({ ...ended, overall_progress: 100, stage_progress: 100 });
  }

  async stop() {
    await this.server.stop();
  }

  #note(kind: string, to_status: string) {
    this.#events.unshift(event(this.#status.revision + 1, { kind, to_status }));
  }

  #answer(url: string, { method }: Request): [number, unknown] {
    const { pathname } = new URL(url, this.base);
    if (method === "POST" && pathname.endsWith("/resume")) {
      this.#note("resume", "ANALYZING");
      const attempt = this.#status.attempt + 1;
      this.change({ status: "ANALYZING", error: null, health: "live", attempt });
      return [200, this.#status];
    }
    if (pathname.endsWith("/status")) return [200, this.#status];
    if (pathname.endsWith("/timeline"))
      return [200, { book_id: bookId, events: this.#events, next: null }];
    if (pathname.endsWith("/substeps")) {
      const { revision, attempt } = this.#status;
      const more = { revision, attempt };
      const substeps = this.#status.substeps.map((one) => ({ ...listed(""), ...one, ...more }));
      return [200, { substeps, next: null }];
    }
    return [200, { books: [this.#status], next: null, total: 1 }];
  }
}
