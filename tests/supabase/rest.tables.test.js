// The tables over REST: filters, order, pages and counts, what belongs to a book embedded, and who
// sees which rows.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, test } from 'node:test';
import { anon, book, ok, refused, service, user } from './stack.js';

const [owner, stranger] = [randomUUID(), randomUUID()];
const mine = user(owner);
/** @type {string[]} */
let books;

before(async () => {
  books = [
    await book({ owner, title: 'Anna Karenina' }),
    await book({ owner, title: 'Moby Dick', path: ['ANALYZING'] }),
    await book({ owner, title: 'The Hobbit', path: ['ANALYZING', 'FAILED'] }),
    await book({ owner, title: 'The Odyssey', path: ['ANALYZING', 'CANCELLED'] }),
    await book({
      owner,
      title: 'Ulysses',
      path: ['ANALYZING', 'GENERATING_SCENES', 'CREATING_ARTWORK', 'COMPLETED'],
    }),
  ];
  await ok(
    service.rpc('report_progress', {
      book_id: books[1] ?? '',
      substep: 'extract_text',
      progress: 40,
      message: 'chapter 12',
    }),
  );
  await book({ owner: stranger, title: 'Another owner’s' });
});

/** @param {{ title: string | null }[]} rows */
const titles = (rows) => rows.map((row) => row.title);

test('a user lists the books it owns, and no other', async () => {
  assert.deepEqual(titles(await ok(mine.from('book_status').select().order('title'))), [
    'Anna Karenina',
    'Moby Dick',
    'The Hobbit',
    'The Odyssey',
    'Ulysses',
  ]);
  assert.deepEqual(titles(await ok(mine.rpc('list_books', {}, { get: true }))).sort(), [
    'Anna Karenina',
    'Moby Dick',
    'The Hobbit',
    'The Odyssey',
    'Ulysses',
  ]);
  assert.deepEqual(titles(await ok(user(stranger).from('book_status').select())), [
    'Another owner’s',
  ]);
  assert.deepEqual(await ok(user(randomUUID()).from('book_status').select()), []);
});

test('the service sees them all', async () => {
  const rows = await ok(
    service.from('book_status').select('owner_id').in('owner_id', [owner, stranger]),
  );
  assert.equal(rows.length, 6);
});

test('a list is filtered by status, progress, text and time', async () => {
  const list = () => mine.from('book_status').select().order('title');
  assert.deepEqual(titles(await ok(list().eq('status', 'FAILED'))), ['The Hobbit']);
  assert.deepEqual(titles(await ok(list().in('status', ['FAILED', 'CANCELLED']))), [
    'The Hobbit',
    'The Odyssey',
  ]);
  assert.deepEqual(titles(await ok(list().gt('overall_progress', 0).lt('overall_progress', 100))), [
    'Moby Dick',
  ]);
  assert.deepEqual(titles(await ok(list().ilike('title', 'the %'))), ['The Hobbit', 'The Odyssey']);
  assert.deepEqual(titles(await ok(list().not('completed_at', 'is', null))), ['Ulysses']);
  assert.deepEqual(
    titles(
      await ok(list().gt('updated_at', '2001-01-01').or('status.eq.UPLOADED,status.eq.ANALYZING')),
    ),
    ['Anna Karenina', 'Moby Dick'],
  );
  assert.deepEqual(titles(await ok(list().eq('error->>code', 'failed'))), ['The Hobbit']);
  assert.deepEqual(
    titles(
      await ok(mine.rpc('list_books', {}, { get: true }).eq('status', 'FAILED').select('title')),
    ),
    ['The Hobbit'],
  );
});

test('a list is read in pages, with a count', async () => {
  const seen = [];
  for (let from = 0; from < 6; from += 2) {
    const page = await mine
      .from('book_status')
      .select('title', { count: 'exact' })
      .order('title')
      .range(from, from + 1);
    assert.deepEqual([page.error, page.count], [null, 5]);
    seen.push(...titles(page.data ?? []));
  }
  assert.deepEqual(seen, ['Anna Karenina', 'Moby Dick', 'The Hobbit', 'The Odyssey', 'Ulysses']);
  const { count, data } = await mine
    .from('book_status')
    .select('*', { count: 'exact', head: true })
    .eq('status', 'FAILED');
  assert.deepEqual([count, data], [1, null]);
});

