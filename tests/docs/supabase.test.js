// The track for hosted Supabase, typed as it stands, on stand-ins: a Postgres without superuser,
// and Supabase's own Data API server over it (scripts/supabase.sh). It has no Realtime, so the page
// polls.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { blocks, read, root } from './pages.js';
import { Checkout, eventually, PATIENCE } from './stack.js';

const { chromium } = createRequire(join(root, 'clients/react/'))('playwright-core');
const postgres = createRequire(join(root, 'tests/supabase/'))('postgres');

const TRACK = 'Hosted Supabase, without the daemon and Redis';
const QUICKSTART = 'docs/quickstart-supabase.md';
const {
  API_URL = '',
  PUBLISHABLE_KEY = '',
  SECRET_KEY = '',
  JWT_SECRET = '',
  PROJECT_URL = '',
} = process.env;
const [owner, stranger] = [randomUUID(), randomUUID()];
const options = { timeout: 3 * PATIENCE };
/** @type {Checkout} */
let checkout;
/** @type {string} */
let tarball;

/** A user's token. @param {string} sub */
function token(sub) {
  const part = (/** @type {unknown} */ value) =>
    Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { role: 'authenticated', sub, exp: Math.floor(Date.now() / 1000) + 3600 };
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', JWT_SECRET).update(signed).digest('base64url')}`;
}

/** @param {string} folder @param {string} command @param {...string} args */
function run(folder, command, ...args) {
  const env = { ...process.env, SUPABASE_URL: API_URL, SERVICE_KEY: SECRET_KEY };
  try {
    return execFileSync(command, args, { cwd: folder, env, encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    const { stdout, stderr } = /** @type {{ stdout: string, stderr: string }} */ (error);
    throw new Error(`${command} ${args.join(' ')} failed:\n${stdout}${stderr}`);
  }
}

/** An app with a page's files in it, and with what an app of that kind has already. */
class App {
  /** @param {string} name @param {import('./pages.js').Block[]} files @param {string} main @param {string} book */
  constructor(name, files, main, book) {
    this.folder = join(checkout.home, name);
    mkdirSync(this.folder);
    for (const { file, text } of files) writeFileSync(join(this.folder, file ?? ''), text);
    const given = {
      'package.json': JSON.stringify({ private: true, type: 'module' }),
      'index.html':
        '<!doctype html><div id="app"></div><script type="module" src="/main.tsx"></script>',
      // What the page takes for granted in the app: a client in which the user is signed in.
      'supabase.ts': `import { createClient } from "@supabase/supabase-js";
        const accessToken = async () => location.hash.slice(1);
        export const supabase = createClient(location.origin, "${PUBLISHABLE_KEY}", { accessToken });`,
      // The stand-in answers to no page of another origin; Supabase does.
      'vite.config.mjs': `export default { server: { proxy: { "/rest/v1": "${API_URL}" } } };`,
      'main.tsx': `import { createRoot } from "react-dom/client"; import * as page from "./book";
        const show = (${main}); createRoot(document.getElementById("app")!).render(show(page, "${book}"));`,
    };
    for (const [file, text] of Object.entries(given)) writeFileSync(join(this.folder, file), text);
    run(
      this.folder,
      'npm',
      'install',
      '--no-audit',
      '--no-fund',
      'vite',
      'react',
      'react-dom',
      '@supabase/supabase-js',
      'typescript@5.9.3',
      '@types/react',
      '@types/react-dom',
      '@types/node',
      tarball,
    );
    const flags = [
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      '--jsx',
      'react-jsx',
      '--target',
      'es2022',
      '--module',
      'esnext',
      '--moduleResolution',
      'bundler',
      '--types',
      'vite/client,node',
    ];
    run(this.folder, 'npx', 'tsc', ...flags, 'actions.ts', 'main.tsx');
  }

  /** Calls a server action. @param {string} name @param {...unknown} args */
  act(name, ...args) {
    const call = `const actions = await import("./actions.ts"); await actions.${name}(...${JSON.stringify(args)});`;
    run(this.folder, 'node', '--no-warnings', '--input-type=module', '-e', call);
  }

  /**
   * Opens the page in Chromium as a user.
   * @param {string} user @param {(page: any) => Promise<void>} look
   */
  async open(user, look) {
    const vite = spawn('npx', ['vite', '--host', '127.0.0.1'], {
      cwd: this.folder,
      env: { ...process.env, NO_COLOR: '1' },
      detached: true,
    });
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM,
      args: ['--no-sandbox'],
    });
    try {
      let output = '';
      vite.stdout.on('data', (text) => {
        output += text;
      });
      vite.stderr.on('data', (text) => {
        output += text;
      });
      const address = await eventually('Vite serves the page', () => {
        if (vite.exitCode !== null) throw new Error(`vite ended:\n${output}`);
        return /http:\/\/127\.0\.0\.1:\d+\//.exec(output)?.[0];
      });
      const page = await browser.newPage();
      page.setDefaultTimeout(PATIENCE);
      /** @type {string[]} */
      const logged = [];
      page.on('console', (/** @type {any} */ message) => logged.push(message.text()));
      page.on('requestfailed', (/** @type {any} */ request) =>
        logged.push(`${request.url()}: ${request.failure()?.errorText}`),
      );
      await page.goto(`${address}#${token(user)}`);
      await look(page).catch(async (/** @type {Error} */ error) => {
        throw new Error(
          `${error.message}\n${await page.locator('body').innerText()}\n${logged.slice(-20).join('\n')}`,
        );
      });
    } finally {
      await browser.close();
      if (vite.pid !== undefined) process.kill(-vite.pid, 'SIGKILL');
    }
  }
}

