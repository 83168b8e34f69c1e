// What Supabase Realtime would see: the rows that wal2json makes of the publication, and broadcasts
// while its table is locked.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { database, databaseUrl } from './stack.js';

const sql = database({ max: 3 });
const slot = `bindery_${process.pid}`;

before(async () => {
  // Newer minor versions name the plugins that may be used.
  const [allowed] =
    await sql`select setting from pg_settings where name = 'output_plugin_libraries'`;
  if (allowed && !allowed.setting.includes('wal2json')) {
    await sql`alter system set output_plugin_libraries = pgoutput, test_decoding, wal2json`;
    await sql`select pg_reload_conf()`;
    // A session that begins after the reload has been taken note of has the new value; this shows
    // when.
    for (let allowed = false; !allowed;) {
      const fresh = database();
      allowed = (
        await fresh`select setting from pg_settings where name = 'output_plugin_libraries'`
      )[0]?.setting.includes('wal2json');
      await fresh.end();
    }
  }
  const session = database();
  await session`select pg_create_logical_replication_slot(${slot}, 'wal2json')`;
  await session.end();
});
after(async () => {
  await sql`select pg_drop_replication_slot(${slot})`;
  await sql.end();
});

/**
 * The changes since last time, read as Realtime reads them: same plugin, same options, the
 * publication's tables.
 */
async function changes() {
  const session = database();
  const rows = await session`
    select data::jsonb as change from pg_logical_slot_get_changes(${slot}, null, null, 'include-pk', '1', 'include-transaction', 'false',
      'include-timestamp', 'true', 'include-type-oids', 'true', 'format-version', '2', 'actions', 'insert,update,delete', 'add-tables',
      ${(await session`select string_agg(format('%I.%I', schemaname, tablename), ',') as tables from pg_publication_tables where pubname = 'supabase_realtime'`)[0]?.tables})`;
  await session.end();
  return rows.map(({ change }) => change);
}

/** @param {any} change */
const record = (change) =>
  Object.fromEntries(
    change.columns.map((/** @type {any} */ column) => [column.name, column.value]),
  );

test('Postgres Changes needs a primary key, the publication, row-level security and the right to read: book_status has them', async () => {
  const [needs] = await sql`
    select exists (select from pg_publication_tables where pubname = 'supabase_realtime' and schemaname = 'bindery' and tablename = 'book_status') as published,
      (select array_agg(attname::text) from pg_index join pg_attribute on attrelid = indrelid and attnum = any (indkey) where indrelid = c.oid and indisprimary) as key,
      c.relrowsecurity as secured, has_table_privilege('authenticated', c.oid, 'select') and has_schema_privilege('authenticated', 'bindery', 'usage') as readable,
      exists (select from pg_policies where schemaname = 'bindery' and tablename = 'book_status' and cmd = 'SELECT' and 'authenticated' = any (roles)) as policed,
      (select count(*)::int from pg_publication_tables where pubname = 'supabase_realtime') as tables
    from pg_class c where c.oid = 'bindery.book_status'::regclass`;
  assert.deepEqual(
    { ...needs },
    { published: true, key: ['book_id'], secured: true, readable: true, policed: true, tables: 1 },
  );
});

test('a book’s changes come as its row, without what is large and did not change', async () => {
  const [book_id, owner_id] = [randomUUID(), randomUUID()];
  // Random, so that no compression brings it below what a row may hold.
  const noise = Array.from({ length: 200 }, () => randomUUID());
  await changes();
  await sql`select bindery.register_book(${book_id}, owner_id => ${owner_id}, title => 'Moby Dick', metadata => ${sql.json({ noise })})`;
  await sql`select bindery.transition_book(${book_id}, 'ANALYZING')`;
  await sql`select bindery.report_progress(${book_id}, 'extract_text', 40)`;
  await sql`select bindery.heartbeat(${book_id})`;
  await sql`delete from bindery.book_status where book_id = ${book_id}`;
  const seen = await changes();
  assert.deepEqual(
    [...new Set(seen.map((change) => `${change.schema}.${change.table}`))],
    ['bindery.book_status'],
    'nothing else is published',
  );

  const [insert, ...rest] = seen;
  const columns = (
    await sql`select attname from pg_attribute where attrelid = 'bindery.book_status'::regclass and attnum > 0 and not attisdropped order by attnum`
  ).map((row) => row.attname);
  assert.equal(insert.action, 'I');
  assert.deepEqual(
    insert.columns.map((/** @type {any} */ column) => column.name),
    columns,
    'a new row comes whole',
  );
  assert.deepEqual(JSON.parse(record(insert).metadata), { noise });
  assert.deepEqual(
    [record(insert).status, record(insert).revision, record(insert).owner_id],
    ['UPLOADED', 1, owner_id],
  );

  const updates = rest.filter((change) => change.action === 'U');
  const revisions = updates.map((change) => record(change).revision);
  assert.deepEqual([...new Set(revisions)], [2, 3], 'every revision is seen, in order');
  for (const update of updates) {
    const names = update.columns.map((/** @type {any} */ column) => column.name);
    assert.deepEqual(
      names,
      columns.filter((name) => name !== 'metadata'),
      'the unchanged metadata is missing, and nothing else: clients merge',
    );
    assert.deepEqual(
      update.identity.map((/** @type {any} */ column) => column.name),
      ['book_id'],
      'of the old row comes the key',
    );
  }
  const last = record(updates.at(-1));
  assert.deepEqual([last.status, last.overall_progress], ['ANALYZING', 2]);
  assert.deepEqual(
    [last.substeps_total, last.substeps_done, last.substeps],
    [3, 0, undefined],
    'a row counts substeps, and holds none',
  );

  const removed = rest.at(-1);
  assert.deepEqual(
    [removed.action, removed.identity.map((/** @type {any} */ c) => [c.name, c.value])],
    ['D', [['book_id', book_id]]],
  );
});

