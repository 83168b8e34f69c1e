// README's tracks and the quickstarts for Python and Node, typed as they stand: each ends with a
// bar that moves; then the examples of docs/http.md. The tracks for Supabase are in
// supabase.test.js; the page in React of quickstart-node.md is typed by
// clients/react/e2e/readme.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blocks } from './pages.js';
import { aMovingBar, book, Checkout, eventually, PATIENCE, Shell } from './stack.js';

/** @param {(shell: Shell) => Promise<void>} does */
const inACheckout = (does) => async () => {
  const checkout = new Checkout();
  const shell = new Shell(checkout);
  try {
    await does(shell);
  } finally {
    shell.stop();
    checkout.remove();
  }
};
const options = { timeout: 3 * PATIENCE };

/**
 * All blocks but the last, which keeps running.
 * @param {Shell} shell @param {string} page @param {string} section
 */
async function typeTrack(shell, page, section) {
  const typed = blocks(page, section);
  const last = typed.pop();
  for (const block of typed) await shell.block(block);
  assert.equal(last?.language, 'sh');
  shell.go(last.text);
}

test(
  'the track for Python shows a moving bar, which continues after Ctrl-C',
  options,
  inACheckout(async (shell) => {
    const typed = blocks('README.md', 'Python');
    const work = typed.pop();
    assert.equal(work?.language, 'sh');
    for (const block of typed) await shell.block(block);
    const url = await shell.variable('BINDERY_URL');
    // In the foreground, since a shell has its background jobs ignore SIGINT.
    shell.command(`${work.text.trimEnd()} || true`);
    await aMovingBar(url, 'Moby Dick');
    shell.interrupt('books/work.py');
    const stopped = await eventually('Ctrl-C ends the attempt', async () => {
      const found = await book(url, 'Moby Dick');
      return found.status === 'FAILED' ? found : null;
    });
    shell.go(work.text);
    const goesOn = await eventually('the next attempt continues', async () => {
      const found = await book(url, 'Moby Dick');
      return found.status === 'ANALYZING' && found.overall_progress > stopped.overall_progress
        ? found
        : null;
    });
    assert.equal(goesOn.attempt, 2);
    assert.ok(stopped.overall_progress > 0);
  }),
);

test(
  'the track for Node and BullMQ shows a moving bar, also after another track',
  options,
  inACheckout(async (shell) => {
    await shell.type(blocks('README.md', 'Python')[0].text.split('\n')[0]);
    await typeTrack(shell, 'README.md', 'Node and BullMQ');
    await aMovingBar(await shell.variable('BINDERY_URL'), 'Moby Dick');
  }),
);

test(
  'the quickstart for Python fails as it describes, resumes, and ends complete',
  options,
  inACheckout(async (shell) => {
    const page = 'docs/quickstart-python.md';
    for (const section of [
      'Start the servers',
      'Define a pipeline',
      'Report',
      'What happens on failure',
    ]) {
      for (const block of blocks(page, section)) {
        await shell.block(block);
        if (block.text.includes('BREAK=1')) {
          const broken = await book(await shell.variable('BINDERY_URL'), 'Import of July');
          assert.equal(broken.status, 'FAILED');
          assert.equal(broken.overall_progress, 12.5);
          assert.equal(broken.error.code, 'torn_row');
        }
      }
    }
    const url = await shell.variable('BINDERY_URL');
    const done = await book(url, 'Import of July');
    assert.deepEqual([done.status, done.overall_progress], ['COMPLETED', 100]);
    for (const block of blocks(page, 'Without the package')) await shell.block(block);
    // The row of SQL and the entry of the stream: a quarter of a quarter of 20 %, twice.
    await eventually(
      'the XADD is applied',
      async () => (await book(url, 'The Salt Clock')).overall_progress === 2.5,
    );
  }),
);

test(
  'the quickstart for Node shows a bar, a retry, and a failure that resumes',
  options,
  inACheckout(async (shell) => {
    const page = 'docs/quickstart-node.md';
    for (const block of blocks(page, 'Start the servers')) await shell.block(block);
    await typeTrack(shell, page, 'Report');
    const url = await shell.variable('BINDERY_URL');
    await aMovingBar(url, 'Moby Dick');
    await eventually(
      'the job has no attempt left',
      async () => (await book(url, 'Moby Dick')).status === 'FAILED',
    );
    assert.equal((await book(url, 'Moby Dick')).error.code, 'job_failed');
    for (const block of blocks(page, 'What happens on failure')) await shell.block(block);
    await eventually(
      'the book to continue',
      async () => (await book(url, 'Moby Dick')).status === 'GENERATING_SCENES',
    );
  }),
);

test(
  'the examples of docs/http.md work in the order of the page',
  options,
  inACheckout(async (shell) => {
    await shell.type('make dev && eval "$(make env)" && TOKEN=');
    // A refusal is a failure; the stream of events ends only by the limit of time.
    await shell.type(`curl() {
  command curl --silent --show-error --fail-with-body --max-time 5 "$@" ||
    [[ $? -eq 28 && $1 == -N ]]
}`);
    const examples = blocks('docs/http.md').filter(({ language }) => language === 'sh');
    assert.ok(examples.length >= 8);
    for (const { text } of examples) await shell.type(text);
    assert.match(
      shell.output,
      /"outcomes": \[\{"outcome": "applied"\}, \{"outcome": "applied"\}\]/,
    );
    assert.match(shell.output, /^event: book_status$/m);
  }),
);
