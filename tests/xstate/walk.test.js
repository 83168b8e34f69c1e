import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { createMachine } from 'xstate';
import { connect, disconnect, value } from './database.js';
import { bookActor, choices } from './frontend.js';
import { mayLeave, odd, single } from './pipelines.js';
import { Walk } from './walk.js';

/** @type {import('pg').Client} */
let client;

before(async () => {
  client = await connect();
  await client.query(mayLeave);
  await client.query('select bindery.define_pipeline($1, $2), bindery.define_pipeline($3, $4)', [
    'odd',
    odd,
    'single',
    single,
  ]);
});
after(() => disconnect(client));

/** @param {number} substeps_total @param {number} substeps_done */
const counts = (substeps_total, substeps_done) => ({ substeps_total, substeps_done });

/** @param {string} name */
const config = (name) => value(client, 'select bindery.pipeline_xstate($1)', [name]);

// The numbers of paths were counted by other code, from the definitions alone.
/** @type {[name: string, paths: number, shut: string[]][]} */
const pipelines = [
  ['comic', 1, []],
  ['illustrated_edition', 140, []],
  // N takes one attempt only, so nothing of it is ever left.
  ['odd', 218, ['N -> Z']],
  ['single', 1, []],
];
for (const [name, paths, shut] of pipelines) {
  test(`XState walks every path of ${name} the way SQL does`, async (t) => {
    const walk = new Walk(client, await config(name), randomUUID());
    await walk.everyWay(await walk.begin());
    t.diagnostic(JSON.stringify(walk.counts));
    assert.equal(walk.counts.paths, paths);
    const definition = await value(
      client,
      'select machine from bindery.pipelines where name = $1',
      [name],
    );
    /** @type {string[]} */
    const edges = definition.states.flatMap((/** @type {any} */ state) =>
      [...state.next.map((/** @type {any} */ edge) => edge.to), ...state.rework].map(
        (to) => `${state.name} -> ${to}`,
      ),
    );
    assert.deepEqual(
      [...walk.edges].sort(),
      edges.filter((edge) => !shut.includes(edge)).sort(),
      'every edge was taken',
    );
  });
}

test('an actor begins in the state of a row of a book, and continues from there', async () => {
  const comic = await config('comic');
  for (const [status, current_stage, event, next] of /** @type {const} */ ([
    ['ANALYZING', 'ANALYZING', 'GENERATING_SCENES', 'GENERATING_SCENES'],
    ['ANALYZING', 'ANALYZING', 'FAILED', { FAILED: 'ANALYZING' }],
    ['FAILED', 'CREATING_ARTWORK', 'CREATING_ARTWORK', 'CREATING_ARTWORK'],
    ['FAILED', 'CREATING_ARTWORK', 'ANALYZING', { FAILED: 'CREATING_ARTWORK' }],
    ['FAILED', 'CREATING_ARTWORK', 'CANCELLED', 'CANCELLED'],
    ['COMPLETED', 'CREATING_ARTWORK', 'FAILED', 'COMPLETED'],
  ])) {
    const actor = bookActor(comic, { status, current_stage, attempt: 1, ...counts(0, 0) });
    actor.send({ type: event });
    assert.deepEqual(actor.getSnapshot().value, next);
    assert.equal(actor.getSnapshot().matches('FAILED'), typeof next === 'object');
  }
});

test('a frontend offers what the guards let pass', async () => {
  const edition = await config('illustrated_edition');
  const offered = (/** @type {any} */ book) => choices(bookActor(edition, book));
  const review = { status: 'ART_REVIEW', current_stage: 'ART_REVIEW', ...counts(0, 0) };
  const always = ['EDITOR_CHECK', 'FAILED', 'CANCELLED'];
  assert.deepEqual(offered({ ...review, attempt: 2 }), [
    'SKETCHING',
    'PAINTING',
    'EDITOR_CHECK',
    'LETTERING',
    'LAYOUT',
    'FAILED',
    'CANCELLED',
  ]);
  assert.deepEqual(offered({ ...review, attempt: 3 }), ['SKETCHING', 'PAINTING', ...always]);
  const sketching = { status: 'SKETCHING', current_stage: 'SKETCHING', attempt: 1 };
  assert.deepEqual(offered({ ...sketching, ...counts(0, 0) }), ['FAILED', 'CANCELLED']);
  assert.deepEqual(offered({ ...sketching, ...counts(2, 1) }), ['FAILED', 'CANCELLED']);
  assert.deepEqual(offered({ ...sketching, ...counts(1, 1) }), ['PAINTING', 'FAILED', 'CANCELLED']);
  assert.deepEqual(offered({ ...sketching, status: 'FAILED', ...counts(0, 0) }), [
    'SKETCHING',
    'CANCELLED',
  ]);
});

test('what a picture needs is in the meta of the states and edges', async () => {
  const machine = createMachine(await config('illustrated_edition'));
  const review = machine.states['ART_REVIEW'];
  assert.equal(review?.meta.label, 'Reviewing the plates');
  assert.equal(review?.meta.max_attempts, 3);
  assert.equal(review?.meta.retry_after, 60);
  assert.deepEqual(
    [...(review?.transitions.entries() ?? [])]
      .map(([type, [edge]]) => [type, edge?.meta.kind, edge?.guard ?? null])
      .sort(),
    [
      ['CANCELLED', 'cancel', null],
      ['EDITOR_CHECK', 'forward', null],
      ['FAILED', 'fail', null],
      ['LAYOUT', 'forward', 'attempts_left'],
      ['LETTERING', 'forward', 'attempts_left'],
      ['PAINTING', 'rework', null],
      ['SKETCHING', 'rework', null],
    ],
  );
});
