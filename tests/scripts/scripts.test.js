// The scripts behind make: what they print on a machine that lacks something, and what they leave
// alone.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Checkout } from '../docs/stack.js';

/** @type {Checkout[]} */
const checkouts = [];
/** @type {string[]} */
const folders = [];
after(() => {
  for (const checkout of checkouts) checkout.remove();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function checkout() {
  const made = new Checkout();
  checkouts.push(made);
  return made;
}

/** A folder that user postgres can reach. */
function folder() {
  const made = mkdtempSync('/tmp/bindery-scripts.');
  chmodSync(made, 0o755);
  folders.push(made);
  return made;
}

/** Programs of the system without those of these names, and with those of these texts. */
function path(/** @type {string[]} */ without, /** @type {Record<string, string>} */ stubs = {}) {
  const bin = folder();
  for (const from of (process.env.PATH ?? '').split(':').reverse().concat('/usr/bin', '/bin')) {
    if (!existsSync(from)) continue;
    for (const name of readdirSync(from)) {
      rmSync(join(bin, name), { force: true });
      symlinkSync(join(from, name), join(bin, name));
    }
  }
  for (const name of [...without, ...Object.keys(stubs)]) rmSync(join(bin, name), { force: true });
  for (const [name, text] of Object.entries(stubs))
    writeFileSync(join(bin, name), `#!/bin/bash\n${text}\n`, { mode: 0o755 });
  return bin;
}

/** @param {Checkout} where @param {string} command @param {NodeJS.ProcessEnv} [env] */
function run(where, command, env = {}) {
  const { status, stdout, stderr } = spawnSync('bash', ['-c', command], {
    cwd: where.path,
    env: { ...where.env, ...env },
    encoding: 'utf8',
    timeout: 120_000,
  });
  return { status, output: stdout + stderr, errors: stderr.trim().split('\n') };
}

/** The command fails, and its only error is one line that matches each. */
function refuses(
  /** @type {ReturnType<typeof run>} */ result,
  /** @type {RegExp[]} */ ...expected
) {
  assert.equal(result.status, 1, result.output);
  const errors = result.output.split('\n').filter((line) => line.startsWith('error: '));
  assert.equal(errors.length, 1, result.output);
  for (const part of expected) assert.match(errors[0], part);
}

const noNetwork = {
  http_proxy: 'http://127.0.0.1:9',
  https_proxy: 'http://127.0.0.1:9',
  BINDERY_PAUSES: '',
};

test('without a compiler and apt-get set-up names the compiler and the remedy in one line', () => {
  const where = checkout();
  const PATH = path(['cc', 'gcc', 'c99', 'apt-get']);
  for (const command of ['scripts/setup.sh', 'WITHOUT_NODE=yes scripts/setup.sh']) {
    refuses(
      run(where, command, { PATH }),
      /missing: a C compiler \(build-essential\)/,
      /no apt-get/,
      /CONTRIBUTING\.md/,
    );
  }
  refuses(
    run(where, 'scripts/build.sh binderyd', { PATH }),
    /a C compiler \(build-essential\)/,
    /run: make setup/,
  );
});

test('without a network set-up names the package source in one line and installs nothing', () => {
  const where = checkout();
  const log = join(folder(), 'installs');
  const PATH = path(['cc', 'gcc', 'c99'], {
    'apt-get': `if [[ $1 == install ]]; then echo "$*" >>${log}; fi
      echo "Err:1 http://deb.example bookworm InRelease"
      echo "E: Failed to fetch http://deb.example/dists/bookworm/InRelease  Could not resolve 'deb.example'"; exit 100`,
    sudo: 'exec "$@"',
  });
  refuses(
    run(where, 'scripts/setup.sh', { PATH, BINDERY_PAUSES: '' }),
    /no network to the package source/,
    /deb\.example/,
    /run this again/,
  );
  assert.ok(!existsSync(log), 'it continued to install');
});

test('without a network the build names the source of crates in one line', () => {
  const where = checkout();
  const env = {
    ...noNetwork,
    CARGO_HOME: folder(),
    CARGO_NET_RETRY: '0',
    RUSTUP_HOME: process.env.RUSTUP_HOME ?? join(process.env.HOME ?? '', '.rustup'),
  };
  refuses(
    run(where, 'scripts/build.sh binderyd', env),
    /no network to the package source/,
    /run this again/,
  );
  assert.deepEqual(readdirSync(join(where.home, 'target')), ['release'], 'it began to build');
});

test('without a package index the demo names it in one line, starts nothing, and does not keep half an environment', () => {
  const where = checkout();
  const env = {
    PIP_INDEX_URL: 'http://127.0.0.1:9/simple',
    PIP_RETRIES: '0',
    PIP_FIND_LINKS: '',
    PIP_NO_INDEX: '',
    PIP_NO_CACHE_DIR: '1',
    BINDERY_PAUSES: '',
    ONCE: '1',
  };
  refuses(run(where, 'scripts/demo.sh', env), /no network to the package source/, /run this again/);
  assert.ok(!existsSync(join(where.home, 'target/python/demo/stamp')));
  assert.ok(!existsSync(join(where.home, 'scratch/demo/postgres')));
});

for (const [what, script] of [
  ['dev', 'scripts/dev.sh'],
  ['demo', 'scripts/demo.sh'],
]) {
  test(`make ${what} names a port in use in one line, before it builds, and starts nothing`, async () => {
    const where = checkout();
    const server = createServer();
    await new Promise((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve(null));
    });
    const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
    // The real make, whose every other step would fail.
    const made = `PATH=${path(['cargo', 'rustc'])} make ${what}`;
    try {
      for (const command of [made, `${script} ${what === 'dev' ? 'start' : ''}`]) {
        const taken = run(where, command, { BINDERY_PORT: String(port) });
        assert.match(
          taken.output,
          new RegExp(`^error: port ${port} is in use .* set BINDERY_PORT to another port`, 'm'),
        );
        assert.notEqual(taken.status, 0);
        assert.equal(taken.output.match(/^error: /gm)?.length, 1, taken.output);
      }
      refuses(
        run(where, `${script} check`, { BINDERY_PORT: 'http' }),
        /BINDERY_PORT is 'http'/,
        /1 to 65535/,
      );
    } finally {
      server.close();
    }
    assert.ok(!existsSync(join(where.home, `scratch/${what}/postgres`)));
  });
}

test('where no file may grow, make dev prints that in one line and leaves no half cluster', () => {
  const where = checkout();
  refuses(
    run(where, 'ulimit -f 1000; scripts/dev.sh start'),
    /a file may not be that large|no disk space/,
    /run this again/,
  );
  assert.ok(!existsSync(join(where.home, 'scratch/dev/postgres')));
  const again = run(where, 'scripts/dev.sh start');
  assert.equal(again.status, 0, again.output);
  run(where, 'scripts/dev.sh stop');
});

test('where the disk is full, make dev and make demo name the folder and the room that it lacks', () => {
  const where = checkout();
  const PATH = path([], { df: 'printf "Avail\\n12\\n"' });
  for (const command of [
    'scripts/dev.sh start',
    'ONCE=1 scripts/demo.sh',
    'scripts/build.sh binderyd',
  ]) {
    refuses(run(where, command, { PATH }), /no disk space: .* has 12 MB free/, /free some/);
  }
});

test('make dev in a copied checkout leaves the servers of the original alone, and so do stop and clean', () => {
  const original = checkout();
  delete original.env.BINDERY_SCRATCH;
  const state = () =>
    run(original, 'scripts/servers.sh status .bindery/dev; scripts/daemon.sh status .bindery/dev')
      .output;
  const begun = run(original, 'scripts/dev.sh start');
  assert.equal(begun.status, 0, begun.output);
  const before = state();
  assert.equal(before.match(/running/g)?.length, 3, before);

  const home = folder();
  const copy = /** @type {Checkout} */ ({ home, path: join(home, 'copy'), env: original.env });
  execFileSync('cp', ['-a', original.path, copy.path]);
  // With the original's pid files in it, nothing runs yet.
  assert.equal(
    run(copy, 'scripts/servers.sh status .bindery/dev').output.match(/stopped/g)?.length,
    2,
  );
  for (const command of ['stop', 'start', 'stop', 'start', 'clean']) {
    const result = run(copy, `scripts/dev.sh ${command}`);
    assert.equal(result.status, 0, result.output);
    assert.equal(state(), before, `after ${command} in the copy`);
  }
  run(original, 'scripts/dev.sh stop');
});

test('where the real programs are installed no substitute runs', () => {
  const where = checkout();
  const PATH = path([], {
    envoy: 'exit 0',
    node: 'echo 22',
    npm: 'echo "a substitute" >&2; exit 1',
    pip: 'echo "a substitute" >&2; exit 1',
  });
  const cache = folder();
  const source = 'source scripts/lib.sh; source scripts/substitutes.sh';
  const found = run(where, `${source}; need_node 22; command -v node; find_envoy; echo "$ENVOY"`, {
    PATH,
    BINDERY_CACHE: cache,
  });
  assert.deepEqual(found.output.trim().split('\n'), [join(PATH, 'node'), join(PATH, 'envoy')]);
  const config = process.env.PG_CONFIG ?? '/usr/lib/postgresql/15/bin/pg_config';
  assert.equal(
    run(where, 'scripts/postgres.sh 15', { PG_CONFIG: config, BINDERY_CACHE: cache }).output.trim(),
    config,
  );
  assert.deepEqual(readdirSync(cache), []);
});

test('BINDERY_SUBSTITUTES=no refuses every substitute by name', () => {
  const where = checkout();
  const PATH = path(['envoy'], { node: 'echo 12' });
  const env = { PATH, BINDERY_CACHE: folder(), BINDERY_SUBSTITUTES: 'no', ENVOY: '' };
  const source = 'source scripts/lib.sh; source scripts/substitutes.sh';
  refuses(run(where, `${source}; need_node 22`, env), /Node\.js 22/);
  refuses(run(where, `${source}; find_envoy || exit 1`, env), /Envoy/);
  refuses(run(where, `${source}; major=17; substitute_postgres 17`, env), /PostgreSQL 17/);
});

test('CI prints what was skipped last, one line each', () => {
  const where = checkout();
  const bin = path([], {
    make: 'if [[ $1 == test ]]; then echo "the gateway Envoy (cannot be had)" >>"$BINDERY_SKIPPED"; fi; exit 0',
  });
  writeFileSync(join(where.path, 'scripts/postgres.sh'), '#!/bin/bash\n[[ $1 != 16 ]]\n', {
    mode: 0o755,
  });
  const lines = (/** @type {NodeJS.ProcessEnv} */ env) =>
    run(where, '.ci/run', { PATH: bin, ...env })
      .output.trim()
      .split('\n');
  assert.deepEqual(lines({}).slice(1), [
    '==> skipped: PostgreSQL 16 (cannot be had here)',
    '==> skipped: the gateway Envoy (cannot be had)',
  ]);
  const late = lines({ BINDERY_CI_LATEST: '-1' });
  assert.match(late[0], /ended with 0/);
  assert.deepEqual(late.filter((line) => line.includes('no time left')).length, 8);
});
