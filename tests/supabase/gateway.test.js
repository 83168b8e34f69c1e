// GET /api/books/{id}/status through nginx and through the Edge Function in Deno, before the Data
// API; what Kong's file has, since Kong is not here. Envoy has a file of its own.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { handle } from '../../supabase/functions/books/handler.ts';
import { book_id, file, freePort, owner, serve, serves } from './gateway.js';
import { headers, restUrl } from './stack.js';

describe('nginx', () => {
  const dir = mkdtempSync(join(tmpdir(), 'bindery-nginx.'));
  let [address, stop] = ['', async () => {}];

  before(async () => {
    const port = await freePort();
    address = `http://127.0.0.1:${port}`;
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((kind) => `${kind}_temp_path ${dir};`)
      .join(' ');
    writeFileSync(
      join(dir, 'nginx.conf'),
      `
      daemon off; master_process off; pid ${dir}/pid; error_log ${dir}/error.log;
      events {}
      http {
        access_log off; ${temporary}
        upstream bindery_rest { server ${new URL(restUrl).host}; }
        server {
          listen 127.0.0.1:${port};
          set $bindery_rest_path /rest/v1;
          include ${file('nginx.conf')};
        }
      }`,
    );
    // Debian has it where only root's PATH looks.
    stop = await serve(
      address,
      'nginx',
      ['-e', join(dir, 'error.log'), '-c', join(dir, 'nginx.conf')],
      {
        PATH: `${process.env.PATH}:/usr/sbin`,
      },
    );
  });
  after(async () => {
    await stop();
    rmSync(dir, { recursive: true });
  });

  serves((path, init) => fetch(address + path, init), '/api/books');
});

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

test('Kong’s service sends a book’s id, and no other path, to the function', () => {
  const [service] = parse(readFileSync(file('kong.yml'), 'utf8'));
  const matched = new RegExp(`^${service.routes[0].paths[0]}`).exec(`/api/books/${book_id}/status`);
  assert.equal(matched?.groups?.book_id, book_id);
  const [transformer] = service.plugins.filter(
    (/** @type {any} */ plugin) => plugin.name === 'request-transformer',
  );
  for (const how of ['add', 'replace']) {
    assert.deepEqual(transformer.config[how].querystring, ['book_id:$(uri_captures["book_id"])']);
    assert.ok(transformer.config[how].headers.includes('Accept-Profile: bindery'));
  }
  assert.ok(
    service.plugins.some((/** @type {any} */ plugin) => plugin.name === 'key-auth'),
    'it needs an API key',
  );
});
