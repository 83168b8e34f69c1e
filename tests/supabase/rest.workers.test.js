// A worker's token over REST: it reports on what its claims admit, and does nothing else.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { book, database, ok, refused, service, worker } from './stack.js';

test('a worker’s token works on its stage from the beginning to a resume', async () => {
  const book_id = await book();
  const own = worker({ book_id, pipeline: 'comic', stage: 'ANALYZING' });
  const begin = { book_id, to_status: 'ANALYZING', worker: 'reader-1' };
  assert.equal(/** @type {any} */ (await ok(own.rpc('begin_stage', begin))).attempt, 1);
  await ok(
    own.rpc('plan_substeps', { book_id, stage: 'ANALYZING', substeps: [{ substep: 'more' }] }),
  );
  const report = {
    book_id,
    substep: 'more',
    done: 30,
    total: 40,
    checkpoint: { page: 30 },
    attempt: 1,
  };
  await ok(own.rpc('report_progress', report));
  const beat = await ok(own.rpc('heartbeat', { book_id, attempt: 1 }).single());
  assert.deepEqual([beat.status, beat.attempt], ['ANALYZING', 1]);
  const failed = await ok(
    own.rpc('fail_book', { book_id, error: { code: 'torn_page' }, attempt: 1 }).single(),
  );
  assert.equal(failed.status, 'FAILED');
  const point = /** @type {any} */ (await ok(own.rpc('begin_stage', begin)));
  const more = point.left.find((/** @type {any} */ one) => one.substep === 'more');
  assert.deepEqual([point.attempt, more.checkpoint], [2, { page: 30 }]);
  assert.deepEqual(await ok(own.rpc('get_resume_point', { book_id })), point);
  const events = [
    { type: 'progress', book_id, substep: 'more', progress: 90 },
    { type: 'transition', book_id, to_status: 'GENERATING_SCENES' },
  ];
  const answer = /** @type {any} */ (await ok(own.rpc('report_events', { events })));
  assert.deepEqual(
    answer.outcomes.map((/** @type {any} */ one) => [one.outcome, one.code]),
    [
      ['applied', undefined],
      ['rejected', 'not_allowed'],
    ],
  );
  // Once the book has left the stage, what the worker still sends has no effect, and the answer
  // shows it.
  await ok(service.rpc('transition_book', { book_id, to_status: 'GENERATING_SCENES' }));
  for (const late of [
    own.rpc('heartbeat', { book_id, attempt: 2 }),
    own.rpc('fail_book', { book_id, attempt: 2 }),
  ]) {
    assert.equal((await ok(late.single())).status, 'GENERATING_SCENES');
  }
  const { details } = await refused(own.rpc('begin_stage', begin));
  assert.deepEqual(
    [details.code, details.status, details.passed],
    ['stage_left', 'GENERATING_SCENES', true],
  );
});

test('a worker’s token may call no other function, and read and write no table', async () => {
  const [book_id, other] = [
    await book({ path: ['ANALYZING'] }),
    await book({ path: ['ANALYZING'] }),
  ];
  const any = worker({});
  const own = worker({ book_id, stage: 'ANALYZING' });
  /** @type {Record<string, PromiseLike<any>>} */
  const requests = {
    register_book: any.rpc('register_book', { book_id: randomUUID() }),
    transition_book: any.rpc('transition_book', { book_id, to_status: 'GENERATING_SCENES' }),
    resume_book: any.rpc('resume_book', { book_id }),
    cancel_book: any.rpc('cancel_book', { book_id }),
    resume_books: any.rpc('resume_books', { book_ids: [book_id] }),
    cancel_books: any.rpc('cancel_books', { book_ids: [book_id] }),
    rewind_book: any.rpc('rewind_book', { book_id, to_stage: 'UPLOADED' }),
    get_book_status: any.rpc('get_book_status', { book_id }),
    list_books: any.rpc('list_books', {}),
    sweep: any.rpc('sweep', {}),
    define_pipeline: any.rpc('define_pipeline', { name: 'mine', definition: {} }),
    'another book': own.rpc('report_progress', {
      book_id: other,
      substep: 'extract_text',
      progress: 1,
    }),
    'another stage': own.rpc('plan_substeps', {
      book_id,
      stage: 'CREATING_ARTWORK',
      substeps: [{ substep: 'cover' }],
    }),
    'an insert': any.from('book_status').insert(/** @type {any} */ ({ book_id: randomUUID() })),
    'an update': any.from('book_status').update({ title: 'Mine' }).eq('book_id', book_id),
    'a deletion': any.from('book_status').delete().eq('book_id', book_id),
  };
  const sql = database();
  const tables = await sql`
    select c.relname from pg_class c where c.relnamespace = 'bindery'::regnamespace and c.relkind in ('r', 'v', 'p')`;
  await sql.end();
  assert.ok(tables.length > 5);
  for (const { relname } of tables) requests[relname] = any.from(relname).select().limit(1);
  for (const [name, request] of Object.entries(requests)) {
    const { code, status } = await refused(request);
    assert.deepEqual([code, status], ['42501', 403], name);
  }
});