test('a transaction that is rolled back is not seen by readers', async () => {
  await changes();
  await sql
    .begin(async (transaction) => {
      await transaction`select bindery.register_book(${randomUUID()})`;
      throw new Error('rolled back');
    })
    .catch((/** @type {Error} */ error) => assert.equal(error.message, 'rolled back'));
  assert.deepEqual(await changes(), []);
});

test(
  'while a session holds a lock on realtime.messages, books continue, and only the broadcast is left out',
  { timeout: 60_000 },
  async () => {
    // A database of its own: in the other there is no Realtime, and its tests check that.
    const name = `slow_${process.pid}`;
    await sql`create database ${sql(name)} template ${sql(new URL(databaseUrl).pathname.slice(1) + '_template')}`;
    /** @type {string[]} */
    const warnings = [];
    const onnotice = (/** @type {any} */ notice) =>
      warnings.push(`${notice.severity} ${notice.message}`);
    const [holder, worker, watcher] = [
      database({ database: name }),
      database({ database: name, onnotice }),
      database({ database: name }),
    ];
    try {
      await watcher.unsafe(
        readFileSync(new URL('../pgtap/realtime/standin.psql', import.meta.url), 'utf8'),
      );
      const broadcasts = async () =>
        (await watcher`select count(*)::int as n from realtime.messages`)[0]?.n;
      await worker`select bindery.register_book(${randomUUID()})`;
      assert.equal(
        await broadcasts(),
        0,
        'without USAGE on the schema realtime, books change and are not broadcast',
      );
      // As Supabase has it.
      await watcher`grant usage on schema realtime to project`;
      await watcher`grant select, insert on realtime.messages to project`;

      const [books, owner_id] = [Array.from({ length: 20 }, () => randomUUID()), randomUUID()];
      for (const book_id of books)
        await worker`select bindery.register_book(${book_id}, owner_id => ${owner_id})`;
      assert.equal(await broadcasts(), 40, 'each book to its own topic and its owner’s');

      const lock = await holder.reserve();
      await lock`begin`;
      await lock`lock table realtime.messages in access exclusive mode`;
      // What only ever ends when the lock is released would wait forever here: it is released
      // after.
      await worker`update bindery.book_status set status = 'ANALYZING' where book_id = any (${books}::uuid[])`;
      await worker`update bindery.book_status set title = 'Moby Dick' where book_id = any (${books}::uuid[])`;
      await worker`select bindery.acquire_stream('slow', 'me')`;
      const events = books.map((book_id, n) => ({
        type: 'progress',
        id: `1-${n}`,
        count: 1,
        segment: n,
        book_id,
        substep: 'extract_text',
        progress: 40,
      }));
      const [applied] =
        await worker`select applied::int, rejected::int from bindery.apply_events('slow', 1, '1-9', ${worker.json(events)})`;
      assert.deepEqual({ ...applied }, { applied: 20, rejected: 0 });
      await lock`rollback`;
      lock.release();
      // Waited for once a statement, however many books and messages.
      const warning =
        'WARNING 20 changed books were not broadcast: canceling statement due to lock timeout (SQLSTATE 55P03).';
      assert.deepEqual(warnings, Array(3).fill(warning));

      const rows =
        await watcher`select status, title, overall_progress, revision::int from bindery.book_status where owner_id = ${owner_id}`;
      assert.deepEqual(
        rows.map((row) => ({ ...row })),
        Array(20).fill({
          status: 'ANALYZING',
          title: 'Moby Dick',
          overall_progress: 2,
          revision: 4,
        }),
      );
      assert.equal(await broadcasts(), 40, 'these changes are not broadcast');
      await worker`select bindery.report_progress(${books[0] ?? ''}, 'extract_text', 50)`;
      assert.equal(await broadcasts(), 42, 'the next change is broadcast');

      const payload = async () => {
        const topic = `book:${books[0]}:${owner_id}`;
        const [message] = await watcher`
        select payload from realtime.messages
        where topic = ${topic} and private and event = 'book_status'
        order by (payload ->> 'revision')::bigint desc limit 1`;
        return message?.payload;
      };
      const report = await payload();
      assert.deepEqual(
        [report.revision, report.overall_progress, report.substeps_total, report.substeps_partial],
        [5, 2.5, 3, true],
      );
      assert.deepEqual(
        report.substeps.map((/** @type {any} */ s) => [s.substep, s.state, s.progress]),
        [['extract_text', 'active', 50]],
        'a report broadcasts the substep that changed',
      );
      await worker`select bindery.transition_book(${books[0] ?? ''}, 'GENERATING_SCENES')`;
      const transition = await payload();
      assert.deepEqual(
        [transition.revision, transition.current_stage, transition.substeps_partial],
        [6, 'GENERATING_SCENES', false],
      );
      assert.deepEqual(
        transition.substeps.map((/** @type {any} */ s) => s.substep),
        ['split_scenes', 'write_prompts'],
        'a transition broadcasts every substep of the new stage',
      );
      for (const key of ['substeps_weight', 'substeps_points', 'stage_base', 'stage_share']) {
        assert.ok(!(key in transition), key);
      }
    } finally {
      for (const session of [holder, worker, watcher]) await session.end();
      await sql`drop database ${sql(name)} with (force)`;
    }
  },
);
