// How the page merges changes of substeps: without a browser, a daemon or a database.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

const source = await readFile(new URL('../../daemon/src/http/page/substeps.js', import.meta.url), 'utf8');
const { complete, follow, isLacking } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

/** @param {string} substep @param {number} progress */
const step = (substep, progress) => ({ substep, progress, state: progress >= 100 ? 'done' : progress > 0 ? 'active' : 'pending' });
/** @param {number} revision @param {ReturnType<typeof step>[]} substeps */
const whole = (revision, substeps, more = {}) =>
  ({ created_at: 'then', current_stage: 'ANALYZING', attempt: 1, substeps_total: substeps.length, revision, substeps, ...more });
/** @param {number} revision @param {number} since @param {ReturnType<typeof step>[]} substeps */
const changes = (revision, since, substeps, more = {}) =>
  whole(revision, substeps, { substeps_total: 3, substeps_partial: true, since_revision: since, ...more });
/** @param {any} book */
const shown = (book) => book.substeps.map((/** @type {any} */ one) => `${one.substep} ${one.progress}`);

const begun = follow(null, whole(5, [step('c', 0), step('a', 20), step('b', 100)]));

test('changes are merged by key, and the other substeps stay where they are', () => {
  const book = follow(begun, changes(9, 5, [step('a', 50)]));
  assert.deepEqual([shown(book), isLacking(book)], [['c 0', 'a 50', 'b 100'], false]);
  const grown = follow(book, changes(10, 9, [step('z', 1), step('d', 1)], { substeps_total: 5 }));
  assert.deepEqual([shown(grown), isLacking(grown)], [['c 0', 'a 50', 'b 100', 'd 1', 'z 1'], false]);
});

test('changes since a revision that is not known leave a gap, which a whole status fills though it is older', () => {
  const gap = follow(begun, changes(8, 7, [step('a', 50)]));
  assert.deepEqual([shown(gap), isLacking(gap)], [['c 0', 'a 50', 'b 100'], true]);
  const later = follow(gap, changes(9, 8, [step('c', 10)]));
  assert.equal(complete(later, whole(6, [step('c', 5), step('a', 30), step('b', 100)])), later);
  const filled = complete(later, whole(7, [step('c', 5), step('a', 30), step('b', 100)]));
  assert.deepEqual([shown(filled), filled.revision, isLacking(filled)], [['c 10', 'a 50', 'b 100'], 9, false]);
});

test('changes of another attempt or stage, or of a book that is not known, are not the whole list', () => {
  for (const other of [{ attempt: 2 }, { current_stage: 'DRAWING' }, { created_at: 'later' }]) {
    const book = follow(begun, changes(6, 5, [step('a', 1)], other));
    assert.deepEqual([shown(book), isLacking(book)], [['a 1'], true]);
  }
  assert.ok(isLacking(follow(null, changes(6, 5, []))));
});

test('a list that has more substeps than the stage lacks a new plan', () => {
  assert.ok(isLacking(follow(begun, changes(6, 5, [step('p_1', 0)], { substeps_total: 1 }))));
});

test('at most 200 are kept, those at work first', () => {
  const many = Array.from({ length: 200 }, (_, index) => step(`s${String(index).padStart(3, '0')}`, index < 10 ? 100 : 0));
  const book = follow(follow(null, whole(5, many, { substeps_total: 900 })), changes(6, 5, [step('t', 1)], { substeps_total: 900 }));
  assert.equal(book.substeps.length, 200);
  assert.equal(book.substeps.at(-1).substep, 't');
  assert.equal(book.substeps.filter((/** @type {any} */ one) => one.state === 'done').length, 9);
});
