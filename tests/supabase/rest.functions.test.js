// Every function of the schema, called by supabase-js as the service would. The catalog lists them:
// one that is not called here fails the test.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { anon, book, database, ok, refused, service, user, worker } from './stack.js';

const sql = database();
after(() => sql.end());
const readers = [
  'get_book_changes',
  'get_book_status',
  'get_resume_point',
  'list_books',
  'list_substeps',
  'pipeline_xstate',
  'status_at',
];
const stream = `rest:${randomUUID()}`;
const soon = () => new Date(Date.now() - 365 * 86_400_000).toISOString();

/** @type {Record<string, () => Promise<void>>} */
const calls = {
  async define_pipeline() {
    const definition = {
      states: [{ name: 'QUEUED' }, { name: 'RECORDING', weight: 1 }, { name: 'PUBLISHED' }],
    };
    assert.equal(await ok(service.rpc('define_pipeline', { name: 'rest_podcast', definition })), 1);
    assert.equal(
      await ok(service.rpc('define_pipeline', { name: 'rest_podcast', definition })),
      1,
      'the same again is the same version',
    );
  },
  async pipeline_xstate() {
    const machine = /** @type {any} */ (
      await ok(service.rpc('pipeline_xstate', { name: 'comic' }, { get: true }))
    );
    assert.equal(machine.initial, 'UPLOADED');
  },
  async register_book() {
    const [book_id, owner_id] = [randomUUID(), randomUUID()];
    const row = await ok(
      service
        .rpc('register_book', { book_id, owner_id, title: 'Moby Dick', metadata: { pages: 635 } })
        .single(),
    );
    assert.deepEqual(
      [row.book_id, row.owner_id, row.title, row.status, row.revision, row.metadata],
      [book_id, owner_id, 'Moby Dick', 'UPLOADED', 1, { pages: 635 }],
    );
  },
  async begin_stage() {
    const book_id = await book();
    const begin = { book_id, to_status: 'ANALYZING', worker: 'reader-1' };
    const point = /** @type {any} */ (await ok(service.rpc('begin_stage', begin)));
    assert.deepEqual(
      [point.stage, point.attempt, point.revision, point.left.length],
      ['ANALYZING', 1, 2, 3],
    );
    assert.deepEqual(
      await ok(service.rpc('begin_stage', begin)),
      point,
      'beginning a stage again changes nothing',
    );
    const [row] = await ok(
      service.from('book_events').select('actor').eq('book_id', book_id).eq('revision', 2),
    );
    assert.equal(row?.actor, 'reader-1');
  },
  async transition_book() {
    const row = await ok(
      service
        .rpc('transition_book', {
          book_id: await book(),
          to_status: 'ANALYZING',
          expected_revision: 1,
        })
        .single(),
    );
    assert.deepEqual(
      [row.status, row.current_stage, row.revision, row.attempt],
      ['ANALYZING', 'ANALYZING', 2, 1],
    );
  },
  async report_progress() {
    const report = {
      book_id: await book({ path: ['ANALYZING'] }),
      substep: 'extract_text',
      done: 120,
      total: 320,
      unit: 'page',
      checkpoint: { page: 120 },
    };
    const row = await ok(service.rpc('report_progress', report).single());
    assert.deepEqual([row.stage_progress, row.overall_progress], [9.38, 1.88]);
  },
  async report_events() {
    const book_id = await book({ path: ['ANALYZING'] });
    const report = { type: 'progress', book_id, substep: 'extract_text', progress: 50 };
    const answer = /** @type {any} */ (
      await ok(service.rpc('report_events', { events: [report, { type: 'heartbeat' }] }))
    );
    assert.deepEqual(
      answer.outcomes.map((/** @type {any} */ one) => one.outcome),
      ['applied', 'rejected'],
    );
    const own = worker({ book_id, stage: 'ANALYZING' });
    const row = await ok(
      own.rpc('report_progress', { book_id, substep: 'extract_text', progress: 75 }).single(),
    );
    assert.equal(row.stage_progress, 18.75);
  },
  async plan_substeps() {
    const plan = {
      book_id: await book(),
      stage: 'CREATING_ARTWORK',
      substeps: [{ substep: 'chapter_1', weight: 12 }],
    };
    assert.equal((await ok(service.rpc('plan_substeps', plan).single())).status, 'UPLOADED');
  },
  async heartbeat() {
    const row = await ok(
      service
        .rpc('heartbeat', { book_id: await book({ path: ['ANALYZING'] }), attempt: 1 })
        .single(),
    );
    assert.deepEqual([row.status, row.attempt, row.revision], ['ANALYZING', 1, 2]);
  },
  async fail_book() {
    const book_id = await book({ path: ['ANALYZING'] });
    const row = await ok(
      service
        .rpc('fail_book', {
          book_id,
          error: { code: 'out_of_memory', retry: false },
          message: 'too long',
        })
        .single(),
    );
    assert.deepEqual(
      [row.status, row.error, row.resume_at],
      ['FAILED', { code: 'out_of_memory', retry: false }, null],
    );
  },
  async resume_book() {
    const row = await ok(
      service
        .rpc('resume_book', { book_id: await book({ path: ['ANALYZING', 'FAILED'] }) })
        .single(),
    );
    assert.deepEqual([row.status, row.attempt], ['ANALYZING', 2]);
  },
  async rewind_book() {
    const book_id = await book({ path: ['ANALYZING', 'GENERATING_SCENES'] });
    const row = await ok(
      service
        .rpc('rewind_book', {
          book_id,
          to_stage: 'ANALYZING',
          message: 'The scan was upside down.',
        })
        .single(),
    );
    assert.deepEqual([row.status, row.message], ['ANALYZING', 'The scan was upside down.']);
  },
  async cancel_book() {
    assert.equal(
      (await ok(service.rpc('cancel_book', { book_id: await book() }).single())).status,
      'CANCELLED',
    );
  },
  async resume_books() {
    const [failed, active] = [await book({ path: ['ANALYZING', 'FAILED'] }), await book()];
    const rows = await ok(service.rpc('resume_books', { book_ids: [failed, active] }));
    const outcomes = rows.map((row) => [row.book_id, row.outcome, row.code]);
    assert.deepEqual(
      new Map(outcomes.map(([id, ...outcome]) => [id, outcome])),
      new Map([
        [failed, ['done', null]],
        [active, ['refused', 'not_failed']],
      ]),
    );
  },
  async cancel_books() {
    const book_id = await book();
    const cancel = (/** @type {boolean} */ dry_run) =>
      ok(service.rpc('cancel_books', { book_ids: [book_id], message: 'enough', dry_run }));
    for (const [dry_run, outcome] of /** @type {[boolean, string][]} */ ([
      [true, 'allowed'],
      [false, 'done'],
    ])) {
      assert.deepEqual(await cancel(dry_run), [{ book_id, outcome, code: null, reason: null }]);
    }
  },
  async get_book_status() {
    const book_id = await book({ path: ['ANALYZING'] });
    const status = /** @type {any} */ (
      await ok(service.rpc('get_book_status', { book_id }, { get: true }))
    );
    assert.deepEqual(
      [status.book_id, status.status, status.health, status.stages.length],
      [book_id, 'ANALYZING', 'live', 3],
    );
    assert.deepEqual(
      status.substeps.map((/** @type {any} */ s) => s.substep),
      ['extract_text', 'detect_chapters', 'analyze_characters'],
    );
    assert.deepEqual([status.substeps_total, status.substeps_done], [3, 0]);
  },
  async get_book_changes() {
    const book_id = await book({ path: ['ANALYZING'] });
    const { revision } = /** @type {any} */ (
      await ok(service.rpc('get_book_status', { book_id }, { get: true }))
    );
    await ok(service.rpc('report_progress', { book_id, substep: 'detect_chapters', progress: 40 }));
    const since = (/** @type {number} */ since_revision) =>
      service.rpc('get_book_changes', { book_id, since_revision }, { get: true });
    const changes = /** @type {any} */ (await ok(since(revision)));
    assert.deepEqual([changes.substeps_partial, changes.revision], [true, revision + 1]);
    assert.deepEqual(
      changes.substeps.map((/** @type {any} */ s) => [s.substep, s.progress]),
      [['detect_chapters', 40]],
    );
    const whole = /** @type {any} */ (await ok(since(1)));
    assert.deepEqual([whole.substeps_partial, whole.substeps.length], [false, 3]);
  },
  async list_substeps() {
    const book_id = await book({ path: ['ANALYZING'] });
    const list = async (/** @type {object} */ args) =>
      (await ok(service.rpc('list_substeps', { book_id, ...args }, { get: true }))).map(
        (/** @type {any} */ s) => s.substep,
      );
    assert.deepEqual(await list({ max_substeps: 2 }), ['analyze_characters', 'detect_chapters']);
    assert.deepEqual(await list({ stage: 'ANALYZING', after: 'detect_chapters' }), [
      'extract_text',
    ]);
  },
  async get_resume_point() {
    const book_id = await book({ path: ['ANALYZING'] });
    const point = /** @type {any} */ (
      await ok(service.rpc('get_resume_point', { book_id }, { get: true }))
    );
    assert.deepEqual(
      [point.stage, point.attempt, point.done, point.left.length],
      ['ANALYZING', 1, [], 3],
    );
  },
  async status_at() {
    const book_id = await book({ path: ['ANALYZING'] });
    const then = /** @type {any} */ (
      await ok(
        service.rpc(
          'status_at',
          { book_id, at: new Date(Date.now() + 60_000).toISOString() },
          { get: true },
        ),
      )
    );
    assert.equal(then.status, 'ANALYZING');
    const before = await service.rpc(
      'status_at',
      { book_id, at: '2001-01-01T00:00:00Z' },
      { get: true },
    );
    assert.deepEqual([before.error, before.data], [null, null]);
  },
  async list_books() {
    await book();
    assert.equal((await ok(service.rpc('list_books', { max_books: 1 }, { get: true }))).length, 1);
  },
  async sweep() {
    const swept = /** @type {any} */ (await ok(service.rpc('sweep')));
    assert.deepEqual(Object.keys(swept).sort(), [
      'expired',
      'ran',
      'resumed',
      'stalled',
      'waiting_for',
    ]);
  },
  async announce_relay() {
    const announced = { holder: 'rest', streams: [stream], ttl: '1 second' };
    const alone = { relays: 1, give_up: null, leave: [] };
    assert.deepEqual(await ok(service.rpc('announce_relay', announced)), alone);
    assert.deepEqual(
      await ok(service.rpc('announce_relay', { ...announced, streams: [] })),
      { ...alone, relays: 0 },
      'the relay ends its announcement',
    );
  },
  async acquire_stream() {
    const lease = await ok(service.rpc('acquire_stream', { stream, holder: 'rest' }).single());
    assert.deepEqual([lease.epoch, lease.position], [1, '0-0']);
  },
  async renew_stream() {
    assert.ok(
      Date.parse(await ok(service.rpc('renew_stream', { stream, epoch: 1 }))) > Date.now() - 60_000,
    );
  },
  async note_stream() {
    await ok(service.rpc('note_stream', { stream, epoch: 1, entries: 12 }));
    const row = await ok(
      service.from('relay_cursors').select('entries_ahead, losses').eq('stream', stream).single(),
    );
    assert.deepEqual([row.entries_ahead, row.losses], [12, 0]);
  },
  async note_waiting() {
    const waiting = await book({ path: ['ANALYZING'] });
    // Only a book that has been silent for a while counts as waiting.
    await sql`update bindery.book_status set heartbeat_at = now() - interval '1 hour' where book_id = ${waiting}`;
    const of = { stream, epoch: 1, stage: 'ANALYZING', first_id: waiting, last_id: waiting };
    const first = { ...of, book_ids: [waiting], attempts: [null] };
    assert.equal(await ok(service.rpc('note_waiting', /** @type {any} */ (first))), 1);
    assert.equal(await ok(service.rpc('note_waiting', { ...of, book_ids: [], attempts: [] })), 0);
  },
  async apply_events() {
    const begun = await book({ path: ['ANALYZING'] });
    const events = [
      { type: 'register', id: '5-0', count: 1, segment: 1, book_id: randomUUID() },
      ...[randomUUID(), begun].map((book_id, n) => ({
        type: 'transition',
        id: `5-${n + 1}`,
        count: 1,
        segment: 1,
        book_id,
        to_status: n === 0 ? 'ANALYZING' : 'BINDING',
      })),
    ];
    const reports = {
      segments: [1],
      book_ids: [begun],
      substeps: ['extract_text'],
      progress: [40],
      counts: [2],
    };
    const batch = { stream, epoch: 1, position: '5-4', events, ...reports };
    const counts = await ok(service.rpc('apply_events', batch).single());
    assert.deepEqual({ ...counts }, { applied: 3, stale: 0, early: 1, rejected: 1 });
  },
  async early_backlog() {
    const backlog = /** @type {any} */ (await ok(service.rpc('early_backlog', {}, { get: true })));
    assert.deepEqual([backlog.events, backlog.books], [1, 1]);
    const rows = await ok(service.from('early_events').select('event_id, reason'));
    assert.deepEqual(rows, [{ event_id: '5-1', reason: 'unknown_book' }]);
  },
  async dead_letter_reasons() {
    const [row, ...more] = await ok(service.rpc('dead_letter_reasons', { stream }));
    assert.deepEqual(
      [{ ...row }, more],
      [{ reason: 'illegal_transition', letters: 1, events: 1 }, []],
    );
  },
  async replay_dead_letters() {
    const counts = await ok(service.rpc('replay_dead_letters', { stream }).single());
    assert.deepEqual({ ...counts }, { applied: 0, stale: 0, rejected: 1 });
  },
  async release_stream() {
    const { error } = await service.rpc('release_stream', { stream, epoch: 1 });
    assert.equal(error, null);
  },
  async forget_stream() {
    const { error } = await service.rpc('forget_stream', { stream });
    assert.equal(error, null);
    assert.equal((await ok(service.from('relay_cursors').select().eq('stream', stream))).length, 0);
  },
  async prune_events() {
    assert.equal(await ok(service.rpc('prune_events', { before: soon() })), 0);
  },
  async drop_dead_letters() {
    assert.equal(await ok(service.rpc('drop_dead_letters', { ids: [999999999] })), 0);
  },
  async prune_dead_letters() {
    assert.equal(await ok(service.rpc('prune_dead_letters', { before: soon(), batch: 10 })), 0);
  },
  async prune_outbox() {
    assert.equal(await ok(service.rpc('prune_outbox', { before: soon(), batch: 10 })), 0);
  },
  async outbox_backlog() {
    await book({ path: ['ANALYZING'] });
    const backlog = /** @type {any} */ (await ok(service.rpc('outbox_backlog', {}, { get: true })));
    assert.ok(backlog.messages > 0, JSON.stringify(backlog));
  },
  async list_relays() {
    const holder = `relay ${randomUUID()}`;
    await ok(service.rpc('announce_relay', { holder, streams: ['rest:relays'], ttl: '1 minute' }));
    const relays = await ok(service.rpc('list_relays', {}, { get: true }));
    assert.deepEqual(relays.find((relay) => relay.holder === holder)?.streams, ['rest:relays']);
  },
  async stage_durations() {
    const durations = await ok(service.rpc('stage_durations', {}, { get: true }));
    assert.ok(durations.every((row) => row.samples > 0), JSON.stringify(durations));
  },
  async schema_version() {
    assert.equal(await ok(service.rpc('schema_version', {}, { get: true })), 1);
  },
  async send_held_broadcasts() {
    const sent = /** @type {any} */ (await ok(service.rpc('send_held_broadcasts')));
    // There is no Realtime in this database.
    assert.deepEqual([sent.realtime, sent.sent, sent.failed], [false, 0, 0]);
  },
  async make_realtime_policy() {
    const made = /** @type {any} */ (await ok(service.rpc('make_realtime_policy')));
    assert.deepEqual({ ...made }, { state: 'none', problem: null });
  },
  async take_outbox() {
    await book({ path: ['ANALYZING'] });
    const [message] = await ok(service.rpc('take_outbox', { max_rows: 1 }));
    assert.ok(message && message.payload);
  },
};

