import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { createActor, createMachine } from 'xstate';
import { connect, disconnect, value } from './database.js';
import { odd, single } from './pipelines.js';
import { Walk } from './walk.js';

/** @type {import('pg').Client} */
let client;

before(async () => {
  client = await connect();
  await client.query('select bindery.define_pipeline($1, $2), bindery.define_pipeline($3, $4)', ['odd', odd, 'single', single]);
});
after(() => disconnect(client));

/** @param {string} name */
const config = (name) => value(client, 'select bindery.pipeline_xstate($1)', [name]);

/** @type {[name: string, paths: number, shut: string[]][]} */
const pipelines = [
  ['comic', 1, []],
  ['illustrated_edition', 260, []],
  // N takes one attempt only, so nothing of it is ever left.
  ['odd', 278, ['N -> Z']],
  ['single', 1, []],
];
for (const [name, paths, shut] of pipelines) {
  test(`XState walks every path of ${name} the way SQL does`, async (t) => {
    const walk = new Walk(client, await config(name), randomUUID());
    await walk.everyWay(await walk.begin());
    t.diagnostic(JSON.stringify(walk.counts));
    assert.equal(walk.counts.paths, paths);
    const definition = await value(client, 'select machine from bindery.pipelines where name = $1', [name]);
    /** @type {string[]} */
    const edges = definition.states.flatMap((/** @type {any} */ state) =>
      [...state.next.map((/** @type {any} */ edge) => edge.to), ...state.rework].map((to) => `${state.name} -> ${to}`),
    );
    assert.deepEqual([...walk.edges].sort(), edges.filter((edge) => !shut.includes(edge)).sort(), 'every edge was taken');
  });
}

test('an actor goes on where the row of a book says', async () => {
  const machine = createMachine(await config('comic'));
  for (const [value, event, next] of /** @type {const} */ ([
    ['ANALYZING', 'GENERATING_SCENES', 'GENERATING_SCENES'],
    [{ FAILED: 'CREATING_ARTWORK' }, 'CREATING_ARTWORK', 'CREATING_ARTWORK'],
    [{ FAILED: 'CREATING_ARTWORK' }, 'ANALYZING', { FAILED: 'CREATING_ARTWORK' }],
    ['COMPLETED', 'FAILED', 'COMPLETED'],
  ])) {
    const actor = createActor(machine, { snapshot: machine.resolveState({ value }) }).start();
    actor.send({ type: event });
    assert.deepEqual(actor.getSnapshot().value, next);
    assert.equal(actor.getSnapshot().matches('FAILED'), typeof next === 'object');
  }
});

test('what a picture needs is in the meta of the states and edges', async () => {
  const machine = createMachine(await config('illustrated_edition'));
  const review = machine.states['ART_REVIEW'];
  assert.equal(review?.meta.label, 'Reviewing the plates');
  assert.equal(review?.meta.max_attempts, 2);
  assert.equal(review?.meta.retry_after, 60);
  assert.deepEqual(
    [...(review?.transitions.entries() ?? [])].map(([type, [edge]]) => [type, edge?.meta.kind, edge?.guard ?? null]).sort(),
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
