// The errors of this package. Problems of a transport never reach the work: they are logged.

/** The base of this package's errors. */
export class BinderyError extends Error {
  override name = "BinderyError";
}

/** A server has refused a call. */
export class Refused extends BinderyError {
  override name = "Refused";
  constructor(
    /** The code of Bindery's error, such as `illegal_transition`, or the SQLSTATE. */
    readonly code: string,
    message: string,
    /** What the error's detail has beside `code`, such as `allowed`. */
    readonly details: Readonly<Record<string, unknown>> = {},
    /** The next step. */
    readonly hint?: string,
  ) {
    super(message);
  }
}
