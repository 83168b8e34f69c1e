// Every link of the documentation to a file of this repository, or to a heading of a page,
// resolves.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { anchors, blocks, read, root, withoutCode } from './pages.js';

const listed = ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '*.md'];
const pages = execFileSync('git', listed, { cwd: root, encoding: 'utf8' })
  .split('\0')
  .filter((page) => page !== '' && existsSync(join(root, page)));

/** @param {string} page @param {string} link */
function fault(page, link) {
  const [path, anchor] = link.split('#');
  const target = path === '' ? join(root, page) : join(root, dirname(page), decodeURI(path));
  if (relative(root, target).startsWith('..')) return 'leads out of the repository';
  if (!existsSync(target)) return 'there is no such file';
  if (anchor === undefined || !statSync(target).isFile() || !target.endsWith('.md')) return null;
  return anchors(readFileSync(target, 'utf8')).has(anchor) ? null : 'there is no such heading';
}

test('every link between pages and to files resolves, headings included', () => {
  assert.ok(pages.includes('README.md') && pages.length > 15);
  const faults = pages.flatMap((page) => {
    const text = withoutCode(read(page)).replace(/`[^`\n]*`/g, '');
    const links = [
      ...[...text.matchAll(/\]\(<?([^)\s>]+)>?\)/g)].map((match) => match[1]),
      ...[...text.matchAll(/(?:src|srcset|href)="([^"]+)"/g)].map((match) => match[1]),
    ];
    return links
      .filter((link) => !/^[a-z]+:/.test(link))
      .map((link) => [page, link, fault(page, link)])
      .filter(([, , what]) => what !== null);
  });
  assert.deepEqual(faults, []);
});

test('a track of README has at most 12 lines', () => {
  for (const section of [
    'Python',
    'Node and BullMQ',
    'Hosted Supabase, without the daemon and Redis',
  ]) {
    const lines = blocks('README.md', section).flatMap((block) => block.text.split('\n'));
    const count = lines.filter((line) => line.trim() !== '').length;
    assert.ok(count <= 12, `"${section}" has ${count} lines`);
  }
});

test('README is short, and its lines have at most 100 columns', () => {
  const lines = read('README.md').split('\n');
  assert.ok(lines.length <= 170, `${lines.length} lines`);
  assert.deepEqual(
    lines.filter((line) => line.length > 100 && !line.startsWith('|')),
    [],
  );
});
