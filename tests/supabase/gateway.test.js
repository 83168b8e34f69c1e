// GET /api/books/{id}/status through gateways: nginx for real, before the Data API; of Envoy and Kong, which are not here, what
// their files say; and the Edge Function's handler.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { handle } from '../../supabase/functions/books/handler.ts';
import { book, headers, restUrl } from './stack.js';

const file = (/** @type {string} */ name) => fileURLToPath(new URL(`../../supabase/gateway/${name}`, import.meta.url));
const [owner, stranger, nobody] = [randomUUID(), randomUUID(), '00000000-0000-4000-8000-00000000dead'];
/** @type {string} */
let book_id;
before(async () => {
  book_id = await book({ owner, title: 'Moby Dick', path: ['ANALYZING'] });
});

/**
 * What both ways in must do.
 * @param {(path: string, init?: RequestInit) => Promise<Response>} get
 * @param {string} prefix
 */
function serves(get, prefix) {
  const path = (/** @type {string} */ id) => `${prefix}/${id}/status`;

  test('the owner gets the status', async () => {
    const answer = await get(path(book_id), { headers: headers(owner) });
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get('content-type') ?? '', /^application\/json/);
    const status = await answer.json();
    assert.deepEqual([status.book_id, status.status, status.title], [book_id, 'ANALYZING', 'Moby Dick']);
    assert.equal((await get(path(book_id.toUpperCase()), { headers: headers(owner) })).status, 200);
  });

  test('for a stranger, and of no book, there is none', async () => {
    for (const [sub, id] of /** @type {const} */ ([[stranger, book_id], [owner, nobody]])) {
      const answer = await get(path(id), { headers: headers(sub) });
      const error = await answer.json();
      assert.deepEqual([answer.status, error.code, JSON.parse(error.details).code], [404, 'PT404', 'unknown_book']);
    }
  });

  test('without a token nothing is seen', async () => {
    const { apikey = '' } = headers(owner);
    assert.equal((await get(path(book_id), { headers: { apikey } })).status, 401);
  });

  test('what is no uuid is not handed on', async () => {
    for (const id of ['moby-dick', `${book_id}&select=*`, '..%2F..%2Frpc', `${book_id}0`]) {
      assert.equal((await get(path(id), { headers: headers(owner) })).status, 404, id);
    }
  });

  test('what the caller adds changes nothing', async () => {
    const given = { ...headers(owner), 'Accept-Profile': 'public' };
    const answer = await get(`${path(book_id)}?book_id=${nobody}&select=title`, { headers: given });
    assert.equal((await answer.json()).book_id, book_id);
  });

  test('other methods are refused', async () => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      assert.ok([403, 405].includes((await get(path(book_id), { method, headers: headers(owner) })).status), method);
    }
    // Handed on, that is; @supabase/lite has no HEAD for functions (400), which PostgREST has.
    assert.ok([200, 400].includes((await get(path(book_id), { method: 'HEAD', headers: headers(owner) })).status));
    const preflight = { method: 'OPTIONS', headers: { Origin: 'https://books.example.org', 'Access-Control-Request-Method': 'GET' } };
    assert.match((await get(path(book_id), preflight)).headers.get('access-control-allow-methods') ?? '', /GET/);
  });
}

describe('nginx', () => {
  const dir = mkdtempSync(join(tmpdir(), 'bindery-nginx.'));
  /** @type {import('node:child_process').ChildProcess} */
  let nginx;
  let address = '';

  before(async () => {
    const port = await new Promise((resolve, reject) => {
      const probe = createServer().on('error', reject).listen(0, '127.0.0.1', () => {
        const taken = /** @type {import('node:net').AddressInfo} */ (probe.address()).port;
        probe.close(() => resolve(taken));
      });
    });
    address = `http://127.0.0.1:${port}`;
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${dir};`).join(' ');
    writeFileSync(join(dir, 'nginx.conf'), `
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
      }`);
    const path = `${process.env.PATH}:/usr/sbin`;
    nginx = spawn('nginx', ['-e', join(dir, 'error.log'), '-c', join(dir, 'nginx.conf')], { env: { ...process.env, PATH: path }, stdio: 'inherit' });
    for (let up = false; !up; ) {
      assert.equal(nginx.exitCode, null, 'nginx ends at once');
      up = await fetch(address).then(() => true, () => new Promise((resolve) => setImmediate(resolve, false)));
    }
  });
  after(async () => {
    const gone = new Promise((resolve) => nginx.once('exit', resolve));
    nginx.kill();
    await gone;
    rmSync(dir, { recursive: true });
  });

  serves((path, init) => fetch(address + path, init), '/api/books');
});

describe('the Edge Function', () => {
  const settings = { url: restUrl, anonKey: headers(owner).apikey ?? '', origins: ['https://books.example.org'] };
  serves((path, init) => handle(new Request(`http://localhost${path}`, init), settings), '/functions/v1/books');

  test('pages of the origins that are listed may read the answer, and no others', async () => {
    const ask = (/** @type {string} */ Origin) => handle(new Request(`http://localhost/books/${book_id}/status`, { headers: { ...headers(owner), Origin } }), settings);
    assert.equal((await ask('https://books.example.org')).headers.get('access-control-allow-origin'), 'https://books.example.org');
    assert.equal((await ask('https://elsewhere.example.org')).headers.get('access-control-allow-origin'), null);
  });

  test('a Data API that is away is a 502 that says so, in the form of the other errors', async () => {
    const away = { ...settings, fetch: async () => { throw new TypeError('away'); } };
    const shown = console.error;
    console.error = () => {};
    const answer = await handle(new Request(`http://localhost/books/${book_id}/status`), away);
    console.error = shown;
    assert.deepEqual([answer.status, Object.keys(await answer.json())], [502, ['code', 'message', 'details', 'hint']]);
  });
});

test('Envoy’s route sends a book’s id, and no other path, to the function', () => {
  const [route] = parse(readFileSync(file('envoy.yaml'), 'utf8'));
  const path = `/api/books/${book_id}/status`;
  // RE2 matches the whole path.
  const matches = new RegExp(`^(?:${route.match.safe_regex.regex})$`);
  assert.ok(matches.test(path) && !matches.test(`${path}/x`) && !matches.test('/api/books/moby-dick/status'));
  const { pattern, substitution } = route.route.regex_rewrite;
  assert.equal(path.replace(new RegExp(pattern.regex), substitution.replace('\\1', '$1')), `/rpc/get_book_status?book_id=${book_id}`);
  assert.deepEqual(route.request_headers_to_add[0].header, { key: 'Accept-Profile', value: 'bindery' });
  assert.equal(route.typed_per_filter_config['envoy.filters.http.rbac'], undefined, 'it needs an API key');
});

test('Kong’s service does the same', () => {
  const [service] = parse(readFileSync(file('kong.yml'), 'utf8'));
  const matched = new RegExp(`^${service.routes[0].paths[0]}`).exec(`/api/books/${book_id}/status`);
  assert.equal(matched?.groups?.book_id, book_id);
  const [transformer] = service.plugins.filter((/** @type {any} */ plugin) => plugin.name === 'request-transformer');
  for (const how of ['add', 'replace']) {
    assert.deepEqual(transformer.config[how].querystring, ['book_id:$(uri_captures["book_id"])']);
    assert.ok(transformer.config[how].headers.includes('Accept-Profile: bindery'));
  }
  assert.ok(service.plugins.some((/** @type {any} */ plugin) => plugin.name === 'key-auth'), 'it needs an API key');
});
