import { createActor, setup } from 'xstate';

/**
 * The machine of a pipeline, in the state of a row of book_status.
 * @param {any} config what pipeline_xstate gave
 * @param {{ status: string, current_stage: string, attempt: number, substeps_total: number,
 * substeps_done: number }} book
 */
export function bookActor(config, book) {
  const limit = config.states[book.current_stage].meta.max_attempts;
  const machine = setup({
    guards: {
      substeps_complete: () =>
        book.substeps_total > 0 && book.substeps_done === book.substeps_total,
      attempts_left: () => limit === undefined || book.attempt < limit,
    },
  }).createMachine(config);
  const value = book.status === 'FAILED' ? { FAILED: book.current_stage } : book.status;
  return createActor(machine, { snapshot: machine.resolveState({ value }) }).start();
}

/**
 * The statuses that a book may be asked to go to now.
 * @param {ReturnType<typeof bookActor>} actor
 */
export function choices(actor) {
  const snapshot = actor.getSnapshot();
  return [...snapshot.machine.root.meta.order, 'FAILED', 'CANCELLED'].filter((type) =>
    snapshot.can({ type }),
  );
}
