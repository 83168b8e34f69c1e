// GET /api/books/{id}/status through the Edge Function in Deno, before the Data API. Envoy has a
// file of its own.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, describe, test } from 'node:test';
import { handle } from '../../supabase/functions/books/handler.ts';
import { book_id, freePort, owner, serve, serves } from './gateway.js';
import { headers, restUrl } from './stack.js';

describe('the Edge Function in Deno', () => {
  const modules = fileURLToPath(new URL('node_modules/@deno/', import.meta.url));
  const [platform = ''] = readdirSync(modules);
  let [address, stop] = ['', async () => {}];

  before(async () => {
    const port = await freePort();
    address = `http://127.0.0.1:${port}`;
    const index = fileURLToPath(
      new URL('../../supabase/functions/books/index.ts', import.meta.url),
    );
    const env = {
      DENO_SERVE_ADDRESS: `tcp:127.0.0.1:${port}`,
      SUPABASE_URL: restUrl,
      SUPABASE_ANON_KEY: headers(owner).apikey ?? '',
      BINDERY_ORIGINS: 'https://books.example.org',
      DENO_NO_UPDATE_CHECK: '1',
    };
    stop = await serve(
      address,
      join(modules, platform, 'deno'),
      ['run', '--quiet', '--no-remote', '--allow-net', '--allow-env', index],
      env,
    );
  });
  after(() => stop());

  serves((path, init) => fetch(address + path, init), '/books');
});

describe('the Edge Function’s handler', () => {
  const settings = {
    url: restUrl,
    anonKey: headers(owner).apikey ?? '',
    origins: ['https://books.example.org'],
  };

  test('pages of the origins that are listed may read the answer, and no others', async () => {
    const ask = (/** @type {string} */ Origin) =>
      handle(
        new Request(`http://localhost/books/${book_id}/status`, {
          headers: { ...headers(owner), Origin },
        }),
        settings,
      );
    assert.equal(
      (await ask('https://books.example.org')).headers.get('access-control-allow-origin'),
      'https://books.example.org',
    );
    assert.equal(
      (await ask('https://elsewhere.example.org')).headers.get('access-control-allow-origin'),
      null,
    );
  });

  test('a Data API that is away is a 502 that names it, in the form of the other errors', async () => {
    const away = {
      ...settings,
      fetch: async () => {
        throw new TypeError('away');
      },
    };
    const shown = console.error;
    console.error = () => {};
    const answer = await handle(new Request(`http://localhost/books/${book_id}/status`), away);
    console.error = shown;
    assert.deepEqual(
      [answer.status, Object.keys(await answer.json())],
      [502, ['code', 'message', 'details', 'hint']],
    );
  });
});
