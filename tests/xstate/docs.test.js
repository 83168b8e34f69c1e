// docs/pipelines.md: its SQL is executed in order, and what it shows is compared with what comes.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { connect, disconnect, value } from './database.js';

/** @typedef {{ language: string, text: string, line: number }} Block */

/** @type {Block[]} */
let blocks;
/** @type {import('pg').Client} */
let client;

before(async () => {
  const page = await readFile(new URL('../../docs/pipelines.md', import.meta.url), 'utf8');
  blocks = [...page.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].map((found) => ({
    language: found[1] ?? '',
    text: found[2] ?? '',
    line: page.slice(0, found.index).split('\n').length,
  }));
  client = await connect();
});
after(() => disconnect(client));

/**
 * The last row, or its only value; or the error, as the page writes one.
 * @param {string} sql
 */
async function answer(sql) {
  await client.query('savepoint block');
  try {
    const result = await client.query(sql);
    const row = (Array.isArray(result) ? result.at(-1) : result).rows.at(-1) ?? {};
    return Object.keys(row).length === 1 ? Object.values(row)[0] : row;
  } catch (error) {
    const { code, message, detail, hint } = /** @type {import('pg').DatabaseError} */ (error);
    // What came before the refused statement is to stay.
    await client.query('rollback to block');
    const statements = sql.trim().split(/;\n/).slice(0, -1);
    if (statements.length > 0) await client.query(statements.join(';\n'));
    return {
      sqlstate: code,
      message,
      detail: code?.startsWith('PT') ? JSON.parse(detail ?? '') : detail,
      hint,
    };
  }
}

test('the SQL of the page does what the page shows', async () => {
  let shown = 0;
  for (const [index, { language, text, line }] of blocks.entries()) {
    if (language !== 'sql') continue;
    const got = await answer(text);
    const next = blocks[index + 1];
    if (next?.language === 'json') {
      shown += 1;
      const wanted = JSON.parse(next.text);
      // Of an error the page may show a part.
      const part = got?.sqlstate
        ? Object.fromEntries(Object.keys(wanted).map((key) => [key, got[key]]))
        : got;
      assert.deepEqual(part, wanted, `line ${next.line}`);
    } else {
      assert.equal(got?.sqlstate, undefined, `line ${line}: ${got?.message}`);
    }
  }
  assert.ok(shown >= 12, `only ${shown} answers are compared`);
});

test('the pictures of the page show all edges of the pipelines they are of', async () => {
  let drawn = 0;
  for (const { text, line } of blocks.filter((block) => block.language === 'mermaid')) {
    const [, name, version] = text.match(/%% (\w+) (\d+)/) ?? [];
    if (!name) continue;
    drawn += 1;
    const edges = [...text.matchAll(/^ *(\w+) --> (\w+)(?:: (\w+))?$/gm)].map(
      ([, from, to, note]) => [from, to, note ?? null],
    );
    const machine = await value(
      client,
      'select machine from bindery.pipelines where (name, version) = ($1, $2)',
      [name, version],
    );
    const expected = machine.states.flatMap((/** @type {any} */ { name: from, next, rework }) => [
      ...next.map((/** @type {any} */ { to, guard }) => [from, to, guard]),
      ...rework.map((/** @type {string} */ to) => [from, to, 'rework']),
    ]);
    assert.deepEqual(edges.sort(), expected.sort(), `line ${line}`);
  }
  assert.equal(drawn, 3);
});

test('the code of the page is the code that is tested', async () => {
  const code = await readFile(new URL('frontend.js', import.meta.url), 'utf8');
  assert.ok(blocks.some((block) => block.language === 'js' && block.text === code));
});
