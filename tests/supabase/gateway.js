// What every gateway's test does: GET /api/books/{id}/status as the owner, a stranger, and without
// a token.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:net';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { book, headers } from './stack.js';

export const file = (/** @type {string} */ name) =>
  fileURLToPath(new URL(`../../supabase/gateway/${name}`, import.meta.url));
export const owner = randomUUID();
const [stranger, absent] = [randomUUID(), '00000000-0000-4000-8000-00000000dead'];
/** @type {string} */
export let book_id;
before(async () => {
  book_id = await book({ owner, title: 'Moby Dick', path: ['ANALYZING'] });
});

/**
 * What every way in must do.
 * @param {(path: string, init?: RequestInit) => Promise<Response>} get
 * @param {string} prefix
 * @param {{ query?: boolean, elsewhere?: number }} [ways] whether it takes a query of the caller's
 * and leaves it out; what it answers to all else
 */
export function serves(get, prefix, { query = true, elsewhere = 404 } = {}) {
  const path = (/** @type {string} */ id) => `${prefix}/${id}/status`;

  test('the owner gets the status', async () => {
    const answer = await get(path(book_id), { headers: headers(owner) });
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get('content-type') ?? '', /^application\/json/);
    const status = await answer.json();
    assert.deepEqual(
      [status.book_id, status.status, status.title],
      [book_id, 'ANALYZING', 'Moby Dick'],
    );
    assert.equal((await get(path(book_id.toUpperCase()), { headers: headers(owner) })).status, 200);
  });

  test('for a stranger, and of no book, there is none', async () => {
    for (const [sub, id] of /** @type {const} */ ([
      [stranger, book_id],
      [owner, absent],
    ])) {
      const answer = await get(path(id), { headers: headers(sub) });
      const error = await answer.json();
      assert.deepEqual(
        [answer.status, error.code, JSON.parse(error.details).code],
        [404, 'PT404', 'unknown_book'],
      );
    }
  });

  test('without a token nothing is seen', async () => {
    const { apikey = '' } = headers(owner);
    assert.equal((await get(path(book_id), { headers: { apikey } })).status, 401);
  });

  test('an id that is not a uuid is not passed on', async () => {
    for (const id of ['moby-dick', `${book_id}&select=*`, '..%2F..%2Frpc', `${book_id}0`]) {
      // Slashes in disguise may be refused as such.
      assert.ok(
        [elsewhere, 400].includes((await get(path(id), { headers: headers(owner) })).status),
        id,
      );
    }
  });

  test('what the caller adds changes nothing', async () => {
    const given = { ...headers(owner), 'Accept-Profile': 'public' };
    const answer = await get(path(book_id) + (query ? `?book_id=${absent}&select=title` : ''), {
      headers: given,
    });
    assert.equal((await answer.json()).book_id, book_id);
  });

  test('other methods are refused', async () => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      assert.ok(
        [403, 405, elsewhere].includes(
          (await get(path(book_id), { method, headers: headers(owner) })).status,
        ),
        method,
      );
    }
    // Handed on, that is; @supabase/lite has no HEAD for functions (400), which PostgREST has.
    assert.ok(
      [200, 400].includes(
        (await get(path(book_id), { method: 'HEAD', headers: headers(owner) })).status,
      ),
    );
    const preflight = {
      method: 'OPTIONS',
      headers: { Origin: 'https://books.example.org', 'Access-Control-Request-Method': 'GET' },
    };
    assert.match(
      (await get(path(book_id), preflight)).headers.get('access-control-allow-methods') ?? '',
      /GET/,
    );
  });
}

/** A port that no program listens on. @returns {Promise<number>} */
export const freePort = () =>
  new Promise((resolve, reject) => {
    const probe = createServer()
      .on('error', reject)
      .listen(0, '127.0.0.1', () => {
        const { port } = /** @type {import('node:net').AddressInfo} */ (probe.address());
        probe.close(() => resolve(port));
      });
  });

/**
 * Starts a server, and waits until it answers.
 * @param {string} address
 * @param {string} program
 * @param {string[]} args
 * @param {Record<string, string>} env
 */
export async function serve(address, program, args, env) {
  const server = spawn(program, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const gone = new Promise((resolve) => server.once('exit', resolve));
  const deadline = Date.now() + 180_000;
  for (let up = false; !up;) {
    assert.ok(server.exitCode === null && server.signalCode === null, `${program} ends at once`);
    assert.ok(Date.now() < deadline, `${program} does not answer`);
    up = await fetch(address).then(
      () => true,
      () => new Promise((resolve) => setTimeout(resolve, 50, false)),
    );
  }
  return async () => {
    server.kill();
    await gone;
  };
}
