// The errors of this package. Problems of a transport never reach the work: they are logged.

/** The base of this package's errors. */
export class BinderyError extends Error {
  override name = "BinderyError";
}

/**
 * The book has left the attempt that this worker works on: stop, the work no longer counts.
 *
 * Thrown by the next report (`track`, `report`, `message`, `checkpoint`) or at the end of the
 * stage, once the server's answer is known. The usual causes: the book was without a heartbeat for
 * longer than `stall_after` and FAILED, an operator cancelled or rewound it, or another worker has
 * begun the next stage.
 */
export class Superseded extends BinderyError {
  override name = "Superseded";
  constructor(
    /** The book's uuid. */
    readonly bookId: string,
    /** The stage that this worker works on. */
    readonly stage: string,
    /** The attempt that this worker works on, where it is known. */
    readonly attempt: number | undefined,
    /** The book's status now, where it is known. */
    readonly status: string | undefined,
    /** The book's attempt now, where it is known. */
    readonly currentAttempt: number | undefined,
  ) {
    super(
      `attempt ${attempt ?? "unknown"} of ${stage} of book ${bookId} is superseded: the book is in ` +
        `${status ?? "another state"}, attempt ${currentAttempt ?? "unknown"}`,
    );
  }
}

/** Options of `Failed`. */
export interface FailedOptions extends ErrorOptions {
  /** False: the book waits for an operator. Otherwise the stage's `retry_after` applies. */
  retry?: boolean;
  /** Further members of the error object; they must be JSON. */
  details?: Record<string, unknown>;
}

/** Throw this in a stage to fail the book with an error of your own. */
export class Failed extends BinderyError {
  override name = "Failed";
  readonly retry: boolean;
  readonly details: Record<string, unknown>;
  constructor(
    /** A short name of the problem, in lower snake case. */
    readonly code: string,
    message: string = code,
    { retry = true, details = {}, ...options }: FailedOptions = {},
  ) {
    super(message, options);
    this.retry = retry;
    this.details = details;
  }
}

/** A server has refused a call. In the work it comes from `@bindery/producer/testing` alone. */
export class Refused extends BinderyError {
  override name = "Refused";
  constructor(
    /** The code of Bindery's error, such as `illegal_transition`, or the SQLSTATE. */
    readonly code: string,
    message: string,
    /** The members of the error's detail besides `code`, such as `allowed`. */
    readonly details: Readonly<Record<string, unknown>> = {},
    /** The next step. */
    readonly hint?: string,
  ) {
    super(message);
  }
}

/** A transport could not deliver; the sender tries again. It never reaches the work. */
export class Unavailable extends BinderyError {
  override name = "Unavailable";
}

// SQLSTATEs (and PostgREST's codes) after which a call is sent again: connection and resource
// problems, conflicts between transactions, shutdown, a read-only standby. Missing rights or a
// missing schema, too: nothing is lost once they are granted or installed.
const TRANSIENT = /^(08|25006|28|3D|3F|40|42501|42883|42P01|53|55P03|57|58|PGRST)/;

/** Whether a call that ended with this SQLSTATE can succeed later. */
export const isTransient = (state: string): boolean => TRANSIENT.test(state);

/** An unknown error as text. */
export const textOf = (error: unknown): string => {
  if (error instanceof AggregateError && error.message === "")
    return error.errors.map(textOf).join("; ");
  return error instanceof Error ? error.message || error.name : String(error);
};