/** The bar's value is at least that. @param {any} page @param {number} least */
const bar = (page, least) =>
  eventually(`the bar shows ${least} %`, async () => {
    const bars = page.getByRole('progressbar');
    return (
      (await bars.count()) > 0 && Number(await bars.first().getAttribute('aria-valuenow')) >= least
    );
  });

before(
  () => {
    checkout = new Checkout();
    const client = join(checkout.path, 'clients/react');
    run(client, 'bash', '-ec', 'npm ci --no-audit --no-fund && npm pack');
    tarball = join(client, readdirSync(client).find((file) => file.endsWith('.tgz')) ?? '');
  },
  { timeout: PATIENCE },
);

after(() => checkout.remove());

test('both pages name the migration that was pasted', () => {
  for (const page of ['README.md', QUICKSTART]) {
    assert.equal(/Paste `([^`]*)`/.exec(read(page))?.[1], process.env.MIGRATION);
  }
});

test(
  'the track shows a moving bar to the owner, and nothing to another user',
  options,
  async () => {
    const book = randomUUID();
    const app = new App(
      'track',
      blocks('README.md', TRACK),
      '(page: any, id: string) => <page.Book id={id} />',
      book,
    );
    app.act('report', book, owner, 40);
    await app.open(owner, async (page) => {
      await bar(page, 2);
      app.act('report', book, owner, 80);
      await bar(page, 4);
    });
    await app.open(stranger, async (page) => {
      await page.getByText('you may not view it').first().waitFor();
      assert.equal(await page.getByRole('progressbar').count(), 0);
    });
  },
);

test(
  'the quickstart shows a bar, a failure and a retry, and a list of the books',
  options,
  async () => {
    const sql = postgres(PROJECT_URL, { max: 1 });
    try {
      for (const block of blocks(QUICKSTART, 'Define a pipeline')) await sql.unsafe(block.text);
    } finally {
      await sql.end();
    }
    const book = randomUUID();
    const main = `(page: any, id: string) => <main><page.Book id={id} /><page.MyBooks ownerId="${owner}" /></main>`;
    const files = [...blocks(QUICKSTART, 'Report'), ...blocks(QUICKSTART, 'Show')];
    const app = new App('quickstart', files, main, book);
    app.act('begin', book, owner, 'A short film');
    app.act('report', book, 30, 120);
    await app.open(owner, async (page) => {
      await bar(page, 20);
      await page.locator('li', { hasText: 'A short film' }).waitFor();
      app.act('fail', book, 'Frame 31 is black.');
      await page.getByText('Frame 31 is black.').first().waitFor();
      app.act('retry', book);
      await page.locator('.bindery-tracker[data-tone="active"]').waitFor();
    });
  },
);
