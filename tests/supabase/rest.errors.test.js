// Each error of docs/api.md as it comes over HTTP: the status, the code, details for programs, and
// texts for people.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { book, database, ok, refused, service, worker } from './stack.js';

const sql = database();
after(() => sql.end());
const absent = '00000000-0000-4000-8000-00000000dead';
const stream = `rest:${randomUUID()}`;
const lease = ok(service.rpc('acquire_stream', { stream, holder: 'rest', ttl: '1 hour' }).single());

/**
 * What is refused, the details it comes with (beside the code), and what the message and the hint
 * speak of.
 * @typedef {{ request: PromiseLike<any>, details?: Record<string, unknown>, message: RegExp, hint: RegExp, status?: number }} Refusal
 * @type {Record<string, () => Promise<Refusal>>}
 */
const refusals = {
  unknown_book: async () => ({
    request: service.rpc('get_book_status', { book_id: absent }, { get: true }),
    details: { book_id: absent },
    message: /no book 0{8}-/,
    hint: /register_book/,
  }),
  unknown_pipeline: async () => ({
    request: service.rpc('register_book', { book_id: randomUUID(), pipeline: 'opera' }),
    details: { pipeline: 'opera', version: null },
    message: /opera/,
    hint: /define/,
  }),
  unknown_stage: async () => ({
    request: service.rpc('plan_substeps', {
      book_id: await book(),
      stage: 'BINDING',
      substeps: [{ substep: 'glue' }],
    }),
    message: /BINDING/,
    hint: /stages/,
  }),
  unknown_stream: async () => ({
    request: service.rpc('forget_stream', { stream: 'nowhere' }),
    details: { stream: 'nowhere' },
    message: /nowhere/,
    hint: /relay_cursors/,
  }),
  illegal_transition: async () => ({
    request: service.rpc('transition_book', { book_id: await book(), to_status: 'COMPLETED' }),
    details: {
      from_status: 'UPLOADED',
      to_status: 'COMPLETED',
      allowed: ['ANALYZING', 'FAILED', 'CANCELLED'],
    },
    message: /COMPLETED/,
    hint: /Allowed from UPLOADED: ANALYZING/,
  }),
  stale_revision: async () => {
    const book_id = await book({ path: ['ANALYZING'] });
    return {
      request: service.rpc('cancel_book', { book_id, expected_revision: 1 }),
      details: { book_id, revision: 2, expected_revision: 1 },
      message: /at revision 2, not 1/,
      hint: /Read its status/,
    };
  },
  key_reused: async () => {
    const idempotency_key = randomUUID();
    await ok(service.rpc('report_events', { events: [], idempotency_key }));
    return {
      request: service.rpc('report_events', {
        events: [{ type: 'heartbeat', book_id: absent }],
        idempotency_key,
      }),
      message: /sent with another batch/,
      hint: /new key/,
    };
  },
  conflicting_registration: async () => ({
    request: service.rpc('register_book', { book_id: await book(), owner_id: randomUUID() }),
    message: /registered/,
    hint: /./,
  }),
  missing_pipeline: async () => {
    const [book_id, pipeline] = [randomUUID(), 'rest_lost'];
    const states = [
      { name: 'IN' },
      { name: 'WORK', weight: 1, open_substeps: true },
      { name: 'OUT' },
    ];
    await ok(service.rpc('define_pipeline', { name: pipeline, definition: { states } }));
    await ok(service.rpc('register_book', { book_id, pipeline }));
    await sql.begin(async (session) => {
      await session`set local session_replication_role = replica`;
      await session`delete from bindery.pipelines where name = ${pipeline}`;
    });
    return {
      request: service.rpc('get_book_status', { book_id }, { get: true }),
      details: { book_id, pipeline, version: 1 },
      message: /rest_lost, which is missing/,
      hint: /dump/,
    };
  },
  not_failed: async () => ({
    request: service.rpc('resume_book', { book_id: await book() }),
    message: /FAILED|UPLOADED/,
    hint: /./,
  }),
  stage_not_reached: async () => ({
    request: service.rpc('report_progress', {
      book_id: await book({ path: ['ANALYZING'] }),
      stage: 'CREATING_ARTWORK',
      substep: 'panels',
      progress: 1,
    }),
    message: /CREATING_ARTWORK/,
    hint: /transition first/,
  }),
  stage_left: async () => {
    const book_id = await book({ path: ['ANALYZING', 'GENERATING_SCENES'] });
    return {
      request: service.rpc('begin_stage', { book_id, to_status: 'ANALYZING' }),
      details: {
        book_id,
        to_status: 'ANALYZING',
        status: 'GENERATING_SCENES',
        attempt: 1,
        passed: true,
      },
      message: /has left the stage ANALYZING/,
      hint: /get_resume_point/,
    };
  },
  attempt_ahead: async () => ({
    request: service.rpc('heartbeat', { book_id: await book({ path: ['ANALYZING'] }), attempt: 7 }),
    message: /attempt 7/,
    hint: /get_resume_point/,
  }),
  fenced: async () => ({
    request: service.rpc('renew_stream', { stream, epoch: (await lease).epoch + 1 }),
    message: /./,
    hint: /./,
  }),
  lease_held: async () => (
    await lease,
    {
      request: service.rpc('acquire_stream', { stream, holder: 'another' }),
      message: /rest/,
      hint: /./,
    }
  ),
  position_passed: async () => {
    const { epoch } = await lease;
    await ok(service.rpc('apply_events', { stream, epoch, position: '9-0', events: [] }));
    return {
      request: service.rpc('apply_events', { stream, epoch, position: '9-0', events: [] }),
      message: /9-0/,
      hint: /./,
    };
  },
  replay_running: async () => {
    // Another session is at it, and stays so until this has been answered.
    const session = await sql.reserve();
    await session`begin`;
    await session`select bindery.replay_dead_letters()`;
    const answer = await service.rpc('replay_dead_letters');
    await session`rollback`;
    session.release();
    return { request: Promise.resolve(answer), details: {}, message: /already/, hint: /Try again/ };
  },
  bad_input: async () => ({
    request: service.rpc('report_progress', {
      book_id: await book({ path: ['ANALYZING'] }),
      substep: 'extract_text',
      progress: 101,
    }),
    details: { argument: 'progress' },
    message: /progress/,
    hint: /./,
  }),
  bad_definition: async () => ({
    request: service.rpc('define_pipeline', {
      name: 'rest_broken',
      definition: { states: [{ name: 'a' }] },
    }),
    message: /rest_broken/,
    hint: /docs\/pipelines/,
  }),
  unknown_substep: async () => ({
    request: service.rpc('report_progress', {
      book_id: await book({ path: ['ANALYZING'] }),
      substep: 'guess',
      progress: 1,
    }),
    message: /guess/,
    hint: /plan_substeps/,
  }),
  too_many_substeps: async () => {
    const book_id = await book();
    const stage = 'CREATING_ARTWORK';
    const substeps = Array.from({ length: 10_000 }, (_, n) => ({ substep: `page_${n}` }));
    await ok(service.rpc('plan_substeps', { book_id, stage, substeps }));
    return {
      request: service.rpc('plan_substeps', { book_id, stage, substeps: [{ substep: 'cover' }] }),
      details: { book_id, stage, substep: null, attempt: null },
      message: /10,000 substeps/,
      hint: /done and total/,
    };
  },
};

