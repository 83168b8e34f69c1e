// The files of supabase/self-hosted/, as far as they can be tried without Docker: what they state
// about each other, and the SQL in them.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { parse } from 'yaml';
import { book, database, databaseUrl } from './stack.js';

const root = new URL('../../', import.meta.url);
const read = (/** @type {string} */ name) => readFileSync(new URL(name, root), 'utf8');
const { services, volumes } = parse(read('supabase/self-hosted/docker-compose.bindery.yml'), {
  merge: true,
});
/** Services of Supabase's own file. */
const theirs = ['realtime'];
const sql = database();
after(() => sql.end());

test('every file, service and volume that the compose file names is there', () => {
  for (const [name, service] of Object.entries(services)) {
    if (service.build)
      assert.ok(
        existsSync(new URL(service.build.dockerfile, root)),
        `${name}: ${service.build.dockerfile}`,
      );
    for (const other of Object.keys(service.depends_on ?? {}))
      assert.ok(services[other] || theirs.includes(other), `${name} waits for ${other}`);
    for (const mount of service.volumes ?? [])
      assert.ok(mount.split(':')[0] in volumes, `${name} mounts ${mount}`);
    assert.equal(service.ports, undefined, `${name} publishes no port`);
  }
});

test('what the images copy from the checkout is there', () => {
  for (const name of ['supabase/self-hosted/Dockerfile', 'deploy/docker/Dockerfile']) {
    for (const [, from = ''] of read(name).matchAll(/^COPY (?!--from)(\S+) /gm)) {
      assert.ok(existsSync(new URL(from, root)), `${name}: ${from}`);
    }
  }
});

test('the role that it makes for the daemon relays, and reads no book', async () => {
  const script = services['bindery-role'].command[0].replaceAll('$$', '$');
  const env = {
    ...process.env,
    DATABASE_URL: databaseUrl.replace('postgres@', 'project@'),
    RELAY_PASSWORD: 'quoted’s',
  };
  // Twice: a stack is started more than once.
  for (let time = 0; time < 2; time += 1)
    execFileSync('bash', ['-c', script], { env, stdio: 'pipe' });
  const daemon = database({ username: 'bindery_daemon', password: 'quoted’s' });
  const [lease] = await daemon`select epoch::int from bindery.acquire_stream('self-hosted', 'me')`;
  assert.equal(lease?.epoch, 1);
  await assert.rejects(daemon`select bindery.get_book_status(${await book()})`, { code: '42501' });
  await daemon.end();
  const [password] =
    await sql`select rolpassword like 'SCRAM-SHA-256$%' as hashed from pg_authid where rolname = 'bindery_daemon'`;
  assert.equal(password?.hashed, true);
});
