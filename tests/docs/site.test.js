// The site: its table of contents has every page, and links lead to pages of the site.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { diagrams, place, preprocess, relink } from '../../scripts/site.mjs';
import { read, root } from './pages.js';

/** The paths of SUMMARY.md, relative to docs/. */
const listed = [...read('docs/SUMMARY.md').matchAll(/^ *(?:- )?\[[^\]]+\]\(([^)]+)\)$/gm)].map(
  (match) => match[1],
);

test('SUMMARY.md has every page of docs/ once', () => {
  const pages = readdirSync(join(root, 'docs'), { recursive: true })
    .map(String)
    .filter((page) => page.endsWith('.md') && page !== 'SUMMARY.md');
  const inside = listed.filter((page) => !page.startsWith('../'));
  assert.deepEqual(inside.toSorted(), pages.toSorted());
  assert.equal(new Set(listed.map(place)).size, listed.length);
});

test('the sections of SUMMARY.md are the kinds of pages', () => {
  const sections = [...read('docs/SUMMARY.md').matchAll(/^# (.*)$/gm)].map((match) => match[1]);
  assert.deepEqual(sections, [
    'Summary',
    'Quickstarts',
    'Concepts',
    'How-to guides',
    'Reference',
    'Explanation',
    'Decisions',
    'Project',
  ]);
});

test('a page of docs/ links to no page that the site lacks', () => {
  for (const page of listed) {
    const text = read(join('docs', page));
    for (const [, link] of text.matchAll(/\]\((\.\.\/[^)#\s]+\.md)[^)]*\)/g)) {
      if (page.startsWith('../')) continue;
      assert.ok(listed.includes(join(page, '..', link)), `${page}: ${link}`);
    }
  }
});

test('a link is rewritten to the place of its page, and loses its target where the site has none', () => {
  const pages = new Set(['http.md', '../README.md', '../clients/python/README.md']);
  const isFile = (/** @type {string} */ path) => path === 'images/bar.svg';
  const rewrite = (/** @type {string} */ text, /** @type {string} */ page) =>
    relink(text, page, pages, isFile);
  assert.equal(
    rewrite('[a](../clients/python/README.md#b)', 'http.md'),
    '[a](clients/python.md#b)',
  );
  assert.equal(
    rewrite('[a](../../docs/http.md#b)', '../clients/python/README.md'),
    '[a](../http.md#b)',
  );
  assert.equal(rewrite('![a](docs/images/bar.svg)', '../README.md'), '![a](images/bar.svg)');
  assert.equal(
    rewrite('<img src="docs/images/bar.svg">', '../README.md'),
    '<img src="images/bar.svg">',
  );
  assert.equal(rewrite('[`a` b](sql/install.sql) [c](#d)', '../README.md'), '`a` b [c](#d)');
  assert.equal(
    rewrite('`[a](sql/x)` [b](https://x.y/z)', '../README.md'),
    '`[a](sql/x)` [b](https://x.y/z)',
  );
  assert.equal(rewrite('```sh\n[a](sql/x)\n```', '../README.md'), '```sh\n[a](sql/x)\n```');
});

test('chapters get their path in the site, nested ones and those without a page included', () => {
  const chapter = (/** @type {string | null} */ path, /** @type {any[]} */ sub_items = []) => ({
    Chapter: { path, source_path: path, content: '[a](../README.md)', sub_items },
  });
  const items = [
    chapter('../README.md'),
    'Separator',
    chapter(null),
    chapter('events.md', [chapter('../tests/vectors/README.md')]),
  ];
  const book = preprocess({ items: /** @type {any} */ (items) }, () => false);
  const text = JSON.stringify(book);
  for (const path of ['index.md', 'tests/vectors.md', 'events.md'])
    assert.ok(text.includes(`"path":"${path}"`), text);
  assert.ok(text.includes('"content":"[a](index.md)"'));
});

test('a diagram becomes HTML that mermaid draws, and a page without one stays as it is', () => {
  const page = '# A\n\n```mermaid\na -- "x<br/>y" --> b\n```\n';
  const drawn = diagrams(page, '../clients/python/README.md');
  assert.ok(drawn.includes('<pre class="mermaid">\na -- "x&lt;br/&gt;y" --&gt; b\n</pre>'), drawn);
  assert.ok(drawn.includes('<script src="../mermaid.min.js">'), drawn);
  assert.equal(diagrams('```sh\na\n```\n', 'http.md'), '```sh\na\n```\n');
});