// The token or the role does not admit these. Most guard tables against who may write them by hand,
// which no role may over REST.
/** @type {Record<string, () => Promise<any>>} */
const withoutRight = {
  not_allowed: async () =>
    worker({ book_id: absent }).rpc('heartbeat', { book_id: await book({ path: ['ANALYZING'] }) }),
  column_is_derived: async () =>
    service
      .from('book_status')
      .update({ overall_progress: 50 })
      .eq('book_id', await book()),
  pipeline_is_immutable: async () =>
    service.from('pipelines').update({ definition: {} }).eq('name', 'comic'),
  history_is_append_only: async () =>
    service
      .from('book_events')
      .update({ message: 'never' })
      .eq('book_id', await book()),
};

/** The codes of the table in docs/api.md, each with the SQLSTATE of its row or of the one above. */
function documented() {
  const text = readFileSync(new URL('../../docs/api.md', import.meta.url), 'utf8');
  const codes = new Map();
  let state = '';
  for (const [, newState, names = ''] of (text.split('\n## Errors\n')[1] ?? '').matchAll(
    /^\| (?:`(\w+)`)? ?\| (.*?) \|/gm,
  )) {
    state = newState || state;
    for (const [, name] of names.matchAll(/`(\w+)`/g)) codes.set(name, state);
  }
  return codes;
}

const states = documented();
for (const [code, provoke] of Object.entries(refusals)) {
  test(`${code} comes with its HTTP status, details, message and hint`, async () => {
    const { request, details, message, hint } = await provoke();
    const answer = await refused(request);
    const state = states.get(code);
    assert.deepEqual(
      [answer.code, answer.status, answer.details.code],
      [state, Number(state?.slice(2)), code],
    );
    if (details) assert.deepEqual(answer.details, { code, ...details });
    assert.match(answer.message, message);
    assert.match(answer.hint, hint);
  });
}
for (const [code, provoke] of Object.entries(withoutRight)) {
  test(`what would be ${code} is forbidden over REST`, async () => {
    const answer = await refused(await provoke());
    assert.deepEqual([answer.status, answer.code], [403, '42501']);
  });
}

test('every documented error is met here', () => {
  assert.deepEqual(
    [...Object.keys(refusals), ...Object.keys(withoutRight)].sort(),
    [...states.keys()].sort(),
  );
});

test('what Postgres refuses before a function begins has its SQLSTATE', async () => {
  const notAUuid = await refused(service.rpc('get_book_status', { book_id: 'moby-dick' }));
  // 400 with PostgREST; @supabase/lite answers 500 to all but a few SQLSTATEs.
  assert.deepEqual([notAUuid.code, [400, 500].includes(notAUuid.status)], ['22P02', true]);
  const argument = /** @type {any} */ ({ book: absent });
  assert.equal((await refused(service.rpc('get_book_status', argument))).status, 404);
});

test('a refused call changes nothing', async () => {
  const book_id = await book({ path: ['ANALYZING'] });
  const all = () =>
    ok(
      service
        .from('book_status')
        .select('*, book_progress(*), book_events(*)')
        .eq('book_id', book_id),
    );
  const before = await all();
  await refused(service.rpc('transition_book', { book_id, to_status: 'COMPLETED', message: 'no' }));
  await refused(
    service.rpc('report_progress', { book_id, substep: 'guess', progress: 50, message: 'no' }),
  );
  assert.deepEqual(await all(), before);
});
