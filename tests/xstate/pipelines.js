// A pipeline of odd shapes, to be walked beside the ones that are shipped, and the smallest there
// can be.

/**
 * Branches of unequal length, a guard on most edges, rework in chains, work in the initial state, a
 * state without any.
 */
export const odd = {
  auto_advance: true,
  states: [
    {
      name: 'S',
      weight: 1,
      max_attempts: 2,
      substeps: [{ substep: 'x' }, { substep: 'y', weight: 3 }],
      next: [{ to: 'L', guard: 'substeps_complete' }, { to: 'R_2', guard: 'attempts_left' }, 'Z'],
    },
    { name: 'L', weight: 2, next: [{ to: 'M', guard: 'public.may_leave' }], rework: ['S'] },
    { name: 'M', next: ['R_2', { to: 'N', guard: 'attempts_left' }] },
    {
      name: 'R_2',
      weight: 0.5,
      open_substeps: true,
      next: [{ to: 'N', guard: 'substeps_complete' }],
    },
    {
      name: 'N',
      weight: 3,
      max_attempts: 1,
      next: [
        { to: 'Z', guard: 'attempts_left' },
        { to: 'P', guard: 'substeps_complete' },
      ],
      rework: ['R_2', 'L'],
    },
    { name: 'P', weight: 1, label: 'Last "words" — <b>', rework: ['N'] },
    { name: 'Z' },
  ],
};

/** The SQL function that guards an edge of `odd`: the answer stands in the book's own metadata. */
export const mayLeave = `
create function public.may_leave(book bindery.book_status) returns boolean language sql stable as
$$ select (book.metadata ->> 'may_leave')::boolean $$`;

export const single = { states: [{ name: 'ONLY', weight: 1 }, { name: 'DONE' }] };