for (const [name, call] of Object.entries(calls)) test(`the service calls ${name}`, call);

test('no function of the schema is left out here, and none is here that is not there', async () => {
  const there = await sql`select proname from pg_proc where pronamespace = 'bindery'::regnamespace`;
  assert.deepEqual(Object.keys(calls).sort(), there.map((row) => row.proname).sort());
});

test('of functions users call those that read, and anon none', async () => {
  const [owner, book_id] = [user(randomUUID()), randomUUID()];
  /** @type {any} */
  const given = {
    book_id,
    name: 'comic',
    at: '2026-01-01T00:00:00Z',
    to_status: 'ANALYZING',
    to_stage: 'ANALYZING',
    stage: 'ANALYZING',
    substeps: [],
    since_revision: 1,
    definition: {},
    stream: 's',
    holder: 'h',
    epoch: 1,
    position: '1-0',
    events: [],
    before: '2026-01-01T00:00:00Z',
    streams: ['s'],
    book_ids: [book_id],
    entries: 1,
    first_id: book_id,
    last_id: book_id,
    attempts: [1],
    ids: [1],
  };
  const functions =
    await sql`select proname as name, proargnames[1:pronargs - pronargdefaults] as needed from pg_proc where pronamespace = 'bindery'::regnamespace`;
  for (const { name, needed } of functions) {
    const args = Object.fromEntries(
      (needed ?? []).map((/** @type {string} */ argument) => [argument, given[argument]]),
    );
    const [asAnon, asUser] = [await refused(anon.rpc(name, args)), await owner.rpc(name, args)];
    assert.deepEqual([name, asAnon.status, asAnon.code], [name, 401, '42501']);
    const answer = readers.includes(name) ? [200, 404] : [403];
    assert.ok(
      answer.includes(asUser.status),
      `${name} answers a user ${asUser.status}: ${JSON.stringify(asUser.error)}`,
    );
  }
});

test('what reads answers GET and HEAD, and what writes does not', async () => {
  for (const name of readers) assert.ok(name in calls);
  const { status, error } = await service.rpc(
    'register_book',
    { book_id: randomUUID() },
    { get: true },
  );
  assert.deepEqual([status, error?.code], [405, '25006']);
});