test('a book comes with its substeps and its history', async () => {
  const row = await ok(
    mine
      .from('book_status')
      .select(
        'title, book_progress(substep, progress, message), book_events(kind, from_status, to_status)',
      )
      .eq('book_id', books[1] ?? '')
      .order('substep', { referencedTable: 'book_progress' })
      .order('revision', { referencedTable: 'book_events' })
      .single(),
  );
  assert.deepEqual(row, {
    title: 'Moby Dick',
    book_progress: [
      { substep: 'analyze_characters', progress: 0, message: null },
      { substep: 'detect_chapters', progress: 0, message: null },
      { substep: 'extract_text', progress: 40, message: 'chapter 12' },
    ],
    book_events: [
      { kind: 'register', from_status: null, to_status: 'UPLOADED' },
      { kind: 'transition', from_status: 'UPLOADED', to_status: 'ANALYZING' },
    ],
  });
  const history = await ok(
    mine
      .from('book_events')
      .select('to_status, book_status!inner(title)')
      .eq('book_status.title', 'The Hobbit')
      .order('revision'),
  );
  assert.deepEqual(
    history.map((event) => event.to_status),
    ['UPLOADED', 'ANALYZING', 'FAILED'],
  );
});

test('progress and history are the owner’s too', async () => {
  const book_id = books[1] ?? '';
  for (const other of [user(stranger), user(randomUUID())]) {
    assert.deepEqual(await ok(other.from('book_progress').select().eq('book_id', book_id)), []);
    assert.deepEqual(await ok(other.from('book_events').select().eq('book_id', book_id)), []);
    const { status, details } = await refused(
      other.rpc('get_book_status', { book_id }, { get: true }),
    );
    assert.deepEqual([status, details], [404, { code: 'unknown_book', book_id }]);
  }
});

test('a user changes nothing, and anon reads nothing', async () => {
  const book_id = books[0] ?? '';
  const writes = [
    mine.from('book_status').update({ title: 'Mine' }).eq('book_id', book_id),
    mine.from('book_status').delete().eq('book_id', book_id),
    mine.from('book_progress').delete().eq('book_id', book_id),
    mine.from('pipelines').select(),
    mine.from('outbox').select(),
    mine.from('dead_letters').select(),
    mine.from('early_events').select(),
    mine.from('relay_cursors').select(),
  ];
  for (const write of writes) assert.equal((await refused(write)).status, 403);
  for (const table of /** @type {const} */ ([
    'book_status',
    'book_progress',
    'book_events',
    'pipelines',
    'outbox',
  ])) {
    const { status, code } = await refused(anon.from(table).select());
    assert.deepEqual([table, status, code], [table, 401, '42501']);
  }
});

test('a PATCH by the service passes the rules, and is in the history', async () => {
  const book_id = await book();
  const row = await ok(
    service
      .from('book_status')
      .update({ status: 'ANALYZING', metadata: { pages: 3 } })
      .eq('book_id', book_id)
      .select()
      .single(),
  );
  assert.deepEqual([row.status, row.revision, row.metadata], ['ANALYZING', 2, { pages: 3 }]);
  const wrong = await refused(
    service.from('book_status').update({ status: 'COMPLETED' }).eq('book_id', book_id),
  );
  assert.deepEqual(
    [wrong.status, wrong.code, wrong.details.code],
    [409, 'PT409', 'illegal_transition'],
  );
  const events = await ok(
    service.from('book_events').select('to_status').eq('book_id', book_id).order('revision'),
  );
  assert.deepEqual(
    events.map((event) => event.to_status),
    ['UPLOADED', 'ANALYZING'],
  );
  assert.equal(
    (
      await refused(
        service.from('book_status').update({ overall_progress: 50 }).eq('book_id', book_id),
      )
    ).status,
    403,
  );
  assert.equal(
    (await refused(service.from('book_events').delete().eq('book_id', book_id))).status,
    403,
  );
});
