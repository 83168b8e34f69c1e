// Words and numbers of the page: without a browser, a daemon or a database.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

const source = await readFile(new URL('../../daemon/src/http/page/text.js', import.meta.url), 'utf8');
const { amount, failure, stageLabel, statusLabel, titleOf } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

test('an amount has its numbers and its unit as people write them', () => {
  /** @type {[object, string][]} */
  const cases = [
    [{ done: 0.1 + 0.2, total: 1, unit: 'story' }, '0.3 of 1 story'],
    [{ done: 1, total: 12345, unit: 'story' }, '1 of 12,345 stories'],
    [{ done: 3, total: 12, unit: 'batch' }, '3 of 12 batches'],
    [{ done: 3, total: 12, unit: 'pages' }, '3 of 12 pages'],
    [{ done: 3, total: 12, unit: 'MB' }, '3 of 12 MB'],
    [{ done: 3, total: 12, unit: '' }, '3 of 12'],
    [{ total: 12, unit: 'day' }, '0 of 12 days'],
    [{ progress: 99.99 }, '99.9 %'],
  ];
  for (const [step, text] of cases) assert.equal(amount(step), text);
});

test('an empty text counts as none', () => {
  const stages = [{ name: 'READING_IT', label: ' ' }];
  const book = { book_id: '6f1d5a2e-0b3c', title: ' ', status: 'READING_IT', stages };
  assert.equal(titleOf(book), 'Untitled (6f1d5a2e)');
  assert.deepEqual([statusLabel(book), stageLabel(book, 'READING_IT')], ['Reading it', 'Reading it']);
  assert.equal(failure({ error: { message: '', code: 'boom' }, message: 'It broke' }), 'It broke');
  assert.equal(failure({ error: { message: '', code: 'out_of_ink' }, message: '' }), 'Out of ink');
  assert.equal(failure({ error: null, message: '' }), 'No reason was given.');
});
