// The check of words and of long lines: what it finds, and what it leaves alone.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { faults, isChecked } from '../../scripts/lint-words.mjs';

const program = join(dirname(fileURLToPath(import.meta.url)), '../../scripts/lint-words.mjs');
const long = 'word '.repeat(21).trim();

/** The lines with faults. @param {string} path @param {string} text */
const lines = (path, text) => faults(path, text).map(({ line }) => line);

test('a word of the list is found in prose, comments, messages and names of tests', () => {
  for (const [path, text] of [
    ['a.md', 'Nobody is told.'],
    ['a.sh', '# What the server says.'],
    ['a.js', 'throw new Error(`the job ${id} goes on`);'],
    ['a.sql', "comment on table t is 'Rows that nobody reads.';"],
    ['a.rs', 'fn an_event_that_nobody_reads_is_lost() {'],
    ['a.py', 'def test_a_stage_goes_on_after_a_pause() -> None:'],
  ]) {
    assert.deepEqual(new Set(lines(path, text)), new Set([1]), text);
  }
});

test('a phrase that a line end divides is found on its first line', () => {
  assert.deepEqual(lines('a.rs', '/// The task ends by\n/// itself.'), [1]);
  assert.deepEqual(lines('a.md', 'The work goes\non.'), [1]);
  assert.deepEqual(lines('a.md', 'One.\nIt goes on.'), [2]);
});

test('names, values, code and the fields of the API are no prose', () => {
  for (const [path, text] of [
    ['a.md', 'The field `told` is null, and `"hears"` is true.'],
    ['a.rs', 'let user = "nobody";'],
    ['a.sql', "select 'nobody', ''said'';"],
    ['a.sql', 'create policy nobody on bindery.t using (false);'],
    ['a.ts', 'const about = { access: "local", hears: true };'],
    ['a.js', 'const hearsay = retold(soothsayer);'],
    ['a.sql', "select '{MENDING,DONE}';"],
  ]) {
    assert.deepEqual(faults(path, text), [], text);
  }
});

test('a long line is found in prose, comments, shell and SQL', () => {
  for (const path of ['a.md', 'a.sh', 'a.sql', 'a.yml', 'Makefile']) {
    assert.deepEqual(lines(path, `${long}\n${long.slice(0, 100)}`), [1], path);
  }
  assert.deepEqual(lines('a.rs', `// ${long}`), [1]);
  assert.deepEqual(lines('a.py', `    # ${long}`), [1]);
});

test('tables, URLs, fenced code, words without a space, and formatted code may be long', () => {
  for (const [path, text] of [
    ['a.md', `| ${long} |`],
    ['a.md', `${long} https://example.org/`],
    ['a.md', '```text\n' + long + '\n```'],
    ['a.md', `\`${long}\``],
    ['a.sh', `KEY=${'x'.repeat(120)}`],
    ['a.rs', `let text = "${long}";`],
    ['a.ts', `const text = "${long}";`],
  ]) {
    assert.deepEqual(faults(path, text), [], text);
  }
  assert.deepEqual(lines('a.md', '```text\n' + long + '\n```\n' + long), [4]);
});

test('generated files, lock files and stories are not checked, and all others are', () => {
  for (const path of [
    'Cargo.lock',
    'tests/docs/package-lock.json',
    'supabase/migrations/1_bindery.sql',
    'docs/schema/event.schema.json',
    'examples/comic/books/the-salt-clock.txt',
  ]) {
    assert.equal(isChecked(path), false, path);
  }
  for (const path of [
    'README.md',
    'docs/install.md',
    'Makefile',
    'scripts/lib.sh',
    'sql/install.sql',
  ]) {
    assert.equal(isChecked(path), true, path);
  }
});

test('the program prints the place of each fault and fails, and is silent where there is none', () => {
  const folder = mkdtempSync('/tmp/bindery-lint-words.');
  const run = (/** @type {string} */ text) => {
    writeFileSync(join(folder, 'page.md'), text);
    return spawnSync('node', [program, 'page.md'], { cwd: folder, encoding: 'utf8' });
  };
  try {
    const found = run('# A\n\nNobody is here.\n');
    assert.equal(found.status, 1);
    assert.match(found.stdout, /^page\.md:3: "Nobody": write name the subject\n$/);
    assert.match(found.stderr, /^error: 1 faults/);
    const none = run('# A\n\nNo user is here.\n');
    assert.deepEqual([none.status, none.stdout, none.stderr], [0, '', '']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the whole repository passes', () => {
  const { status, stdout } = spawnSync('node', [program], { encoding: 'utf8' });
  assert.deepEqual([status, stdout], [0, '']);
});
