// The Rust client over the Data API, with the service key.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { database, restUrl, setting } from './stack.js';

const sql = database();
after(() => sql.end());
const run = promisify(execFile);
const program = setting('CLIENT_WORKER');

test('the Rust client reports a stage through the Data API', async () => {
  const [url, key] = [`${restUrl}/rest/v1`, setting('SECRET_KEY')];
  const env = { ...process.env, BINDERY_URL: url, BINDERY_KEY: key };
  const { stdout } = await run(program, ['through the Data API', '12'], { env });
  assert.match(stdout, /^attempt Some\(1\)\nitem 0\n/);
  const [row] = await sql`
    select bindery.get_book_status(book_id) as status from bindery.book_status
    where title = 'The Tide'`;
  const status = row?.status;
  const read = status.substeps.find((/** @type {any} */ one) => one.substep === 'extract_text');
  assert.deepEqual([status.status, read.done, read.total], ['ANALYZING', 12, 12]);
  // Once more: what is done is skipped.
  const again = await run(program, ['through the Data API', '12'], { env });
  assert.equal(again.stdout, 'attempt Some(1)\n');
});
